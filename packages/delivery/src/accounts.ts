/**
 * Accounts and their devices: registration, sign-in, device lists, the directory.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "./bytes.ts";
import { type Call, type Handlers, readStructure } from "./call.ts";
import type { Doorbell } from "./doorbell.ts";
import { inviteHash, type RegistrationRule } from "./invites.ts";
import type { Limits } from "./limits.ts";
import {
  accountIdOf,
  bytesToText,
  type Device,
  type DeviceList,
  type DeviceListResponse,
  keepsDevices,
  normalizeName,
  openDeviceList,
  openRecovery,
  readSignIn,
  SIGN_IN_WINDOW,
  type SignIn,
  type SignInResponse,
  sha256,
} from "./protocol/index.ts";
import { addressKey, createRateLimiter } from "./rate-limit.ts";
import { clockSkew, notFound, Refusal } from "./refusal.ts";
import { nonceOf, type Sessions } from "./sessions.ts";
import type { Account, ContactRule, Store } from "./store/store.ts";

/** Groups that are read at a time. */
const GROUPS = 500;

/** A list and the one it follows. */
interface NextList {
  readonly before: DeviceList;
  readonly list: DeviceList;
  readonly next: Account & Pick<DeviceList, "previousHash" | "devices">;
}

export function createAccounts(service: {
  readonly store: Store;
  readonly sessions: Sessions;
  readonly doorbell: Doorbell;
  readonly limits: Limits;
  readonly contact: ContactRule;
  readonly registration: RegistrationRule;
  readonly now: () => number;
}): Handlers<
  | "register"
  | "recovery"
  | "recover"
  | "lookUp"
  | "deviceList"
  | "replaceDeviceList"
  | "deleteAccount"
> {
  const { store, sessions, doorbell, limits, now } = service;
  const registrations = createRateLimiter(limits.registration, now);
  const lookUps = createRateLimiter(limits.lookUp, now);

  /** A list that may be held: well-formed, signed, current and of bounded size. */
  async function readDeviceList(signed: Bytes): Promise<{ list: DeviceList; account: Account }> {
    const list = await readStructure(() => openDeviceList(signed), "this is no device list");
    if (list.expiresAt * 1000n <= BigInt(now()) || list.expiresAt <= list.issuedAt) {
      throw new Refusal("bad-request", "the device list has expired");
    }
    const times = [list.expiresAt, ...list.devices.map(({ revokedAt }) => revokedAt)];
    if (times.some((time) => time > BigInt(Number.MAX_SAFE_INTEGER))) {
      throw new Refusal("bad-request", "the device list has a time that no clock shows");
    }
    const ids = new Set(list.devices.map((device) => bytesToText(device.deviceId)));
    const { length } = list.devices;
    if (length === 0 || length > limits.devices || ids.size !== length) {
      throw new Refusal("bad-request", `a list has 1 to ${limits.devices} devices, each once`);
    }
    const account = {
      accountId: await accountIdOf(list.rootKey),
      name: list.name,
      deviceList: signed,
      version: list.version,
      hash: await sha256(signed),
      expiresAt: list.expiresAt,
    };
    return { list, account };
  }

  /**
   * The invite that a new account takes, where one is needed. An account that is there is made no more: whoever asks again for it, after
   * a lost answer, needs none. Throws `Refusal`.
   */
  async function inviteFor(
    accountId: Bytes,
    code: string | undefined,
  ): Promise<{ readonly hash: Bytes; readonly now: number } | undefined> {
    const { registration } = service;
    if (registration === "open") return undefined;
    if (registration === "invite" && code !== undefined) {
      const hash = inviteHash(code);
      if (hash === undefined)
        throw new Refusal("invite-unknown", REGISTRATION_TITLES["invite-unknown"]);
      return { hash, now: now() };
    }
    if ((await store.account(accountId)) !== undefined) return undefined;
    if (registration === "closed") {
      throw new Refusal("registration-closed", "the service takes no new accounts");
    }
    throw new Refusal("invite-needed", "a new account needs an invite code");
  }

  /** For devices that no list before this one revoked: their leaves are judged by these times for good. Throws `Refusal`. */
  function checkRevokedByNow(devices: readonly Device[]): void {
    const at = now();
    const latest = BigInt(Math.floor(at / 1000) + SIGN_IN_WINDOW);
    if (devices.every(({ revokedAt }) => revokedAt <= latest)) return;
    throw clockSkew("a device is said to be revoked at a time to come", at);
  }

  /** What a sign-in says, and the key that proves it: of a device that this list has. Throws `Refusal`. */
  async function signerOf(
    accountId: Bytes,
    { devices }: DeviceList,
    signIn: Bytes,
  ): Promise<{ readonly claim: SignIn; readonly signInKey: Bytes }> {
    const claim = await readStructure(() => readSignIn(signIn), "this is no sign-in");
    const signer = devices.find((device) => sameBytes(device.deviceId, claim.deviceId));
    if (signer?.revokedAt !== 0n || !sameBytes(claim.accountId, accountId)) {
      throw new Refusal("invalid-signature", "the proof is not by a device of the list");
    }
    await sessions.checkSignIn(signIn, claim, signer.signInKey);
    return { claim, signInKey: signer.signInKey };
  }

  async function register({ address, body }: Call<"register">): Promise<SignInResponse> {
    registrations.take(addressKey(address));
    const given = await body();
    const { list, account } = await readDeviceList(given.deviceList);
    if (list.version !== 1n) throw new Refusal("bad-request", "a first device list has version 1");
    checkRevokedByNow(list.devices);
    const name = await readStructure(() => normalizeName(list.name), "this is no name");
    if (name !== list.name) throw new Refusal("bad-request", "the name is not normalized");
    const { claim, signInKey } = await signerOf(account.accountId, list, given.signIn);
    const invite = await inviteFor(account.accountId, given.invite);
    const registered = await store.register({
      ...account,
      ...(invite && { invite }),
      devices: list.devices,
      // Of both parts: the same request after a lost answer, and nothing else, is answered again.
      registration: await sha256(
        new Uint8Array([...account.hash, ...(await sha256(given.signIn))]),
      ),
      nonce: nonceOf(claim),
    });
    if (registered !== "registered") throw new Refusal(registered, REGISTRATION_TITLES[registered]);
    const device = await store.device(account.accountId, claim.deviceId);
    if (device === undefined) throw new Refusal("account-exists", "the account exists already");
    // By the key that was proven: a repeated request may come after a list that changed it.
    const { instance } = given;
    return sessions.start({ device: device.device, signInKey }, { instance });
  }

  /** To the one who could sign the list itself. */
  async function recovery({ address, body }: Call<"recovery">): Promise<DeviceListResponse> {
    registrations.take(addressKey(address));
    const { recovery: signed } = await body();
    const asked = await readStructure(() => openRecovery(signed), "this is no recovery");
    if (asked === undefined) throw new Refusal("invalid-signature", "the proof does not hold");
    sessions.checkMeant(asked);
    const accountId = await accountIdOf(asked.rootKey);
    // Its list may be gone: nobody but who has the root key learns that there was one.
    if (await store.isDeleted(accountId)) {
      throw new Refusal("account-deleted", "the account was deleted");
    }
    const account = await store.account(accountId);
    if (account === undefined) throw notFound();
    return { deviceList: account.deviceList };
  }

  /** The root key put the device on the list, and the device proves its own: no other device has to be there. */
  async function recover({ address, params, body }: Call<"recover">): Promise<SignInResponse> {
    registrations.take(addressKey(address));
    const { accountId } = params;
    const { deviceList: signed, signIn, instance } = await body();
    const given = await readNextList(accountId, signed);
    const list = given === "held" ? await openDeviceList(signed) : given.list;
    const { claim, signInKey } = await signerOf(accountId, list, signIn);
    if (given !== "held") await replaceList(given);
    const device = await store.device(accountId, claim.deviceId);
    if (device === undefined) throw notFound();
    return sessions.start({ device: device.device, signInKey }, { instance, claim });
  }

  async function lookUp({ address, device, body }: Call<"lookUp">): Promise<DeviceListResponse> {
    lookUps.take(`device ${device.device}`);
    lookUps.take(`address ${addressKey(address)}`);
    const given = await body();
    const name = await readStructure(() => normalizeName(given.name), "this is no name");
    // Of the unknown and of the unwilling, the same.
    const reached = await store.reach(device.accountId, { name }, service.contact);
    if (reached === undefined) throw notFound();
    return { deviceList: reached.account.deviceList };
  }

  async function deviceList({ params }: Call<"deviceList">): Promise<DeviceListResponse> {
    const account = await store.account(params.accountId);
    if (account === undefined) throw notFound();
    return { deviceList: account.deviceList };
  }

  function conflict(currentVersion: bigint): Refusal {
    return new Refusal("device-list-conflict", "the list does not follow the one that is held", {
      members: { currentVersion },
    });
  }

  /** The list, if it may take the place of the account's; "held" where it has done so. Throws `Refusal`. */
  async function readNextList(accountId: Bytes, signed: Bytes): Promise<NextList | "held"> {
    const { list, account } = await readDeviceList(signed);
    // The account is named by its root key, so the right account means the right root.
    const held = await store.account(accountId);
    if (held === undefined || !sameBytes(account.accountId, accountId) || list.name !== held.name) {
      throw new Refusal("not-allowed", "root key and name of an account stay");
    }
    if (sameBytes(account.hash, held.hash)) return "held";
    const { previousHash, devices } = list;
    if (!sameBytes(previousHash, held.hash) || list.version !== held.version + 1n) {
      throw conflict(held.version);
    }
    // Who reads the log later judges by the newest list what was accepted by an older one.
    const before = await openDeviceList(held.deviceList);
    if (!keepsDevices(before, list) || list.expiresAt < before.expiresAt) {
      throw new Refusal("not-allowed", "the list takes back what the one before said");
    }
    const revokedBefore = (device: Device): boolean =>
      before.devices.some(
        (old) => old.revokedAt !== 0n && sameBytes(old.deviceId, device.deviceId),
      );
    checkRevokedByNow(devices.filter((device) => !revokedBefore(device)));
    return { before, list, next: { ...account, previousHash, devices } };
  }

  async function replaceDeviceList({
    device,
    params,
    body,
  }: Call<"replaceDeviceList">): Promise<undefined> {
    const { accountId } = params;
    if (!sameBytes(device.accountId, accountId)) {
      throw new Refusal("not-allowed", "this is another account's list");
    }
    const given = await readNextList(accountId, (await body()).deviceList);
    if (given === "held") {
      await store.settle();
      return;
    }
    await replaceList(given);
  }

  /** Throws `Refusal`. */
  async function replaceList({ before, next }: NextList): Promise<void> {
    const replaced = await store.replaceDeviceList(next);
    if (replaced === "device-list-conflict") throw conflict(before.version);
    if (replaced === "entered-later") throw enteredLater();
    if (replaced === "key-in-use") throw new Refusal(replaced, REGISTRATION_TITLES[replaced]);
    doorbell.ring({ type: "revoked", devices: replaced.revoked });
    await tellMembers(replaced.revoked);
  }

  /** The members of groups in which a device is that its account's list revokes now are told: its leaf is to go. */
  async function tellMembers(revoked: readonly number[]): Promise<void> {
    for (const device of revoked) {
      let after: Bytes | undefined;
      do {
        const page = await store.groupsOf(device, { after, limit: GROUPS });
        for (const { groupId, member } of page) {
          if (member) doorbell.ring({ type: "reports", groupId });
        }
        after = page.length === GROUPS ? page.at(-1)?.groupId : undefined;
      } while (after !== undefined);
    }
  }

  /** The list that revokes every device of the account, and names no other. */
  async function readFinalList(accountId: Bytes, signed: Bytes): Promise<NextList["next"]> {
    const given = await readNextList(accountId, signed);
    const revoked = (list: DeviceList): boolean =>
      list.devices.every(({ revokedAt }) => revokedAt !== 0n);
    if (
      given === "held" ||
      !revoked(given.list) ||
      given.list.devices.length !== given.before.devices.length
    ) {
      throw new Refusal("not-allowed", "a last list revokes every device, and names no new one");
    }
    return given.next;
  }

  async function deleteAccount({
    device,
    session,
    params,
    body,
  }: Call<"deleteAccount">): Promise<undefined> {
    const { accountId } = params;
    if (!sameBytes(device.accountId, accountId)) {
      throw new Refusal("not-allowed", "this is another account");
    }
    const { deviceList } = await body();
    const final = deviceList && (await readFinalList(accountId, deviceList));
    // A token may have been stolen: the root key or the device's own has to have said it just now.
    if (final === undefined && session.startedAt + limits.freshSignIn <= now()) {
      throw new Refusal("sign-in-again", "this takes a session that has just begun");
    }
    const deleted = await store.deleteAccount(accountId, { ...(final && { final }), now: now() });
    if (deleted === "unknown") throw notFound();
    if (deleted === "device-list-conflict") throw conflict((final?.version ?? 1n) - 1n);
    if (deleted === "entered-later") throw enteredLater();
    doorbell.ring({ type: "revoked", devices: deleted.devices });
    // Without a last list they can't know that it is so.
    if (final !== undefined) await tellMembers(deleted.devices);
  }

  return { register, recovery, recover, lookUp, deviceList, replaceDeviceList, deleteAccount };
}

function enteredLater(): Refusal {
  return new Refusal("not-allowed", "a device entered a group after it is said to be revoked");
}

const REGISTRATION_TITLES = {
  "name-taken": "the name is taken",
  "account-exists": "the account exists already",
  "key-in-use": "a signature key of the list is another device's",
  "invite-unknown": "there is no such invite code, or it was revoked",
  "invite-spent": "the invite code has made another account",
  "invite-expired": "the invite code's time is over",
} as const;
