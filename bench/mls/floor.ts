/**
 * The floor: of each step, the whole cryptographic operations that the protocol demands, and the hashing and copying of the bytes
 * that it can't do without, on node:crypto directly, in the fastest way that was found; no primitive is put together from others. It
 * decodes nothing, and checks nothing but that no key is in use twice (§7.3, §12.4.2), which takes a look-up for each. What is hashed is
 * joined from its parts, as it stands nowhere in one piece, and so is what an HMAC is over, but for labels alone: to give it in parts
 * costs as much. Secrets are overwritten once they are used (§9.2); and what has to be stored before a step may be taken to have
 * happened is put down in bytes, not stored. No implementation on this backend can be faster, one that does all of the rest must be slower.
 *
 * What takes an operation for each member (verifying leaves, sealing to each) runs on all cores, as this package runs it.
 * What depends on what came before it runs in sequence.
 * @module
 */

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPair,
  generateKeyPairSync,
  hash,
  type KeyObject,
  randomBytes,
  randomFillSync,
  sign,
  verify,
} from "node:crypto";
import { DATA, MESSAGES, perMessage, type Subject, type Timed, timed } from "./subject.ts";

/** Suite 1: X25519, HKDF and hashes with SHA-256, AES-128-GCM, Ed25519. */
const SUITE = 1;
const NH = 32;

/** Sizes on the wire, in bytes, with names of about ten letters and no extensions. */
const LEAF = 190;
const KEY_PACKAGE = 300;
/** Of a node with a key, a parent hash and no unmerged leaves (§7.8); of a blank one; of a parent hash (§7.9). */
const TREE_HASH_INPUT = 135;
const BLANK_HASH_INPUT = 70;
const PARENT_HASH_INPUT = 99;
const GROUP_CONTEXT = 130;
const GROUP_INFO = 280;
const MESSAGE = 256;
/** Of an application message: what stands behind its 100 bytes (§6.3.1). */
const SIGNATURE = randomBytes(64);
const PADDING = Buffer.alloc(12);

/** From this many on, operations that don't depend on each other go to other threads, as in this package. */
const WORTH_THREADS = 10;

type Raw = Uint8Array;

const INFO = randomBytes(60);

/** What a message's two ciphertexts authenticate along: group, epoch and content type (§6.3.1, §6.3.2). */
const CONTENT_AAD = randomBytes(27);
const SENDER_AAD = randomBytes(26);

/** HKDF-Extract, or HKDF-Expand to at most a hash: one HMAC. */
function expand(secret: Raw, info: Raw): Buffer {
  return createHmac("sha256", secret).update(info).digest();
}

/** A secret that is used here and not again: overwritten afterwards (§9.2). */
function using<T>(secret: Buffer, use: (secret: Buffer) => T): T {
  const made = use(secret);
  secret.fill(0);
  return made;
}

/** Before what a derivation is over, and behind it: lengths and a label; the number of the block (RFC 5869 §2.3, RFC 9180 §4, §8). */
const HEAD = randomBytes(20);
const FIRST = Buffer.alloc(1, 1);

/** The same over a context, which is not the same each time. */
function expandOver(secret: Raw, context: Raw): Buffer {
  return expand(secret, Buffer.concat([HEAD, context, FIRST]));
}

/** HPKE's extraction from a secret (RFC 9180 §4), which must not stay where it was joined. */
function extractFrom(secret: Raw): Buffer {
  return using(Buffer.concat([HEAD, secret]), (ikm) => expand(INFO, ikm));
}

/** Two hashes as HPKE's context has them, or two keys as its KEM's. */
const TWO_HASHES = randomBytes(2 * NH);

/** HPKE's key schedule over a KEM's secret. Where the context is the same for many, it is joined once, so `derive` is `expand`. */
function hpkeKey(
  shared: Raw,
  derive: typeof expand,
): { readonly key: Buffer; readonly nonce: Buffer } {
  return using(expand(shared, INFO), (secret) => ({
    key: derive(secret, TWO_HASHES).subarray(0, 16),
    nonce: derive(secret, TWO_HASHES).subarray(0, 12),
  }));
}

/** What a KEM makes of a Diffie-Hellman secret: that, and then both public keys (RFC 9180 §4.1). */
function kemSecret(secret: Raw): Buffer {
  return using(extractFrom(secret), (extracted) => expandOver(extracted, TWO_HASHES));
}

function aeadSeal(key: Raw, nonce: Raw, plaintext: Raw, aad?: Raw): Raw {
  const cipher = createCipheriv("aes-128-gcm", key, nonce);
  if (aad) cipher.setAAD(aad);
  const sealed = new Uint8Array(plaintext.length + 16);
  sealed.set(cipher.update(plaintext));
  cipher.final();
  sealed.set(cipher.getAuthTag(), plaintext.length);
  return sealed;
}

function aeadOpen(key: Raw, nonce: Raw, sealed: Raw, aad?: Raw): Buffer {
  const decipher = createDecipheriv("aes-128-gcm", key, nonce);
  if (aad) decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-16));
  const opened = decipher.update(sealed.subarray(0, -16));
  decipher.final();
  return opened;
}

function publicKey(raw: Raw): KeyObject {
  return createPublicKey({
    key: Buffer.from(raw),
    format: "raw-public",
    asymmetricKeyType: "x25519",
  });
}

function sealed(secret: Raw, ephemeral: KeyObject, plaintext: Raw): Buffer {
  const { key, nonce } = hpkeKey(kemSecret(secret), expand);
  const enc = ephemeral.export({ format: "raw-public" });
  return Buffer.concat([enc, aeadSeal(key, nonce, plaintext)]);
}

/** A whole `encryptWithLabel` (§5.1.3) to a key as it came. */
function hpkeSeal(raw: Raw, plaintext: Raw): Buffer {
  const ephemeral = generateKeyPairSync("x25519");
  const secret = diffieHellman({
    privateKey: ephemeral.privateKey,
    publicKey: publicKey(raw),
  });
  return sealed(secret, ephemeral.publicKey, plaintext);
}

/** The same on other threads, which is faster than `encapsulate` there. */
function hpkeSealAside(raw: Raw, plaintext: Raw): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const recipient = publicKey(raw);
    generateKeyPair("x25519", {}, (failed, ephemeral, privateKey) => {
      if (failed) return reject(failed);
      diffieHellman({ privateKey, publicKey: recipient }, (wrong, secret) => {
        if (wrong) return reject(wrong);
        resolve(sealed(secret, ephemeral, plaintext));
      });
    });
  });
}

/**
 * A whole `decryptWithLabel` (§5.1.3). The private key is read in: a key pair that was replaced MUST be deleted (§7.5), and Node has
 * no way to overwrite a `KeyObject`, so bytes are what can be held. The KEM's output is read in as it came.
 */
function hpkeOpen(privateKey: Raw, kemOutput: Raw, ciphertext: Raw): Buffer {
  const secret = diffieHellman({
    privateKey: createPrivateKey({
      key: Buffer.from(privateKey),
      format: "raw-private",
      asymmetricKeyType: "x25519",
    }),
    publicKey: publicKey(kemOutput),
  });
  // The hash of what it is encrypted under (RFC 9180 §5.1).
  expandOver(INFO, CONTEXT);
  const { key, nonce } = hpkeKey(kemSecret(secret), expandOver);
  return aeadOpen(key, nonce, ciphertext);
}

/** Seals one thing to each of many; the hash of what it is encrypted under (RFC 9180 §5.1) is the same for all. */
async function sealToAll(publicKeys: readonly Raw[], plaintext: Raw): Promise<Buffer[]> {
  expand(INFO, INFO);
  if (publicKeys.length < WORTH_THREADS) return publicKeys.map((raw) => hpkeSeal(raw, plaintext));
  return Promise.all(publicKeys.map((raw) => hpkeSealAside(raw, plaintext)));
}

/** What a signature is over stands in one piece: a label, what was said, and the GroupContext or the leaf's place (§5.1.2, §6.1, §7.2). */
const LABEL = randomBytes(26);
const CONTEXT = randomBytes(GROUP_CONTEXT);
const PLACE = randomBytes(21);
const NOTHING = Buffer.alloc(0);
function toBeSigned(message: Raw, behind: Raw): Buffer {
  return Buffer.concat([LABEL, message, behind]);
}

/** The public keys of a tree: that each stands there once is a look-up for each that comes (§7.3, §12.4.2). */
class KeysInUse {
  readonly #keys = new Set<string>();

  come(keys: readonly Raw[]): void {
    for (const key of keys) {
      const name = nameOf(key);
      if (this.#keys.has(name)) throw new Error("in use");
      this.#keys.add(name);
    }
  }

  go(keys: readonly Raw[]): void {
    for (const key of keys) this.#keys.delete(nameOf(key));
  }
}

function nameOf(key: Raw): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

interface Signed {
  readonly key: Raw;
  readonly message: Raw;
  /** What is signed along with it. */
  readonly behind: Raw;
  readonly signature: Raw;
}

function verifyOne({ key, message, behind, signature }: Signed): void {
  const imported = { key: Buffer.from(key), format: "raw-public", asymmetricKeyType: "ed25519" };
  const tbs = toBeSigned(message, behind);
  if (!verify(null, tbs, createPublicKey(imported as never), signature)) throw new Error("!");
}

async function verifyAll(signed: readonly Signed[]): Promise<void> {
  if (signed.length < WORTH_THREADS) {
    for (const one of signed) verifyOne(one);
    return;
  }
  await Promise.all(
    signed.map(
      ({ key, message, behind, signature }) =>
        new Promise<void>((resolve, reject) => {
          const imported = createPublicKey({
            key: Buffer.from(key),
            format: "raw-public",
            asymmetricKeyType: "ed25519",
          });
          verify(null, toBeSigned(message, behind), imported, signature, (error, valid) =>
            error || !valid ? reject(error ?? new Error("invalid")) : resolve(),
          );
        }),
    ),
  );
}

/** A derived key pair of a node (§7.4): `node` and `path` secrets, the two HMACs of DeriveKeyPair, a base point multiplication. */
function derivePathStep(secret: Raw): Buffer {
  using(expand(secret, INFO), (nodeSecret) =>
    using(extractFrom(nodeSecret), (prk) => expand(prk, INFO).fill(0)),
  );
  // Making a key pair costs what the public key of a given private key costs, without reading that in.
  // Its public half goes out, or is compared with what came (§7.5).
  generateKeyPairSync("x25519").publicKey.export({ format: "raw-public" });
  return expand(secret, INFO);
}

/** The key schedule of an epoch (§8): joiner, member, welcome or epoch secret, nine secrets below, confirmation tag. */
function keySchedule(): Raw[] {
  let secret: Buffer = Buffer.from(INFO);
  // Two extracted, and two expanded over the GroupContext.
  for (let i = 0; i < 2; i++) {
    secret = using(secret, (before) => expand(before, INFO));
    secret = using(secret, (before) => expandOver(before, CONTEXT));
  }
  const secrets = Array.from({ length: 9 }, () => expand(secret, INFO));
  using(secret, (confirmation) => expand(confirmation, INFO));
  return secrets;
}

/** What stands before a thing that is hashed: its type and place, or the lengths of its parts. */
const BEFORE = Buffer.alloc(6, 1);
/** Two hashes that stand beside it. */
const BESIDE = randomBytes(2 * NH);

function hashes(count: number, size: number): void {
  const input = Buffer.alloc(size - BEFORE.length, 3);
  for (let i = 0; i < count; i++) hash("sha256", Buffer.concat([BEFORE, input]), "buffer");
}

/** The same of what has two hashes beside it. */
function hashesOfThree(count: number, size: number): void {
  const input = Buffer.alloc(size - BESIDE.length - BEFORE.length, 3);
  for (let i = 0; i < count; i++) {
    hash("sha256", Buffer.concat([BEFORE, input, BESIDE]), "buffer");
  }
}

/**
 * What a member has to store of an epoch before it may go on (§9.2, §14: a key that was used must not come back): its secrets and context,
 * the leaf and nodes that a path replaced, the private keys that it learned; as bytes under names.
 */
function epochRecords(n: number, secrets: readonly Raw[], known: number): Map<string, Raw> {
  const records = new Map<string, Raw>();
  records.set("secrets", Buffer.concat([...secrets, ...secrets.map(() => BEFORE.subarray(0, 1))]));
  records.set("context", Buffer.concat([BEFORE, CONTEXT]));
  records.set("leaf", Buffer.from(CONTEXT));
  const key = INFO.subarray(0, NH);
  for (let i = 0; i < levels(n); i++) {
    records.set(`node/${i}`, Buffer.concat([BEFORE, key, BESIDE.subarray(0, NH)]));
  }
  for (let i = 0; i < known; i++) records.set(`key/${i}`, Buffer.concat([BEFORE, key, key]));
  return records;
}

/** The hashes of the nodes of a tree that nobody has committed in (§7.8), all of them. */
function treeHash(n: number): void {
  hashes(n, LEAF);
  hashesOfThree(n, BLANK_HASH_INPUT);
}

/** The hashes that a path changes: of its leaf and nodes (§7.8), and the parent hashes that chain them (§7.9). */
function pathHashes(n: number): void {
  hashes(1, LEAF);
  hashesOfThree(levels(n), TREE_HASH_INPUT);
  hashesOfThree(levels(n), PARENT_HASH_INPUT);
}

function levels(n: number): number {
  return Math.ceil(Math.log2(n));
}

/** What both sides of a PublicMessage hash: its membership tag (§6.2) and the transcript (§8.2). */
function transcript(message: Raw): void {
  createHmac("sha256", INFO.subarray(0, NH)).update(message).digest();
  hash("sha256", message, "buffer");
  hashes(1, 2 * NH);
}

/** Which inner nodes have keys, as commits fill them: who a path is encrypted to (§4.1.1, §7.6). */
class Populated {
  readonly #n: number;
  readonly #nodes = new Set<string>();

  constructor(n: number) {
    this.#n = n;
  }

  commit(place: number): void {
    for (let level = 1; level <= levels(this.#n); level++) {
      this.#nodes.add(`${level}/${place >> level}`);
    }
  }

  /** How many keys stand for all who are below a node. */
  #resolution(level: number, at: number): number {
    if (level === 0) return at < this.#n ? 1 : 0;
    if (this.#nodes.has(`${level}/${at}`)) return 1;
    return this.#resolution(level - 1, 2 * at) + this.#resolution(level - 1, 2 * at + 1);
  }

  /** Recipients of a path of the founder. */
  recipients(): number {
    let count = 0;
    for (let level = 0; level < levels(this.#n); level++) count += this.#resolution(level, 1);
    return count;
  }
}

/** How many nodes above a member also stand above the founder. */
function commonNodes(n: number, place: number): number {
  return levels(n) - (31 - Math.clz32(place));
}

export function subject(): Subject {
  const own = generateKeyPairSync("ed25519");
  const hpke = generateKeyPairSync("x25519");
  const hpkeRaw = hpke.privateKey.export({ format: "raw-private" });
  const ownRaw = own.publicKey.export({ format: "raw-public" });
  const ephemeral = generateKeyPairSync("x25519");
  const shared = diffieHellman({ privateKey: hpke.privateKey, publicKey: ephemeral.publicKey });
  const hpkeKeys = hpkeKey(kemSecret(shared), expandOver);
  const opening = aeadSeal(hpkeKeys.key, hpkeKeys.nonce, DATA.subarray(0, NH));
  const kemOutput = ephemeral.publicKey.export({ format: "raw-public" });
  const signed = (message: Raw, behind: Raw): Signed => ({
    key: ownRaw,
    message,
    behind,
    signature: sign(null, toBeSigned(message, behind), own.privateKey),
  });
  let n = 0;
  /** Of different members: one key for all would stay in the processor's caches. */
  let recipients: Raw[] = [];
  let leaves: Signed[] = [];
  let keyPackages: Signed[] = [];
  let populated = new Populated(0);
  let places: readonly number[] = [];
  let commit = signed(DATA, CONTEXT);
  let processed = 0;
  const message = signed(DATA, CONTEXT);
  const groupInfo = signed(randomBytes(GROUP_INFO), NOTHING);
  const pathLeaf = signed(randomBytes(LEAF), PLACE);
  let inUse = new KeysInUse();
  /** The keys of the path that was last taken, and those that take turns with them: of its nodes, and two of its leaf. */
  let pathKeys: Raw[] = [];
  let nextPathKeys: Raw[] = [];

  return {
    suite: SUITE,
    setup: async (size) => {
      n = size;
      const newKeys = (): Raw[] => Array.from({ length: levels(n) + 2 }, () => randomBytes(32));
      [pathKeys, nextPathKeys] = [newKeys(), newKeys()];
      recipients = [];
      leaves = [];
      keyPackages = [];
      for (let i = 0; i < n; i++) {
        recipients.push(generateKeyPairSync("x25519").publicKey.export({ format: "raw-public" }));
        const { privateKey, publicKey } = generateKeyPairSync("ed25519");
        const key = publicKey.export({ format: "raw-public" });
        const signedBy = (about: Raw): Signed => ({
          key,
          message: about,
          behind: NOTHING,
          signature: sign(null, toBeSigned(about, NOTHING), privateKey),
        });
        leaves.push(signedBy(randomBytes(LEAF)));
        keyPackages.push(signedBy(randomBytes(KEY_PACKAGE)));
      }
    },
    addAll: async () => {
      populated = new Populated(n);
      return timed(async () => {
        // Of each key package its signature and its leaf's, its reference, its place in the tree.
        await verifyAll(leaves.slice(1));
        await verifyAll(keyPackages.slice(1));
        hashes(n - 1, KEY_PACKAGE);
        treeHash(n);
        inUse = new KeysInUse();
        inUse.come(recipients);
        inUse.come(leaves.map(({ key }) => key));
        // The commit is signed, tagged, and enters the transcript; the GroupInfo is signed and encrypted.
        const made = Buffer.concat(keyPackages.slice(1).map((one) => one.message));
        sign(null, toBeSigned(made, CONTEXT), own.privateKey);
        transcript(made);
        keySchedule();
        sign(null, INFO, own.privateKey);
        aeadSeal(INFO.subarray(0, 16), INFO.subarray(0, 12), Buffer.alloc(GROUP_INFO));
        // The Welcome: the group's secrets for each.
        Buffer.concat(await sealToAll(recipients.slice(1), Buffer.alloc(NH + 4)));
      });
    },
    join: async () => {
      const tree = Buffer.concat(leaves.map((one) => one.message));
      return timed(async () => {
        hpkeOpen(hpkeRaw, kemOutput, opening);
        keySchedule();
        verifyOne(groupInfo);
        Buffer.from(tree);
        treeHash(n);
        const shown = new KeysInUse();
        shown.come(recipients);
        shown.come(leaves.map(({ key }) => key));
        await verifyAll(leaves);
      });
    },
    enlist: async (committers) => {
      places = committers;
    },
    commit: async () => {
      const to = recipients.slice(0, populated.recipients());
      const { ms, cpuMs, value } = await timed(async () => {
        // New keys for the leaf and each node above it, chained by hashes; the leaf signed.
        generateKeyPairSync("x25519");
        let secret: Buffer = Buffer.from(INFO.subarray(0, NH));
        for (let i = 0; i < levels(n); i++) secret = using(secret, derivePathStep);
        sign(null, toBeSigned(pathLeaf.message, PLACE), own.privateKey);
        pathHashes(n);
        // A path secret for each recipient.
        const made = Buffer.concat(await sealToAll(to, Buffer.alloc(NH)));
        sign(null, toBeSigned(made, CONTEXT), own.privateKey);
        transcript(made);
        // It is stored before it leaves, with the epoch that it begins.
        epochRecords(n, keySchedule(), levels(n));
        // The GroupInfo that whoever orders the messages gets with a commit.
        sign(null, INFO, own.privateKey);
        return made;
      });
      commit = signed(value, CONTEXT);
      processed = 0;
      return { ms, cpuMs, bytes: value.length };
    },
    process: async () => {
      const common = commonNodes(n, n - 1 - processed++);
      const time = await timed(async () => {
        // What came is the caller's to change: its bytes are taken once.
        Buffer.from(commit.message);
        verifyOne(commit);
        verifyOne(pathLeaf);
        inUse.go(pathKeys);
        inUse.come(nextPathKeys);
        [pathKeys, nextPathKeys] = [nextPathKeys, pathKeys];
        transcript(commit.message);
        pathHashes(n);
        hpkeOpen(hpkeRaw, kemOutput, opening);
        let secret: Buffer = Buffer.from(INFO.subarray(0, NH));
        for (let i = 0; i < common; i++) secret = using(secret, derivePathStep);
        epochRecords(n, keySchedule(), common);
      });
      populated.commit(0);
      return time;
    },
    populate: async () => {
      for (const place of places) populated.commit(place);
    },
    populateAll: async () => {
      for (let place = 0; place < n; place += 2) populated.commit(place);
      return Math.ceil(n / 2);
    },
    send: async () =>
      messages(() => {
        sign(null, toBeSigned(DATA, CONTEXT), own.privateKey);
        messageKeys();
        // The reuse guard (§6.3.1), which must not be drawn in advance.
        randomFillSync(new Uint8Array(4));
        const [key, nonce] = [INFO.subarray(0, 16), INFO.subarray(0, 12)];
        // The content with its signature, padded; the message with both ciphertexts.
        const content = aeadSeal(
          key,
          nonce,
          Buffer.concat([DATA, SIGNATURE, PADDING]),
          CONTENT_AAD,
        );
        const sender = aeadSeal(key, nonce, Buffer.alloc(12), SENDER_AAD);
        Buffer.concat([CONTENT_AAD, sender, content]);
      }),
    receive: async () => {
      const [key, nonce] = [INFO.subarray(0, 16), INFO.subarray(0, 12)];
      const content = Buffer.concat([DATA, SIGNATURE, PADDING]);
      const big = aeadSeal(key, nonce, content, CONTENT_AAD);
      const small = aeadSeal(key, nonce, Buffer.alloc(12), SENDER_AAD);
      return messages(() => {
        verifyOne(message);
        messageKeys();
        aeadOpen(key, nonce, big, CONTENT_AAD);
        aeadOpen(key, nonce, small, SENDER_AAD);
      });
    },
  };
}

/** What the keys of a message are derived over (§9), and those of its sender data: the beginning of the ciphertext (§6.3.2). */
const GENERATION = Buffer.alloc(4, 1);
const SAMPLE = randomBytes(NH);

/**
 * Of one message: key, nonce and the ratchet's next secret (§9.1), which is stored; key and nonce of the sender data (§6.3.2).
 */
function messageKeys(): Map<string, Raw> {
  for (let i = 0; i < 2; i++) {
    expandOver(INFO.subarray(0, NH), GENERATION).fill(0);
    expandOver(INFO.subarray(0, NH), SAMPLE).fill(0);
  }
  const next = expandOver(INFO.subarray(0, NH), GENERATION);
  return using(next, () => new Map([["ratchet", Buffer.concat([BEFORE, next])]]));
}

async function messages(operation: () => void): Promise<Timed> {
  const all = await timed(() => {
    for (let i = 0; i < MESSAGES; i++) operation();
  });
  return perMessage(all, MESSAGE);
}
