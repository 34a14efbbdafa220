/**
 * Who is who, as far as this device can check it: the device lists of accounts, the root key that each
 * name had when it was first seen, and from both the judgement of credentials (RFC 9420 §5.3.1).
 *
 * The service holds the lists but can't sign one. What it can do is show an old list, two lists of one
 * version, or another account under a name that is known: each is found out here.
 * @module
 */

import { type DeliveryClient, ServiceError } from "@conclave/delivery/client";
import {
  accountIdOf,
  type DeviceIdentity,
  type DeviceList,
  type DeviceListHead,
  decodeDeviceIdentity,
  headOf,
  keepsDevices,
  mayEnter,
  nameKey,
  openDeviceList,
  sha256,
} from "@conclave/delivery/protocol";
import type { AuthenticationService, Credential, Storage } from "@conclave/mls";
import { type Bytes, decode, encode, utf8 } from "@conclave/mls/codec";
import type { AccountId, Warning } from "./api.ts";
import { equal, hex, utf8Bytes } from "./bytes.ts";
import { Refusal, refusalOf } from "./refusal.ts";

/** How many device lists are fetched at a time. */
const FETCHES = 8;

export interface Leaf {
  readonly credential: Credential;
  readonly signatureKey: Bytes;
}

export interface KnownList {
  readonly accountId: AccountId;
  readonly list: DeviceList;
  readonly head: DeviceListHead;
  readonly signed: Bytes;
}

export interface DirectoryOptions {
  readonly storage: Storage;
  readonly service: Pick<DeliveryClient, "deviceList" | "lookUp">;
  readonly warn: (warning: Omit<Warning, "at">) => void;
}

export class Directory {
  readonly #options: DirectoryOptions;
  readonly #known = new Map<AccountId, KnownList>();
  readonly #verified = new Set<AccountId>();
  /** Of accounts in a history that a backup brought, as they were called there. */
  readonly #names = new Map<AccountId, string>();
  /** The last head that each account's devices spoke of and the service was asked for: a claim is looked into once. */
  readonly #claims = new Map<AccountId, DeviceListHead>();
  /** The end of the queue of lists that are judged: two that come at once are compared with each other. */
  #judging: Promise<unknown> = Promise.resolve();

  constructor(options: DirectoryOptions) {
    this.#options = options;
  }

  /** Reads what was stored. */
  async load(): Promise<void> {
    for (const [key, signed] of await this.#options.storage.list(LIST_PREFIX)) {
      const list = await openDeviceList(signed);
      const accountId = key.slice(LIST_PREFIX.length);
      this.#known.set(accountId, { accountId, list, head: await headOf(signed, list), signed });
    }
    for (const key of (await this.#options.storage.list(VERIFIED_PREFIX)).keys()) {
      this.#verified.add(key.slice(VERIFIED_PREFIX.length));
    }
    for (const [key, name] of await this.#options.storage.list(NAME_PREFIX)) {
      this.#names.set(key.slice(NAME_PREFIX.length), decode(utf8, name));
    }
  }

  /** The person compared the safety number. An account is its root key, so this holds for as long as it exists. */
  isVerified(accountId: AccountId): boolean {
    return this.#verified.has(accountId);
  }

  async setVerified(accountId: AccountId, verified: boolean): Promise<void> {
    const key = VERIFIED_PREFIX + accountId;
    const present = new Map([[key, Uint8Array.of(1)]]);
    await this.#options.storage.apply(verified ? { put: present } : { delete: [key] });
    if (verified) this.#verified.add(accountId);
    else this.#verified.delete(accountId);
  }

  known(accountId: AccountId): KnownList | undefined {
    return this.#known.get(accountId);
  }

  nameOf(accountId: AccountId): string {
    return this.knownName(accountId) ?? accountId.slice(0, 8);
  }

  knownName(accountId: AccountId): string | undefined {
    return this.#known.get(accountId)?.list.name ?? this.#names.get(accountId);
  }

  /** A name to show where no list of the account is known. It is pinned to nothing. */
  async learnName(accountId: AccountId, name: string): Promise<void> {
    if (this.knownName(accountId) !== undefined) return;
    const put = new Map([[NAME_PREFIX + accountId, encode(utf8, name)]]);
    await this.#options.storage.apply({ put });
    this.#names.set(accountId, name);
  }

  /** As the service has it now. Throws `Refusal`, `ServiceError`. */
  async fetch(accountId: Bytes): Promise<KnownList> {
    const { deviceList } = await this.#options.service.deviceList({ accountId });
    return this.accept(deviceList, { accountId });
  }

  /** As `fetch`; undefined for an account that is gone, or whose list does not hold. Throws `ServiceError`. */
  async find(accountId: Bytes): Promise<KnownList | undefined> {
    try {
      return await this.fetch(accountId);
    } catch (error) {
      const isGone = error instanceof ServiceError && error.code === "not-found";
      if (isGone || refusalOf(error)) return undefined;
      throw error;
    }
  }

  /** The account that has this name now. Throws `Refusal` (`root-key-changed`), `ServiceError`. */
  async lookUp(name: string): Promise<KnownList> {
    const { deviceList } = await this.#options.service.lookUp({ body: { name } });
    return this.accept(deviceList, { name });
  }

  /**
   * Judges a list that came from outside, and keeps it if it is newer than what is known. The answer is the newest
   * list that is known, which may be another than this one. A name that had another root key is told; it is refused only where
   * the name was asked for, since members pinned it at different times, and must decide alike on who may be in a group.
   * Throws `Refusal`.
   */
  accept(
    signed: Bytes,
    expected: { readonly accountId?: Bytes; readonly name?: string } = {},
  ): Promise<KnownList> {
    const accepted = this.#judging.then(() => this.#accept(signed, expected));
    this.#judging = accepted.catch(() => {});
    return accepted;
  }

  async #accept(
    signed: Bytes,
    expected: { readonly accountId?: Bytes; readonly name?: string },
  ): Promise<KnownList> {
    const list = await openedList(signed);
    const id = await accountIdOf(list.rootKey);
    const accountId = hex(id);
    const about = { accountId, subject: list.name };
    if (
      (expected.accountId && !equal(expected.accountId, id)) ||
      (expected.name !== undefined && nameKey(expected.name) !== nameKey(list.name))
    ) {
      throw new Refusal("root-key-changed", "the device list of another account", about);
    }
    const isPinned = await this.#isPinned(list);
    if (!isPinned && expected.name !== undefined) {
      this.#options.warn({ code: "root-key-changed", ...about });
      throw new Refusal("root-key-changed", "this name belonged to another root key", about);
    }
    const held = this.#known.get(accountId);
    const head = await headOf(signed, list);
    if (held && !this.#follows(held, list, head)) return held;
    const known = { accountId, list, head, signed };
    const pin = await pinKey(list.name);
    const put = new Map([[LIST_PREFIX + accountId, signed]]);
    if (isPinned) put.set(pin, list.rootKey);
    else this.#options.warn({ code: "root-key-changed", ...about });
    await this.#options.storage.apply({ put });
    this.#known.set(accountId, known);
    return known;
  }

  /** Whether the list is newer than the one that is held, and in its chain; a rollback and a fork are told. */
  #follows(held: KnownList, list: DeviceList, head: DeviceListHead): boolean {
    const about = { accountId: held.accountId, subject: held.list.name };
    if (head.version < held.head.version) {
      this.#options.warn({ code: "device-list-old", ...about });
      return false;
    }
    const forked =
      head.version === held.head.version
        ? !equal(head.hash, held.head.hash)
        : !keepsDevices(held.list, list) ||
          (head.version === held.head.version + 1n && !equal(list.previousHash, held.head.hash));
    if (forked) this.#options.warn({ code: "device-list-fork", ...about });
    return !forked && head.version > held.head.version;
  }

  /** Whether the name was never seen, or with this root key. */
  async #isPinned(list: DeviceList): Promise<boolean> {
    const pinned = await this.#options.storage.get(await pinKey(list.name));
    return !pinned || equal(pinned, list.rootKey);
  }

  /** What a member says of its own list: if it is newer than ours, the service must have it. Throws `ServiceError`. */
  async noticeHead(accountId: Bytes, claimed: DeviceListHead): Promise<void> {
    const id = hex(accountId);
    let known = this.#known.get(id);
    if (!known || claimed.version > known.head.version) {
      const last = this.#claims.get(id);
      if (last && last.version === claimed.version && equal(last.hash, claimed.hash)) return;
      this.#claims.set(id, claimed);
      known = await this.fetch(accountId).catch((error: unknown) => {
        if (error instanceof Refusal) return this.#known.get(id);
        this.#claims.delete(id);
        throw error;
      });
    }
    if (!known) return;
    const about = { accountId: id, subject: known.list.name };
    if (claimed.version > known.head.version) {
      this.#options.warn({ code: "device-list-old", ...about });
    } else if (claimed.version === known.head.version && !equal(claimed.hash, known.head.hash)) {
      this.#options.warn({ code: "device-list-fork", ...about });
    }
  }

  /**
   * Judges leaves: bound to an account whose list has the device with this very key. One that is new in its group must
   * be allowed to enter at the time `at` (milliseconds); one that was there was judged when it came, and is told of if it
   * might not enter now. Lists are fetched where what is known is not enough.
   */
  authentication(at: () => number): AuthenticationService {
    return {
      validate: async (leaves, standing) => {
        const pending = [...leaves];
        const worker = async () => {
          for (let leaf = pending.pop(); leaf; leaf = pending.pop()) {
            await this.#judge(leaf, standing, at());
          }
        };
        await Promise.all(Array.from({ length: FETCHES }, worker));
      },
      isSuccessor: async (previous, next) => deviceOf(previous) === deviceOf(next),
      clientOf: deviceOf,
    };
  }

  async #judge(leaf: Leaf, standing: "new" | "present", at: number): Promise<void> {
    const identity = identityOf(leaf);
    const id = await accountIdOf(identity.rootKey);
    const held = this.#known.get(hex(id));
    if (held && placeOf(held.list, identity, at) === "open") return;
    const { list } = await this.fetch(id).catch((cause: unknown) => {
      // Any other answer, of whatever stands before the service, says nothing of the account.
      if (!(cause instanceof ServiceError) || cause.code !== "not-found") throw cause;
      const about = { accountId: hex(id) };
      throw new Refusal("unlisted-device", "the account has no device list", about, { cause });
    });
    const place = placeOf(list, identity, at);
    if (place === "open") return;
    const about = { accountId: hex(id), subject: list.name };
    if (place === "none" || standing === "new") {
      throw new Refusal("unlisted-device", "the account's list lets no such device in", about);
    }
    this.#options.warn({ code: "unlisted-device", ...about });
  }
}

async function openedList(signed: Bytes): Promise<DeviceList> {
  return openDeviceList(signed).catch((cause: unknown) => {
    throw new Refusal("unlisted-device", "no valid device list", {}, { cause });
  });
}

const LIST_PREFIX = "device-list/";
const VERIFIED_PREFIX = "verified/";
const NAME_PREFIX = "name/";

/** The name's root key at first sight, in whatever case. Names are not ASCII, so their hash stands in the key. */
async function pinKey(name: string): Promise<string> {
  return `pin/${hex(await sha256(utf8Bytes(nameKey(name))))}`;
}

/** Whether the list has the device; `closed` where it may not enter a group at the time `at`. */
function placeOf(
  list: DeviceList,
  identity: DeviceIdentity,
  at: number,
): "none" | "closed" | "open" {
  const device = list.devices.find(
    ({ deviceId, signatureKey }) =>
      equal(deviceId, identity.deviceId) && equal(signatureKey, identity.signatureKey),
  );
  if (!device) return "none";
  return mayEnter(list, device, at) ? "open" : "closed";
}

/** The device behind a leaf. Throws `Refusal` for a credential that is none of this application. */
function deviceOf(leaf: Leaf): string {
  const { rootKey, deviceId } = identityOf(leaf);
  return `${hex(rootKey)}/${hex(deviceId)}`;
}

/** Which device of which root key a leaf is. Throws `Refusal`. */
export function identityOf({ credential, signatureKey }: Leaf): DeviceIdentity {
  const refuse = (cause?: unknown) =>
    new Refusal("unlisted-device", "no credential of this application", {}, { cause });
  if (credential.credentialType !== "basic") throw refuse();
  let identity: DeviceIdentity;
  try {
    identity = decodeDeviceIdentity(credential.identity);
  } catch (cause) {
    throw refuse(cause);
  }
  if (!equal(identity.signatureKey, signatureKey)) throw refuse();
  return identity;
}
