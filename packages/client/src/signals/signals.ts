/**
 * Who is writing, and what was read: told to the members who are there, and heard from them, where the person wants that. Whoever does
 * not tell the one is not told it either. In conversations of so many devices that there are no receipts there are no signals.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import { type Bytes, type Codec, encode, struct } from "@conclave/mls/codec";
import type { AccountId, ClientEvent, ConversationId, SignalSettings } from "../api.ts";
import { fromHex, hex } from "../bytes.ts";
import { isSmall } from "../conversation/receipts.ts";
import { KEYS, NO_READERS, Readers } from "../conversation/records.ts";
import type { ConversationState } from "../conversation/state.ts";
import type { Environment } from "../environment.ts";
import { boolean, type ClientStorage, read } from "../storage.ts";
import { openSignal, type Signal, sealSignal } from "./signal.ts";

const SETTINGS_RECORD = "signal-settings";
const StoredSettings: Codec<SignalSettings> = struct({ typing: boolean, receipts: boolean });

/** What holds until the person decides: that one writes is over in seconds, what one has read others keep. */
const DEFAULTS: SignalSettings = { typing: true, receipts: false };

export async function loadSignalSettings(storage: ClientStorage): Promise<SignalSettings> {
  return (await read(storage, StoredSettings, SETTINGS_RECORD)) ?? DEFAULTS;
}

export async function keepSignalSettings(
  storage: ClientStorage,
  settings: SignalSettings,
): Promise<void> {
  await storage.apply({ put: new Map([[SETTINGS_RECORD, encode(StoredSettings, settings)]]) });
}

/** How often a device asks in a conversation what was read, and answers, at most: milliseconds. */
const ASKS = 30_000;
const ANSWERS = 10_000;
/** How long a signal is tried to be sent: then it is old. Milliseconds. */
const PATIENCE = 5_000;
/** Signals that are opened at once; more are dropped. */
const MAX_OPENING = 16;

type Timer = ReturnType<typeof setTimeout>;

/** What is known in one conversation. */
interface Talk {
  /** Of the last signal that was sent. */
  number: number;
  typingAt: number;
  askedAt: number;
  answeredAt: number;
  /** The entry up to which the others were told that all is read, and whether it is told again. */
  told: number;
  answer: boolean;
  telling: Timer | undefined;
  /** The number of each device's last signal, by its signature key. */
  readonly heard: Map<string, number>;
  readonly typing: Map<AccountId, Timer>;
}

export class Signals {
  readonly #environment: Environment;
  readonly #find: (id: ConversationId) => ConversationState | undefined;
  readonly #settings: () => SignalSettings;
  readonly #talks = new Map<ConversationId, Talk>();
  #opening = 0;
  #stopped = false;

  constructor(
    environment: Environment,
    options: {
      readonly find: (id: ConversationId) => ConversationState | undefined;
      readonly settings: () => SignalSettings;
    },
  ) {
    this.#environment = environment;
    this.#find = options.find;
    this.#settings = options.settings;
  }

  stop(): void {
    this.#stopped = true;
    for (const { telling, typing } of this.#talks.values()) {
      for (const timer of [telling, ...typing.values()]) clearTimeout(timer);
    }
    this.#talks.clear();
  }

  /** The person is writing. */
  tellTyping(id: ConversationId): void {
    const state = this.#inTouch(id);
    const { now, timing } = this.#environment;
    if (!state || !this.#settings().typing) return;
    const talk = this.#talk(id);
    if (now() - talk.typingAt < timing.typing[0]) return;
    talk.typingAt = now();
    void this.#send(state, { typing: state.position.nextSequence });
  }

  /** The person has read something: told after a while, for all that is read until then. */
  tellRead(id: ConversationId): void {
    if (!this.#inTouch(id) || !this.#settings().receipts) return;
    const talk = this.#talk(id);
    talk.telling ??= setTimeout(() => {
      talk.telling = undefined;
      const state = this.#inTouch(id);
      if (!state || !this.#settings().receipts) return;
      const upTo = readUpTo(state, talk);
      if (upTo === 0 || (upTo === talk.told && !talk.answer)) return;
      talk.answer = false;
      void this.#send(state, {});
    }, this.#environment.timing.receipt);
  }

  /** The person looks at the conversation, and would like to know what the others have read. */
  askReaders(id: ConversationId): void {
    const state = this.#inTouch(id);
    const { now } = this.#environment;
    if (!state || !this.#settings().receipts) return;
    const talk = this.#talk(id);
    if (now() - talk.askedAt < ASKS) return;
    talk.askedAt = now();
    void this.#send(state, { asks: true });
  }

  /** What came by the socket. */
  async hear(groupId: Bytes, body: Bytes): Promise<void> {
    const id = hex(groupId);
    const { typing, receipts } = this.#settings();
    const state = typing || receipts ? this.#inTouch(id) : undefined;
    if (!state?.group || this.#opening >= MAX_OPENING) return;
    this.#opening++;
    try {
      const { roster } = state;
      const seatOf = (leafIndex: number) => roster.find((seat) => seat.leafIndex === leafIndex);
      const signal = await openSignal(this.#environment.crypto, state.group, body, (leafIndex) => {
        const seat = seatOf(leafIndex);
        return seat && fromHex(seat.signatureKey);
      });
      const seat = signal && seatOf(signal.leafIndex);
      if (seat && !this.#stopped && seat.accountId !== state.self.accountId) {
        await this.#heard(state, signal, seat);
      }
    } catch (error) {
      this.#environment.log("signal", error);
    } finally {
      this.#opening--;
    }
  }

  /** What somebody was writing is there. */
  notice(event: ClientEvent): void {
    if (event.type !== "messages") return;
    for (const { conversationId, accountId, own, body } of event.messages) {
      if (!own && body.type === "text") this.#endTyping(conversationId, accountId);
    }
  }

  /** What the person doesn't want to be told any more is forgotten. */
  async settingsChanged(conversations: readonly ConversationState[]): Promise<void> {
    const { typing, receipts } = this.#settings();
    if (!typing) {
      for (const [id, talk] of this.#talks) {
        for (const accountId of talk.typing.keys()) this.#endTyping(id, accountId);
      }
    }
    if (receipts) return;
    const known = conversations.filter(({ readers }) => readers !== NO_READERS);
    await this.#environment.storage.apply({ delete: known.map(({ id }) => KEYS.readers(id)) });
    for (const state of known) {
      state.readers = NO_READERS;
      state.emitSummary();
    }
  }

  async #heard(
    state: ConversationState,
    signal: Signal,
    { signatureKey, accountId }: { readonly signatureKey: string; readonly accountId: AccountId },
  ): Promise<void> {
    const talk = this.#talk(state.id);
    if (signal.number <= (talk.heard.get(signatureKey) ?? 0)) return;
    talk.heard.set(signatureKey, signal.number);
    const { typing, receipts } = this.#settings();
    // A message that was quicker than the word of it is there by now.
    const sequence = state.peers.get(signatureKey)?.sequence ?? 0;
    if (typing && signal.typing > sequence) this.#beginTyping(state.id, accountId);
    if (!receipts) return;
    if (signal.asks) this.#answer(state.id, talk);
    if (signal.read > 0) await this.#keepReader(state, accountId, signal.read);
  }

  #answer(id: ConversationId, talk: Talk): void {
    const { now } = this.#environment;
    if (now() - talk.answeredAt < ANSWERS) return;
    talk.answeredAt = now();
    talk.answer = true;
    this.tellRead(id);
  }

  #beginTyping(id: ConversationId, accountId: AccountId): void {
    const { typing } = this.#talk(id);
    const before = typing.get(accountId);
    clearTimeout(before);
    const end = () => this.#endTyping(id, accountId);
    typing.set(accountId, setTimeout(end, this.#environment.timing.typing[1]));
    if (before === undefined) this.#emitTyping(id);
  }

  #endTyping(id: ConversationId, accountId: AccountId): void {
    const typing = this.#talks.get(id)?.typing;
    const timer = typing?.get(accountId);
    if (timer === undefined) return;
    clearTimeout(timer);
    typing?.delete(accountId);
    this.#emitTyping(id);
  }

  #emitTyping(conversationId: ConversationId): void {
    const accountIds = [...this.#talk(conversationId).typing.keys()];
    this.#environment.emit({ type: "typing", conversationId, accountIds });
  }

  async #keepReader(state: ConversationState, accountId: AccountId, upTo: number): Promise<void> {
    const { by, all } = state.readers;
    if (upTo <= (by.get(accountId) ?? 0)) return;
    const others = new Set(state.roster.map((seat) => seat.accountId));
    others.delete(state.self.accountId);
    const next = new Map([...by].filter(([other]) => others.has(other))).set(accountId, upTo);
    const byAll = Math.min(...[...others].map((other) => next.get(other) ?? 0));
    // Who claims to have read what isn't there yet speaks for nobody who comes later.
    state.readers = { by: next, all: Math.max(all, Math.min(byAll, state.position.cursor)) };
    const put = new Map([[KEYS.readers(state.id), encode(Readers, state.readers)]]);
    await this.#environment.storage.apply({ put });
    state.emitSummary();
  }

  async #send(
    state: ConversationState,
    what: Partial<Pick<Signal, "typing" | "asks">>,
  ): Promise<void> {
    const { id, groupId, group, self } = state;
    const { crypto, service, now, log } = this.#environment;
    if (!group) return;
    const talk = this.#talk(id);
    talk.number = Math.max(talk.number + 1, now());
    const upTo = this.#settings().receipts ? readUpTo(state, talk) : 0;
    talk.told = upTo;
    const { number } = talk;
    const leafIndex = group.ownLeafIndex;
    try {
      const signal = { leafIndex, number, typing: 0, read: upTo, asks: false, ...what };
      const body = await sealSignal(crypto, group, signal, self.leafSigner);
      await service.signal({ groupId, body }, { timeout: PATIENCE });
    } catch (error) {
      // It is said again by the next one, or is of no interest any more.
      if (!(error instanceof ServiceError)) log("signal", error);
    }
  }

  /** A conversation in which there is somebody to talk to. */
  #inTouch(id: ConversationId): ConversationState | undefined {
    const state = this.#stopped ? undefined : this.#find(id);
    if (!state || state.group?.status !== "active" || !isSmall(state)) return undefined;
    const { status, leaving, restored } = state.record;
    if (status !== "active" || leaving || restored) return undefined;
    const { accountId } = state.self;
    return state.roster.some((seat) => seat.accountId !== accountId) ? state : undefined;
  }

  #talk(id: ConversationId): Talk {
    const talk = this.#talks.get(id) ?? {
      number: 0,
      typingAt: 0,
      askedAt: 0,
      answeredAt: 0,
      told: 0,
      answer: false,
      telling: undefined,
      heard: new Map(),
      typing: new Map(),
    };
    this.#talks.set(id, talk);
    return talk;
  }
}

/** Known where all is read; else what was told last. */
function readUpTo({ read, position }: ConversationState, { told }: Talk): number {
  return read >= position.received ? position.lastReceived : told;
}
