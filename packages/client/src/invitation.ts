/**
 * Invitation links, from the side of those who have the seed: the keys that come from it, the sealed
 * GroupInfo, and what stands behind `#`.
 * @module
 */

import {
  bytesFromText,
  bytesToText,
  encodeLinks,
  LINKS_EXTENSION,
  type Link,
  linkIdOf,
  type SigningKey,
} from "@conclave/delivery/protocol";
import {
  type CryptoProvider,
  type Extension,
  HpkeCiphertext,
  hpkeOpen,
  hpkeSeal,
  MlsError,
  suiteOf,
} from "@conclave/mls";
import { type Bytes, decode, encode } from "@conclave/mls/codec";
import { x25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { encode as encodeCbor } from "cborg";
import { ClientError } from "./api.ts";
import { concat, utf8Bytes } from "./bytes.ts";
import { ContentError, readCbor, tuple } from "./content/content.ts";
import { signerOfSeed } from "./phrase.ts";

const VERSION = 1;
const SEED_LENGTH = 32;
const FRAGMENT_LENGTH = 1 + SEED_LENGTH + 32;

/** The suite that sealing to a link uses, whatever the group's. */
const SEALING_SUITE = 0x0003;
const SEAL_LABEL = utf8Bytes("Conclave 1 sealed group info");

/** A GroupInfo extension for joiners: what the conversation is called. A private-use number (§17.3). */
export const TITLE_EXTENSION = 0xf0c2;
const MAX_TITLE_LENGTH = 100;

export interface LinkSecret {
  readonly seed: Bytes;
  /** Who made the link: 32 bytes. */
  readonly inviter: Bytes;
}

export interface LinkKeys {
  readonly signer: SigningKey;
  /** X25519. */
  readonly encryptionKey: Bytes;
  readonly decryptionKey: Bytes;
  readonly linkId: Bytes;
}

export function encodeFragment({ seed, inviter }: LinkSecret): string {
  return bytesToText(concat(Uint8Array.of(VERSION), seed, inviter));
}

/** Takes it with or without the `#`. Throws `ClientError` with `link-invalid`. */
export function decodeFragment(fragment: string): LinkSecret {
  let bytes: Bytes;
  try {
    bytes = bytesFromText(fragment.replace(/^#/u, ""));
  } catch {
    // The decoder's error might repeat the secret.
    throw new ClientError("link-invalid", "this is no invitation link");
  }
  if (bytes.length !== FRAGMENT_LENGTH || bytes[0] !== VERSION) {
    throw new ClientError("link-invalid", "this is no invitation link of this version");
  }
  return { seed: bytes.slice(1, 1 + SEED_LENGTH), inviter: bytes.slice(1 + SEED_LENGTH) };
}

export async function linkKeysOf(seed: Bytes): Promise<LinkKeys> {
  const derive = (label: string) => hkdf(sha256, seed, undefined, utf8Bytes(label), 32) as Bytes;
  const signer = signerOfSeed(derive("Conclave 1 link signature"));
  const decryptionKey = derive("Conclave 1 link encryption");
  return {
    signer,
    encryptionKey: x25519.getPublicKey(decryptionKey) as Bytes,
    decryptionKey,
    linkId: await linkIdOf(signer.publicKey),
  };
}

/** The GroupInfo for joiners, readable to those who have the link's seed alone; for a link whose key is none, nothing. */
export async function sealToLinks(
  crypto: CryptoProvider,
  links: readonly Link[],
  groupInfoForJoiners: Bytes,
): Promise<readonly { readonly linkId: Bytes; readonly sealedGroupInfo: Bytes }[]> {
  return Promise.all(
    links.map(async (link) => {
      const linkId = await linkIdOf(link.signatureKey);
      const suite = suiteOf(crypto, SEALING_SUITE);
      const { encryptionKey } = link;
      try {
        const sealed = await hpkeSeal(
          suite,
          encryptionKey,
          SEAL_LABEL,
          linkId,
          groupInfoForJoiners,
        );
        return { linkId, sealedGroupInfo: encode(HpkeCiphertext, sealed) };
      } catch (error) {
        // Any member can open such a link. Nobody could commit any more if that were an error.
        if (!(error instanceof MlsError)) throw error;
        return { linkId, sealedGroupInfo: new Uint8Array(0) };
      }
    }),
  );
}

/** Throws `ClientError` with `link-invalid`. */
export async function openSealed(
  crypto: CryptoProvider,
  keys: LinkKeys,
  sealedGroupInfo: Bytes,
): Promise<Bytes> {
  try {
    const sealed = decode(HpkeCiphertext, sealedGroupInfo);
    const keyPair = { publicKey: keys.encryptionKey, privateKey: keys.decryptionKey };
    const suite = suiteOf(crypto, SEALING_SUITE);
    return await hpkeOpen(suite, keyPair, SEAL_LABEL, keys.linkId, sealed);
  } catch (cause) {
    throw new ClientError("link-invalid", "what the service holds is not for this link", { cause });
  }
}

/** The same extensions with other links. */
export function withLinks(
  extensions: readonly Extension[],
  links: readonly Link[],
): readonly Extension[] {
  const others = extensions.filter(({ extensionType }) => extensionType !== LINKS_EXTENSION);
  return [...others, { extensionType: LINKS_EXTENSION, extensionData: encodeLinks(links) }];
}

/** What a title is: trimmed, 1 to 100 characters. Throws `ClientError` with `name-invalid`. */
export function titleOf(input: string): string {
  const title = input.normalize("NFC").trim().replace(/\s+/gu, " ");
  if (title.length === 0 || title.length > MAX_TITLE_LENGTH || /\p{Cc}/u.test(title)) {
    throw new ClientError("name-invalid", `a title has 1 to ${MAX_TITLE_LENGTH} characters`);
  }
  return title;
}

export function titleExtension(title: string): Extension {
  return {
    extensionType: TITLE_EXTENSION,
    extensionData: encodeCbor([1, title]) as Bytes,
  };
}

/** The title among a GroupInfo's extensions; empty where there is none that can be read. */
export function readTitle(extensions: readonly Extension[]): string {
  const found = extensions.find(({ extensionType }) => extensionType === TITLE_EXTENSION);
  if (!found) return "";
  try {
    const [version, title] = tuple(readCbor(found.extensionData, 1024), 2, 2);
    return version === 1 && typeof title === "string" ? titleOf(title) : "";
  } catch (error) {
    if (error instanceof ContentError || error instanceof ClientError) return "";
    throw error;
  }
}
