/**
 * A client as an application would build it: what it wants to say waits in an outbox until the service has it, what it
 * read is noted in one batch with the group's own records, and after a crash it goes on from its storage.
 */

import {
  type Batch,
  type CommitBundle,
  type CommitOptions,
  type CryptoProvider,
  createKeyPackage,
  defaultCapabilities,
  type Group,
  joinExternally,
  joinGroup,
  loadGroup,
  type MlsContext,
  type Proposal,
  type Received,
  type Signer,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { readWelcome } from "@conclave/mls/public-group";
import { bytesEqual, concat } from "../../src/bytes.ts";
import { Random } from "../fuzz/random.ts";
import { ACCEPT_ALL_FOR_TESTS, hex, LIFETIME, NOW, text, utf8 } from "../people.ts";
import { Crash, CrashingStorage } from "./crashing-storage.ts";
import { type Seals, seededCrypto, seededSigner } from "./seeded-crypto.ts";
import type { Entry, Invitation, Service } from "./service.ts";

export const GROUP_ID: Bytes = utf8("room");
/** Extensions of the GroupContext that all in the simulation know. */
export const OWN_EXTENSION = 0xf001;

const KINDS = ["application", "proposal", "commit"] as const;
type Kind = (typeof KINDS)[number];

interface Waiting {
  readonly key: string;
  readonly kind: Kind;
  readonly bytes: Bytes;
}

/** From where to where a member has to read the log. */
export interface Span {
  readonly from: number;
  to: number;
}

export class Member {
  readonly name: string;
  readonly signer: Signer;
  readonly credential: { readonly credentialType: "basic"; readonly identity: Bytes };
  readonly suite: number;
  /** Where it was a member, as the log has it. */
  readonly spans: Span[] = [];
  storage: CrashingStorage = new CrashingStorage();
  context: MlsContext;
  #group: Group | undefined;
  #cursor = 0;
  #sequence = 0;
  /** What it read on devices that it lost. */
  readonly #readBefore = new Set<number>();

  constructor(name: string, suite: number, seed: number, seals: Seals, platform: CryptoProvider) {
    const random = new Random(seed, name);
    this.name = name;
    this.suite = suite;
    this.signer = seededSigner(random);
    this.credential = { credentialType: "basic", identity: utf8(name) };
    this.context = {
      crypto: seededCrypto(platform, random, seals),
      storage: this.storage,
      authentication: ACCEPT_ALL_FOR_TESTS,
      now: () => NOW,
      externalPsk: async (id) => concat(utf8("the key behind "), id),
    };
  }

  get group(): Group | undefined {
    return this.#group;
  }
  get cursor(): number {
    return this.#cursor;
  }

  /** A group to do something with. */
  get active(): Group {
    if (this.#group?.status !== "active") throw new Error(`${this.name} is not active`);
    return this.#group;
  }

  get about(): {
    readonly credential: Member["credential"];
    readonly signer: Signer;
    readonly capabilities: ReturnType<typeof defaultCapabilities>;
  } {
    const capabilities = defaultCapabilities(this.context.crypto, { extensions: [OWN_EXTENSION] });
    return { credential: this.credential, signer: this.signer, capabilities };
  }

  /** The group is made, and everything before it forgotten. */
  begins(group: Group): void {
    this.#group = group;
    this.spans.push({ from: 0, to: Number.POSITIVE_INFINITY });
  }

  /** Forgets what is in memory; the next step loads it again. */
  stop(): void {
    this.#group = undefined;
  }

  /** Loses its device: nothing is left but its name and key. */
  async lose(): Promise<void> {
    for (const index of await this.#readHere()) this.#readBefore.add(index);
    this.#group = undefined;
    this.storage = new CrashingStorage();
    this.context = { ...this.context, storage: this.storage };
    this.#leave();
  }

  #leave(): void {
    const last = this.spans.at(-1);
    if (last) last.to = Math.min(last.to, this.#cursor);
  }

  async wake(): Promise<void> {
    if (this.#group) return;
    this.#group = await loadGroup(this.context, { groupId: GROUP_ID, signer: this.signer });
    const stored = await this.storage.get("app/cursor");
    this.#cursor = stored ? Number(text(stored)) : 0;
    // A crash may have come between what was stored and what was noted here.
    const isIn = this.#group?.status === "active";
    const wasIn = this.spans.at(-1)?.to === Number.POSITIVE_INFINITY;
    if (isIn && !wasIn) this.#joined(this.#cursor);
    if (!isIn && wasIn) this.#leave();
  }

  /** Whether it came to its end; a crash ends it, with all that was in memory. */
  async attempt(crash: "before" | "after" | undefined, act: () => Promise<void>): Promise<boolean> {
    this.storage.crashOnce(crash);
    try {
      await act();
      return true;
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.stop();
      return false;
    } finally {
      this.storage.crashOnce(undefined);
    }
  }

  #outboxed(kind: Kind, bytes: Bytes): Batch {
    const key = `app/outbox/${String(this.#sequence++).padStart(6, "0")}`;
    return { put: new Map([[key, concat(Uint8Array.of(KINDS.indexOf(kind)), bytes)]]) };
  }

  async publish(service: Service): Promise<void> {
    const made = await createKeyPackage(this.context, {
      ...this.about,
      suite: this.suite,
      lifetime: LIFETIME,
    });
    service.keyPackages.set(this.name, [
      ...(service.keyPackages.get(this.name) ?? []),
      made.keyPackage,
    ]);
  }

  async say(data: Bytes): Promise<void> {
    await this.active.send(data, { and: (bytes) => this.#outboxed("application", bytes) });
  }

  async propose(proposal: Proposal | "update"): Promise<void> {
    const options = { and: (bytes: Bytes) => this.#outboxed("proposal", bytes) };
    if (proposal === "update") await this.active.proposeUpdate(options);
    else await this.active.propose(proposal, options);
  }

  async commit(options: CommitOptions): Promise<void> {
    const and = ({ commit }: CommitBundle) => this.#outboxed("commit", commit);
    await this.active.commit({ ...options, groupInfoForJoiners: true, and });
  }

  async #waiting(): Promise<Waiting | undefined> {
    const [first] = await this.storage.list("app/outbox/");
    if (!first) return undefined;
    const [key, value] = first;
    return { key, kind: KINDS[value[0] ?? 0] ?? "application", bytes: value.slice(1) };
  }

  /** Sends what waits longest. `lost`: on the way there, or the answer on the way back. */
  async post(
    service: Service,
    lost: "request" | "answer" | undefined,
  ): Promise<string | undefined> {
    const waiting = await this.#waiting();
    if (!waiting || lost === "request") return waiting ? `${waiting.kind} is lost` : undefined;
    const { key, kind, bytes } = waiting;
    const pending = this.#group?.pendingCommit;
    // A commit that another has overtaken is gone with its bundle, and its epoch with it.
    const bundle = pending && bytesEqual(pending.commit, bytes) ? pending : undefined;
    const entry = await service.post(this.name, bytes, bundle);
    if (lost === "answer") return `${kind} is ${entry ? "taken" : "late"}, and nobody told`;
    const isPending = bundle !== undefined && !entry;
    const done = { delete: [key] };
    if (isPending && this.#group?.status === "active") {
      await this.#group.discardPendingCommit({ and: () => done });
    } else if (isPending && this.#group?.status === "joining") {
      await this.#group.remove({ and: () => done });
      this.#group = undefined;
    } else if (kind === "commit" && entry && this.#group?.status === "joining") {
      await this.#group.confirm({ and: () => ({ ...this.#at(entry.index + 1), ...done }) });
      this.#joined(entry.index + 1);
    } else await this.storage.apply(done);
    return `${kind} is ${entry ? `taken as ${entry.index}` : "late"}`;
  }

  #at(cursor: number): Batch {
    return { put: new Map([["app/cursor", utf8(String(cursor))]]) };
  }

  #joined(from: number): void {
    this.#cursor = from;
    this.spans.push({ from, to: Number.POSITIVE_INFINITY });
  }

  async #readHere(): Promise<number[]> {
    const notes = await this.storage.list("app/read/");
    return [...notes.keys()].map((key) => Number(key.slice("app/read/".length)));
  }

  /** All that it ever read. */
  async everRead(): Promise<ReadonlySet<number>> {
    return new Set([...this.#readBefore, ...(await this.#readHere())]);
  }

  /** Whether it has noted an entry as read. */
  async hasRead(index: number): Promise<boolean> {
    return (await this.storage.get(`app/read/${index}`)) !== undefined;
  }

  /** Takes an application message, and notes it. */
  async read(entry: Entry): Promise<void> {
    const note = { put: new Map([[`app/read/${entry.index}`, utf8("1")]]) };
    const received = await this.active.receive(entry.bytes, { and: () => note });
    if (received.type !== "application") throw new Error("no application message");
  }

  /** All application messages before `index` are read. */
  async skipTo(index: number): Promise<void> {
    await this.storage.apply(this.#at(index));
    this.#cursor = index;
  }

  /** Takes a proposal or commit at the cursor. */
  async follow(entry: Entry): Promise<Received> {
    const next = entry.index + 1;
    const group = this.#group;
    if (!group) throw new Error("no group");
    const joining = group.status === "joining";
    const received = await group.receive(entry.bytes, { and: () => this.#at(next) });
    if (joining) this.#joined(next);
    this.#cursor = next;
    if (received.type === "commit" && received.removed) this.#leave();
    return received;
  }

  /** Whether it still has the key package: a device that was lost takes its own along. */
  async canOpen({ welcome }: Invitation): Promise<boolean> {
    const kept = await this.storage.list("key-package/");
    return readWelcome(welcome).keyPackageRefs.some((ref) => kept.has(`key-package/${hex(ref)}`));
  }

  async join(invitation: Invitation): Promise<void> {
    const { welcome, ratchetTree, from } = invitation;
    this.#group = await joinGroup(this.context, {
      welcome,
      ratchetTree,
      signer: this.signer,
      and: () => this.#at(from),
    });
    this.#joined(from);
  }

  /** By an external commit; `resync`: in the place of a leaf whose state is gone. */
  async joinByLink(service: Service, resync: number | undefined): Promise<void> {
    const { observer, log } = service;
    const { group } = await joinExternally(this.context, {
      ...this.about,
      groupInfo: service.groupInfo,
      groupInfoForJoiners: true,
      ratchetTree: observer.ratchetTree(),
      ...(resync !== undefined && { resync }),
      and: (made) => {
        const commit = made.pendingCommit?.commit;
        if (!commit) throw new Error("nothing to send");
        const outbox = this.#outboxed("commit", commit);
        return { put: new Map([...(outbox.put ?? []), ...(this.#at(log.length).put ?? [])]) };
      },
    });
    this.#group = group;
    this.#cursor = log.length;
  }

  /** Gives up joining: another commit took the epoch. */
  async giveUp(): Promise<void> {
    const outbox = [...(await this.storage.list("app/outbox/")).keys()];
    await this.#group?.remove({ and: () => ({ delete: outbox }) });
    this.#group = undefined;
  }
}
