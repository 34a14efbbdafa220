import { decodeLinks, type Link, linksOf } from "@conclave/delivery/protocol";
import { encode } from "cborg";
import { describe, expect, it } from "vitest";
import { randomBytes } from "../src/bytes.ts";
import {
  decodeFragment,
  encodeFragment,
  linkKeysOf,
  openSealed,
  readTitle,
  sealToLinks,
  TITLE_EXTENSION,
  titleExtension,
  titleOf,
  withLinks,
} from "../src/invitation.ts";
import { nodeCrypto } from "../src/node/index.ts";

const NOTHING = { linkId: new Uint8Array(0), sealedGroupInfo: new Uint8Array(0) };
const invalid = expect.objectContaining({ code: "link-invalid" });

async function newLink(): Promise<{ link: Link; seed: Uint8Array<ArrayBuffer> }> {
  const seed = randomBytes(32);
  const { signer, encryptionKey } = await linkKeysOf(seed);
  const link = { signatureKey: signer.publicKey, encryptionKey, expiresAt: 9n, maxUses: 1 };
  return { link, seed };
}

describe("what stands behind #", () => {
  it("is seed and inviter, with or without the sign", () => {
    const secret = { seed: randomBytes(32), inviter: randomBytes(32) };
    const fragment = encodeFragment(secret);
    expect(decodeFragment(fragment)).toEqual(secret);
    expect(decodeFragment(`#${fragment}`)).toEqual(secret);
  });

  it("is refused where it is cut, of another version or no base64url, without repeating it", () => {
    const fragment = encodeFragment({ seed: randomBytes(32), inviter: randomBytes(32) });
    const other = `B${fragment.slice(1)}`;
    for (const wrong of [fragment.slice(0, -3), other, "", "#", "süß", `${fragment}AAAA`]) {
      expect(() => decodeFragment(wrong)).toThrow(invalid);
    }
    expect(() => decodeFragment("secret!")).toThrow(/^this is no invitation link$/u);
  });
});

describe("a sealed GroupInfo", () => {
  it("opens with the seed of each link it was sealed to, and with no other", async () => {
    const [one, two, other] = [await newLink(), await newLink(), await newLink()];
    const groupInfo = randomBytes(300);
    const sealed = await sealToLinks(nodeCrypto, [one.link, two.link], groupInfo);
    for (const [i, { seed }] of [one, two].entries()) {
      const keys = await linkKeysOf(seed);
      const { linkId, sealedGroupInfo } = sealed[i] ?? NOTHING;
      expect(linkId).toEqual(keys.linkId);
      expect(await openSealed(nodeCrypto, keys, sealedGroupInfo)).toEqual(groupInfo);
    }
    const foreign = sealed[0]?.sealedGroupInfo ?? new Uint8Array(0);
    await expect(openSealed(nodeCrypto, await linkKeysOf(other.seed), foreign)).rejects.toThrow(
      invalid,
    );
    await expect(
      openSealed(nodeCrypto, await linkKeysOf(one.seed), randomBytes(20)),
    ).rejects.toThrow(invalid);
  });

  it("is nothing for a link whose key is none, and there for the others", async () => {
    const { link, seed } = await newLink();
    const other = await newLink();
    const unusable = { ...other.link, encryptionKey: new Uint8Array(32) };
    const groupInfo = randomBytes(300);
    const [none, one] = await sealToLinks(nodeCrypto, [unusable, link], groupInfo);
    expect(none?.sealedGroupInfo).toEqual(new Uint8Array(0));
    const { sealedGroupInfo } = one ?? NOTHING;
    expect(await openSealed(nodeCrypto, await linkKeysOf(seed), sealedGroupInfo)).toEqual(
      groupInfo,
    );
  });

  it("uses a signing key that has nothing to do with the sealing key", async () => {
    const { link } = await newLink();
    expect(link.signatureKey).not.toEqual(link.encryptionKey);
  });
});

describe("the links of a group", () => {
  it("are put into its extensions, and leave the others", async () => {
    const { link } = await newLink();
    const other = { extensionType: 3, extensionData: randomBytes(3) };
    const extensions = withLinks(withLinks([other], []), [link]);
    expect(extensions).toHaveLength(2);
    expect(extensions).toContainEqual(other);
    expect(linksOf(extensions)).toEqual([link]);
    expect(linksOf([other])).toEqual([]);
    expect(decodeLinks(extensions[1]?.extensionData ?? new Uint8Array(0))).toEqual([link]);
  });
});

describe("a title", () => {
  it("travels in an extension", () => {
    expect(readTitle([titleExtension("Süße Töne")])).toBe("Süße Töne");
    expect(readTitle([])).toBe("");
  });

  it("is empty where the extension is not what it should be", () => {
    const data = (value: unknown) => [
      { extensionType: TITLE_EXTENSION, extensionData: new Uint8Array(encode(value)) },
    ];
    expect(readTitle(data([1, "Fine"]))).toBe("Fine");
    for (const wrong of [[2, "Later"], [1, 5], [1, ""], [1, "x".repeat(101)], "text"]) {
      expect(readTitle(data(wrong))).toBe("");
    }
    expect(readTitle([{ extensionType: TITLE_EXTENSION, extensionData: randomBytes(9) }])).toBe("");
  });

  it("is trimmed, and has 1 to 100 characters", () => {
    expect(titleOf("  a \n b ")).toBe("a b");
    for (const wrong of ["", "   ", "x".repeat(101), "bell\u0007"]) {
      expect(() => titleOf(wrong)).toThrow(expect.objectContaining({ code: "name-invalid" }));
    }
  });
});
