import { verifyEd25519 } from "@conclave/delivery/protocol";
import { describe, expect, it } from "vitest";
import { randomBytes } from "../src/bytes.ts";
import {
  entropyOf,
  newEntropy,
  phraseOf,
  signerOfSeed,
  unwrapRootSeed,
  wrapRootSeed,
} from "../src/phrase.ts";

describe("the recovery phrase", () => {
  it("is twelve words, read in any case and spacing", () => {
    const entropy = newEntropy();
    const phrase = phraseOf(entropy);
    expect(phrase.split(" ")).toHaveLength(12);
    expect(entropyOf(`  ${phrase.toUpperCase().replaceAll(" ", " \n ")} `)).toEqual(entropy);
  });

  it("is refused where a word is wrong, without repeating it", () => {
    const words = phraseOf(new Uint8Array(16)).split(" ");
    const wrong = [...words.slice(0, 11), "abandon"].join(" ");
    expect(() => entropyOf(wrong)).toThrow(expect.objectContaining({ code: "phrase-wrong" }));
    expect(() => entropyOf("secretword")).toThrow(/^these are not the twelve words/u);
  });

  it("unwraps the root seed that it wrapped, and no other", () => {
    const [entropy, seed] = [newEntropy(), randomBytes(32)];
    const wrapped = wrapRootSeed(entropy, seed);
    expect(unwrapRootSeed(entropy, wrapped)).toEqual(seed);
    const wrong = expect.objectContaining({ code: "phrase-wrong" });
    expect(() => unwrapRootSeed(newEntropy(), wrapped)).toThrow(wrong);
    wrapped[30] = (wrapped[30] ?? 0) ^ 1;
    expect(() => unwrapRootSeed(entropy, wrapped)).toThrow(wrong);
  });
});

describe("a key given by its seed", () => {
  it("signs what others verify", async () => {
    const signer = signerOfSeed(randomBytes(32));
    const message = randomBytes(40);
    expect(await verifyEd25519(signer.publicKey, message, await signer.sign(message))).toBe(true);
    expect(await verifyEd25519(signer.publicKey, randomBytes(40), await signer.sign(message))).toBe(
      false,
    );
  });
});
