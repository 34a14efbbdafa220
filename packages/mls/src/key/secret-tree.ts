/**
 * The secret tree: a key and nonce for each message, each usable once. RFC 9420 §9.
 *
 * A tree owns its secrets. Asking for a key changes nothing: the answer says what to write and delete, and only when
 * that is stored does `settle` take the step in memory, overwriting what §9.2 wants deleted. `discard` gives the key back unused.
 * @module
 */

import { copyOf, EMPTY, utf8Bytes, wipe } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  opaque,
  Reader,
  struct,
  uint32,
} from "../codec.ts";
import { deriveTreeSecret, expandWithLabel } from "../crypto/kdf.ts";
import type { AeadName, Suite } from "../crypto/suite.ts";
import { MlsError, type MlsErrorCode } from "../errors.ts";
import type { Batch } from "../storage.ts";
import { directPath, left, right, root } from "../tree/tree-math.ts";

export type RatchetType = "handshake" | "application";

/** How far out of order a sender's messages may come. What is ahead is derived before it can be verified, so this bounds work. */
export interface MessageWindow {
  /** How many generations a message may be ahead of the last one seen. */
  readonly forward: number;
  /** How many keys of messages that did not come yet are kept for a sender. */
  readonly kept: number;
}
const DEFAULT_WINDOW: MessageWindow = { forward: 1024, kept: 1024 };
/** A ratchet ends before its generation would not fit into 32 bits. */
const MAX_GENERATION = 2 ** 32 - 1;

/**
 * How many messages a member sends in an epoch unless the application sets another bound (§15.2). Each has a key of its own, so
 * what TLS 1.3 allows for a single key of these ciphers (RFC 8446 §5.5) is more than careful.
 */
const MESSAGE_LIMIT: Readonly<Record<AeadName, number>> = {
  aes128gcm: 2 ** 24,
  aes256gcm: 2 ** 24,
  chacha20poly1305: MAX_GENERATION,
};

/** What an application may bound of the ratchets. */
export interface RatchetBounds {
  /** How far out of order messages may come (§9.1, §15.3): 1,024 generations ahead and 1,024 keys kept unless given. */
  readonly window?: MessageWindow;
  /** How many messages of a kind this client encrypts in an epoch (§15.2): 2^24 with AES-GCM, 2^32 - 1 with ChaCha20-Poly1305 unless given. */
  readonly messageLimit?: number;
}

interface Ratchet {
  /** The generation whose key comes next. */
  readonly generation: number;
  readonly secret: Bytes;
}
const Ratchet: Codec<Ratchet> = struct({ generation: uint32, secret: opaque });

interface MessageKey {
  readonly key: Bytes;
  readonly nonce: Bytes;
}
const MessageKey: Codec<MessageKey> = struct({ key: opaque, nonce: opaque });

/** A secret that was asked for, and what becomes of it. */
export interface Taken {
  /** The batch is stored: forget what was used. */
  readonly settle: () => void;
  /** It came to nothing: nothing was taken. */
  readonly discard: () => void;
}

/** A key that was asked for, and what taking it means. */
export interface TakenKey extends MessageKey, Taken {
  readonly generation: number;
  readonly batch: Batch;
}

/** Where a ratchet is to be read from: as it stands, or yet to be derived from a node above. */
interface Found {
  readonly ratchet: Ratchet;
  /** Records that opening the path to a leaf for the first time makes and unmakes. */
  readonly opened: ReadonlyMap<string, Bytes>;
  readonly closed: readonly string[];
}
const NOTHING_OPENED: ReadonlyMap<string, Bytes> = new Map();

/** What the way from a node down to a leaf gives (§9). */
interface OpenedPath {
  /** The node whose secret the others come from: it is used up. */
  readonly start: number;
  /** Of the leaf: a fresh array, the caller's to overwrite. */
  readonly secret: Bytes;
  /** The secrets beside the way, by node, for the leaves below them. */
  readonly siblings: ReadonlyMap<number, Bytes>;
}

/**
 * Derives a leaf's secret from the lowest one at or above it; every node passed loses its own (§9.2). Undefined where all of them
 * are gone. `secretOf`: of a node, where it is still there.
 */
export function openPath(
  suite: Suite,
  leafCount: number,
  leafIndex: number,
  secretOf: (node: number) => Bytes | undefined,
): OpenedPath | undefined {
  const leaf = 2 * leafIndex;
  const above = [leaf, ...directPath(leaf, leafCount)];
  const from = above.findIndex((node) => secretOf(node));
  const start = above[from];
  const held = start === undefined ? undefined : secretOf(start);
  if (start === undefined || !held) return undefined;
  let secret = copyOf(held);
  const siblings = new Map<number, Bytes>();
  for (let i = from; i > 0; i--) {
    const node = above[i] ?? 0;
    const toLeft = left(node) === above[i - 1];
    const [down, beside] = toLeft ? (["left", "right"] as const) : (["right", "left"] as const);
    const siblingNode = (toLeft ? right(node) : left(node)) ?? 0;
    siblings.set(siblingNode, childSecret(suite, secret, "tree", beside));
    const below = childSecret(suite, secret, "tree", down);
    wipe(secret);
    secret = below;
  }
  return { start, secret, siblings };
}

function childSecret(suite: Suite, secret: Bytes, label: string, context: string): Bytes {
  return expandWithLabel(suite, secret, label, utf8Bytes(context), suite.nh);
}

export class SecretTree {
  readonly #suite: Suite;
  readonly #leafCount: number;
  readonly #prefix: string;
  readonly #window: MessageWindow;
  readonly #limit: number;
  /** All records, by their keys in storage: node secrets, ratchets, kept message keys. */
  readonly #records: Map<string, Bytes>;
  /** The generations whose keys are kept for late messages, of each ratchet, increasing. */
  readonly #kept = new Map<string, Set<number>>();

  private constructor(
    suite: Suite,
    leafCount: number,
    prefix: string,
    records: Map<string, Bytes>,
    { window = DEFAULT_WINDOW, messageLimit = MESSAGE_LIMIT[suite.aead] }: RatchetBounds,
  ) {
    this.#window = window;
    this.#limit = messageLimit;
    this.#suite = suite;
    this.#leafCount = leafCount;
    this.#prefix = prefix;
    this.#records = records;
  }

  #keptOf(ratchet: string): Set<number> {
    const kept = this.#kept.get(ratchet) ?? new Set();
    this.#kept.set(ratchet, kept);
    return kept;
  }

  /** A new epoch's tree. `encryptionSecret` is its root from now on. */
  static create(
    suite: Suite,
    leafCount: number,
    prefix: string,
    encryptionSecret: Bytes,
    bounds: RatchetBounds = {},
  ): SecretTree {
    const records = new Map([[nodeKey(prefix, root(leafCount)), encryptionSecret]]);
    return new SecretTree(suite, leafCount, prefix, records, bounds);
  }

  /** A tree from the records under its prefix. */
  static load(
    suite: Suite,
    leafCount: number,
    prefix: string,
    stored: ReadonlyMap<string, Bytes>,
    bounds: RatchetBounds = {},
  ): SecretTree {
    const records = new Map([...stored].filter(([key]) => key.startsWith(prefix)));
    const tree = new SecretTree(suite, leafCount, prefix, records, bounds);
    const kept = [...records.keys()].flatMap((key) => keptAt(prefix, key) ?? []);
    for (const { ratchet, generation } of kept.sort((a, b) => a.generation - b.generation)) {
      tree.#keptOf(ratchet).add(generation);
    }
    return tree;
  }

  /** Everything, to be stored when the epoch begins. */
  records(): Batch {
    return { put: new Map(this.#records) };
  }

  /** The next key of a sender: for sending. Throws `MlsError` with `exhausted` where the epoch must end first (§15.2). */
  next(leafIndex: number, type: RatchetType): TakenKey {
    const ratchet = ratchetKey(this.#prefix, leafIndex, type);
    const sent = this.#passed(ratchet);
    if (sent >= this.#limit) {
      throw new MlsError("exhausted", "15.2", `${sent} messages were sent in this epoch`);
    }
    return this.#take(leafIndex, type, ratchet, sent);
  }

  /** The generation that comes next: how many keys of a ratchet were passed. */
  generation(leafIndex: number, type: RatchetType): number {
    return this.#passed(ratchetKey(this.#prefix, leafIndex, type));
  }

  #passed(ratchet: string): number {
    const stored = this.#records.get(ratchet);
    return stored ? new Reader(stored).uint(4) : 0;
  }

  /**
   * The key of a generation: for receiving. Throws `MlsError` with `generation-used`, or with `generation-too-far`
   * (at once: what is too far is not walked to).
   */
  at(leafIndex: number, type: RatchetType, generation: number): TakenKey {
    const ratchet = ratchetKey(this.#prefix, leafIndex, type);
    return this.#kept.get(ratchet)?.has(generation)
      ? this.#takeKept(ratchet, generation, skippedKey(this.#prefix, leafIndex, type, generation))
      : this.#take(leafIndex, type, ratchet, generation);
  }

  /** Whether a sender's ratchet has passed a generation. */
  hasPassed(leafIndex: number, type: RatchetType, generation: number): boolean {
    return generation < this.generation(leafIndex, type);
  }

  #takeKept(ratchet: string, generation: number, recordKey: string): TakenKey {
    const kept = this.#records.get(recordKey) ?? EMPTY;
    const { key, nonce } = decode(MessageKey, kept);
    return {
      generation,
      key,
      nonce,
      batch: { delete: [recordKey] },
      settle: () => {
        wipe(kept, key, nonce);
        this.#records.delete(recordKey);
        this.#kept.get(ratchet)?.delete(generation);
      },
      discard: () => wipe(key, nonce),
    };
  }

  #take(leafIndex: number, type: RatchetType, recordKey: string, generation: number): TakenKey {
    const { ratchet, opened, closed } = this.#find(leafIndex, type, recordKey);
    const refuse = (code: MlsErrorCode, why: string): never => {
      wipe(ratchet.secret, ...opened.values());
      throw new MlsError(code, "9.1", why);
    };
    if (generation < ratchet.generation) {
      refuse("generation-used", `the key of generation ${generation} was used`);
    }
    if (generation - ratchet.generation > this.#window.forward) {
      refuse("generation-too-far", `generation ${generation} is too far ahead`);
    }
    if (generation >= MAX_GENERATION) {
      refuse("exhausted", "this sender has used all its generations");
    }
    const put = new Map(opened);
    const skipped: { readonly generation: number; readonly kept: Bytes }[] = [];
    const passed: Bytes[] = [];
    let secret = ratchet.secret;
    // Keys that are passed over are kept, for the messages that are still under way.
    for (let at = ratchet.generation; at < generation; at++) {
      if (generation - at <= this.#window.kept) {
        const kept = this.#messageKey(secret, at);
        skipped.push({ generation: at, kept: encode(MessageKey, kept) });
        wipe(kept.key, kept.nonce);
      }
      secret = this.#step(secret, at);
      passed.push(secret);
    }
    const { key, nonce } = this.#messageKey(secret, generation);
    const nextSecret = this.#step(secret, generation);
    const next = encode(Ratchet, { generation: generation + 1, secret: nextSecret });
    for (const one of [nextSecret, ...passed]) wipe(one);
    put.set(recordKey, next);
    const skippedAt = (at: number): string => skippedKey(this.#prefix, leafIndex, type, at);
    for (const one of skipped) put.set(skippedAt(one.generation), one.kept);
    const dropped = this.#overflow(recordKey, skipped.length);
    const gone = [...closed, ...dropped.map(skippedAt)];
    return {
      generation,
      key,
      nonce,
      batch: { put, delete: gone },
      settle: () => {
        wipe(key, nonce, ratchet.secret);
        for (const at of gone) {
          wipe(this.#records.get(at));
          this.#records.delete(at);
        }
        for (const [at, value] of put) {
          wipe(this.#records.get(at));
          this.#records.set(at, value);
        }
        for (const at of dropped) this.#kept.get(recordKey)?.delete(at);
        for (const one of skipped) this.#keptOf(recordKey).add(one.generation);
      },
      discard: () => {
        wipe(key, nonce, ratchet.secret);
        for (const value of put.values()) wipe(value);
      },
    };
  }

  /** The oldest kept generations of a ratchet, as many as are too many once `coming` are added. */
  #overflow(ratchet: string, coming: number): number[] {
    const kept = this.#kept.get(ratchet);
    const over = (kept?.size ?? 0) + coming - this.#window.kept;
    return over > 0 ? [...(kept ?? [])].slice(0, over) : [];
  }

  #messageKey(secret: Bytes, generation: number): MessageKey {
    return {
      key: deriveTreeSecret(this.#suite, secret, "key", generation, this.#suite.nk),
      nonce: deriveTreeSecret(this.#suite, secret, "nonce", generation, this.#suite.nn),
    };
  }

  #step(secret: Bytes, generation: number): Bytes {
    return deriveTreeSecret(this.#suite, secret, "secret", generation, this.#suite.nh);
  }

  #find(leafIndex: number, type: RatchetType, recordKey: string): Found {
    const stored = this.#records.get(recordKey);
    return stored
      ? { ratchet: decode(Ratchet, stored), opened: NOTHING_OPENED, closed: [] }
      : this.#open(leafIndex, type);
  }

  /** Derives a leaf's two ratchets from the lowest secret above it; every node passed loses its secret (§9.2). */
  #open(leafIndex: number, type: RatchetType): Found {
    if (!Number.isInteger(leafIndex) || leafIndex < 0 || leafIndex >= this.#leafCount) {
      throw new MlsError("unknown-sender", "6.3.2", `the tree has no leaf ${leafIndex}`);
    }
    const nodeSecret = (node: number): Bytes | undefined =>
      this.#records.get(nodeKey(this.#prefix, node));
    const path = openPath(this.#suite, this.#leafCount, leafIndex, nodeSecret);
    if (!path) throw new MlsError("generation-used", "9.2", "the secrets of this sender are gone");
    const { secret } = path;
    const opened = new Map(
      [...path.siblings].map(([node, value]) => [nodeKey(this.#prefix, node), value]),
    );
    const secrets = {
      handshake: childSecret(this.#suite, secret, "handshake", ""),
      application: childSecret(this.#suite, secret, "application", ""),
    };
    wipe(secret);
    const other = type === "handshake" ? "application" : "handshake";
    const otherRatchet = encode(Ratchet, { generation: 0, secret: secrets[other] });
    wipe(secrets[other]);
    opened.set(ratchetKey(this.#prefix, leafIndex, other), otherRatchet);
    return {
      ratchet: { generation: 0, secret: secrets[type] },
      opened,
      closed: [nodeKey(this.#prefix, path.start)],
    };
  }

  /** Overwrites everything; the records are the storage's to delete: `keys` says which. */
  wipe(): void {
    // One by one: there may be more than an argument list can hold.
    for (const record of this.#records.values()) wipe(record);
    this.#records.clear();
    this.#kept.clear();
  }

  /** The keys of all records. */
  keys(): string[] {
    return [...this.#records.keys()];
  }
}

function nodeKey(prefix: string, node: number): string {
  return `${prefix}n/${node}`;
}

function ratchetKey(prefix: string, leafIndex: number, type: RatchetType): string {
  return `${prefix}r/${leafIndex}/${type}`;
}

function skippedKey(
  prefix: string,
  leafIndex: number,
  type: RatchetType,
  generation: number,
): string {
  return `${prefix}k/${leafIndex}/${type}/${generation}`;
}

/** The ratchet and generation of a kept message key's record, or undefined for a record of another kind. */
function keptAt(
  prefix: string,
  key: string,
): { readonly ratchet: string; readonly generation: number } | undefined {
  const [kind, leafIndex, type, generation] = key.slice(prefix.length).split("/");
  if (kind !== "k") return undefined;
  return { ratchet: `${prefix}r/${leafIndex}/${type}`, generation: Number(generation) };
}
