/**
 * NIST's curves: which numbers and points are keys. RFC 9180 §7.1.3, §7.1.4; SP 800-186, SP 800-56A.
 * A module of its own, since it is loaded for suites that use one.
 * @module
 */

import type { Bytes } from "../codec.ts";
import type { CryptoProvider, NistGroup } from "./suite.ts";

/** y² = x³ - 3x + b modulo p, whose points are as many as the prime `order` (SP 800-186 §3.2.1). */
interface NistCurve {
  readonly p: bigint;
  readonly b: bigint;
  readonly order: bigint;
  /** Of private keys and coordinates, in bytes. */
  readonly size: number;
}
const NIST: Readonly<Record<NistGroup, NistCurve>> = {
  p256: {
    size: 32,
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  p384: {
    size: 48,
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    order:
      0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  p521: {
    size: 66,
    p: 2n ** 521n - 1n,
    b: 0x051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
    order:
      0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  },
};

/** For public values. */
function integer(bigEndian: Iterable<number>): bigint {
  let value = 0n;
  for (const byte of bigEndian) value = (value << 8n) | BigInt(byte);
  return value;
}

/** Whether bytes are a private key of a NIST curve, from 1 to the order less 1, in a time that doesn't depend on them. */
function isScalar(candidate: Bytes, order: bigint): boolean {
  let [borrow, any] = [0, 0];
  for (let i = candidate.length - 1, rest = order; i >= 0; i--, rest >>= 8n) {
    const byte = candidate[i] ?? 0;
    any |= byte;
    borrow = (byte - Number(rest & 0xffn) - borrow) >>> 31;
  }
  return borrow === 1 && any !== 0;
}

/**
 * The first private key of a NIST curve among candidates (RFC 9180 §7.1.3). The bits above the order's are cleared.
 * Throws where none of them is one, which chance doesn't bring about.
 */
export function sampleScalar(
  group: NistGroup,
  candidate: (counter: number) => Bytes,
  limit = 256,
): Bytes {
  const { order } = NIST[group];
  for (let counter = 0; counter < limit; counter++) {
    const bytes = candidate(counter);
    if (group === "p521") bytes[0] = (bytes[0] ?? 0) & 1;
    if (isScalar(bytes, order)) return bytes;
    bytes.fill(0);
  }
  throw new TypeError(`no private key among ${limit}`);
}

/** Throws for what is no uncompressed point on the curve (RFC 9180 §7.1.4, SP 800-56A §5.6.2.3.4); none of them is of small order. */
export function checkPoint(group: NistGroup, point: Bytes): void {
  if (!isOnCurve(NIST[group], point)) throw new TypeError("a point that is not on the curve");
}

function isOnCurve({ p, b }: NistCurve, point: Bytes): boolean {
  const half = (point.length - 1) / 2;
  const [x, y] = [integer(point.subarray(1, 1 + half)), integer(point.subarray(1 + half))];
  if (point[0] !== 4 || x >= p || y >= p) return false;
  return (y * y - (x * x * x - 3n * x + b)) % p === 0n;
}

/** A new private key of the curve. */
export function generateScalar(
  { random }: Pick<CryptoProvider, "random">,
  group: NistGroup,
): Bytes {
  return sampleScalar(group, () => random(NIST[group].size));
}
