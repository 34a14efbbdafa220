/** The post-quantum suites, with the platform's own ML-KEM and ML-DSA and with noble's. */

import { type CryptoProvider, SUITES, suiteOf, webCrypto } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { OPENMLS_NUMBERS, PRIVATE_USE_NUMBERS, withPostQuantum } from "@conclave/mls/post-quantum";
import { describe, expect, it } from "vitest";
import { concat } from "../src/bytes.ts";
import {
  checkPublicKey,
  decryptWithLabel,
  deriveKeyPair,
  encryptWithLabel,
  generateKeyPair,
} from "../src/crypto/hpke.ts";
import { add, found, hex, person, utf8 } from "./people.ts";

const node = withPostQuantum(nodeCrypto);
const web = withPostQuantum(webCrypto);
const PROVIDERS = [
  ["nodeCrypto", node, web],
  ["webCrypto", web, node],
] as const;
const ADDED = Object.entries(PRIVATE_USE_NUMBERS);

describe("the numbers of the suites", () => {
  it("are for private use, beside those of RFC 9420", () => {
    expect(node.suites.size).toBe(SUITES.size + 11);
    for (const [name, number] of ADDED) {
      expect(number).toBeGreaterThanOrEqual(0xf000);
      expect(suiteOf(node, number)).toMatchObject({ name, number });
    }
    expect([...SUITES.keys()].every((number) => node.suites.has(number))).toBe(true);
  });

  it("are the application's to choose", () => {
    const openMls = withPostQuantum(nodeCrypto, OPENMLS_NUMBERS);
    expect(openMls.suites.size).toBe(SUITES.size + 8);
    expect(suiteOf(openMls, 0x004f).kem).toBe("mlkem768-x25519");
    expect(() => suiteOf(openMls, 0xfd01)).toThrow(
      expect.objectContaining({ code: "unsupported-suite" }),
    );
  });

  it("are one suite's each", () => {
    const name = "MLS_128_MLKEM768_AES256GCM_SHA384_P256";
    expect(() => withPostQuantum(nodeCrypto, { [name]: 3 })).toThrow(TypeError);
    expect(() => withPostQuantum(node)).toThrow(TypeError);
  });
});

describe.each(PROVIDERS)("%s", (_name, provider, other) => {
  it.each(ADDED)("runs a group in %s", async (_suite, suite) => {
    const [alice, bob] = await Promise.all([
      person("alice", { suite, crypto: provider }),
      person("bob", { suite, crypto: other }),
    ]);
    const group = await found(alice);
    const [joined] = await add(group, [bob], [], { forcePath: true });
    if (!joined) throw new Error("nobody joined");
    const { commit } = await joined.commit({});
    await joined.receive(commit);
    await group.receive(commit);
    expect(hex(joined.epochAuthenticator)).toBe(hex(group.epochAuthenticator));
    const received = await group.receive(await joined.send(utf8("hello")));
    expect(received).toMatchObject({ type: "application", data: utf8("hello") });
  });

  it.each(ADDED)("derives the other's keys, and opens what it sealed, in %s", async (_suite, n) => {
    const [ours, theirs] = [suiteOf(provider, n), suiteOf(other, n)];
    const keyPair = await deriveKeyPair(ours, new Uint8Array(48).fill(n & 0xff));
    expect(await deriveKeyPair(theirs, new Uint8Array(48).fill(n & 0xff))).toEqual(keyPair);
    const sealed = await encryptWithLabel(theirs, keyPair.publicKey, "x", utf8("y"), utf8("text"));
    expect(await decryptWithLabel(ours, keyPair, "x", utf8("y"), sealed)).toEqual(utf8("text"));
    const flipped = sealed.kemOutput.with(5, (sealed.kemOutput[5] ?? 0) ^ 1) as Bytes;
    for (const kemOutput of [flipped, sealed.kemOutput.slice(1), new Uint8Array(0)]) {
      await expect(
        decryptWithLabel(ours, keyPair, "x", utf8("y"), { ...sealed, kemOutput }),
      ).rejects.toMatchObject({ code: "hpke-open" });
    }
    const short = { ...keyPair, privateKey: keyPair.privateKey.slice(1) };
    await expect(decryptWithLabel(ours, short, "x", utf8("y"), sealed)).rejects.toMatchObject({
      code: "hpke-open",
    });
  });

  it.each(ADDED)("refuses bad encapsulation keys in %s (FIPS 203 §7.2)", async (_suite, n) => {
    const suite = suiteOf(provider, n);
    const { publicKey } = await generateKeyPair(suite);
    await checkPublicKey(suite, publicKey);
    const unreduced = publicKey.slice();
    unreduced.set([0x01, 0x0d], 0);
    const high = publicKey.slice();
    high.set([0xff, 0xff], 1);
    const bad = [
      unreduced,
      high,
      publicKey.slice(1),
      concat(publicKey, publicKey),
      publicKey.slice(0, 0),
    ];
    for (const key of bad) {
      await expect(checkPublicKey(suite, key)).rejects.toMatchObject({ code: "crypto" });
      await expect(
        encryptWithLabel(suite, key, "x", utf8(""), utf8("secret")),
      ).rejects.toMatchObject({ code: "crypto" });
    }
  });

  it.each(["MLKEM768P256", "MLKEM1024P384", "MLKEM768X25519"])(
    "refuses bad points behind good lattices in %s",
    async (kem) => {
      const [, number] = ADDED.find(([name]) => name.includes(kem)) ?? ["", 0];
      const suite = suiteOf(provider, number);
      const keyPair = await generateKeyPair(suite);
      const { publicKey } = keyPair;
      const sealed = await encryptWithLabel(suite, publicKey, "x", utf8(""), utf8("text"));
      const badPoint = (from: Bytes): Bytes => {
        const size = { MLKEM768P256: 65, MLKEM1024P384: 97 }[kem] ?? 32;
        const changed = from.slice();
        changed.fill(size === 32 ? 0 : 1, from.length - 32);
        return changed;
      };
      await expect(checkPublicKey(suite, badPoint(publicKey))).rejects.toMatchObject({
        code: "crypto",
      });
      await expect(
        encryptWithLabel(suite, badPoint(publicKey), "x", utf8(""), utf8("secret")),
      ).rejects.toMatchObject({ code: "crypto" });
      const kemOutput = badPoint(sealed.kemOutput);
      await expect(
        decryptWithLabel(suite, keyPair, "x", utf8(""), { ...sealed, kemOutput }),
      ).rejects.toMatchObject({ code: "hpke-open" });
    },
  );

  it.each(["mldsa44", "mldsa65", "mldsa87"] as const)("signs and verifies %s", async (scheme) => {
    const keyPair = await provider.generateSignatureKeyPair(scheme);
    const { publicKey } = keyPair;
    const message = utf8("message");
    const signature = await provider.signer(scheme, keyPair)(message);
    const theirs = await other.signer(scheme, keyPair)(message);
    const stranger = await other.generateSignatureKeyPair(scheme);
    for (const crypto of [provider, other] satisfies CryptoProvider[]) {
      expect(await crypto.verify(scheme, publicKey, message, signature)).toBe(true);
      expect(await crypto.verify(scheme, publicKey, message, theirs)).toBe(true);
      const bad = [
        [stranger.publicKey, message, signature],
        [publicKey, utf8("messag"), signature],
        [publicKey, message, signature.with(9, (signature[9] ?? 0) ^ 1) as Bytes],
        [publicKey, message, signature.slice(1)],
        [publicKey, message, new Uint8Array(0)],
        [publicKey.slice(1), message, signature],
      ] as const;
      for (const [key, given, by] of bad) {
        expect(await crypto.verify(scheme, key, given, by)).toBe(false);
      }
      const asked = [...bad, [publicKey, message, signature] as const].map(([key, given, by]) => ({
        publicKey: key,
        message: given,
        signature: by,
      }));
      expect(await crypto.verifyMany(scheme, asked)).toEqual([...bad.map(() => false), true]);
    }
    const short = { ...keyPair, privateKey: keyPair.privateKey.slice(1) };
    await expect((async () => provider.signer(scheme, short)(message))()).rejects.toBeInstanceOf(
      Error,
    );
  });
});

it("signs and verifies with the curves as before", async () => {
  const keyPair = await web.generateSignatureKeyPair("ed25519");
  const signature = await web.signer("ed25519", keyPair)(utf8("x"));
  expect(await web.verify("ed25519", keyPair.publicKey, utf8("x"), signature)).toBe(true);
  const signed = { publicKey: keyPair.publicKey, message: utf8("x"), signature };
  expect(await web.verifyMany("ed25519", [signed])).toEqual([true]);
});
