import { verifyEd25519 } from "@conclave/delivery/protocol";
import { describe, expect, it } from "vitest";
import { fromHex, hex, randomBytes } from "../src/bytes.ts";
import {
  entropyOf,
  newEntropy,
  phraseOf,
  rootSeedOf,
  signerOfSeed,
  unwrapRootSeed,
} from "../src/phrase.ts";

/** 32 bytes of 9, wrapped with 16 bytes of 7, by 0.1.0. */
const WRAPPED =
  "35133542c6a2b8941f187b9eefde6965031cbad50e54dcd16a312de93573719a182837bba373bb602c73117b4bebbbed211503ada148129832c83d1c30aa1ad9dca0b6c57ce57269";
/** What 16 bytes of 7 lead to. It must never change: people have written their phrases down. */
const SEED = "e2833ce4b683aecd7121d596c9761c18c9e8e27e83951f84a227d66ef98703c8";

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

  it("leads to one root seed, wherever it is entered", () => {
    const entropy = newEntropy();
    expect(rootSeedOf(entropyOf(phraseOf(entropy)))).toEqual(rootSeedOf(entropy));
    expect(rootSeedOf(newEntropy())).not.toEqual(rootSeedOf(entropy));
    expect(hex(rootSeedOf(new Uint8Array(16).fill(7)))).toBe(SEED);
  });

  it("unwraps the root seed that was wrapped before 0.2, and no other", () => {
    const entropy = new Uint8Array(16).fill(7);
    const wrapped = fromHex(WRAPPED);
    expect(unwrapRootSeed(entropy, wrapped)).toEqual(new Uint8Array(32).fill(9));
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
