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
import { joinByWelcome, type OpenedLink } from "./conversation/joining.ts";
import { catchUp } from "./conversation/reading.ts";
import { ConversationRecord, JoinRecord, KEYS } from "./conversation/records.ts";
import { ConversationState } from "./conversation/state.ts";
import type { Environment } from "./environment.ts";
import type { LinkSecret } from "./invitation.ts";
import { changes, put } from "./storage.ts";

export class Conversations {
  readonly #environment: Environment;
  readonly #byId = new Map<ConversationId, Conversation>();

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  async load(): Promise<void> {
    for (const [key, bytes] of await this.#environment.storage.list(KEYS.conversations)) {
      const id = key.slice(KEYS.conversations.length);
      await this.#open(id, decode(ConversationRecord, bytes));
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byId.values()].map((conversation) => conversation.close()));
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
  async join(secret: LinkSecret, { groupId, preview }: OpenedLink): Promise<ConversationId> {
    const id = hex(groupId);
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
    const group = there?.state.group;
    if (group) await group.remove({ and: () => batch });
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
  async joinByWelcome(entry: InboxEntry): Promise<void> {
    const id = hex(entry.groupId);
    const there = this.#byId.get(id);
    await there?.close();
    if (there?.state.record.status === "active" && (await this.#isIn(there.state, entry.epoch))) {
      this.#add(new Conversation(there.state));
      return;
    }
    const record = there?.state.record ?? this.#newRecord();
    const state = await ConversationState.load(this.#environment, id, record);
    await joinByWelcome(state, entry);
    this.#add(new Conversation(state));
    state.emitSummary();
  }

  /** Whether we are in the group in that epoch or a later one, by what the log says: we may have been removed and added again. */
  async #isIn(state: ConversationState, epoch: bigint): Promise<boolean> {
    try {
      await catchUp(state);
    } catch (error) {
      // It goes on as it was, and the entry comes again.
      this.#add(new Conversation(state));
      throw error;
    }
    return state.record.status === "active" && (state.group?.epoch ?? -1n) >= epoch;
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
    conversation.start();
    return conversation;
  }
}
