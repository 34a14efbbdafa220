/**
 * Invite codes: each lets one account be made, where the service takes no others.
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Bytes } from "@conclave/mls/codec";
import { base32crockford } from "@scure/base";
import { sha256 } from "./sha256.ts";

/** Who may make an account: everybody, who has a code, or nobody. */
export type RegistrationRule = "open" | "invite" | "closed";

/** 80 bits: too many to try, few enough to type. */
const BYTES = 10;

/** `K7D2-M9QX-…`: letters and digits that are not taken for each other. */
export function newInviteCode(): string {
  const text = base32crockford.encode(randomBytes(BYTES));
  return text.match(/.{4}/g)?.join("-") ?? text;
}

/** By which the store knows a code, in whatever case and with whatever between its letters; undefined for what is none. */
export function inviteHash(code: string): Bytes | undefined {
  try {
    const bytes = base32crockford.decode(code.replace(/[\s-]/g, ""));
    return bytes.length === BYTES ? sha256(bytes) : undefined;
  } catch {
    return undefined;
  }
}
