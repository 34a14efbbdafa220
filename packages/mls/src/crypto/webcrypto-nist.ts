/**
 * What WebCrypto leaves to do for NIST's curves: public keys from private ones, signatures in DER (RFC 3279 §2.2.3), and the curves themselves
 * where the platform lacks them. A module of its own, since it is loaded for suites that use one.
 * @module
 */

import type { ECDSA } from "@noble/curves/abstract/weierstrass.js";
import { bytesEqual, concat, EMPTY, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { bytes, element, FORMATS, INTEGER, pkcs8, SEQUENCE } from "./key-format.ts";
import { loaded } from "./loading.ts";
import type { NistGroup } from "./suite.ts";

/** The curve in JavaScript. */
export async function curveOf(group: NistGroup): Promise<ECDSA> {
  return (await loaded(import("@noble/curves/nist.js")))[group];
}

/** Platforms that take a private key of a NIST curve alone compute the other half, and write it at the end; others refuse. */
export async function publicKeyOf(
  group: NistGroup,
  algorithm: Algorithm,
  privateKey: Bytes,
): Promise<Bytes> {
  const { subtle } = crypto;
  const alone = pkcs8(FORMATS[group], { privateKey, publicKey: EMPTY });
  try {
    const key = await subtle.importKey("pkcs8", alone, algorithm, true, ["deriveBits"]);
    const both = new Uint8Array(await subtle.exportKey("pkcs8", key));
    const publicKey = both.slice(-2 * privateKey.length - 1);
    const whole = both.length > alone.length + publicKey.length;
    wipe(both);
    if (whole) return publicKey;
  } catch {
    // The platform lacks the curve, or wants both halves.
  } finally {
    wipe(alone);
  }
  return (await curveOf(group)).getPublicKey(privateKey, false) as Bytes;
}

/** An ECDSA signature as two numbers of equal size, the way WebCrypto has it, in DER. */
export function ecdsaToDer(signature: Uint8Array): Bytes {
  const half = signature.length / 2;
  const integer = (value: Uint8Array): Uint8Array[] => {
    let start = 0;
    while (start < value.length - 1 && value[start] === 0) start++;
    const sign = (value[start] ?? 0) > 127 ? bytes(0) : [];
    return element(INTEGER, sign, [value.subarray(start)]);
  };
  const numbers = [integer(signature.subarray(0, half)), integer(signature.subarray(half))];
  return concat(...element(SEQUENCE, ...numbers));
}

/** The other way, with numbers of `half` bytes. Throws `TypeError` for what isn't DER: there is one way to write a signature. */
export function ecdsaFromDer(der: Uint8Array, half: number): Bytes {
  const signature = new Uint8Array(2 * half);
  let at = der[1] === 0x81 ? 3 : 2;
  for (const end of [half, 2 * half]) {
    const length = der[at + 1] ?? 0;
    const value = der.subarray(at + 2, at + 2 + length);
    const digits = value[0] === 0 && length > 1 ? value.subarray(1) : value;
    if (digits.length > half) throw new TypeError("a number larger than the curve's");
    signature.set(digits, end - digits.length);
    at += 2 + length;
  }
  if (!bytesEqual(ecdsaToDer(signature), der))
    throw new TypeError("a signature that is not in DER");
  return signature;
}
