/**
 * The engine: one device of one account. It owns the storage, talks to the service, runs the
 * conversations, and tells whoever subscribed.
 * @module
 */

import {
  createDeliveryClient,
  type DeliveryClient,
  type Fetch,
  ServiceError,
} from "@conclave/delivery/client";
import { type Device as ListedDevice, MAX_LINKS } from "@conclave/delivery/protocol";
import { type CryptoProvider, MlsError } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import {
  type Account,
  credentialOf,
  type ListChange,
  nameOf,
  nextDeviceList,
  ownEntropyOf,
} from "./account.ts";
import {
  type AccountId,
  type AccountState,
  type ClientApi,
  ClientError,
  type ClientEvent,
  type Connection,
  type ContactAnswer,
  type ContactBook,
  type ContactRequest,
  type ContactRule,
  type ConversationId,
  type Invitation,
  type InvitationPreview,
  type LongCall,
  type Message,
  type RestoredBackup,
  type SignalSettings,
  type Snapshot,
  type Warning,
} from "./api.ts";
import { type OngoingCall, ongoingCall } from "./backup/progress.ts";
import { restoreBackup } from "./backup/restore.ts";
import { saveBackup } from "./backup/save.ts";
import { fromHex, hex, randomBytes } from "./bytes.ts";
import { attempt, clientError } from "./client-error.ts";
import {
  AskedContacts,
  answerContact,
  contactBook,
  contactRequests,
  forgetContact,
} from "./contacts.ts";
import type { Conversation } from "./conversation/conversation.ts";
import { openLink } from "./conversation/joining.ts";
import { type Device, startDevice } from "./device.ts";
import { Directory, type KnownList } from "./directory.ts";
import { type Environment, TIMING, type Timing } from "./environment.ts";
import { type OwnInstance, ownInstance } from "./instance.ts";
import { decodeFragment, encodeFragment, linkKeysOf, titleOf } from "./invitation.ts";
import { phraseKeyOf } from "./phrase.ts";
import { causeOf, refusalOf } from "./refusal.ts";
import {
  byTheirClock,
  forgetAll,
  hasRemains,
  keepAccount,
  keyOf,
  loadAccount,
  type Registry,
  recover,
  register,
} from "./registration.ts";
import { safetyNumber } from "./safety-number.ts";
import { keepSignalSettings, loadSignalSettings } from "./signals/signals.ts";
import { type ClientStorage, changes } from "./storage.ts";
import type { KeyVault } from "./vault.ts";
import { Warnings } from "./warnings.ts";

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
  /** A new signed device list, for another year: with devices added, or revoked by their `revokedAt`; none may be taken off it. */
  replaceDeviceList(
    recoveryPhrase: string,
    change: (devices: readonly ListedDevice[]) => readonly ListedDevice[],
  ): Promise<void>;
  /** From now on the device, named by its id in hexadecimal, enters no group and can't sign in. */
  revokeDevice(recoveryPhrase: string, deviceId: string): Promise<void>;
  /** `saveBackup`, part by part, as fast as it is taken. Without its last part it is of no use; when that comes, the account has noted it. */
  streamBackup(recoveryPhrase: string, options?: LongCall): ReadableStream<Bytes>;
  close(): Promise<void>;
  /** Settled when the client was closed, or has stopped because its storage failed or was taken over. */
  readonly closed: Promise<void>;
}

/** Storages that a client has: two over one would use the keys of a group twice. */
const inUse = new WeakSet<ClientStorage>();

/**
 * Opens the device that the storage holds; without an account it waits for `signUp`. Throws `ClientError` with `busy` where a client that was not
 * closed has the storage.
 */
export async function createClient(options: ClientOptions): Promise<Client> {
  const { storage } = options;
  if (inUse.has(storage)) throw new ClientError("busy", "another client has this storage");
  inUse.add(storage);
  try {
    const engine = new Engine(options);
    await engine.open();
    return engine;
  } catch (error) {
    inUse.delete(storage);
    throw error;
  }
}

const GAVE_WAY = new ClientError("elsewhere", "another copy of this device signed in");

class Engine implements Client {
  readonly #options: ClientOptions;
  readonly #now: () => number;
  readonly #service: DeliveryClient;
  readonly #warnings: Warnings;
  readonly #directory: Directory;
  readonly #asked: AskedContacts;
  readonly #instance: OwnInstance;
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  readonly #end = Promise.withResolvers<void>();
  #account: Account | undefined;
  #device: Device | undefined;
  #connection: Connection = "connecting";
  #signalSettings: SignalSettings = { typing: false, receipts: false };
  #signingUp = false;
  /** A part of what the account needs is gone from the storage. */
  #lost = false;
  /** The end of a device that gave way to another copy. */
  #gaveWay: Promise<void> = Promise.resolve();
  /** A backup is made or taken in. */
  #backingUp = false;
  /** Of what a device has under way. */
  #ending = new AbortController();

  constructor(options: ClientOptions) {
    const { storage, service } = options;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#service = createDeliveryClient({
      origin: service.origin,
      ...(service.fetch && { fetch: service.fetch }),
      now: this.#now,
    });
    this.#warnings = new Warnings(storage);
    this.#directory = new Directory({
      storage,
      service: this.#service,
      warn: (warning) => this.#warn(warning),
    });
    this.#asked = new AskedContacts({
      storage,
      service: this.#service,
      directory: this.#directory,
      now: this.#now,
      changed: (asked) => this.#emit({ type: "asked-contacts", asked }),
      log: (error) => options.log?.("contacts", error),
    });
    this.#instance = ownInstance({
      storage,
      refused: () => this.#giveWay(),
      failed: (error) => void this.#fail(error),
    });
  }

  get closed(): Promise<void> {
    return this.#end.promise;
  }

  async open(): Promise<void> {
    const { storage, vault, log } = this.#options;
    try {
      await this.#warnings.load();
      await this.#directory.load();
      await this.#asked.load();
      this.#signalSettings = await loadSignalSettings(storage);
      const account = await loadAccount(storage);
      if (account) await this.#start(account);
      else this.#lost = await hasRemains(storage, vault);
    } catch (error) {
      // What isn't there, as opposed to what can't be read now, won't be there the next time either.
      const own = causeOf(error, ClientError);
      if (own ? own.code !== "lost" : !causeOf(error, MlsError)) throw error;
      log?.("storage", error);
      this.#account = undefined;
      this.#lost = true;
    }
  }

  subscribe(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    await this.#stop();
    await this.#options.storage.close();
    inUse.delete(this.#options.storage);
  }

  async snapshot(): Promise<Snapshot> {
    return {
      account: this.#accountState(),
      lost: this.#lost,
      connection: this.#connection,
      conversations: (this.#device?.conversations.all() ?? [])
        .filter(({ state }) => state.visible)
        .map((conversation) => conversation.summary()),
      warnings: this.#warnings.of(undefined),
      asked: this.#asked.all(),
      signalSettings: this.#signalSettings,
    };
  }

  async messages(
    id: ConversationId,
    { before, limit }: { readonly before?: number; readonly limit: number },
  ): Promise<readonly Message[]> {
    return this.#conversation(id).messages(before, limit);
  }

  async signUp(input: string, inviteCode?: string): Promise<{ readonly recoveryPhrase: string }> {
    return this.#entering(async (registry) => {
      if (this.#lost) await forgetAll(registry.storage);
      const { account, recoveryPhrase } = await register(registry, input, inviteCode);
      await this.#enter(account);
      return { recoveryPhrase };
    });
  }

  async recover(recoveryPhrase: string): Promise<void> {
    return this.#entering(async (registry) => {
      await this.#enter(await recover(registry, recoveryPhrase));
    });
  }

  /** One way to an account at a time. */
  async #entering<T>(way: (registry: Registry) => Promise<T>): Promise<T> {
    if (this.#account) throw new ClientError("account-exists", "this device has an account");
    if (this.#signingUp) throw new ClientError("busy", "signing up is under way");
    this.#signingUp = true;
    try {
      const { storage, vault, service } = this.#options;
      return await way({
        storage,
        vault,
        service: this.#service,
        instance: this.#instance,
        origin: service.origin,
        now: this.#now,
      });
    } finally {
      this.#signingUp = false;
    }
  }

  async #enter(account: Account): Promise<void> {
    await this.#asked.load();
    this.#signalSettings = await loadSignalSettings(this.#options.storage);
    await this.#start(account);
    this.#lost = false;
    this.#emit({ type: "account", account: this.#accountState() });
  }

  async confirmRecoveryPhrase(): Promise<void> {
    const account = { ...this.#requireAccount(), phrasePending: false };
    await keepAccount(this.#options.storage, account);
    this.#account = account;
    this.#emit({ type: "account", account: this.#accountState() });
  }

  async takeOver(): Promise<void> {
    const account = this.#requireAccount();
    if (this.#connection !== "elsewhere") return;
    this.#instance.takeOver();
    this.#setConnection("connecting");
    await this.#gaveWay;
    await this.#start(account);
    for (const { state } of this.#requireDevice().conversations.all()) state.emitSummary();
  }

  async createConversation(input: string): Promise<ConversationId> {
    const { conversations } = this.#requireDevice();
    const title = titleOf(input);
    return attempt(() => conversations.create(title));
  }

  async sendText(id: ConversationId, text: string, messageKey: string): Promise<void> {
    await this.#conversation(id).sendText(text, messageKey);
  }

  async discardFailed(id: ConversationId, messageId: string): Promise<void> {
    await this.#conversation(id).discardFailed(messageId);
  }

  async markRead(id: ConversationId): Promise<void> {
    await this.#conversation(id).markRead();
    this.#requireDevice().signals.tellRead(id);
  }

  async tellTyping(id: ConversationId): Promise<void> {
    this.#requireDevice().signals.tellTyping(id);
  }

  async askReaders(id: ConversationId): Promise<void> {
    this.#requireDevice().signals.askReaders(id);
  }

  async setSignalSettings({ typing, receipts }: SignalSettings): Promise<void> {
    const { signals, conversations } = this.#requireDevice();
    const settings = { typing, receipts };
    await keepSignalSettings(this.#options.storage, settings);
    this.#signalSettings = settings;
    await signals.settingsChanged(conversations.all().map(({ state }) => state));
    this.#emit({ type: "signal-settings", settings });
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
    const expiresAt = Math.floor(this.#service.now() / 1000) + expiresInSeconds;
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
    const { environment } = this.#requireDevice();
    return (await attempt(() => openLink(environment, decodeFragment(fragment)))).preview;
  }

  async acceptInvitation(fragment: string): Promise<ConversationId> {
    const { environment, conversations } = this.#requireDevice();
    const secret = decodeFragment(fragment);
    const link = await attempt(() => openLink(environment, secret));
    if (!link.preview.inviterConfirmed) {
      throw new ClientError("link-invalid", "who made the link is not in the group");
    }
    return attempt(() => conversations.join(secret, link));
  }

  async addByName(id: ConversationId, input: string): Promise<void> {
    const conversation = this.#conversation(id);
    this.#requireOnline();
    const name = nameOf(input);
    const found = await this.#lookUp(name);
    if (conversation.state.roster.some(({ accountId }) => accountId === found.accountId)) {
      throw new ClientError("already-member", "this account is in the conversation");
    }
    const accountId = fromHex(found.accountId);
    await conversation.want({ type: "add", accountId, keyPackages: [] });
    await this.#asked.forget(name);
  }

  async #lookUp(name: string): Promise<KnownList> {
    try {
      return await this.#directory.lookUp(name);
    } catch (error) {
      if (error instanceof ServiceError && error.code === "not-found") {
        throw new ClientError("name-unknown", "nobody has this name", { cause: error });
      }
      const code = refusalOf(error)?.code;
      if (code === "root-key-changed") {
        throw new ClientError("root-key-changed", "this name has another root key now", {
          cause: error,
        });
      }
      throw clientError(error);
    }
  }

  async askContact(input: string): Promise<void> {
    this.#requireDevice();
    const name = nameOf(input);
    await attempt(() => this.#asked.ask(name));
  }

  async withdrawContact(input: string): Promise<void> {
    this.#requireDevice();
    const name = nameOf(input);
    await attempt(() => this.#asked.withdraw(name));
  }

  async contacts(): Promise<ContactBook> {
    this.#requireDevice();
    return attempt(() => contactBook(this.#service, this.#directory));
  }

  async contactRequests(): Promise<readonly ContactRequest[]> {
    this.#requireDevice();
    return attempt(() => contactRequests(this.#service, this.#directory));
  }

  async answerContact(accountId: AccountId, answer: ContactAnswer): Promise<void> {
    this.#requireDevice();
    await attempt(() => answerContact(this.#service, accountId, answer));
    this.#tellContacts();
  }

  async forgetContact(accountId: AccountId): Promise<void> {
    this.#requireDevice();
    await attempt(() => forgetContact(this.#service, accountId));
  }

  async setContactRule(contact: ContactRule): Promise<void> {
    this.#requireDevice();
    await attempt(() => this.#service.setContactRule({ body: { contact } }));
  }

  /** What can't be had now is told with the next connection. */
  #tellContacts(): void {
    contactRequests(this.#service, this.#directory).then(
      (requests) => this.#emit({ type: "contact-requests", requests }),
      (error: unknown) => this.#options.log?.("contacts", error),
    );
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
    for (const { state } of this.#device?.conversations.all() ?? []) {
      if (state.roster.some((seat) => seat.accountId === accountId)) state.emitSummary();
    }
  }

  async dismissWarnings(id: ConversationId | undefined): Promise<void> {
    await this.#warnings.dismiss(id);
    if (id !== undefined) this.#conversation(id).state.emitSummary();
  }

  async saveBackup(recoveryPhrase: string, options: LongCall = {}): Promise<Blob> {
    const parts: Blob[] = [];
    // What a browser keeps as a blob need not be in memory.
    for await (const part of this.#backup(recoveryPhrase, options)) parts.push(new Blob([part]));
    return new Blob(parts, { type: "application/octet-stream" });
  }

  streamBackup(recoveryPhrase: string, options: LongCall = {}): ReadableStream<Bytes> {
    const parts = this.#backup(recoveryPhrase, options);
    return new ReadableStream(
      {
        async pull(controller) {
          const { done, value } = await parts.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
        async cancel() {
          await parts.return(undefined);
        },
      },
      // Nothing is made before it is asked for.
      { highWaterMark: 0 },
    );
  }

  async *#backup(recoveryPhrase: string, options: LongCall): AsyncGenerator<Bytes> {
    const { environment, conversations } = this.#requireDevice();
    const { call, phraseKey } = await this.#beginBackup(recoveryPhrase, options);
    try {
      const visible = conversations.all().filter(({ state }) => state.visible);
      yield* saveBackup({ ...call, environment, conversations: visible, phraseKey });
    } catch (error) {
      throw call.failure(error);
    } finally {
      this.#backingUp = false;
    }
  }

  async restoreBackup(
    file: Blob,
    recoveryPhrase: string,
    options: LongCall & { readonly older?: boolean } = {},
  ): Promise<RestoredBackup> {
    const { environment, conversations } = this.#requireDevice();
    const { call, phraseKey } = await this.#beginBackup(recoveryPhrase, options);
    const { older = false } = options;
    try {
      return await restoreBackup(file, { ...call, environment, conversations, phraseKey, older });
    } catch (error) {
      throw call.failure(error);
    } finally {
      this.#backingUp = false;
    }
  }

  /** One at a time. */
  async #beginBackup(
    recoveryPhrase: string,
    options: LongCall,
  ): Promise<{ readonly call: OngoingCall; readonly phraseKey: CryptoKey }> {
    if (this.#backingUp) throw new ClientError("busy", "a backup is made or brought in already");
    const entropy = ownEntropyOf(this.#requireAccount(), recoveryPhrase);
    this.#backingUp = true;
    const phraseKey = await phraseKeyOf(entropy);
    entropy.fill(0);
    return { call: ongoingCall(options, this.#ending.signal), phraseKey };
  }

  async replaceDeviceList(
    recoveryPhrase: string,
    change: (devices: readonly ListedDevice[]) => readonly ListedDevice[],
  ): Promise<void> {
    await this.#replaceDeviceList(recoveryPhrase, change);
  }

  async revokeDevice(recoveryPhrase: string, deviceId: string): Promise<void> {
    await this.#replaceDeviceList(recoveryPhrase, (devices, revokedAt) => {
      if (!devices.some((device) => hex(device.deviceId) === deviceId)) {
        throw new ClientError("refused", "the account has no such device");
      }
      return devices.map((device) =>
        hex(device.deviceId) === deviceId && device.revokedAt === 0n
          ? { ...device, revokedAt }
          : device,
      );
    });
  }

  async #replaceDeviceList(recoveryPhrase: string, change: ListChange): Promise<void> {
    const account = this.#requireAccount();
    const { accountId } = account;
    const replace = async (): Promise<Bytes> => {
      const { signed } = await this.#directory.fetch(accountId);
      const held = { ...account, deviceList: signed };
      const clocks = { ours: this.#now(), theirs: this.#service.now() };
      const deviceList = await nextDeviceList(held, recoveryPhrase, change, clocks);
      await this.#service.replaceDeviceList({ accountId, body: { deviceList } });
      return deviceList;
    };
    await attempt(async () => {
      // With a new sign-in the service says whether the clocks differ.
      this.#service.forgetToken();
      const deviceList = await byTheirClock(replace);
      await this.#directory.accept(deviceList, { accountId });
      this.#account = { ...account, deviceList };
      await keepAccount(this.#options.storage, this.#account);
    });
  }

  async #start(account: Account): Promise<void> {
    const { vault, log = () => {}, timing } = this.#options;
    const leafSigner = await keyOf(vault, "leaf");
    const { accountId, deviceId, deviceList } = account;
    const instance = this.#instance;
    this.#service.signInAs({ accountId, deviceId, key: await keyOf(vault, "sign-in"), instance });
    await this.#directory.accept(deviceList, { accountId });
    const environment: Environment = {
      storage: this.#options.storage,
      crypto: this.#options.crypto,
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
      emit: (event) => {
        this.#emit(event);
        this.#device?.signals.notice(event);
      },
      log,
      fail: (error) => void this.#fail(error),
    };
    const { origin, WebSocket: Socket = WebSocket } = this.#options.service;
    this.#account = account;
    this.#ending = new AbortController();
    const device = await startDevice(environment, {
      origin,
      WebSocket: Socket,
      onConnection: (connection) => {
        if (this.#connection !== "elsewhere") this.#setConnection(connection);
      },
      onContacts: () => {
        this.#tellContacts();
        this.#asked.look();
      },
      signalSettings: () => this.#signalSettings,
      warn: (warning) => this.#warn(warning),
    });
    if (this.#connection === "elsewhere") this.#gaveWay = device.stop(GAVE_WAY);
    else this.#device = device;
  }

  /** Another copy of this device signed in: this one sends and reads nothing any more. */
  #giveWay(): void {
    if (this.#connection === "elsewhere") return;
    this.#setConnection("elsewhere");
    const device = this.#device;
    this.#device = undefined;
    this.#ending.abort();
    if (device) this.#gaveWay = device.stop(GAVE_WAY);
  }

  async #stop(): Promise<void> {
    const device = this.#device;
    this.#device = undefined;
    this.#ending.abort();
    this.#service.close();
    await Promise.all([device?.stop(), this.#gaveWay]);
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
    return this.#requireDevice().conversations.get(id);
  }

  #requireAccount(): Account {
    if (!this.#account) throw new ClientError("no-account", "this device has no account yet");
    return this.#account;
  }

  #requireDevice(): Device {
    this.#requireAccount();
    if (this.#connection === "elsewhere") throw GAVE_WAY;
    if (!this.#device) throw new ClientError("fenced", "this engine has stopped");
    return this.#device;
  }

  #requireOnline(): void {
    if (this.#connection === "disabled") {
      throw new ClientError("account-disabled", "the operator has disabled the account");
    }
    if (this.#connection === "deleted") {
      throw new ClientError("account-deleted", "the account was deleted");
    }
    if (this.#connection === "offline") {
      throw new ClientError("offline", "the service can't be reached");
    }
  }
}
