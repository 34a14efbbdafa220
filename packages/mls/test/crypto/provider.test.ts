/** Node's platform and every other one compute the same, and refuse the same. */

import { type CryptoProvider, defaultCapabilities, webCrypto } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, constantTimeEqual } from "../../src/bytes.ts";
import {
  checkPublicKey,
  decryptWithLabel,
  deriveKeyPair,
  encryptManyWithLabel,
  encryptWithLabel,
  generateKeyPair,
  hpkeReceiveExport,
  hpkeSendExport,
  publicKeyOf,
} from "../../src/crypto/hpke.ts";
import { signerOf, signWithLabel, verifyWithLabel } from "../../src/crypto/signature.ts";
import { AEADS, type AeadName, type DhGroup, SUITES, suiteOf } from "../../src/crypto/suite.ts";
import { ecdsaFromDer, ecdsaToDer } from "../../src/crypto/webcrypto-nist.ts";
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
const FEW_RUNS = { numRuns: 4 };
const SUITE_LIST = [...SUITES.values()];
const GROUPS = ["x25519", "x448", "p256", "p384", "p521"] as const;
const SCHEMES = [...new Set(SUITE_LIST.map(({ signature }) => signature))];

/** Points of small order, with which every private key makes the same secret: zero (RFC 7748 §6.1, §6.2). */
const SMALL_ORDER: readonly (readonly ["x25519" | "x448", string])[] = [
  ["x25519", "0000000000000000000000000000000000000000000000000000000000000000"],
  ["x25519", "0100000000000000000000000000000000000000000000000000000000000000"],
  ["x25519", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"],
  ["x25519", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"],
  ["x25519", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7"],
  ["x25519", `ec${"f".repeat(60)}7f`],
  ["x25519", `ed${"f".repeat(60)}7f`],
  ["x25519", `ee${"f".repeat(60)}7f`],
  ["x25519", `ec${"f".repeat(60)}ff`],
  ["x448", "00".repeat(56)],
  ["x448", `01${"00".repeat(55)}`],
  ["x448", `fe${"f".repeat(54)}fe${"f".repeat(54)}`],
  ["x448", `${"f".repeat(56)}fe${"f".repeat(54)}`],
  ["x448", `00${"00".repeat(27)}${"f".repeat(56)}`],
];

/** What has the size of no key; and for the NIST curves points that are off the curve, not reduced, compressed or at infinity. */
const BAD_KEYS: readonly (readonly [string, DhGroup, Bytes])[] = [
  ...SMALL_ORDER.map(
    ([group, point]) => [`${group}, small order ${point}`, group, unhex(point)] as const,
  ),
  ...GROUPS.flatMap((group) =>
    [0, 31, 33, 55, 57, 64].map(
      (length) => [`${group}, ${length} bytes`, group, new Uint8Array(length).fill(4)] as const,
    ),
  ),
  ...(["p256", "p384", "p521"] as const).flatMap((group) => {
    const curve = { p256, p384, p521 }[group];
    const good = curve.Point.BASE.toBytes(false) as Bytes;
    const size = (good.length - 1) / 2;
    const last = good.length - 1;
    const tooLarge = curve.Point.CURVE()
      .p.toString(16)
      .padStart(2 * size, "0");
    return [
      [`${group}, off the curve`, group, good.with(last, (good[last] ?? 0) ^ 1) as Bytes],
      [`${group}, at the origin`, group, Uint8Array.of(4, ...new Uint8Array(2 * size))],
      [`${group}, hybrid form`, group, good.with(0, 6 + ((good[last] ?? 0) & 1)) as Bytes],
      [`${group}, compressed`, group, curve.Point.BASE.toBytes(true) as Bytes],
      [`${group}, at infinity`, group, Uint8Array.of(0)],
      [`${group}, x not reduced`, group, concat(unhex(`04${tooLarge}`), good.slice(1 + size))],
    ] as const;
  }),
];

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

  it.each(SUITE_LIST)("agree on keys and shared secrets in $name", async ({ number }) => {
    const [node, web] = [suiteOf(nodeCrypto, number), suiteOf(webCrypto, number)];
    await fc.assert(
      fc.asyncProperty(sized(node.nh), sized(node.nh), async (one, two) => {
        const [a, b] = [await deriveKeyPair(web, one), await deriveKeyPair(node, two)];
        expect(await deriveKeyPair(node, one)).toEqual(a);
        expect(await publicKeyOf(web, b.privateKey)).toEqual(b.publicKey);
        const group = node.kem as DhGroup;
        const shared = await webCrypto.dh(group, a, b.publicKey);
        expect(await nodeCrypto.dh(group, b, a.publicKey)).toEqual(shared);
      }),
      FEW_RUNS,
    );
  });

  it.each(SUITE_LIST)("open what the other sealed in $name", async ({ number }) => {
    for (const [from, to] of [PROVIDERS, PROVIDERS.toReversed()].map((both) =>
      both.map(([, provider]) => suiteOf(provider, number)),
    )) {
      if (!from || !to) throw new Error("two");
      const keyPair = await generateKeyPair(to);
      await checkPublicKey(from, keyPair.publicKey);
      const sealed = await encryptWithLabel(from, keyPair.publicKey, "x", utf8("y"), utf8("text"));
      expect(await decryptWithLabel(to, keyPair, "x", utf8("y"), sealed)).toEqual(utf8("text"));
    }
  });

  it.each(SCHEMES)("take each other's signatures of %s", async (scheme) => {
    const message = utf8("message");
    for (const [, by] of PROVIDERS) {
      const keyPair = await by.generateSignatureKeyPair(scheme);
      for (const [, signing] of PROVIDERS) {
        // Several times: an ECDSA signature has leading zeros now and then.
        for (let i = 0; i < 8; i++) {
          const signature = await signing.signer(scheme, keyPair)(message);
          for (const [, provider] of PROVIDERS) {
            expect(await provider.verify(scheme, keyPair.publicKey, message, signature)).toBe(true);
          }
        }
      }
    }
  });
});

describe.each(PROVIDERS)("%s", (_, provider) => {
  it("takes no numbers for bytes", () => {
    const numbers = [1, 2, 3] as unknown as Bytes[];
    expect(() => provider.hash("sha256", numbers)).toThrow(TypeError);
    expect(() => provider.hmac("sha256", new Uint8Array(32), numbers)).toThrow(TypeError);
  });

  it("takes what is hashed in pieces, few bytes and many", () => {
    const piece = fc.oneof(bytes, fc.constant(new Uint8Array(5000).fill(7)));
    fc.assert(
      fc.property(
        fc.constantFrom("sha256", "sha384", "sha512"),
        bytes,
        fc.array(piece, { maxLength: 5 }),
        (name, key, pieces) => {
          const whole = concat(...pieces);
          expect(provider.hash(name, pieces)).toEqual(provider.hash(name, whole));
          expect(provider.hmac(name, key, pieces)).toEqual(provider.hmac(name, key, whole));
        },
      ),
      RUNS,
    );
  });

  /** Whether it throws, at once or later. */
  const refuses = async (act: () => unknown): Promise<boolean> => {
    try {
      await act();
      return false;
    } catch {
      return true;
    }
  };

  it.each(BAD_KEYS)("refuses to agree with %s", async (__, group, point) => {
    const number = { x25519: 3, x448: 6, p256: 2, p384: 7, p521: 5 }[group];
    const suite = suiteOf(provider, number);
    const keyPair = await generateKeyPair(suite);
    expect(await refuses(() => provider.dh(group, keyPair, point))).toBe(true);
    await expect(checkPublicKey(suite, point)).rejects.toMatchObject({ code: "crypto" });
    await checkPublicKey(suite, keyPair.publicKey);
    await expect(
      encryptWithLabel(suite, point, "x", utf8(""), utf8("secret")),
    ).rejects.toMatchObject({ code: "crypto" });
    const sealed = { kemOutput: point, ciphertext: new Uint8Array(16) };
    await expect(decryptWithLabel(suite, keyPair, "x", utf8(""), sealed)).rejects.toMatchObject({
      code: "hpke-open",
    });
  });

  it.each(GROUPS)("refuses private keys of %s of another size", async (group) => {
    const number = { x25519: 3, x448: 6, p256: 2, p384: 7, p521: 5 }[group];
    const { privateKey, publicKey } = await generateKeyPair(suiteOf(provider, number));
    for (const bad of [privateKey.slice(1), new Uint8Array(0), concat(privateKey, privateKey)]) {
      const own = { privateKey: bad, publicKey };
      expect(await refuses(() => provider.dh(group, own, publicKey))).toBe(true);
      expect(await refuses(() => provider.dhPublicKey(group, bad))).toBe(true);
    }
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

  it.each(SCHEMES)("takes no signature of %s but the one that was made", async (scheme) => {
    const keyPair = await provider.generateSignatureKeyPair(scheme);
    const { privateKey, publicKey } = keyPair;
    const message = utf8("message");
    const signature = await provider.signer(scheme, keyPair)(message);
    const other = await provider.generateSignatureKeyPair(scheme);
    const bad = [
      [other.publicKey, message, signature],
      [publicKey, utf8("messag"), signature],
      [publicKey, message, signature.with(9, (signature[9] ?? 0) ^ 1) as Bytes],
      [publicKey, message, signature.slice(1)],
      [publicKey, message, signature.slice(0, -1)],
      [publicKey, message, concat(signature, Uint8Array.of(0))],
      [publicKey, message, new Uint8Array(0)],
      [publicKey, message, new Uint8Array(64)],
      [publicKey.slice(1), message, signature],
      [new Uint8Array(0), message, signature],
      [new Uint8Array(publicKey.length).fill(255), message, signature],
    ] as const;
    for (const [key, text, given] of bad) {
      expect(await provider.verify(scheme, key, text, given)).toBe(false);
    }
    expect(await provider.verify(scheme, publicKey, message, signature)).toBe(true);
    const questions = [...bad, [publicKey, message, signature] as const].map(
      ([key, text, given]) => ({ publicKey: key, message: text, signature: given }),
    );
    for (const asked of [questions, questions.slice(-2), []]) {
      expect(await provider.verifyMany(scheme, asked)).toEqual(
        asked.map((__, i) => i === asked.length - 1),
      );
    }
    const short = { privateKey: privateKey.slice(1), publicKey };
    expect(await refuses(async () => provider.signer(scheme, short)(message))).toBe(true);
  });

  it.each(["ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ecdsa_secp521r1_sha512"] as const)(
    "takes %s in DER alone, by keys that are uncompressed points (§5.1.2)",
    async (scheme) => {
      const keyPair = await provider.generateSignatureKeyPair(scheme);
      const message = utf8("message");
      const signature = await provider.signer(scheme, keyPair)(message);
      const size = (keyPair.publicKey.length - 1) / 2;
      const raw = ecdsaFromDer(signature, size);
      expect(ecdsaToDer(raw)).toEqual(signature);
      const [r, s] = [raw.subarray(0, size), raw.subarray(size)];
      const number = (value: Uint8Array) => concat(Uint8Array.of(2, value.length + 2, 0, 0), value);
      const padded = concat(number(r), number(s));
      const head = padded.length < 128 ? [0x30] : [0x30, 0x81];
      const compressed = concat(
        Uint8Array.of(2 + ((keyPair.publicKey.at(-1) ?? 0) & 1)),
        keyPair.publicKey.subarray(1, 1 + size),
      );
      const { publicKey } = keyPair;
      expect(await provider.verify(scheme, publicKey, message, signature)).toBe(true);
      for (const [key, given] of [
        [publicKey, raw],
        [publicKey, concat(Uint8Array.of(...head, padded.length), padded)],
        [compressed, signature],
      ] as const) {
        expect(await provider.verify(scheme, key, message, given)).toBe(false);
      }
    },
  );

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
  const nodeKeys = {
    privateKey: unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
    publicKey: unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
  };
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

  it("verify many at once as one by one", async () => {
    const signer = signerOf(nodeCrypto, "ed25519", nodeKeys);
    const signed = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => ({
        publicKey: signer.publicKey,
        label: "A",
        content: Uint8Array.of(i % 7),
        signature: await signWithLabel(signer, i % 3 ? "A" : "B", Uint8Array.of(i % 7)),
      })),
    );
    const asked: number[] = [];
    const provider: CryptoProvider = {
      ...suite.provider,
      verifyMany: (name, questions) => {
        asked.push(questions.length);
        return suite.provider.verifyMany(name, questions);
      },
    };
    const verify = (one: (typeof signed)[number]) =>
      verifyWithLabel({ ...suite, provider }, one.publicKey, one.label, one.content, one.signature);
    const together = await Promise.all(signed.map(verify));
    expect(together).toEqual(signed.map((_, i) => i % 3 !== 0));
    expect(asked).toEqual([20]);
    const [first, second] = signed;
    if (!first || !second) throw new Error("two");
    expect([await verify(first), await verify(second)]).toEqual(together.slice(0, 2));
    expect(asked).toEqual([20, 1, 1]);
  });

  it("encrypt to many as to one, each to its own key", async () => {
    const to = await Promise.all(Array.from({ length: 20 }, () => generateKeyPair(suite)));
    const messages = to.map(({ publicKey }, i) => ({ publicKey, plaintext: Uint8Array.of(i) }));
    const sealed = await encryptManyWithLabel(suite, "A", utf8("context"), messages);
    for (const [i, keyPair] of to.entries()) {
      const one = sealed[i];
      if (!one) throw new Error("none");
      const opened = await decryptWithLabel(suite, keyPair, "A", utf8("context"), one);
      expect(opened).toEqual(Uint8Array.of(i));
    }
  });
});

describe("§17.1 suites", () => {
  it("are the seven, under their numbers", () => {
    expect([...SUITES.keys()]).toEqual([1, 2, 3, 4, 5, 6, 7]);
    for (const [number, suite] of SUITES) expect(suite.number).toBe(number);
    for (const [, provider] of PROVIDERS) expect(provider.suites).toEqual(SUITES);
    for (const number of [0, 8, 0xf001, 0xffff]) {
      expect(() => suiteOf(nodeCrypto, number)).toThrow(
        expect.objectContaining({ code: "unsupported-suite" }),
      );
    }
  });

  it("are those of the provider that is asked", () => {
    const provider = { ...nodeCrypto, suites: new Map([[1, SUITES.get(1)]]) as typeof SUITES };
    expect(suiteOf(provider, 1).kem).toBe("x25519");
    expect(() => suiteOf(provider, 2)).toThrow(
      expect.objectContaining({ code: "unsupported-suite" }),
    );
    expect(defaultCapabilities(provider).cipherSuites).toEqual([1]);
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
