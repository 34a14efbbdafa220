/** A provider that keeps what secrets went through it, for tests that look at what is left of them. */

import type { CryptoProvider } from "@conclave/mls";
import { inPieces, type Lattice } from "../src/crypto/suite.ts";
import { hex } from "./people.ts";

/** An array that held a secret, as it was when the provider gave or got it. */
interface Entry {
  readonly array: Uint8Array;
  readonly was: string;
  /** Where it went through. */
  readonly place: string;
}

export interface Ledger {
  readonly crypto: CryptoProvider;
  /** A lattice whose secrets are kept with the others. */
  readonly lattice: (of: Lattice) => Lattice;
  /** Where arrays went through that still hold what they held, but for what stands in one of these. */
  readonly left: (known: Iterable<Uint8Array>) => readonly string[];
}

/** The functions of this package on the way to the provider. */
function caller(): string {
  const frames = (new Error().stack ?? "").split("\n").filter((line) => line.includes("/src/"));
  return frames
    .map((line) => line.replace(/^\s*at (?:async )?(?:(.*) \()?.*\/(.*?):\d+:\d+\)?$/, "$1 ($2)"))
    .join(" < ");
}

/** Secrets of less than this can't be told from chance. */
const SHORTEST = 8;
/** MACs; nonces of PSKs; hashes of what is public, at the beginning of a key schedule (RFC 9180 §5.1); a GroupInfo, which is no key. */
const PUBLIC =
  /^hmac at mac |^random at freshPskId |\b(?:scheduleOf|hpkeOf) |^(?:seal|open) plaintext at (?:makeWelcome|openGroupInfo) /;

export function ledgerOf(provider: CryptoProvider): Ledger {
  const entries: Entry[] = [];
  const note = <T extends Uint8Array>(what: string, array: T): T => {
    const place = `${what} at ${caller()}`;
    if (array.length >= SHORTEST && !PUBLIC.test(place)) {
      entries.push({ array, was: hex(array), place });
    }
    return array;
  };
  const noted = <T>(value: T | Promise<T>, note: (value: T) => T): T | Promise<T> =>
    value instanceof Promise ? value.then(note) : note(value);
  const { dhEphemeral } = provider;
  const crypto: CryptoProvider = {
    ...provider,
    random: (length) => note("random", provider.random(length)),
    hmac: (hash, key, data) => {
      note("hmac key", key);
      // Of HKDF-Extract, which takes a secret as what is hashed.
      if (!inPieces(data) && caller().startsWith("hkdfExtract ")) note("hmac data", data);
      return note("hmac", provider.hmac(hash, key, data));
    },
    seal: (aead, key, nonce, aad, plaintext) => {
      for (const [what, array] of Object.entries({ key, nonce, plaintext })) {
        note(`seal ${what}`, array);
      }
      return provider.seal(aead, key, nonce, aad, plaintext);
    },
    open: (aead, key, nonce, aad, ciphertext) => {
      note("open key", key);
      note("open nonce", nonce);
      return noted(provider.open(aead, key, nonce, aad, ciphertext), (bytes) =>
        note("open plaintext", bytes),
      );
    },
    dhPublicKey: (group, privateKey) => {
      note("private key", privateKey);
      return provider.dhPublicKey(group, privateKey);
    },
    dh: (group, own, peer) => {
      note("private key", own.privateKey);
      return noted(provider.dh(group, own, peer), (secret) => note("dh", secret));
    },
    ...(dhEphemeral && {
      dhEphemeral: (group, peer, among) =>
        noted(dhEphemeral(group, peer, among), (made) => {
          note("dh", made.secret);
          return made;
        }),
    }),
  };
  const lattice = (of: Lattice): Lattice => ({
    ...of,
    sha3: (data) => note("sha3", of.sha3(note("sha3 data", data))),
    shake256: (data, length) => note("shake256", of.shake256(note("shake256 data", data), length)),
    mlKemPublicKey: (size, seed) => of.mlKemPublicKey(size, note("ML-KEM seed", seed)),
    mlKemEncaps: (size, publicKey) => {
      const made = of.mlKemEncaps(size, publicKey);
      note("ML-KEM secret", made.secret);
      return made;
    },
    mlKemDecaps: (size, seed, ciphertext) =>
      note("ML-KEM secret", of.mlKemDecaps(size, note("ML-KEM seed", seed), ciphertext)),
  });
  return {
    crypto,
    lattice,
    left: (known) => {
      const everything = [...known].map(hex).join("|");
      const left = entries.filter(({ array, was }) => {
        const now = hex(array);
        return now === was && !/^0*$/.test(now) && !everything.includes(now);
      });
      return [...new Set(left.map(({ place }) => place))];
    },
  };
}
