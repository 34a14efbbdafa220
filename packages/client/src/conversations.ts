/**
 * All conversations of the device: those in storage, those that are made, those that are joined.
 * @module
 */

import type { InboxEntry } from "@conclave/delivery/protocol";
import { decode } from "@conclave/mls/codec";
import { ClientError, type ConversationId } from "./api.ts";
import { hex } from "./bytes.ts";
import { Conversation } from "./conversation/conversation.ts";
import { createConversation } from "./conversation/creating.ts";
import { dropGroup, type OpenedLink } from "./conversation/joining.ts";
import {
  ConversationRecord,
  JoinRecord,
  KEYS,
  type StoredMessage,
} from "./conversation/records.ts";
import { ConversationState } from "./conversation/state.ts";
import type { Environment } from "./environment.ts";
import type { LinkSecret } from "./invitation.ts";
import { changes, put } from "./storage.ts";

export class Conversations {
  readonly #environment: Environment;
  readonly #byId = new Map<ConversationId, Conversation>();
  /** The end of what is done to come into a conversation: by a link and by a Welcome one after the other. */
  readonly #entering = new Map<ConversationId, Promise<unknown>>();
  #closed = false;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** Throws `ClientError` with `lost`, or `MlsError`, where a part of what was stored is gone; then none has begun. */
  async load(): Promise<void> {
    const states: ConversationState[] = [];
    for (const [key, bytes] of await this.#environment.storage.list(KEYS.conversations)) {
      const id = key.slice(KEYS.conversations.length);
      const record = decode(ConversationRecord, bytes);
      states.push(await ConversationState.load(this.#environment, id, record));
    }
    for (const state of states) this.#add(new Conversation(state));
  }

  /** With a reason, who waits for something is told. */
  async close(why?: ClientError): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#byId.values()].map((conversation) => conversation.close(why)));
  }

  all(): readonly Conversation[] {
    return [...this.#byId.values()];
  }

  find(id: ConversationId): Conversation | undefined {
    return this.#byId.get(id);
  }

  /** Throws `ClientError` with `unknown-conversation`. */
  get(id: ConversationId): Conversation {
    const conversation = this.#byId.get(id);
    if (conversation) return conversation;
    throw new ClientError("unknown-conversation", "there is no such conversation");
  }

  /** Throws `ServiceError`. */
  async create(title: string): Promise<ConversationId> {
    const state = await createConversation(this.#environment, title);
    this.#add(new Conversation(state));
    state.emitSummary();
    return state.id;
  }

  /** Joins by a link, unless we are in already. Throws `ClientError` where that can't be. */
  join(secret: LinkSecret, { groupId, preview }: OpenedLink): Promise<ConversationId> {
    const id = hex(groupId);
    return this.#inTurn(id, async () => {
      const there = this.#byId.get(id);
      const record = there?.state.record;
      if (record?.status === "active" && !record.leaving && !record.restored) return id;
      const conversation =
        there && record?.status === "joining"
          ? there
          : await this.#beginJoin(id, secret, preview.title);
      try {
        await conversation.joined();
        return id;
      } catch (error) {
        await this.#forgetIfNeverIn(conversation);
        throw error;
      }
    });
  }

  /** A conversation that joins by what is in its records. */
  async #beginJoin(id: ConversationId, secret: LinkSecret, title: string): Promise<Conversation> {
    const there = this.#byId.get(id);
    await there?.close();
    const record = { ...this.#newRecord(), title, status: "joining" } as const;
    const batch = changes();
    put(batch, KEYS.conversation(id), ConversationRecord, record);
    put(batch, KEYS.join(id), JoinRecord, secret);
    // A state that may not be used again makes room for a fresh leaf in place of ours.
    if (there) await dropGroup(there.state, batch);
    else await this.#environment.storage.apply(batch);
    return this.#open(id, record);
  }

  async #forgetIfNeverIn(conversation: Conversation): Promise<void> {
    const { state } = conversation;
    if (state.visible) return;
    this.#byId.delete(state.id);
    await conversation.close();
    await state.storage.apply({ delete: [KEYS.conversation(state.id)] });
  }

  /** Joins by a Welcome, unless we are in already. Throws as `joinByWelcome` does. */
  joinByWelcome(entry: InboxEntry): Promise<void> {
    const id = hex(entry.groupId);
    return this.#inTurn(id, async () => {
      const there = this.#byId.get(id);
      // A join by link that is under way may have taken the place of the leaf that was added.
      if (there?.state.record.status === "joining") await there.joined().catch(() => {});
      const conversation = there ?? (await this.#open(id, this.#newRecord()));
      try {
        await conversation.welcome(entry);
      } catch (error) {
        await this.#forgetIfNeverIn(conversation);
        throw error;
      }
    });
  }

  /** Takes messages of a backup into a conversation; one that isn't here is made, as one that the device is not in. Answers how many were new. */
  async restore(
    id: ConversationId,
    { title, createdAt }: Pick<ConversationRecord, "title" | "createdAt">,
    messages: readonly StoredMessage[],
  ): Promise<number> {
    const there =
      this.#byId.get(id) ??
      (await this.#inTurn(id, async () => {
        const made = this.#byId.get(id);
        if (made) return made;
        const record = { ...this.#newRecord(), title, createdAt };
        const batch = changes();
        put(batch, KEYS.conversation(id), ConversationRecord, record);
        await this.#environment.storage.apply(batch);
        return this.#open(id, record);
      }));
    return there.restore(messages);
  }

  #inTurn<T>(id: ConversationId, work: () => Promise<T>): Promise<T> {
    const done = (this.#entering.get(id) ?? Promise.resolve()).then(work);
    this.#entering.set(
      id,
      done.catch(() => {}),
    );
    return done;
  }

  #newRecord(): ConversationRecord {
    return {
      title: "",
      status: "left",
      leaving: false,
      restored: false,
      createdAt: this.#environment.now(),
    };
  }

  async #open(id: ConversationId, record: ConversationRecord): Promise<Conversation> {
    return this.#add(new Conversation(await ConversationState.load(this.#environment, id, record)));
  }

  #add(conversation: Conversation): Conversation {
    this.#byId.set(conversation.state.id, conversation);
    if (!this.#closed) conversation.start();
    return conversation;
  }
}
