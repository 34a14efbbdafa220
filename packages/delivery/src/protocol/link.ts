/**
 * Invitation links. A link's fragment holds a seed; the keys that come from it decide who may join by
 * an external commit. Their public halves stand in the group's context, where every member sees them; the
 * service has neither the seed nor the group's `external_pub`, so it can add nobody.
 * @module
 */

import {
  type Bytes,
  type Codec,
  decode,
  encode,
  fixed,
  opaque,
  struct,
  uint32,
  uint64,
  utf8,
  vector,
} from "@conclave/mls/codec";
import type { Extension } from "@conclave/mls/public-group";
import { type SigningKey, sha256, verifyEd25519 } from "./ed25519.ts";

/** The GroupContext extension with the group's links: a private-use number (RFC 9420 §17.3). */
export const LINKS_EXTENSION = 0xf0c1;

/** How many links a group may have open. */
export const MAX_LINKS = 16;

const PROOF_LABEL = "Conclave 1 link proof";

export interface Link {
  /** Ed25519: who holds its private half may join. */
  readonly signatureKey: Bytes;
  /** X25519: GroupInfo for joiners is sealed to it, with every commit, by its committer. */
  readonly encryptionKey: Bytes;
  /** Seconds since the Unix epoch. */
  readonly expiresAt: bigint;
  /** How many may join by it. */
  readonly maxUses: number;
}
const Link: Codec<Link> = struct({
  signatureKey: fixed(32),
  encryptionKey: fixed(32),
  expiresAt: uint64,
  maxUses: uint32,
});
const Links: Codec<readonly Link[]> = vector(Link);

export function encodeLinks(links: readonly Link[]): Bytes {
  return encode(Links, links);
}

/** Throws `MlsError` with `decode`. */
export function decodeLinks(extensionData: Bytes): readonly Link[] {
  return decode(Links, extensionData);
}

/** The links of a group, from its GroupContext extensions. Throws `MlsError` with `decode`. */
export function linksOf(extensions: readonly Extension[]): readonly Link[] {
  const data = extensions.find(({ extensionType }) => extensionType === LINKS_EXTENSION);
  return data ? decodeLinks(data.extensionData) : [];
}

/** What the service calls a link: 16 bytes of the hash of its signature key. */
export async function linkIdOf(signatureKey: Bytes): Promise<Bytes> {
  return (await sha256(signatureKey)).slice(0, 16);
}

/** The `authenticated_data` of an external commit: by which link, and its key's word for this leaf in this epoch. */
export interface LinkProof {
  readonly signatureKey: Bytes;
  readonly signature: Bytes;
}
const LinkProof: Codec<LinkProof> = struct({ signatureKey: fixed(32), signature: fixed(64) });

interface LinkProofTBS {
  readonly label: string;
  readonly groupId: Bytes;
  /** The epoch that the external commit ends. */
  readonly epoch: bigint;
  /** The encoded LeafNode of the commit's path. */
  readonly leafNode: Bytes;
}
const LinkProofTBS: Codec<LinkProofTBS> = struct({
  label: utf8,
  groupId: opaque,
  epoch: uint64,
  leafNode: opaque,
});

export async function proveLink(
  joining: Omit<LinkProofTBS, "label">,
  linkKey: SigningKey,
): Promise<Bytes> {
  const tbs = encode(LinkProofTBS, { label: PROOF_LABEL, ...joining });
  return encode(LinkProof, { signatureKey: linkKey.publicKey, signature: await linkKey.sign(tbs) });
}

/** The signature key of the link that a commit names, whether or not it holds; undefined where it names none. */
export function linkNamed(authenticatedData: Bytes): Bytes | undefined {
  try {
    return decode(LinkProof, authenticatedData).signatureKey;
  } catch {
    return undefined;
  }
}

/** The link among `links` by which this commit joins, or undefined where no link vouches for it. Expiry is the caller's to judge. */
export async function linkOfProof(
  authenticatedData: Bytes,
  joining: Omit<LinkProofTBS, "label">,
  links: readonly Link[],
): Promise<Link | undefined> {
  let proof: LinkProof;
  try {
    proof = decode(LinkProof, authenticatedData);
  } catch {
    return undefined;
  }
  const tbs = encode(LinkProofTBS, { label: PROOF_LABEL, ...joining });
  for (const link of links) {
    if (!link.signatureKey.every((byte, i) => byte === proof.signatureKey[i])) continue;
    return (await verifyEd25519(link.signatureKey, tbs, proof.signature)) ? link : undefined;
  }
  return undefined;
}
