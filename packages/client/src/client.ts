/**
 * The engine: one device of one account. It owns the storage, talks to the service, runs the
 * conversations, and tells whoever subscribed.
 * @module
 */

import { type Device, type InboxEntry, type SigningKey } from "@conclave/delivery/protocol";
import type { CryptoProvider } from "@conclave/mls";
import { decode, encode } from "@conclave/mls/codec";
import {
  ACCOUNT_RECORD,
  Account,
  credentialOf,
  nameOf,
  newAccount,
  nextDeviceList,
  registered,
} from "./account.ts";
import {
  type AccountId,
  type AccountState,
  type ClientApi,
  ClientError,
  type ClientEvent,
  type Connection,
  type ConversationId,
  type Invitation,
  type InvitationPreview,
  type Message,
  type Snapshot,
  type Warning,
} from "./api.ts";
import { fromHex, hex, randomBytes } from "./bytes.ts";
import { Conversation, createConversation } from "./conversation/conversation.ts";
import { joinByWelcome, openLink } from "./conversation/joining.ts";
import { ConversationRecord, JoinRecord, KEYS } from "./conversation/records.ts";
import { ConversationState } from "./conversation/state.ts";
import { Directory, type KnownList } from "./directory.ts";
import { Doorbell } from "./doorbell.ts";
import { type Environment, TIMING, type Timing, workerError } from "./environment.ts";
import { readInbox } from "./inbox.ts";
import { decodeFragment, encodeFragment, linkKeysOf, MAX_LINKS, titleOf } from "./invitation.ts";
import { causeOf, Refusal } from "./refusal.ts";
import { safetyNumber } from "./safety-number.ts";
import { type Fetch, Service, ServiceError } from "./service.ts";
import { type ClientStorage, changes, put, read } from "./storage.ts";
import type { KeyVault } from "./vault.ts";
import { Warnings } from "./warnings.ts";
import { IDLE, Worker } from "./worker.ts";

export interface ClientOptions {
  readonly storage: ClientStorage;
  readonly vault: KeyVault;
  readonly crypto: CryptoProvider;
  readonly service: {
    /** Scheme, host and port of the delivery service. */
    readonly origin: string;
    readonly fetch?: Fetch;
    readonly WebSocket?: typeof WebSocket;
  };
  /** Milliseconds since the Unix epoch. */
  readonly now?: () => number;
  readonly timing?: Partial<Timing>;
  /** For whoever looks for a fault: no content, no secrets. */
  readonly log?: (what: string, error: unknown) => void;
}

export interface Client extends ClientApi {
  /** The listener is called until what comes back is called. */
  subscribe(listener: (event: ClientEvent) => void): () => void;
  /** A new signed device list, for another year: with devices added or taken away. */
  replaceDeviceList(
    recoveryPhrase: string,
    change: (devices: readonly Device[]) => readonly Device[],
  ): Promise<void>;
  close(): Promise<void>;
  /** Settled when the client was closed, or has stopped because its storage failed or was taken over. */
  readonly closed: Promise<void>;
}

/** Opens the device that the storage holds; without an account it waits for `signUp`. */
export async function createClient(options: ClientOptions): Promise<Client> {
  const engine = new Engine(options);
  await engine.open();
  return engine;
}

/** What runs once there is an account. */
interface Running {
  readonly environment: Environment;
  readonly doorbell: Doorbell;
  readonly inbox: Worker;
}

class Engine implements Client {
  readonly #options: ClientOptions;
  readonly #now: () => number;
  readonly #service: Service;
  readonly #warnings: Warnings;
  readonly #directory: Directory;
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  readonly #conversations = new Map<ConversationId, Conversation>();
  readonly #end = Promise.withResolvers<void>();
  #account: Account | undefined;
  #running: Running | undefined;
  #connection: Connection = "connecting";
  #signingUp = false;

  constructor(options: ClientOptions) {
    const { storage, service } = options;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#service = new Service({
      origin: service.origin,
      fetch: service.fetch ?? ((url, init) => fetch(url, init)),
      now: this.#now,
    });
    this.#warnings = new Warnings(storage);
    this.#directory = new Directory({
      storage,
      service: this.#service,
      warn: (warning) => this.#warn(warning),
    });
  }

  get closed(): Promise<void> {
    return this.#end.promise;
  }

  async open(): Promise<void> {
    await this.#warnings.load();
    await this.#directory.load();
    const account = await read(this.#options.storage, Account, ACCOUNT_RECORD);
    // One with its phrase still there was never confirmed by the service.
    if (account && account.entropy.length === 0) await this.#start(account);
  }

  subscribe(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    await this.#stop();
    await this.#options.storage.close();
  }

  async snapshot(): Promise<Snapshot> {
    return {
      account: this.#accountState(),
      connection: this.#connection,
      conversations: [...this.#conversations.values()]
        .filter(({ state }) => state.visible)
        .map((conversation) => conversation.summary()),
      warnings: this.#warnings.of(undefined),
    };
  }

  async messages(
    id: ConversationId,
    { before, limit }: { readonly before?: number; readonly limit: number },
  ): Promise<readonly Message[]> {
    return this.#conversation(id).messages(before, limit);
  }

  async signUp(input: string): Promise<{ readonly recoveryPhrase: string }> {
    if (this.#account) throw new ClientError("account-exists", "this device has an account");
    if (this.#signingUp) throw new ClientError("busy", "signing up is under way");
    this.#signingUp = true;
    try {
      const draft = await this.#draft(nameOf(input));
      await this.#register(draft);
      const { account, recoveryPhrase } = registered(draft);
      await this.#keepAccount(account);
      await this.#start(account);
      this.#emit({ type: "account", account: this.#accountState() });
      return { recoveryPhrase };
    } finally {
      this.#signingUp = false;
    }
  }

  /** The account that the service is asked to take: the same again, if it was asked before for this name. */
  async #draft(name: string): Promise<Account> {
    const { storage, vault } = this.#options;
    const earlier = await read(storage, Account, ACCOUNT_RECORD);
    if (earlier?.name === name) return earlier;
    const account = await newAccount(name, vault, this.#now());
    await this.#keepAccount(account);
    return account;
  }

  async #register(draft: Account): Promise<void> {
    const key = await this.#key("sign-in");
    const { accountId, deviceId, deviceList } = draft;
    this.#service.signInAs({ accountId, deviceId, key });
    try {
      await this.#service.register(deviceList);
    } catch (error) {
      // The answer to an earlier attempt was lost.
      if (error instanceof ServiceError && error.code === "account-exists") return;
      if (error instanceof ServiceError && error.code === "name-taken") {
        await this.#options.storage.apply({ delete: [ACCOUNT_RECORD] });
        throw new ClientError("name-taken", "somebody has this name", { cause: error });
      }
      throw clientError(error);
    }
  }

  async #key(name: "leaf" | "sign-in"): Promise<SigningKey> {
    const key = await this.#options.vault.open(name);
    if (!key) throw new ClientError("storage", "the device's keys are gone");
    return key;
  }

  async #keepAccount(account: Account): Promise<void> {
    await this.#options.storage.apply({
      put: new Map([[ACCOUNT_RECORD, encode(Account, account)]]),
    });
  }

  async confirmRecoveryPhrase(): Promise<void> {
    const account = { ...this.#requireAccount(), phrasePending: false };
    await this.#keepAccount(account);
    this.#account = account;
    this.#emit({ type: "account", account: this.#accountState() });
  }

  async createConversation(input: string): Promise<ConversationId> {
    const { environment } = this.#requireRunning();
    const title = titleOf(input);
    const state = await attempt(() => createConversation(environment, title));
    this.#add(new Conversation(state));
    state.emitSummary();
    return state.id;
  }

  async sendText(id: ConversationId, text: string, messageKey: string): Promise<void> {
    await this.#conversation(id).sendText(text, messageKey);
  }

  async discardFailed(id: ConversationId, messageId: string): Promise<void> {
    await this.#conversation(id).discardFailed(messageId);
  }

  async markRead(id: ConversationId): Promise<void> {
    await this.#conversation(id).markRead();
  }

  async createInvitation(
    id: ConversationId,
    { expiresInSeconds, maxUses }: { readonly expiresInSeconds: number; readonly maxUses: number },
  ): Promise<Invitation> {
    const conversation = this.#conversation(id);
    this.#requireOnline();
    if (conversation.state.openLinks() >= MAX_LINKS) {
      throw new ClientError("refused", `a conversation has at most ${MAX_LINKS} links`);
    }
    if (
      ![expiresInSeconds, maxUses].every(
        (term) => Number.isInteger(term) && term > 0 && term < 2 ** 32,
      )
    ) {
      throw new ClientError("refused", "a link is open for some whole seconds and uses");
    }
    const seed = randomBytes(32);
    const { signer, encryptionKey } = await linkKeysOf(seed);
    const expiresAt = Math.floor(this.#now() / 1000) + expiresInSeconds;
    const link = {
      signatureKey: signer.publicKey,
      encryptionKey,
      expiresAt: BigInt(expiresAt),
      maxUses,
    };
    await conversation.want({ type: "invite", link });
    const inviter = this.#requireAccount().accountId;
    return { fragment: encodeFragment({ seed, inviter }), expiresAt: expiresAt * 1000, maxUses };
  }

  async revokeInvitations(id: ConversationId): Promise<void> {
    const conversation = this.#conversation(id);
    this.#requireOnline();
    await conversation.want({ type: "revoke" });
  }

  async previewInvitation(fragment: string): Promise<InvitationPreview> {
    const { environment } = this.#requireRunning();
    return (await attempt(() => openLink(environment, decodeFragment(fragment)))).preview;
  }

  async acceptInvitation(fragment: string): Promise<ConversationId> {
    const { environment } = this.#requireRunning();
    const secret = decodeFragment(fragment);
    const link = await attempt(() => openLink(environment, secret));
    if (!link.preview.inviterConfirmed) {
      throw new ClientError("link-invalid", "who made the link is not in the group");
    }
    const id = hex(link.groupId);
    const there = this.#conversations.get(id);
    const record = there?.state.record;
    if (record?.status === "active" && !record.leaving && !record.restored) return id;
    const conversation =
      there && record?.status === "joining"
        ? there
        : await this.#beginJoin(id, secret, link.preview.title);
    try {
      await conversation.joined();
    } catch (error) {
      await this.#forgetIfNeverIn(conversation);
      throw error;
    }
    return id;
  }

  /** A conversation that joins by what is in its records. */
  async #beginJoin(id: ConversationId, join: JoinRecord, title: string): Promise<Conversation> {
    const { environment } = this.#requireRunning();
    const there = this.#conversations.get(id);
    await there?.close();
    // A state that may not be used again makes room for a fresh leaf in place of ours.
    await there?.state.group?.remove();
    const record: ConversationRecord = {
      title,
      status: "joining",
      leaving: false,
      restored: false,
      createdAt: this.#now(),
    };
    const batch = changes();
    put(batch, KEYS.conversation(id), ConversationRecord, record);
    put(batch, KEYS.join(id), JoinRecord, join);
    await environment.storage.apply(batch);
    return this.#add(new Conversation(await ConversationState.load(environment, id, record)));
  }

  async #forgetIfNeverIn(conversation: Conversation): Promise<void> {
    const { state } = conversation;
    if (state.visible) return;
    this.#conversations.delete(state.id);
    await conversation.close();
    await state.storage.apply({ delete: [KEYS.conversation(state.id)] });
  }

  async addByName(id: ConversationId, input: string): Promise<void> {
    const conversation = this.#conversation(id);
    this.#requireOnline();
    const found = await this.#lookUp(nameOf(input));
    if (conversation.state.roster.some(({ accountId }) => accountId === found.accountId)) {
      throw new ClientError("already-member", "this account is in the conversation");
    }
    const accountId = fromHex(found.accountId);
    await conversation.want({ type: "add", accountId, keyPackages: [] });
  }

  async #lookUp(name: string): Promise<KnownList> {
    try {
      return await this.#directory.lookUp(name);
    } catch (error) {
      if (error instanceof ServiceError && error.code === "not-found") {
        throw new ClientError("name-unknown", "nobody has this name", { cause: error });
      }
      const code = causeOf(error, Refusal)?.code;
      if (code === "root-key-changed") {
        throw new ClientError("root-key-changed", "this name has another root key now", {
          cause: error,
        });
      }
      throw clientError(error);
    }
  }

  async removeMember(id: ConversationId, accountId: AccountId): Promise<void> {
    const conversation = this.#conversation(id);
    this.#requireOnline();
    const { roster, self } = conversation.state;
    if (accountId === self.accountId || !roster.some((seat) => seat.accountId === accountId)) {
      throw new ClientError("not-member", "there is no such other member");
    }
    await conversation.want({ type: "remove", accountId: fromHex(accountId) });
  }

  async leave(id: ConversationId): Promise<void> {
    await this.#conversation(id).leave();
  }

  async safetyNumber(accountId: AccountId): Promise<string> {
    const { rootKey } = this.#requireAccount();
    const other = this.#directory.known(accountId);
    if (!other) throw new ClientError("name-unknown", "this account was never seen");
    return safetyNumber(rootKey, other.list.rootKey);
  }

  async setVerified(accountId: AccountId, verified: boolean): Promise<void> {
    this.#requireAccount();
    if (!this.#directory.known(accountId)) {
      throw new ClientError("name-unknown", "this account was never seen");
    }
    await this.#directory.setVerified(accountId, verified);
    for (const { state } of this.#conversations.values()) {
      if (state.roster.some((seat) => seat.accountId === accountId)) state.emitSummary();
    }
  }

  async dismissWarnings(id: ConversationId | undefined): Promise<void> {
    await this.#warnings.dismiss(id);
    if (id !== undefined) this.#conversation(id).state.emitSummary();
  }

  async replaceDeviceList(
    recoveryPhrase: string,
    change: (devices: readonly Device[]) => readonly Device[],
  ): Promise<void> {
    const account = this.#requireAccount();
    await attempt(async () => {
      const { signed } = await this.#directory.fetch(account.accountId);
      const held = { ...account, deviceList: signed };
      const deviceList = await nextDeviceList(held, recoveryPhrase, change, this.#now());
      await this.#service.replaceDeviceList(account.accountId, deviceList);
      await this.#directory.accept(deviceList, { accountId: account.accountId });
      this.#account = { ...account, deviceList };
      await this.#keepAccount(this.#account);
    });
  }

  async #start(account: Account): Promise<void> {
    const { storage, crypto, service, log, timing } = this.#options;
    const leafSigner = await this.#key("leaf");
    const key = await this.#key("sign-in");
    const { accountId, deviceId, deviceList } = account;
    this.#service.signInAs({ accountId, deviceId, key });
    await this.#directory.accept(deviceList, { accountId });
    const environment: Environment = {
      storage,
      crypto,
      service: this.#service,
      directory: this.#directory,
      warnings: this.#warnings,
      self: {
        accountId: hex(accountId),
        accountIdBytes: accountId,
        deviceId,
        credential: credentialOf(account, leafSigner.publicKey),
        leafSigner,
      },
      now: this.#now,
      timing: { ...TIMING, ...timing },
      emit: (event) => this.#emit(event),
      log: log ?? (() => {}),
      fail: (error) => void this.#fail(error),
    };
    const inbox = new Worker({
      turn: async () => {
        await readInbox({
          environment,
          join: (entry) => this.#joinByWelcome(entry),
          warn: (warning) => this.#warn(warning),
        });
        return IDLE;
      },
      retry: environment.timing.retry,
      onError: (error) => workerError(environment, error),
    });
    const doorbell = new Doorbell({
      origin: service.origin,
      WebSocket: service.WebSocket ?? WebSocket,
      token: () => this.#service.token(),
      forgetToken: () => this.#service.forgetToken(),
      backoff: environment.timing.retry,
      onConnection: (connection) => this.#setConnection(connection),
      onReady: () => {
        for (const conversation of this.#conversations.values()) conversation.lookAgain();
        inbox.hurry();
      },
      onGroup: (groupId, head) => this.#conversations.get(hex(groupId))?.lookAgain(head),
      onInbox: () => inbox.hurry(),
    });
    this.#account = account;
    this.#running = { environment, doorbell, inbox };
    for (const [key, bytes] of await storage.list(KEYS.conversations)) {
      const id = key.slice(KEYS.conversations.length);
      const record = decode(ConversationRecord, bytes);
      this.#add(new Conversation(await ConversationState.load(environment, id, record)));
    }
    inbox.start();
    void doorbell.run();
  }

  #add(conversation: Conversation): Conversation {
    this.#conversations.set(conversation.state.id, conversation);
    conversation.start();
    return conversation;
  }

  async #joinByWelcome(entry: InboxEntry): Promise<void> {
    const { environment } = this.#requireRunning();
    const id = hex(entry.groupId);
    const there = this.#conversations.get(id);
    if (there?.state.record.status === "active") return;
    await there?.close();
    const record: ConversationRecord = there?.state.record ?? {
      title: "",
      status: "left",
      leaving: false,
      restored: false,
      createdAt: this.#now(),
    };
    const state = await ConversationState.load(environment, id, record);
    await joinByWelcome(state, entry);
    this.#add(new Conversation(state));
    state.emitSummary();
  }

  async #stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.doorbell.close();
    this.#service.close();
    await running?.inbox.close();
    await Promise.all([...this.#conversations.values()].map((c) => c.close()));
    this.#end.resolve();
  }

  async #fail(error: unknown): Promise<void> {
    this.#options.log?.("stopped", error);
    this.#setConnection("offline");
    // Not awaited by the worker that failed: closing waits for it.
    await this.#stop();
  }

  #emit(event: ClientEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #setConnection(connection: Connection): void {
    if (this.#connection === connection) return;
    this.#connection = connection;
    this.#emit({ type: "connection", connection });
  }

  #warn(about: Omit<Warning, "at">): void {
    const warning = { ...about, at: this.#now() };
    const batch = changes();
    const show = this.#warnings.stage(batch, undefined, warning);
    this.#options.storage.apply(batch).then(
      () => {
        show();
        this.#emit({ type: "warning", warning });
      },
      (error: unknown) => void this.#fail(error),
    );
  }

  #accountState(): AccountState | undefined {
    if (!this.#account) return undefined;
    const { accountId, name, phrasePending } = this.#account;
    return { accountId: hex(accountId), name, recoveryPhrasePending: phrasePending };
  }

  #conversation(id: ConversationId): Conversation {
    this.#requireAccount();
    const conversation = this.#conversations.get(id);
    if (!conversation)
      throw new ClientError("unknown-conversation", "there is no such conversation");
    return conversation;
  }

  #requireAccount(): Account {
    if (!this.#account) throw new ClientError("no-account", "this device has no account yet");
    return this.#account;
  }

  #requireRunning(): Running {
    this.#requireAccount();
    if (!this.#running) throw new ClientError("fenced", "this engine has stopped");
    return this.#running;
  }

  #requireOnline(): void {
    if (this.#connection === "offline") {
      throw new ClientError("offline", "the service can't be reached");
    }
  }
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw clientError(error);
  }
}

/** What a view is told of an error. */
function clientError(error: unknown): ClientError {
  const known = causeOf(error, ClientError);
  if (known) return known;
  const service = causeOf(error, ServiceError);
  if (service?.transient) {
    return new ClientError("offline", "the service can't be reached", { cause: error });
  }
  if (service) return new ClientError("refused", service.code, { cause: error });
  const refusal = causeOf(error, Refusal);
  if (refusal) return new ClientError("refused", refusal.code, { cause: error });
  return new ClientError("internal", "something that should not happen", { cause: error });
}
