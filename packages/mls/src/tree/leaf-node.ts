/**
 * Leaf nodes: what a member publishes about itself in the ratchet tree.
 * RFC 9420 §7.2 (contents), §7.3 (validation).
 * @module
 */

import { bytesEqual, EMPTY } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  encode,
  type Kept,
  kept,
  opaque,
  type Struct,
  select,
  signed,
  signedPart,
  struct,
  uint8,
  uint16,
  uint32,
  uint64,
  vector,
} from "../codec.ts";
import {
  labeled,
  type Signer,
  signWithLabel,
  type Verify,
  verifySigned,
} from "../crypto/signature.ts";
import type { CryptoProvider, Suite } from "../crypto/suite.ts";
import { MlsError, type Refuse, refuseAtOnce } from "../errors.ts";
import { Credential, credentialTypeOf } from "../key/credential.ts";
import {
  checkNoDuplicateExtension,
  type Extension,
  Extensions,
  greaseExtension,
  randomGrease,
} from "../key/extension.ts";
import { CREDENTIAL, DEFAULT_EXTENSIONS, DEFAULT_PROPOSALS, GREASE, MLS10 } from "../registry.ts";

/** §7.2. What a client can do, beyond what every client must. */
export interface Capabilities {
  readonly versions: readonly number[];
  readonly cipherSuites: readonly number[];
  readonly extensions: readonly number[];
  readonly proposals: readonly number[];
  readonly credentials: readonly number[];
}
/** How capabilities stand on the wire. */
export const Capabilities: Codec<Capabilities> = struct({
  versions: vector(uint16),
  cipherSuites: vector(uint16),
  extensions: vector(uint16),
  proposals: vector(uint16),
  credentials: vector(uint16),
});

/** What this package can do with a provider; an application adds its own extensions and proposals. */
export function defaultCapabilities(
  crypto: CryptoProvider,
  own: Partial<Capabilities> = {},
): Capabilities {
  return {
    versions: [MLS10],
    cipherSuites: [...crypto.suites.keys()],
    extensions: [],
    proposals: [],
    credentials: [CREDENTIAL.basic],
    ...own,
  };
}

/** What a client may say of itself (§7.2). Throws `MlsError` with `leaf-capabilities`. */
function checkOwnCapabilities({ extensions, proposals }: Capabilities): void {
  if (
    extensions.some((type) => DEFAULT_EXTENSIONS.has(type)) ||
    proposals.some((type) => DEFAULT_PROPOSALS.has(type))
  ) {
    throw new MlsError("leaf-capabilities", "7.2", "capabilities that list a default type");
  }
}

/**
 * Own capabilities and leaf extensions as others see them: each list with a value that they must ignore, where it has none
 * yet (§13.5). Throws `MlsError` with `leaf-capabilities`.
 */
export function greased(
  provider: CryptoProvider,
  own: Pick<LeafNodeContent, "capabilities" | "extensions">,
): Pick<LeafNodeContent, "capabilities" | "extensions"> {
  const { capabilities } = own;
  checkOwnCapabilities(capabilities);
  const grease = (types: readonly number[]): readonly number[] =>
    types.some((type) => GREASE.has(type)) ? types : [...types, randomGrease(provider)];
  const extensions = grease(capabilities.extensions);
  const present = new Set(own.extensions.map(({ extensionType }) => extensionType));
  const added = extensions.filter((type) => GREASE.has(type) && !present.has(type));
  return {
    capabilities: {
      versions: capabilities.versions,
      cipherSuites: grease(capabilities.cipherSuites),
      extensions,
      proposals: grease(capabilities.proposals),
      credentials: grease(capabilities.credentials),
    },
    extensions: [...own.extensions, ...added.map(greaseExtension)],
  };
}

/** §7.2. Seconds since the Unix epoch, both ends included. */
export interface Lifetime {
  readonly notBefore: bigint;
  readonly notAfter: bigint;
}
/** How a lifetime stands on the wire. */
export const Lifetime: Codec<Lifetime> = struct({ notBefore: uint64, notAfter: uint64 });

/** §7.2 `select (leaf_node_source)`. */
export type LeafNodeSource =
  | { readonly leafNodeSource: "key_package"; readonly lifetime: Lifetime }
  | { readonly leafNodeSource: "update" }
  | { readonly leafNodeSource: "commit"; readonly parentHash: Bytes };
const LeafNodeSource: Codec<LeafNodeSource> = select<"leafNodeSource", LeafNodeSource>(
  "leafNodeSource",
  uint8,
  {
    key_package: [1, struct({ lifetime: Lifetime })],
    update: [2, struct({})],
    commit: [3, struct({ parentHash: opaque })],
  },
);

/** §7.2, all but the signature. */
export interface LeafNodeContent {
  readonly encryptionKey: Bytes;
  readonly signatureKey: Bytes;
  readonly credential: Credential;
  readonly capabilities: Capabilities;
  readonly source: LeafNodeSource;
  readonly extensions: readonly Extension[];
}
const LeafNodeContent: Struct<LeafNodeContent> = struct({
  encryptionKey: opaque,
  signatureKey: opaque,
  credential: Credential,
  capabilities: Capabilities,
  source: LeafNodeSource,
  extensions: Extensions,
});

/** §7.2. */
export interface LeafNode extends LeafNodeContent {
  readonly signature: Bytes;
}
/** How a leaf node stands on the wire. */
export const LeafNode: Kept<LeafNode> = kept(signed(LeafNodeContent));

/** Where a leaf of source `update` or `commit` stands: its signature covers that. */
export interface LeafPosition {
  readonly groupId: Bytes;
  readonly leafIndex: number;
}
const LeafPosition: Codec<LeafPosition> = struct({ groupId: opaque, leafIndex: uint32 });

const LABEL = "LeafNodeTBS";

/** §7.2: what stands behind the content in a `LeafNodeTBS`, the place of a leaf that has one. */
function tbsPosition(source: LeafNodeSource, position: LeafPosition | undefined): Bytes {
  if (source.leafNodeSource === "key_package") return EMPTY;
  if (!position) throw new MlsError("leaf-source", "7.2", "this leaf has no place in a group");
  return encode(LeafPosition, position);
}

export async function signLeafNode(
  content: LeafNodeContent,
  signer: Signer,
  position?: LeafPosition,
): Promise<LeafNode> {
  const behind = tbsPosition(content.source, position);
  const signature = await signWithLabel(signer, LABEL, encode(LeafNodeContent, content), behind);
  return { ...content, signature };
}

/**
 * The signature (§7.3). Throws `MlsError` with `leaf-signature`. `verify`: with others that are asked for together, unless it is
 * `verifyAlone`.
 */
export async function verifyLeafNode(
  suite: Suite,
  leaf: LeafNode,
  position?: LeafPosition,
  verify: Verify = verifySigned,
): Promise<void> {
  const content = signedPart(LeafNode.encoded(leaf), leaf.signature);
  const tbs = labeled(LABEL, content, tbsPosition(leaf.source, position));
  if (!(await verify(suite, leaf.signatureKey, tbs, leaf.signature))) {
    throw new MlsError("leaf-signature", "7.3", "the signature of a leaf does not verify");
  }
}

const NOTHING_LISTED: ReadonlySet<number> = new Set();

/** What §7.3 asks of a leaf by itself, but for its signature and lifetime. */
export function checkLeafNode(
  leaf: LeafNode,
  source: LeafNodeSource["leafNodeSource"],
  refuse: Refuse = refuseAtOnce,
): void {
  if (leaf.source.leafNodeSource !== source) {
    refuse(
      new MlsError(
        "leaf-source",
        "7.3",
        `a leaf of source ${leaf.source.leafNodeSource} where ${source} is due`,
      ),
    );
  }
  checkNoDuplicateExtension(leaf.extensions, refuse);
  const { capabilities } = leaf;
  const credentialType = credentialTypeOf(leaf.credential);
  if (!capabilities.credentials.includes(credentialType)) {
    refuse(
      new MlsError(
        "leaf-capabilities",
        "7.2",
        `a leaf with a credential of type ${credentialType} does not list it`,
      ),
    );
  }
  const listed = leaf.extensions.length > 0 ? new Set(capabilities.extensions) : NOTHING_LISTED;
  for (const { extensionType } of leaf.extensions) {
    if (!DEFAULT_EXTENSIONS.has(extensionType) && !listed.has(extensionType)) {
      refuse(
        new MlsError(
          "leaf-extensions",
          "7.3",
          `a leaf has extension ${extensionType} and does not list it`,
        ),
      );
    }
  }
}

/**
 * Whether a client says that it can do its key package's version and suite (§7.2): for who adds it to check. Members don't refuse
 * such a leaf (§7.3 has nothing of it): there are clients that leave out a suite that they have. Throws `MlsError` with
 * `leaf-capabilities`.
 */
export function checkSuiteListed(suite: Suite, { capabilities }: LeafNode): void {
  const { versions, cipherSuites } = capabilities;
  if (!versions.includes(MLS10) || !cipherSuites.includes(suite.number)) {
    throw new MlsError("leaf-capabilities", "7.2", "a leaf does not list its version and suite");
  }
}

/** The longest lifetime accepted unless the application says otherwise, in seconds: 400 days, and an hour for clocks that differ. */
export const MAX_LIFETIME: bigint = 400n * 86_400n + 3_600n;

/** Of a key package's leaf. Throws `MlsError` with `leaf-source` for another. */
export function lifetimeOf({ source }: Pick<LeafNode, "source">): Lifetime {
  if (source.leafNodeSource === "key_package") return source.lifetime;
  throw new MlsError(
    "leaf-source",
    "7.3",
    `a leaf of source ${source.leafNodeSource} has no lifetime`,
  );
}

/** Whether the leaf of a key package may be used now (§7.3): a sender's duty. Throws `MlsError` with `leaf-lifetime`. */
export function checkLifetime(lifetime: Lifetime, now: number): void {
  const seconds = BigInt(Math.floor(now / 1000));
  if (lifetime.notBefore > seconds || lifetime.notAfter < seconds) {
    const { notBefore, notAfter } = lifetime;
    throw new MlsError(
      "leaf-lifetime",
      "7.3",
      `a lifetime from ${notBefore} to ${notAfter} does not contain now, ${seconds} (seconds since 1970)`,
    );
  }
}

/** The source of a leaf of ours in a key package. Throws `MlsError` with `leaf-lifetime` where it ends before it begins. */
export function keyPackageSource(lifetime: Lifetime): LeafNodeSource {
  if (lifetime.notAfter < lifetime.notBefore) {
    throw new MlsError("leaf-lifetime", "7.2", "a lifetime that ends before it begins");
  }
  return { leafNodeSource: "key_package", lifetime };
}

/** §7.2: applications bound the total lifetime, for everyone alike. Throws `MlsError` with `leaf-lifetime`. */
export function checkTotalLifetime(source: LeafNodeSource, longest: bigint): void {
  if (source.leafNodeSource !== "key_package") return;
  const { notBefore, notAfter } = source.lifetime;
  if (notAfter - notBefore > longest) {
    throw new MlsError(
      "leaf-lifetime",
      "7.2",
      `a key package for ${notAfter - notBefore} s, at most ${longest} s are taken`,
    );
  }
}

export function sameLeaf(a: LeafNode, b: LeafNode): boolean {
  return a === b || bytesEqual(LeafNode.encoded(a), LeafNode.encoded(b));
}
