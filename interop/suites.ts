/**
 * The cipher suites that both libraries have.
 * @module
 */

import { type CipherSuite, type CryptoProvider, SUITES } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { withPostQuantum } from "@conclave/mls/post-quantum";
import { ciphersuites } from "ts-mls";

const THEIRS: ReadonlyMap<number, string> = new Map(
  Object.entries(ciphersuites).map(([name, number]) => [number, name]),
);

/** Those of RFC 9420, by number. */
export const SHARED_SUITES: readonly number[] = [...SUITES.keys()].filter((suite) =>
  THEIRS.has(suite),
);

const parts = (
  kem: CipherSuite["kem"],
  aead: CipherSuite["aead"],
  signature: CipherSuite["signature"],
) => ({ kem, aead, hash: "sha512", signature }) as const;

/** Those post-quantum suites of ts-mls whose parts fit together as those of a suite do: HPKE's KDF is of the suite's hash (§5.1). */
const POST_QUANTUM = new Map([
  [0xf00b, parts("mlkem1024", "aes256gcm", "ed25519")],
  [0xf00c, parts("mlkem1024", "chacha20poly1305", "ed25519")],
  [0xf00d, parts("mlkem768-x25519", "aes256gcm", "ed25519")],
  [0xf00e, parts("mlkem768-x25519", "chacha20poly1305", "ed25519")],
  [0xf00f, parts("mlkem1024", "aes256gcm", "mldsa87")],
  [0xf010, parts("mlkem1024", "chacha20poly1305", "mldsa87")],
  [0xf011, parts("mlkem768-x25519", "aes256gcm", "mldsa87")],
  [0xf012, parts("mlkem768-x25519", "chacha20poly1305", "mldsa87")],
]);

/** By number, as ts-mls has them. */
export const POST_QUANTUM_SUITES: readonly number[] = [...POST_QUANTUM.keys()];

/** This package's cryptography, with all of these suites. */
export const crypto: CryptoProvider = {
  ...withPostQuantum(nodeCrypto),
  suites: new Map([
    ...SUITES,
    ...[...POST_QUANTUM].map(
      ([number, suite]) => [number, { number, name: THEIRS.get(number) ?? "", ...suite }] as const,
    ),
  ]),
};
