/** Node's platform and every other one compute the same, and refuse the same. */

import { type CryptoProvider, webCrypto } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { constantTimeEqual } from "../../src/bytes.ts";
import {
  decryptWithLabel,
  deriveKeyPair,
  encryptWithLabel,
  hpkeReceiveExport,
  hpkeSendExport,
} from "../../src/crypto/hpke.ts";
import { signerOf, signWithLabel, verifyWithLabel } from "../../src/crypto/signature.ts";
import { AEADS, type AeadName, SUITES, suiteOf } from "../../src/crypto/suite.ts";
import { hex, unhex, utf8 } from "../people.ts";

const PROVIDERS: readonly (readonly [string, CryptoProvider])[] = [
  ["nodeCrypto", nodeCrypto],
  ["webCrypto", webCrypto],
];
const bytes = fc.uint8Array({ maxLength: 200 }).map((value) => Uint8Array.from(value));
const sized = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value) => Uint8Array.from(value));
const AEAD_NAMES = Object.keys(AEADS) as AeadName[];
const RUNS = { numRuns: 25 };

/** Points of small order, with which every private key makes the same secret: zero (RFC 7748 §6.1). */
const SMALL_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map(unhex);

describe("both providers", () => {
  it("hash and authenticate alike", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("sha256", "sha384", "sha512"),
        bytes,
        bytes,
        (name, key, data) => {
          expect(webCrypto.hash(name, data)).toEqual(nodeCrypto.hash(name, data));
          expect(webCrypto.hmac(name, key, data)).toEqual(nodeCrypto.hmac(name, key, data));
        },
      ),
      RUNS,
    );
  });

  it.each(AEAD_NAMES)("seal and open %s alike", async (aead) => {
    const { nk, nn } = AEADS[aead];
    await fc.assert(
      fc.asyncProperty(sized(nk), sized(nn), bytes, bytes, async (key, nonce, aad, plaintext) => {
        const sealed = await nodeCrypto.seal(aead, key, nonce, aad, plaintext);
        expect(await webCrypto.seal(aead, key, nonce, aad, plaintext)).toEqual(sealed);
        for (const [, provider] of PROVIDERS) {
          expect(await provider.open(aead, key, nonce, aad, sealed)).toEqual(plaintext);
        }
      }),
      RUNS,
    );
  });

  it("agree on keys, shared secrets and signatures", async () => {
    await fc.assert(
      fc.asyncProperty(sized(32), sized(32), bytes, async (one, two, message) => {
        const [a, b] = [
          webCrypto.dhPublicKey("x25519", one),
          nodeCrypto.dhPublicKey("x25519", two),
        ];
        expect(await nodeCrypto.dhPublicKey("x25519", one)).toEqual(await a);
        const shared = await webCrypto.dh("x25519", one, await b);
        expect(await nodeCrypto.dh("x25519", two, await a)).toEqual(shared);
        const { privateKey, publicKey } = await webCrypto.generateSignatureKeyPair("ed25519");
        const signature = await nodeCrypto.sign("ed25519", privateKey, message);
        expect(await webCrypto.sign("ed25519", privateKey, message)).toEqual(signature);
        for (const [, provider] of PROVIDERS) {
          expect(await provider.verify("ed25519", publicKey, message, signature)).toBe(true);
        }
      }),
      RUNS,
    );
  });
});

describe.each(PROVIDERS)("%s", (_, provider) => {
  /** Whether it throws, at once or later. */
  const refuses = async (act: () => unknown): Promise<boolean> => {
    try {
      await act();
      return false;
    } catch {
      return true;
    }
  };

  it.each(SMALL_ORDER.map((point) => [hex(point), point] as const))(
    "refuses to agree with the point of small order %s",
    async (__, point) => {
      const { privateKey } = await provider.generateDhKeyPair("x25519");
      expect(await refuses(() => provider.dh("x25519", privateKey, point))).toBe(true);
      const suite = suiteOf(provider, 3);
      await expect(
        encryptWithLabel(suite, point, "x", utf8(""), utf8("secret")),
      ).rejects.toMatchObject({ code: "crypto" });
      const publicKey = await provider.dhPublicKey("x25519", privateKey);
      const sealed = { kemOutput: point, ciphertext: new Uint8Array(16) };
      await expect(
        decryptWithLabel(suite, { privateKey, publicKey }, "x", utf8(""), sealed),
      ).rejects.toMatchObject({ code: "hpke-open" });
    },
  );

  it.each([0, 31, 33, 64])("refuses Diffie-Hellman keys of %i bytes", async (length) => {
    const { privateKey, publicKey } = await provider.generateDhKeyPair("x25519");
    expect(
      await refuses(() => provider.dh("x25519", privateKey, new Uint8Array(length).fill(9))),
    ).toBe(true);
    expect(
      await refuses(() => provider.dh("x25519", new Uint8Array(length).fill(9), publicKey)),
    ).toBe(true);
    expect(
      await refuses(() => provider.dhPublicKey("x25519", new Uint8Array(length).fill(9))),
    ).toBe(true);
  });

  it.each(AEAD_NAMES)(
    "refuses %s with keys of another size, and what was changed",
    async (aead) => {
      const { nk, nn } = AEADS[aead];
      const [key, nonce, aad, plaintext] = [nk, nn, 3, 20].map((n) => new Uint8Array(n).fill(n));
      if (!key || !nonce || !aad || !plaintext) throw new Error("four");
      const sealed = await provider.seal(aead, key, nonce, aad, plaintext);
      const flip = (value: Bytes) => value.with(0, (value[0] ?? 0) ^ 1) as Bytes;
      for (const [k, n, a, c] of [
        [flip(key), nonce, aad, sealed],
        [key, flip(nonce), aad, sealed],
        [key, nonce, flip(aad), sealed],
        [key, nonce, aad, flip(sealed)],
        [key, nonce, aad, sealed.slice(0, -1)],
        [key, nonce, aad, sealed.slice(0, 15)],
        [key, nonce, aad, new Uint8Array(0)],
      ] as const) {
        expect(await refuses(() => provider.open(aead, k, n, a, c))).toBe(true);
      }
      for (const length of [0, nk - 1, nk + 1, nk === 16 ? 32 : 16]) {
        expect(
          await refuses(() => provider.seal(aead, new Uint8Array(length), nonce, aad, plaintext)),
        ).toBe(true);
        expect(
          await refuses(() => provider.open(aead, new Uint8Array(length), nonce, aad, sealed)),
        ).toBe(true);
      }
    },
  );

  it("takes no signature but the one that was made", async () => {
    const { privateKey, publicKey } = await provider.generateSignatureKeyPair("ed25519");
    const message = utf8("message");
    const signature = await provider.sign("ed25519", privateKey, message);
    const other = await provider.generateSignatureKeyPair("ed25519");
    for (const [key, text, given] of [
      [other.publicKey, message, signature],
      [publicKey, utf8("messag"), signature],
      [publicKey, message, signature.with(9, (signature[9] ?? 0) ^ 1) as Bytes],
      [publicKey, message, signature.slice(1)],
      [publicKey, message, new Uint8Array(0)],
      [publicKey, message, new Uint8Array(64)],
      [publicKey.slice(1), message, signature],
      [new Uint8Array(0), message, signature],
      [new Uint8Array(32).fill(255), message, signature],
    ] as const) {
      expect(await provider.verify("ed25519", key, text, given)).toBe(false);
    }
    expect(await provider.verify("ed25519", publicKey, message, signature)).toBe(true);
    expect(await refuses(() => provider.sign("ed25519", privateKey.slice(1), message))).toBe(true);
  });

  it("draws bytes that differ", () => {
    const drawn = Array.from({ length: 50 }, () => hex(provider.random(16)));
    expect(new Set(drawn).size).toBe(50);
    expect(provider.random(0)).toHaveLength(0);
  });

  it("exports the same secret at both ends of an external join (§8.3)", async () => {
    const suite = suiteOf(provider, 1);
    const keyPair = await deriveKeyPair(suite, new Uint8Array(32).fill(3));
    const { kemOutput, secret } = await hpkeSendExport(suite, keyPair.publicKey, "label", 32);
    expect(await hpkeReceiveExport(suite, keyPair, kemOutput, "label", 32)).toEqual(secret);
    expect(await hpkeReceiveExport(suite, keyPair, kemOutput, "other", 32)).not.toEqual(secret);
    await expect(
      hpkeReceiveExport(suite, keyPair, kemOutput.slice(1), "label", 32),
    ).rejects.toMatchObject({ code: "hpke-open" });
  });
});

describe("§5.1 labels", () => {
  const suite = suiteOf(nodeCrypto, 3);
  it("bind what is signed and encrypted", async () => {
    const keyPair = await nodeCrypto.generateSignatureKeyPair("ed25519");
    const signer = signerOf(nodeCrypto, "ed25519", keyPair);
    const signature = await signWithLabel(signer, "A", utf8("x"));
    expect(await verifyWithLabel(suite, signer.publicKey, "A", utf8("x"), signature)).toBe(true);
    expect(await verifyWithLabel(suite, signer.publicKey, "B", utf8("x"), signature)).toBe(false);
    const to = await deriveKeyPair(suite, new Uint8Array(32));
    const sealed = await encryptWithLabel(suite, to.publicKey, "A", utf8("context"), utf8("x"));
    expect(await decryptWithLabel(suite, to, "A", utf8("context"), sealed)).toEqual(utf8("x"));
    for (const [label, context] of [
      ["B", "context"],
      ["A", "other"],
    ] as const) {
      const opened = decryptWithLabel(suite, to, label, utf8(context), sealed);
      await expect(opened).rejects.toMatchObject({ code: "hpke-open" });
    }
  });

  it("belong to suites that are built", () => {
    expect([...SUITES.keys()]).toEqual([1, 3]);
    for (const number of [0, 2, 7, 0xffff]) {
      expect(() => suiteOf(nodeCrypto, number)).toThrow(
        expect.objectContaining({ code: "unsupported-suite" }),
      );
    }
  });
});

describe("constantTimeEqual", () => {
  it("compares lengths too", () => {
    const tag = Uint8Array.of(1, 2, 3);
    expect(constantTimeEqual(tag, tag.slice())).toBe(true);
    for (const other of [[], [1, 2], [1, 2, 3, 0], [1, 2, 4], [0, 2, 3]]) {
      expect(constantTimeEqual(tag, Uint8Array.from(other))).toBe(false);
      expect(constantTimeEqual(Uint8Array.from(other), tag)).toBe(false);
    }
    expect(constantTimeEqual(new Uint8Array(0), new Uint8Array(0))).toBe(true);
  });
});
