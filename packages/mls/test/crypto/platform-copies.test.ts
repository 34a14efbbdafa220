/** Secrets as a platform takes and gives them: the copies that are made for it are gone when it has them. */

import { webCrypto } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { nobleLattice } from "../../src/crypto/noble-lattice.ts";
import { nodeLattice } from "../../src/crypto/node-lattice.ts";
import { ledgerOf } from "../ledger.ts";
import { hex } from "../people.ts";

/** What went to the platform or came from it, as it was then and as it is now. */
const { copies, note } = vi.hoisted(() => {
  const copies: { readonly array: Uint8Array; readonly was: Uint8Array }[] = [];
  const note = <T>(given: T): T => {
    const array =
      given instanceof ArrayBuffer ? new Uint8Array(given) : given instanceof Uint8Array && given;
    if (array) copies.push({ array, was: Uint8Array.from(array) });
    return given;
  };
  return { copies, note };
});

vi.mock("node:crypto", async (original) => {
  const actual = await original<typeof import("node:crypto")>();
  return {
    ...actual,
    createPrivateKey: (given: Parameters<typeof actual.createPrivateKey>[0]) => {
      if (typeof given === "object" && "key" in given) note(given.key);
      return actual.createPrivateKey(given);
    },
    createHmac: (name: string, key: Uint8Array) => actual.createHmac(name, note(key)),
    createCipheriv: (name: "aes-128-gcm", key: Uint8Array, nonce: Uint8Array) =>
      actual.createCipheriv(name, note(key), nonce),
    createDecipheriv: (name: "aes-128-gcm", key: Uint8Array, nonce: Uint8Array) =>
      actual.createDecipheriv(name, note(key), nonce),
    randomFillSync: (array: Uint8Array) => note(actual.randomFillSync(array)),
  };
});

/** Schemes that tell of the private keys that they make. */
function telling<T extends { readonly keygen: (seed?: Uint8Array) => { secretKey: Uint8Array } }>(
  scheme: T,
): T {
  const keygen: T["keygen"] = (seed) => {
    const keys = scheme.keygen(seed);
    note(keys.secretKey);
    return keys;
  };
  return { ...scheme, keygen };
}
vi.mock("@noble/post-quantum/ml-kem.js", async (original) => {
  const actual = await original<typeof import("@noble/post-quantum/ml-kem.js")>();
  return { ...actual, ml_kem768: telling(actual.ml_kem768) };
});
vi.mock("@noble/post-quantum/ml-dsa.js", async (original) => {
  const actual = await original<typeof import("@noble/post-quantum/ml-dsa.js")>();
  return { ...actual, ml_dsa44: telling(actual.ml_dsa44) };
});

beforeEach(() => {
  copies.length = 0;
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Some copies held the secret, and none does still. */
function expectGone(secret: Bytes): void {
  const held = copies.filter(
    ({ array, was }) => array !== secret && hex(was).includes(hex(secret)),
  );
  expect(held.length).toBeGreaterThan(0);
  expect(held.filter(({ array }) => hex(array).includes(hex(secret)))).toEqual([]);
}

describe("Node", () => {
  it("keeps none of a signature key of a NIST curve", async () => {
    const keyPair = await nodeCrypto.generateSignatureKeyPair("ecdsa_secp256r1_sha256");
    copies.length = 0;
    nodeCrypto.signer("ecdsa_secp256r1_sha256", keyPair);
    expectGone(keyPair.privateKey);
  });

  it("keeps none of a key that it signs with", async () => {
    const keyPair = await nodeCrypto.generateSignatureKeyPair("ed25519");
    copies.length = 0;
    nodeCrypto.signer("ed25519", keyPair);
    expectGone(keyPair.privateKey);
  });

  it("keeps none of a key that it authenticates with, encrypts with or decrypts with, whether it opens or not", async () => {
    const [key, nonce] = [Uint8Array.from({ length: 16 }, (_, i) => i + 1), new Uint8Array(12)];
    nodeCrypto.hmac("sha256", key, nonce);
    expectGone(key);
    const sealed = await nodeCrypto.seal("aes128gcm", key, nonce, nonce, nonce);
    expectGone(key);
    await nodeCrypto.open("aes128gcm", key, nonce, nonce, sealed);
    expectGone(key);
    copies.length = 0;
    expect(() => nodeCrypto.open("aes128gcm", key, nonce, key, sealed)).toThrow("authenticate");
    expectGone(key);
  });

  it("keeps none of what it draws", () => {
    expectGone(nodeCrypto.random(32));
  });

  it.runIf(nodeLattice)("keeps none of a lattice's seed", () => {
    const seed = nodeCrypto.random(64);
    nodeLattice?.mlKemPublicKey(768, seed);
    expectGone(seed);
  });
});

describe("WebCrypto", () => {
  beforeEach(() => {
    const { subtle } = globalThis.crypto;
    const [importKey, exportKey] = [subtle.importKey.bind(subtle), subtle.exportKey.bind(subtle)];
    vi.spyOn(subtle, "importKey").mockImplementation(((...args: Parameters<typeof importKey>) => {
      note(args[1]);
      return importKey(...args);
    }) as typeof subtle.importKey);
    vi.spyOn(subtle, "exportKey").mockImplementation((async (
      ...args: Parameters<typeof exportKey>
    ) => note(await exportKey(...args))) as typeof subtle.exportKey);
  });

  it("keeps none of a key that it makes", async () => {
    const { privateKey } = await webCrypto.generateSignatureKeyPair("ed25519");
    expectGone(privateKey);
  });

  it("keeps none of a key that it imports, nor of one whose public half it tells", async () => {
    const privateKey = new Uint8Array(32).fill(7);
    const publicKey = await webCrypto.dhPublicKey("p256", privateKey);
    expectGone(privateKey);
    await webCrypto.dh("p256", { privateKey, publicKey }, publicKey);
    expectGone(privateKey);
  });
});

describe("the noble libraries", () => {
  it("leave no private key behind, nor what an encapsulation is made of", () => {
    const { crypto, left } = ledgerOf(nodeCrypto);
    const lattice = nobleLattice(crypto);
    const [seed, other] = [nodeCrypto.random(64), nodeCrypto.random(32)];
    copies.length = 0;
    const publicKey = lattice.mlKemPublicKey(768, seed);
    const { ciphertext, secret } = lattice.mlKemEncaps(768, publicKey);
    expect(left([secret])).toEqual([]);
    expect(lattice.mlKemDecaps(768, seed, ciphertext)).toEqual(secret);
    lattice.mlDsaPublicKey(44, other);
    // Of three key pairs, and what an encapsulation draws.
    expect(copies).toHaveLength(4);
    expect(copies.filter(({ array }) => array.some((byte) => byte !== 0))).toEqual([]);
  });
});
