/**
 * Sessions: a device proves its sign-in key, and has a token for a while.
 * @module
 */

import { hash } from "node:crypto";
import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "./bytes.ts";
import { type Call, type Handlers, readStructure } from "./call.ts";
import type { Doorbell } from "./doorbell.ts";
import type { Limits } from "./limits.ts";
import {
  bytesToText,
  type Instance,
  readSignIn,
  type SessionsResponse,
  SIGN_IN_WINDOW,
  type SignIn,
  type SignInResponse,
  verifySignIn,
} from "./protocol/index.ts";
import { addressKey, createRateLimiter } from "./rate-limit.ts";
import { clockSkew, Refusal } from "./refusal.ts";
import type { ListedDevice, Nonce, Store } from "./store/store.ts";

export interface Session {
  readonly device: ListedDevice;
  readonly tokenHash: Bytes;
  /** When the device signed in, and until when the token is good: milliseconds since the Unix epoch. */
  readonly startedAt: number;
  readonly expiresAt: number;
}

export interface Sessions {
  /** Whose token this is. Throws `Refusal` with `not-signed-in`. */
  readonly session: (token: string) => Promise<Session>;
  /** Whether what a device or a root key says was meant for this service, now. Throws `Refusal`. */
  readonly checkMeant: (said: Pick<SignIn, "service" | "issuedAt">) => void;
  /** Checks all of a proof but its nonce: its service, its time, and its signature by this device. Throws `Refusal`. */
  readonly checkSignIn: (signed: Bytes, claim: SignIn, signInKey: Bytes) => Promise<void>;
  /**
   * Starts a session of the device that proved this key. Without a claim: the nonce was taken with the registration. Throws
   * `Refusal` where the key is not the device's any more, or the instance may not go on.
   */
  readonly start: (
    device: Pick<ListedDevice, "device" | "signInKey">,
    how: { readonly instance: Instance | undefined; readonly claim?: SignIn },
  ) => Promise<SignInResponse>;
  readonly handlers: Handlers<"signIn" | "signOut" | "sessions" | "endSession" | "endSessions">;
}

/** The token of a request, from `Authorization: Bearer`. */
export function bearerOf(request: Request): string {
  return (
    /^Bearer ([A-Za-z0-9_-]{1,128})$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? ""
  );
}

/** A proof is remembered for as long as its time would be accepted. */
export function nonceOf({ nonce, issuedAt }: SignIn): Nonce {
  return { nonce, expiresAt: (Number(issuedAt) + SIGN_IN_WINDOW + 1) * 1000 };
}

export function createSessions(service: {
  readonly store: Store;
  readonly doorbell: Doorbell;
  readonly limits: Limits;
  readonly publicOrigin: string;
  readonly now: () => number;
}): Sessions {
  const { store, doorbell, limits, publicOrigin, now } = service;
  const signIns = createRateLimiter(limits.signIn, now);

  /**
   * Tokens are stored as hashes alone: who reads the store can sign in as nobody. The origin is in the hash, so that a token is none
   * at another service that has the same store.
   */
  function hashToken(token: string): Bytes {
    return new Uint8Array(hash("sha256", `${publicOrigin}\n${token}`, "buffer"));
  }

  function checkMeant({ service, issuedAt }: Pick<SignIn, "service" | "issuedAt">): void {
    const seconds = BigInt(Math.floor(now() / 1000));
    const window = BigInt(SIGN_IN_WINDOW);
    if (issuedAt > seconds + window || issuedAt < seconds - window) {
      throw clockSkew("the clocks of device and service differ too much", now());
    }
    if (service !== publicOrigin) throw new Refusal("invalid-signature", "the proof does not hold");
  }

  async function checkSignIn(signed: Bytes, claim: SignIn, signInKey: Bytes): Promise<void> {
    checkMeant(claim);
    if (!(await verifySignIn(signed, signInKey))) {
      throw new Refusal("invalid-signature", "the proof does not hold");
    }
  }

  async function start(
    { device, signInKey }: Pick<ListedDevice, "device" | "signInKey">,
    { instance, claim }: Parameters<Sessions["start"]>[1],
  ): Promise<SignInResponse> {
    const token = bytesToText(crypto.getRandomValues(new Uint8Array(32)));
    const at = now();
    const expiresAt = at + limits.sessionLifetime;
    const started = await store.startSession({
      device,
      signInKey,
      ...(claim && { nonce: nonceOf(claim) }),
      ...(instance && { instance }),
      tokenHash: hashToken(token),
      expiresAt,
      now: at,
    });
    if (started === "nonce-used") {
      throw new Refusal("invalid-signature", "the proof was used before");
    }
    if (started === "not-current") {
      throw new Refusal("invalid-signature", "the proof does not hold");
    }
    if (started === "disabled") {
      throw new Refusal("account-disabled", "the operator has disabled the account");
    }
    if (started === "in-use") {
      throw new Refusal("device-in-use", "another copy of this device's client signed in since");
    }
    for (const tokenHash of started.ended) doorbell.ring({ type: "signed-out", tokenHash });
    return { token, expiresAt };
  }

  async function signIn({ address, body }: Call<"signIn">): Promise<SignInResponse> {
    signIns.take(addressKey(address));
    const { signIn: proof, instance } = await body();
    const claim = await readStructure(() => readSignIn(proof), "this is no sign-in");
    const device = await store.device(claim.accountId, claim.deviceId);
    if (device === undefined) throw new Refusal("invalid-signature", "the proof does not hold");
    await checkSignIn(proof, claim, device.signInKey);
    if (device.revokedAt === 0n) return start(device, { instance, claim });
    // Only the device itself learns what became of its account.
    if (await store.isDeleted(claim.accountId)) {
      throw new Refusal("account-deleted", "the account was deleted");
    }
    throw new Refusal("invalid-signature", "the proof does not hold");
  }

  async function signOut({ session }: Call<"signOut">): Promise<undefined> {
    await end(session.device, session.tokenHash);
  }

  async function sessions({ session }: Call<"sessions">): Promise<SessionsResponse> {
    const { accountId } = session.device;
    const held = await store.sessionsOf(accountId, now());
    return {
      sessions: held.map(({ tokenHash, deviceId, startedAt, expiresAt }) => ({
        sessionId: tokenHash,
        deviceId,
        startedAt,
        expiresAt,
        current: sameBytes(tokenHash, session.tokenHash),
      })),
    };
  }

  async function end({ accountId }: ListedDevice, tokenHash: Bytes): Promise<void> {
    if (!(await store.endSession(accountId, tokenHash))) return;
    doorbell.ring({ type: "signed-out", tokenHash });
  }

  async function endSession({ device, params }: Call<"endSession">): Promise<undefined> {
    await end(device, params.sessionId);
  }

  async function endSessions({ device, body }: Call<"endSessions">): Promise<undefined> {
    const { deviceId } = await body();
    const devices = await store.endSessions(device.accountId, deviceId);
    if (devices.length > 0) doorbell.ring({ type: "revoked", devices });
  }

  return {
    async session(token) {
      const tokenHash = hashToken(token);
      const session = await store.session(tokenHash, now());
      if (session === undefined) throw new Refusal("not-signed-in", "sign in first");
      return { ...session, tokenHash };
    },
    checkMeant,
    checkSignIn,
    start,
    handlers: { signIn, signOut, sessions, endSession, endSessions },
  };
}
