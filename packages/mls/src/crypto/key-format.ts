/**
 * Keys in the forms that platforms import and export.
 * RFC 8410 (X25519 and its like), RFC 5915 and RFC 5480 (NIST curves).
 * @module
 */

import { concat } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import type { KeyPair } from "./suite.ts";

const EDWARDS = [0x2b, 0x65] as const;
const EC_PUBLIC_KEY = [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1] as const;

/** How keys of an algorithm are written. */
export interface KeyFormat {
  readonly oid: readonly number[];
  /** The curve, where the algorithm has one as its parameter. */
  readonly curve?: readonly number[];
  /** Whether the private key is a seed from which the algorithm's own form of it is made. */
  readonly seed?: true;
  /** Sizes of private and public keys in bytes. */
  readonly nsk: number;
  readonly npk: number;
}

/** The curves by name; X for key agreement, Ed for signatures, P for both. */
export type Curve = "x25519" | "x448" | "ed25519" | "ed448" | "p256" | "p384" | "p521";

/** How the keys of each curve are written. */
export const FORMATS: Readonly<Record<Curve, KeyFormat>> = {
  x25519: { oid: [...EDWARDS, 0x6e], nsk: 32, npk: 32 },
  x448: { oid: [...EDWARDS, 0x6f], nsk: 56, npk: 56 },
  ed25519: { oid: [...EDWARDS, 0x70], nsk: 32, npk: 32 },
  ed448: { oid: [...EDWARDS, 0x71], nsk: 57, npk: 57 },
  p256: {
    oid: EC_PUBLIC_KEY,
    curve: [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
    nsk: 32,
    npk: 65,
  },
  p384: { oid: EC_PUBLIC_KEY, curve: [0x2b, 0x81, 4, 0, 0x22], nsk: 48, npk: 97 },
  p521: { oid: EC_PUBLIC_KEY, curve: [0x2b, 0x81, 4, 0, 0x23], nsk: 66, npk: 133 },
};

export const INTEGER = 2;
const [BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER] = [3, 4, 6] as const;
export const SEQUENCE = 0x30;

/** One DER element around others, as parts that are joined at the end, so that a key is copied once. */
export function element(tag: number, ...content: readonly (readonly Uint8Array[])[]): Uint8Array[] {
  const parts = content.flat();
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return [Uint8Array.of(tag, ...head), ...parts];
}

/** The same for bytes by their values. */
export function bytes(...values: readonly number[]): Uint8Array[] {
  return [Uint8Array.from(values)];
}

function algorithm({ oid, curve }: KeyFormat): Uint8Array[] {
  const parameter = curve ? element(OBJECT_IDENTIFIER, bytes(...curve)) : [];
  return element(SEQUENCE, element(OBJECT_IDENTIFIER, bytes(...oid)), parameter);
}

/**
 * PKCS #8 around a private key; for NIST curves with the public key, since platforms would compute it anew or refuse to.
 * The caller overwrites it. Throws `TypeError` for keys of the wrong size.
 */
export function pkcs8(format: KeyFormat, { privateKey, publicKey }: KeyPair): Bytes {
  if (privateKey.length !== format.nsk) throw new TypeError("a private key of the wrong size");
  const inner = format.curve
    ? ecPrivateKey(privateKey, publicKey)
    : element(format.seed ? 0x80 : OCTET_STRING, [privateKey]);
  const version = element(INTEGER, bytes(0));
  return concat(...element(SEQUENCE, version, algorithm(format), element(OCTET_STRING, inner)));
}

/** RFC 5915 §3, `ECPrivateKey`. */
function ecPrivateKey(privateKey: Bytes, publicKey: Bytes): Uint8Array[] {
  const bits =
    publicKey.length > 0 ? element(0xa1, element(BIT_STRING, bytes(0), [publicKey])) : [];
  return element(SEQUENCE, element(INTEGER, bytes(1)), element(OCTET_STRING, [privateKey]), bits);
}

/** `SubjectPublicKeyInfo`. Throws `TypeError` for keys of the wrong size, and for points that are not uncompressed. */
export function spki(format: KeyFormat, publicKey: Bytes): Bytes {
  checkPublicKeyForm(format, publicKey);
  return concat(
    ...element(SEQUENCE, algorithm(format), element(BIT_STRING, bytes(0), [publicKey])),
  );
}

/** Platforms take compressed points too, MLS doesn't (RFC 9420 §5.1.1, §5.1.2). Throws `TypeError`. */
export function checkPublicKeyForm({ npk, curve }: KeyFormat, publicKey: Bytes): void {
  if (publicKey.length !== npk) throw new TypeError("a public key of the wrong size");
  if (curve && publicKey[0] !== 4) throw new TypeError("a point that is not uncompressed");
}
