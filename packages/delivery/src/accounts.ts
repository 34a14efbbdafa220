/**
 * Accounts and their devices: registration, sign-in, device lists, the directory.
 * @module
 */

import { createHash } from "node:crypto";
import type { Bytes } from "@conclave/mls/codec";
import { type Call, type Handlers, readStructure } from "./call.ts";
import type { Doorbell } from "./doorbell.ts";
import type { Limits } from "./limits.ts";
import {
  accountIdOf,
  bytesToText,
  type DeviceList,
  type DeviceListResponse,
  keepsDevices,
  normalizeName,
  openDeviceList,
  readSignIn,
  SIGN_IN_WINDOW,
  type SignIn,
  type SignInResponse,
  sha256,
  verifySignIn,
} from "./protocol/index.ts";
import { addressKey, createRateLimiter } from "./rate-limit.ts";
import { Refusal } from "./refusal.ts";
import type { Account, ListedDevice, Store } from "./store/store.ts";

/** How long a token is good for, in milliseconds. */
const SESSION_LIFETIME = 60 * 60 * 1000;

export interface Session {
  readonly device: ListedDevice;
  readonly tokenHash: Bytes;
  readonly startedAt: number;
  readonly expiresAt: number;
}

export interface Accounts {
  /** Whose token this is. Throws `Refusal` with `not-signed-in`. */
  readonly session: (token: string) => Promise<Session>;
  readonly handlers: Handlers<
    "register" | "signIn" | "signOut" | "lookUp" | "deviceList" | "replaceDeviceList"
  >;
}

/** The token of a request, from `Authorization: Bearer`. */
export function bearerOf(request: Request): string {
  return (
    /^Bearer ([A-Za-z0-9_-]{1,128})$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? ""
  );
}

/** Tokens are stored as their hashes alone: who reads the store can sign in as nobody. */
function hashToken(token: string): Bytes {
  return new Uint8Array(createHash("sha256").update(token).digest());
}

function same(a: Bytes, b: Bytes): boolean {
  return Buffer.compare(a, b) === 0;
}

export function createAccounts(service: {
  readonly store: Store;
  readonly doorbell: Doorbell;
  readonly limits: Limits;
  readonly publicOrigin: string;
  readonly now: () => number;
}): Accounts {
  const { store, doorbell, limits, publicOrigin, now } = service;
  const registrations = createRateLimiter(limits.registration, now);
  const signIns = createRateLimiter(limits.signIn, now);
  const lookUps = createRateLimiter(limits.lookUp, now);
  const notFound = (): Refusal => new Refusal("not-found", "there is nothing here");

  /** Checks all of a proof but its nonce: its service, its time, and its signature by this device. */
  async function checkSignIn(signed: Bytes, claim: SignIn, signInKey: Bytes): Promise<void> {
    const seconds = BigInt(Math.floor(now() / 1000));
    const window = BigInt(SIGN_IN_WINDOW);
    if (claim.issuedAt > seconds + window || claim.issuedAt < seconds - window) {
      throw new Refusal("clock-skew", "the clocks of device and service differ too much", {
        members: { now: now() },
      });
    }
    if (claim.service !== publicOrigin || !(await verifySignIn(signed, signInKey))) {
      throw new Refusal("invalid-signature", "the proof does not hold");
    }
  }

  /** A proof is remembered for as long as its time would be accepted. */
  function nonceOf(claim: SignIn): { nonce: Bytes; expiresAt: number } {
    return {
      nonce: claim.nonce,
      expiresAt: (Number(claim.issuedAt) + SIGN_IN_WINDOW + 1) * 1000,
    };
  }

  async function startSession(device: number, claim: SignIn | undefined): Promise<SignInResponse> {
    const token = bytesToText(crypto.getRandomValues(new Uint8Array(32)));
    const at = now();
    const expiresAt = at + SESSION_LIFETIME;
    const started = await store.startSession({
      device,
      ...(claim && { nonce: nonceOf(claim) }),
      tokenHash: hashToken(token),
      expiresAt,
      now: at,
    });
    if (started === "nonce-used") {
      throw new Refusal("invalid-signature", "the proof was used before");
    }
    return { token, expiresAt };
  }

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

  async function register({ address, body }: Call<"register">): Promise<SignInResponse> {
    registrations.take(addressKey(address));
    const given = await body();
    const { list, account } = await readDeviceList(given.deviceList);
    if (list.version !== 1n) throw new Refusal("bad-request", "a first device list has version 1");
    const name = await readStructure(() => normalizeName(list.name), "this is no name");
    if (name !== list.name) throw new Refusal("bad-request", "the name is not normalized");
    const claim = await readStructure(() => readSignIn(given.signIn), "this is no sign-in");
    const signer = list.devices.find((device) => same(device.deviceId, claim.deviceId));
    if (
      signer === undefined ||
      signer.revokedAt !== 0n ||
      !same(claim.accountId, account.accountId)
    ) {
      throw new Refusal("invalid-signature", "the proof is not by a device of the list");
    }
    await checkSignIn(given.signIn, claim, signer.signInKey);
    const registered = await store.register({
      ...account,
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
    return startSession(device.device, undefined);
  }

  async function signIn({ address, body }: Call<"signIn">): Promise<SignInResponse> {
    signIns.take(addressKey(address));
    const { signIn: proof } = await body();
    const claim = await readStructure(() => readSignIn(proof), "this is no sign-in");
    const device = await store.device(claim.accountId, claim.deviceId);
    if (device === undefined || device.revokedAt !== 0n) {
      throw new Refusal("invalid-signature", "the proof does not hold");
    }
    await checkSignIn(proof, claim, device.signInKey);
    return startSession(device.device, claim);
  }

  async function signOut({ request, device }: Call<"signOut">): Promise<undefined> {
    const tokenHash = hashToken(bearerOf(request));
    await store.endSession(device.accountId, tokenHash);
    doorbell.ring({ type: "signed-out", tokenHash });
  }

  async function lookUp({ address, device, body }: Call<"lookUp">): Promise<DeviceListResponse> {
    lookUps.take(`device ${device.device}`);
    lookUps.take(`address ${addressKey(address)}`);
    const { name } = await body();
    const account = await store.accountByName(
      await readStructure(() => normalizeName(name), "this is no name"),
    );
    if (account === undefined) throw notFound();
    return { deviceList: account.deviceList };
  }

  async function deviceList({ params }: Call<"deviceList">): Promise<DeviceListResponse> {
    const account = await store.account(params.accountId);
    if (account === undefined) throw notFound();
    return { deviceList: account.deviceList };
  }

  async function replaceDeviceList({
    device,
    params,
    body,
  }: Call<"replaceDeviceList">): Promise<undefined> {
    const { accountId } = params;
    if (!same(device.accountId, accountId)) {
      throw new Refusal("not-allowed", "this is another account's list");
    }
    const given = await body();
    const { list, account } = await readDeviceList(given.deviceList);
    // The account is named by its root key, so the right account means the right root.
    const held = await store.account(accountId);
    if (held === undefined || !same(account.accountId, accountId) || list.name !== held.name) {
      throw new Refusal("not-allowed", "root key and name of an account stay");
    }
    if (same(account.hash, held.hash)) return;
    const { previousHash, devices } = list;
    const conflict = (): Refusal =>
      new Refusal("device-list-conflict", "the list does not follow the one that is held", {
        members: { currentVersion: held.version },
      });
    if (!same(previousHash, held.hash) || list.version !== held.version + 1n) throw conflict();
    // Who reads the log later judges by the newest list what was accepted by an older one.
    const before = await openDeviceList(held.deviceList);
    if (!keepsDevices(before, list) || list.expiresAt < before.expiresAt) {
      throw new Refusal("not-allowed", "the list takes back what the one before said");
    }
    const replaced = await store.replaceDeviceList({ ...account, previousHash, devices });
    if (replaced === "device-list-conflict") throw conflict();
    if (replaced === "entered-later") {
      throw new Refusal("not-allowed", "a device entered a group after it is said to be revoked");
    }
    if (replaced === "key-in-use") throw new Refusal(replaced, REGISTRATION_TITLES[replaced]);
    doorbell.ring({ type: "revoked", devices: replaced.revoked });
  }

  return {
    async session(token) {
      const tokenHash = hashToken(token);
      const session = await store.session(tokenHash, now());
      if (session === undefined) throw new Refusal("not-signed-in", "sign in first");
      return { ...session, tokenHash };
    },
    handlers: { register, signIn, signOut, lookUp, deviceList, replaceDeviceList },
  };
}

const REGISTRATION_TITLES = {
  "name-taken": "the name is taken",
  "account-exists": "the account exists already",
  "key-in-use": "a signature key of the list is another device's",
} as const;
