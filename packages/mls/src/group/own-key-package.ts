/**
 * Our own key packages: made, and kept with their private halves until a Welcome uses them. RFC 9420 §10.
 * @module
 */

import { toHex, wipe } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  type Ownership,
  opaque,
  struct,
  uint8,
} from "../codec.ts";
import { generateKeyPair } from "../crypto/hpke.ts";
import { checkSigner, type Signer } from "../crypto/signature.ts";
import { type KeyPair, type Suite, suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { decodeMessageOf, encodeMessage } from "../framing/message.ts";
import type { Credential } from "../key/credential.ts";
import { checkNoDuplicateExtension, type Extension, greaseExtension } from "../key/extension.ts";
import { KeyPackage, keyPackageRef, signKeyPackage } from "../key/key-package.ts";
import { DEFAULT_EXTENSIONS, GREASE, MLS10 } from "../registry.ts";
import { type Batch, keysOf, mergeBatches } from "../storage.ts";
import {
  type Capabilities,
  checkLifetime,
  checkTotalLifetime,
  defaultCapabilities,
  greased,
  keyPackageSource,
  type LeafNode,
  type Lifetime,
  lifetimeOf,
  MAX_LIFETIME,
  signLeafNode,
  verifyLeafNode,
} from "../tree/leaf-node.ts";
import type { MlsContext } from "./epoch.ts";
import type { And } from "./live-group.ts";

const VERSION = 1;

/** The private half of a key package, as it is stored until it is used. */
export interface StoredKeyPackage {
  readonly version: number;
  readonly lastResort: number;
  readonly keyPackage: KeyPackage;
  readonly initKey: Bytes;
  readonly encryptionKey: Bytes;
}
export const StoredKeyPackage: Codec<StoredKeyPackage> = struct({
  version: uint8,
  lastResort: uint8,
  keyPackage: KeyPackage,
  initKey: opaque,
  encryptionKey: opaque,
});

const KEY_PACKAGES = "key-package/";
const LAST_RESORTS = "last-resort/";

export function keyPackageKey(ref: Bytes): string {
  return `${KEY_PACKAGES}${toHex(ref)}`;
}

/**
 * Under this key stands the latest epoch of a group that a last resort has brought us into. Whoever has an old Welcome could
 * bring us into its epoch again, where all our message keys were new once more.
 */
export function lastResortKey(ref: Bytes, groupId: Bytes): string {
  return `${LAST_RESORTS}${toHex(ref)}/${toHex(groupId)}`;
}

/** The private half of a key package as a record, under the reference by which a Welcome finds it. */
export function privateKeyPackage(
  suite: Suite,
  keyPackage: KeyPackage,
  privateKeys: { readonly initKey: Bytes; readonly encryptionKey: Bytes },
  lastResort = false,
): Batch {
  const ref = keyPackageRef(suite, keyPackage);
  const stored = { version: VERSION, lastResort: lastResort ? 1 : 0, keyPackage, ...privateKeys };
  return { put: new Map([[keyPackageKey(ref), encode(StoredKeyPackage, stored)]]) };
}

/** Who joins: a credential, the key it belongs to, and what the client can do. */
export interface Joiner {
  readonly credential: Credential;
  readonly signer: Signer;
  readonly capabilities?: Capabilities;
  /** Of its leaf (§7.2), such as `applicationId` gives. */
  readonly leafExtensions?: readonly Extension[];
}

/**
 * Makes a key package and stores its private half (§10). A last resort serves for more than one group. Throws `MlsError`:
 * `signature` where the signer is not for the suite, `leaf-signature` where it signs with another key than its own, `leaf-lifetime`
 * where nobody would take a lifetime that long (in seconds), or where it ends before it begins, or doesn't contain now.
 */
export async function createKeyPackage(
  context: MlsContext,
  options: Joiner & {
    readonly suite: number;
    readonly lifetime: Lifetime;
    readonly extensions?: readonly Extension[];
    readonly lastResort?: boolean;
    readonly and?: And<{ readonly keyPackage: Bytes; readonly ref: Bytes }>;
  },
): Promise<{ readonly keyPackage: Bytes; readonly ref: Bytes }> {
  const suite = suiteOf(context.crypto, options.suite);
  checkTotalLifetime(keyPackageSource(options.lifetime), context.maxLifetime ?? MAX_LIFETIME);
  checkLifetime(options.lifetime, context.now());
  // First of the two: where it fails, no other key has been made.
  const { leafNode, keyPair } = await newLeaf(suite, options, options.lifetime);
  const init = await generateKeyPair(suite);
  try {
    const extensions = ownExtensions(leafNode, options.extensions ?? []);
    const keyPackage = await signKeyPackage(
      {
        version: MLS10,
        cipherSuite: suite.number,
        initKey: init.publicKey,
        leafNode,
        extensions,
      },
      options.signer,
    );
    const made = {
      keyPackage: encodeMessage({ wireFormat: "mls_key_package", keyPackage }),
      ref: keyPackageRef(suite, keyPackage),
    };
    const privateKeys = { initKey: init.privateKey, encryptionKey: keyPair.privateKey };
    const record = privateKeyPackage(suite, keyPackage, privateKeys, options.lastResort);
    await context.storage.apply(mergeBatches(record, await options.and?.(made)));
    return made;
  } finally {
    wipe(init.privateKey, keyPair.privateKey);
  }
}

/** The extensions of a key package of our own: all of them listed by its leaf (§10), one of them GREASE (§13.5). */
function ownExtensions(leaf: LeafNode, extensions: readonly Extension[]): readonly Extension[] {
  const { capabilities } = leaf;
  checkNoDuplicateExtension(extensions);
  for (const { extensionType } of extensions) {
    if (
      !DEFAULT_EXTENSIONS.has(extensionType) &&
      !capabilities.extensions.includes(extensionType)
    ) {
      throw new MlsError(
        "leaf-capabilities",
        "10",
        `a key package with extension ${extensionType}, which its leaf does not list`,
      );
    }
  }
  const present = new Set(extensions.map(({ extensionType }) => extensionType));
  const grease = capabilities.extensions.filter((type) => GREASE.has(type) && !present.has(type));
  return [...extensions, ...grease.map(greaseExtension)];
}

/** What a joiner's leaf says beside its keys, with GREASE among it (§13.5). Throws `MlsError` with `leaf-capabilities` or `signature`. */
export function ownLeafContent(
  suite: Suite,
  joiner: Joiner,
): Pick<LeafNode, "capabilities" | "extensions"> {
  checkSigner(suite, joiner.signer);
  return greased(suite.provider, {
    capabilities: joiner.capabilities ?? defaultCapabilities(suite.provider),
    extensions: joiner.leafExtensions ?? [],
  });
}

/** A leaf for a tree that has no place for it yet, and its key pair. Throws `MlsError` with `leaf-signature`: others would refuse it. */
export async function newLeaf(
  suite: Suite,
  joiner: Joiner,
  lifetime: Lifetime,
): Promise<{ readonly leafNode: LeafNode; readonly keyPair: KeyPair }> {
  const keyPair = await generateKeyPair(suite);
  try {
    const leafNode = await signLeafNode(
      {
        encryptionKey: keyPair.publicKey,
        signatureKey: joiner.signer.publicKey,
        credential: joiner.credential,
        ...ownLeafContent(suite, joiner),
        source: keyPackageSource(lifetime),
      },
      joiner.signer,
    );
    await verifyLeafNode(suite, leafNode);
    return { leafNode, keyPair };
  } catch (cause) {
    wipe(keyPair.privateKey);
    throw cause;
  }
}

/** The first of these that is ours. Throws `MlsError` with `key-package-unknown`. */
export async function findKeyPackage(
  context: MlsContext,
  refs: readonly Bytes[],
): Promise<{ readonly ref: Bytes; readonly stored: StoredKeyPackage }> {
  for (const ref of refs) {
    const bytes = await context.storage.get(keyPackageKey(ref));
    if (!bytes) continue;
    const stored = decodeStored(bytes);
    wipe(bytes);
    return { ref, stored };
  }
  throw new MlsError("key-package-unknown", "12.4.3.1", "a Welcome for no key package of ours");
}

/** Throws `MlsError` with `storage` for a version that this package does not know. `owned`: whose the record's bytes are then. */
function decodeStored(record: Bytes, owned?: Ownership): StoredKeyPackage {
  if (record[0] !== VERSION) {
    throw new MlsError("storage", "14", `a stored key package of version ${record[0]}`);
  }
  return decode(StoredKeyPackage, record, owned);
}

/**
 * Deletes the private halves of those key packages that expired before a time (in seconds since the Unix epoch), and tells how many: of
 * those that nobody used, and of last resorts, whose keys open whatever Welcome they were ever used for. A Welcome by one of them that comes
 * later is refused: leave time for those that are under way. Throws `MlsError` with `leaf-lifetime` for a time that is yet to come, as
 * milliseconds taken for seconds are: it would take those that still serve.
 */
export async function deleteKeyPackages(
  { storage, now }: Pick<MlsContext, "storage" | "now">,
  expiredBefore: bigint,
): Promise<number> {
  if (expiredBefore > BigInt(Math.floor(now() / 1000))) {
    throw new MlsError("leaf-lifetime", "7.2", "key packages that have not expired yet are kept");
  }
  const gone: string[] = [];
  for (const [key, record] of await storage.list(KEY_PACKAGES)) {
    // Its parts as they stand in the record: no other copy of the private ones is made.
    const { keyPackage } = decodeStored(record, "owned");
    const { notAfter } = lifetimeOf(keyPackage.leafNode);
    wipe(record);
    if (notAfter < expiredBefore) gone.push(key);
  }
  // What groups a last resort has led to matters as long as it leads anywhere.
  const led = await keysOf(storage, LAST_RESORTS);
  const marks = gone.flatMap((key) => {
    const prefix = `${LAST_RESORTS}${key.slice(KEY_PACKAGES.length)}/`;
    return led.filter((one) => one.startsWith(prefix));
  });
  if (gone.length > 0) await storage.apply({ delete: [...gone, ...marks] });
  return gone.length;
}

/** A key package (an MLSMessage) for an Add proposal; it is validated when it is committed. */
export function readKeyPackage(message: Bytes): KeyPackage {
  return decodeMessageOf(message, "mls_key_package").keyPackage;
}
