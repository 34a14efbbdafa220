/**
 * The floor: of each step, the whole cryptographic operations that the protocol demands, and the hashing and copying of the bytes
 * that it can't do without, on node:crypto directly, in the fastest way that was found. It decodes nothing, checks nothing and
 * keeps nothing: no implementation on this backend can be faster, one that does all of the rest must be slower.
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
const PARENT_HASH_INPUT = 70;
const GROUP_INFO = 280;
const MESSAGE = 256;

/** From this many on, operations that don't depend on each other go to other threads, as in this package. */
const WORTH_THREADS = 10;

type Raw = Uint8Array;

/** HMAC as two hashes in one go, which is faster than `createHmac`: the blocks are laid out in advance. */
const INNER = new Uint8Array(64 + 60);
const OUTER = new Uint8Array(64 + NH);
const INFO = randomBytes(60);

/** What a message's two ciphertexts authenticate along: group, epoch and content type (§6.3.1, §6.3.2). */
const CONTENT_AAD = randomBytes(27);
const SENDER_AAD = randomBytes(26);

/** HKDF-Extract, or HKDF-Expand to at most a hash: one HMAC. */
function expand(secret: Raw, info: Raw): Buffer {
  INNER.fill(0x36, 0, 64);
  OUTER.fill(0x5c, 0, 64);
  for (let i = 0; i < NH; i++) {
    const byte = secret[i] ?? 0;
    INNER[i] = byte ^ 0x36;
    OUTER[i] = byte ^ 0x5c;
  }
  INNER.set(info, 64);
  OUTER.set(hash("sha256", INNER, "buffer"), 64);
  return hash("sha256", OUTER, "buffer");
}

/** HPKE's key schedule over a KEM's secret: what depends on the context alone is computed once. */
function hpkeKey(shared: Raw): { readonly key: Buffer; readonly nonce: Buffer } {
  const secret = expand(shared, INFO);
  return { key: expand(secret, INFO).subarray(0, 16), nonce: expand(secret, INFO).subarray(0, 12) };
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
  const { key, nonce } = hpkeKey(expand(expand(secret, INFO), INFO));
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
  expand(INFO, INFO);
  const { key, nonce } = hpkeKey(expand(expand(secret, INFO), INFO));
  return aeadOpen(key, nonce, ciphertext);
}

/** Seals one thing to each of many; the hash of what it is encrypted under (RFC 9180 §5.1) is the same for all. */
async function sealToAll(publicKeys: readonly Raw[], plaintext: Raw): Promise<Buffer[]> {
  expand(INFO, INFO);
  if (publicKeys.length < WORTH_THREADS) return publicKeys.map((raw) => hpkeSeal(raw, plaintext));
  return Promise.all(publicKeys.map((raw) => hpkeSealAside(raw, plaintext)));
}

interface Signed {
  readonly key: Raw;
  readonly message: Raw;
  readonly signature: Raw;
}

function verifyOne({ key, message, signature }: Signed): void {
  const imported = { key: Buffer.from(key), format: "raw-public", asymmetricKeyType: "ed25519" };
  if (!verify(null, message, createPublicKey(imported as never), signature)) throw new Error("!");
}

async function verifyAll(signed: readonly Signed[]): Promise<void> {
  if (signed.length < WORTH_THREADS) {
    for (const one of signed) verifyOne(one);
    return;
  }
  await Promise.all(
    signed.map(
      ({ key, message, signature }) =>
        new Promise<void>((resolve, reject) => {
          const imported = createPublicKey({
            key: Buffer.from(key),
            format: "raw-public",
            asymmetricKeyType: "ed25519",
          });
          verify(null, message, imported, signature, (error, valid) =>
            error || !valid ? reject(error ?? new Error("invalid")) : resolve(),
          );
        }),
    ),
  );
}

/** A derived key pair of a node (§7.4): `node` and `path` secrets, the two HMACs of DeriveKeyPair, a base point multiplication. */
function derivePathStep(secret: Raw): Buffer {
  const nodeSecret = expand(secret, INFO);
  expand(expand(nodeSecret, INFO), INFO);
  // Making a key pair costs what the public key of a given private key costs, without reading that in.
  // Its public half goes out, or is compared with what came (§7.5).
  generateKeyPairSync("x25519").publicKey.export({ format: "raw-public" });
  return expand(secret, INFO);
}

/** The key schedule of an epoch (§8): joiner, member, welcome or epoch secret, nine secrets below, confirmation tag. */
function keySchedule(): void {
  let secret: Raw = INFO;
  for (let i = 0; i < 4; i++) secret = expand(secret, INFO);
  for (let i = 0; i < 9; i++) expand(secret, INFO);
  expand(secret, INFO);
}

function hashes(count: number, size: number): void {
  const input = Buffer.alloc(size, 3);
  for (let i = 0; i < count; i++) hash("sha256", input, "buffer");
}

/** The hashes of a tree's nodes (§7.8), all of them. */
function treeHash(n: number): void {
  hashes(n, LEAF);
  hashes(n, PARENT_HASH_INPUT);
}

/** The hashes that a path changes: of its leaf and nodes (§7.8), and the parent hashes that chain them (§7.9). */
function pathHashes(n: number): void {
  hashes(1, LEAF);
  hashes(2 * levels(n), PARENT_HASH_INPUT);
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
  const hpkeKeys = hpkeKey(expand(expand(shared, INFO), INFO));
  const opening = aeadSeal(hpkeKeys.key, hpkeKeys.nonce, DATA.subarray(0, NH));
  const kemOutput = ephemeral.publicKey.export({ format: "raw-public" });
  const signed = (message: Raw): Signed => ({
    key: ownRaw,
    message,
    signature: sign(null, message, own.privateKey),
  });
  let n = 0;
  /** Of different members: one key for all would stay in the processor's caches. */
  let recipients: Raw[] = [];
  let leaves: Signed[] = [];
  let keyPackages: Signed[] = [];
  let populated = new Populated(0);
  let places: readonly number[] = [];
  let commit = signed(DATA);
  let processed = 0;
  const message = signed(randomBytes(MESSAGE));

  return {
    suite: SUITE,
    setup: async (size) => {
      n = size;
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
          signature: sign(null, about, privateKey),
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
        // The commit is signed, tagged, and enters the transcript; the GroupInfo is signed and encrypted.
        const made = Buffer.concat(keyPackages.slice(1).map((one) => one.message));
        sign(null, made, own.privateKey);
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
        verifyOne(message);
        Buffer.from(tree);
        treeHash(n);
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
        let secret: Raw = INFO.subarray(0, NH);
        for (let i = 0; i < levels(n); i++) secret = derivePathStep(secret);
        sign(null, leaves[0]?.message ?? INFO, own.privateKey);
        pathHashes(n);
        // A path secret for each recipient.
        const made = Buffer.concat(await sealToAll(to, Buffer.alloc(NH)));
        sign(null, made, own.privateKey);
        transcript(made);
        keySchedule();
        // The GroupInfo that whoever orders the messages gets with a commit.
        sign(null, INFO, own.privateKey);
        return made;
      });
      commit = signed(value);
      processed = 0;
      return { ms, cpuMs, bytes: value.length };
    },
    process: async () => {
      const common = commonNodes(n, n - 1 - processed++);
      const time = await timed(async () => {
        verifyOne(commit);
        verifyOne(leaves[0] ?? message);
        transcript(commit.message);
        pathHashes(n);
        hpkeOpen(hpkeRaw, kemOutput, opening);
        let secret: Raw = INFO.subarray(0, NH);
        for (let i = 0; i < common; i++) secret = derivePathStep(secret);
        keySchedule();
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
        sign(null, message.message, own.privateKey);
        messageKeys();
        // The reuse guard (§6.3.1), which must not be drawn in advance.
        randomFillSync(new Uint8Array(4));
        aeadSeal(INFO.subarray(0, 16), INFO.subarray(0, 12), message.message, CONTENT_AAD);
        aeadSeal(INFO.subarray(0, 16), INFO.subarray(0, 12), Buffer.alloc(12), SENDER_AAD);
      }),
    receive: async () => {
      const [key, nonce] = [INFO.subarray(0, 16), INFO.subarray(0, 12)];
      const big = aeadSeal(key, nonce, message.message, CONTENT_AAD);
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

/** Of one message: key, nonce and the ratchet's next secret (§9.1); key and nonce of the sender data (§6.3.2). */
function messageKeys(): void {
  for (let i = 0; i < 5; i++) expand(INFO.subarray(0, NH), INFO);
}

async function messages(operation: () => void): Promise<Timed> {
  const all = await timed(() => {
    for (let i = 0; i < MESSAGES; i++) operation();
  });
  return perMessage(all, MESSAGE);
}
