/**
 * The TLS presentation language as MLS uses it: one combinator for each construct.
 * RFC 9420 §2.1 (optional values §2.1.1, variable-size vectors §2.1.2), RFC 8446 §3.
 *
 * Every decoder is total: it ends in a value or in `MlsError` with `decode`, uses memory in
 * proportion to its input, and accepts just one encoding of each value.
 * @module
 */

import { checkBytes } from "./bytes.ts";
import { MlsError } from "./errors.ts";

/** Bytes as WebCrypto takes and gives them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** How a value of type `T` stands on the wire. */
export interface Codec<T> {
  /** Throws `TypeError` for a value that has no encoding: a mistake of the caller. */
  readonly write: (writer: Writer, value: T) => void;
  /** Throws `MlsError` with `decode`. */
  readonly read: (reader: Reader) => T;
  /** Passes over what `read` would take, and refuses what it would refuse. Where it is not given, `read` does it. */
  readonly skip?: (reader: Reader) => void;
}

/** Half of a codec: for what is hashed, signed or encrypted, and never read. */
export type Encoder<T> = Pick<Codec<T>, "write">;

/** The largest length a vector can have, in bytes (§2.1.2). */
export const MAX_VECTOR_LENGTH: number = 2 ** 30 - 1;

const NO_BYTES: Bytes = new Uint8Array(0);

/** A growing buffer. Bytes that were written are copied in. */
export class Writer {
  #buffer: Bytes = new Uint8Array(256);
  #length = 0;

  #reserve(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#buffer.length) {
      // A quarter more than is asked for, so that what stands behind something large doesn't move it again.
      const grown = new Uint8Array(
        Math.max(Math.ceil(this.#length * 1.25), this.#buffer.length * 2),
      );
      grown.set(this.#buffer.subarray(0, at));
      this.#buffer.fill(0, 0, at);
      this.#buffer = grown;
    }
    return at;
  }

  /** How many bytes fit in before the buffer grows. */
  get capacity(): number {
    return this.#buffer.length;
  }

  /** An unsigned integer of `size` bytes, big-endian. */
  uint(value: number, size: 1 | 2 | 4): void {
    // The largest of that size; a power would be computed each time.
    if (!Number.isInteger(value) || value < 0 || value > -1 >>> (32 - 8 * size)) {
      throw new TypeError(`${value} is not a uint${8 * size}`);
    }
    this.#put(this.#reserve(size), value, size);
  }

  #put(at: number, value: number, size: 1 | 2 | 4): void {
    const buffer = this.#buffer;
    let next = at;
    if (size === 4) {
      buffer[next++] = value >>> 24;
      buffer[next++] = value >>> 16;
    }
    if (size !== 1) buffer[next++] = value >>> 8;
    buffer[next] = value;
  }

  /** An unsigned integer of 8 bytes, big-endian. */
  uint64(value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw new TypeError(`${value} is not a uint64`);
    // Most are small, and numbers cost less.
    const number = Number(value);
    const isSmall = number < 2 ** 32;
    this.uint(isSmall ? 0 : Number(value >> 32n), 4);
    this.uint(isSmall ? number : Number(value & 0xffffffffn), 4);
  }

  /** Bytes as they are, without a length. */
  bytes(value: Uint8Array): void {
    checkBytes(value);
    const at = this.#reserve(value.length);
    this.#buffer.set(value, at);
  }

  /** The length of a vector, in the fewest bytes (§2.1.2). */
  length(value: number): void {
    const size = lengthSize(value);
    this.#put(this.#reserve(size), value + LENGTH_PREFIX[size], size);
  }

  /** A vector of values: its length in bytes comes first. */
  vector<T>(element: Encoder<T>, values: Iterable<T>): void {
    // Most are short: room for a short length is left, and what is longer moves once it is there.
    const at = this.#reserve(1);
    for (const value of values) element.write(this, value);
    const length = this.#length - at - 1;
    const size = lengthSize(length);
    if (size > 1) {
      this.#reserve(size - 1);
      this.#buffer.copyWithin(at + size, at + 1, at + 1 + length);
    }
    this.#put(at, length + LENGTH_PREFIX[size], size);
  }

  /** What was written so far, as a copy. */
  finish(): Bytes {
    return this.#buffer.slice(0, this.#length);
  }

  /** What was written so far, as it stands in the buffer: until the next write. */
  view(): Bytes {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Overwrites the buffer: what was written may have been secret. */
  wipe(): void {
    this.#buffer.fill(0, 0, this.#length);
    this.#length = 0;
  }
}

/** How many bytes the length of a vector takes (§2.1.2), and what marks it as one of that size. */
function lengthSize(length: number): 1 | 2 | 4 {
  if (length > MAX_VECTOR_LENGTH) throw new TypeError(`a vector of ${length} bytes is too long`);
  return length < 2 ** 6 ? 1 : length < 2 ** 14 ? 2 : 4;
}
const LENGTH_PREFIX = { 1: 0, 2: 2 ** 14, 4: 2 ** 31 } as const;

/** Whether bytes may change once they are read, or never do: and then, whether what has parts of them may keep all of them alive. */
export type Ownership = "theirs" | "passing" | "owned";

/**
 * Reads from `bytes`, which must not change meanwhile. Values read are copies. Of bytes that never change, parts may be kept as they
 * are: of those that are `owned` all, of `passing` ones only what goes with them.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #owned: Ownership;
  #at: number;

  constructor(
    bytes: Uint8Array,
    start = 0,
    end: number = bytes.length,
    owned: Ownership = "theirs",
  ) {
    checkBytes(bytes);
    // A Buffer of Node is an array too, whose slices are no copies.
    this.#bytes =
      bytes.constructor === Uint8Array
        ? bytes
        : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = start;
    this.#end = end;
    this.#owned = owned;
  }

  /** Where the next value begins, in bytes from the start of the input. */
  get offset(): number {
    return this.#at;
  }

  get done(): boolean {
    return this.#at === this.#end;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#end - at) {
      throw new MlsError(
        "decode",
        "2.1",
        `${count} bytes wanted at byte ${at}, ${this.#end - at} left`,
      );
    }
    this.#at += count;
    return at;
  }

  /** An unsigned integer of `size` bytes, big-endian. */
  uint(size: 1 | 2 | 4): number {
    let at = this.#take(size);
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + (this.#bytes[at++] ?? 0);
    return value;
  }

  /** An unsigned integer of 8 bytes, big-endian. */
  uint64(): bigint {
    const high = this.uint(4);
    return (BigInt(high) << 32n) | BigInt(this.uint(4));
  }

  /** The next `count` bytes, as a copy. */
  bytes(count: number): Bytes {
    const at = this.#take(count);
    return count === 0 ? NO_BYTES : (this.#bytes.slice(at, at + count) as Bytes);
  }

  /** Passes over the next `count` bytes. */
  skip(count: number): void {
    this.#take(count);
  }

  /** The length of a vector; only the shortest form is accepted (§2.1.2). */
  length(): number {
    const at = this.#at;
    const first = this.#bytes[this.#take(1)] ?? 0;
    const prefix = first >> 6;
    if (prefix === 0) return first;
    if (prefix === 3) {
      throw new MlsError("decode", "2.1.2", `length with prefix 11 at byte ${at}`);
    }
    let value = first & 0x3f;
    const more = prefix === 1 ? 1 : 3;
    for (let i = 0; i < more; i++) value = value * 256 + this.uint(1);
    if (value < (prefix === 1 ? 2 ** 6 : 2 ** 14)) {
      throw new MlsError("decode", "2.1.2", `length ${value} at byte ${at} is not minimal`);
    }
    return value;
  }

  /** A reader of the content of the vector that stands here. */
  vector(): Reader {
    const length = this.length();
    const at = this.#take(length);
    return new Reader(this.#bytes, at, at + length, this.#owned);
  }

  /** The bytes from `start` to here, as a copy, or as they stand. `lasting`: they may outlive what they are read from. */
  since(start: number, lasting: boolean): Bytes {
    const { buffer } = this.#bytes;
    const stays = this.#owned === "owned" || (this.#owned === "passing" && !lasting);
    return stays && buffer instanceof ArrayBuffer
      ? new Uint8Array(buffer, this.#bytes.byteOffset + start, this.#at - start)
      : (this.#bytes.slice(start, this.#at) as Bytes);
  }
}

/** Writers that wait for their next use, overwritten: making one costs more than most encodings. */
const IDLE: Writer[] = [];
const MAX_IDLE = 8;
const MAX_IDLE_CAPACITY: number = 2 ** 16;

/** The encoding of `value`. */
export function encode<T>(codec: Encoder<T>, value: T): Bytes {
  const writer = IDLE.pop() ?? new Writer();
  try {
    codec.write(writer, value);
    return writer.finish();
  } finally {
    rest(writer);
  }
}

/** What `use` makes of the encoding of `value`, which is gone afterwards: for a hash, it need not be copied. */
export function encodedFor<T, R>(codec: Encoder<T>, value: T, use: (encoded: Bytes) => R): R {
  const writer = IDLE.pop() ?? new Writer();
  try {
    codec.write(writer, value);
    return use(writer.view());
  } finally {
    rest(writer);
  }
}

function rest(writer: Writer): void {
  writer.wipe();
  if (IDLE.length < MAX_IDLE && writer.capacity <= MAX_IDLE_CAPACITY) IDLE.push(writer);
}

/** The value that `bytes` encode, all of them. Throws `MlsError` with `decode`. */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array, owned?: Ownership): T {
  const reader = new Reader(bytes, 0, bytes.length, owned);
  const value = codec.read(reader);
  if (!reader.done) {
    throw new MlsError("decode", "2.1", `${bytes.length - reader.offset} bytes too many`);
  }
  return value;
}

/** `uint8` (RFC 8446 §3.3). */
export const uint8: Codec<number> = {
  write: (w, value) => w.uint(value, 1),
  read: (r) => r.uint(1),
};
/** `uint16`. */
export const uint16: Codec<number> = {
  write: (w, value) => w.uint(value, 2),
  read: (r) => r.uint(2),
};
/** `uint32`. */
export const uint32: Codec<number> = {
  write: (w, value) => w.uint(value, 4),
  read: (r) => r.uint(4),
};
/** `uint64`. */
export const uint64: Codec<bigint> = {
  write: (w, value) => w.uint64(value),
  read: (r) => r.uint64(),
};

/** `opaque name<V>`. */
export const opaque: Codec<Bytes> = {
  write: (w, value) => {
    w.length(value.length);
    w.bytes(value);
  },
  read: (r) => r.bytes(r.length()),
  skip: (r) => r.skip(r.length()),
};

/** `opaque name[size]`. */
export function fixed(size: number): Codec<Bytes> {
  return {
    write: (w, value) => {
      if (value.length !== size) throw new TypeError(`${value.length} bytes instead of ${size}`);
      w.bytes(value);
    },
    read: (r) => r.bytes(size),
  };
}

/** Text, as the UTF-8 of an `opaque name<V>`. */
export const utf8: Codec<string> = {
  write: (w, value) => opaque.write(w, new TextEncoder().encode(value)),
  read: (r) => {
    const at = r.offset;
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(opaque.read(r));
    } catch (cause) {
      if (cause instanceof MlsError) throw cause;
      throw new MlsError("decode", "2.1", `not UTF-8 at byte ${at}`, { cause });
    }
  },
};

/** `T name<V>`. */
export function vector<T>(element: Codec<T>): Codec<readonly T[]> {
  return {
    write: (w, values) => w.vector(element, values),
    read: (r) => {
      const inner = r.vector();
      // Most are empty or have one element: an array that grows by one takes room for many.
      if (inner.done) return [];
      const values: T[] = [element.read(inner)];
      while (!inner.done) values.push(element.read(inner));
      return values;
    },
  };
}

/** What has elements in an order: an array, or a vector that is decoded late. */
export interface Sequence<T> extends Iterable<T> {
  readonly length: number;
  /** The element at a position from 0 on, or undefined. */
  readonly at: (position: number) => T | undefined;
}

/** The elements of a vector as they were read: each is decoded when it is asked for. */
class LateVector<T> implements Sequence<T> {
  readonly #element: Codec<T>;
  readonly #content: Bytes;
  /** Where each begins in the content. */
  readonly #starts: readonly number[];

  constructor(element: Codec<T>, content: Bytes, starts: readonly number[]) {
    this.#element = element;
    this.#content = content;
    this.#starts = starts;
  }

  get length(): number {
    return this.#starts.length;
  }

  at(position: number): T | undefined {
    const start = this.#starts[position];
    return start === undefined ? undefined : this.#element.read(new Reader(this.#content, start));
  }

  *[Symbol.iterator](): Iterator<T> {
    const reader = new Reader(this.#content);
    while (!reader.done) yield this.#element.read(reader);
  }

  /** The content of the vector, on the wire. */
  get content(): Bytes {
    return this.#content;
  }
}

/**
 * `T name<V>`, for long ones of which few elements are asked for. What `vector` would refuse is refused at once; the elements, whose
 * bytes are kept in one piece, are decoded each time that they are asked for.
 */
export function lateVector<T>(element: Codec<T>): Codec<Sequence<T>> {
  const { read, skip = read } = element;
  return {
    write: (w, values) => {
      if (values instanceof LateVector) opaque.write(w, values.content);
      else w.vector(element, values);
    },
    read: (r) => {
      const inner = r.vector();
      const start = inner.offset;
      const starts: number[] = [];
      while (!inner.done) {
        starts.push(inner.offset - start);
        skip(inner);
      }
      return new LateVector(element, inner.since(start, false), starts);
    },
  };
}

/** `optional<T> name` (§2.1.1). */
export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    write: (w, value) => {
      w.uint(value === undefined ? 0 : 1, 1);
      if (value !== undefined) codec.write(w, value);
    },
    read: (r) => {
      const at = r.offset;
      const present = r.uint(1);
      if (present > 1) {
        throw new MlsError("decode", "2.1.1", `presence octet ${present} at byte ${at}`);
      }
      return present === 1 ? codec.read(r) : undefined;
    },
  };
}

/** The codec of a structure. */
export interface Struct<T> extends Codec<T> {
  /** In the order in which they go on the wire. */
  readonly fields: readonly Field[];
}
/** One of the fields of a structure. */
export interface Field {
  readonly name: string;
  readonly codec: Codec<unknown>;
}

/** A structure: its fields go on the wire in the order they are listed. */
export function struct<T extends object>(
  fields: { readonly [K in keyof T]-?: Codec<T[K]> },
): Struct<T> {
  const codecs = Object.entries(fields as Record<string, Codec<unknown>>);
  return structOf(codecs.map(([name, codec]) => ({ name, codec })));
}

/** `constant`: what a value that was read has beside its fields, and in front of them. */
function structOf<T extends object>(fields: readonly Field[], constant: object = {}): Struct<T> {
  // Values begin as copies of this one: the engine lays them out at once, not field by field.
  const blank = { ...constant, ...Object.fromEntries(fields.map(({ name }) => [name, undefined])) };
  const skips = fields.map(({ codec: { read, skip = read } }) => skip);
  return {
    fields,
    write: (w, value) => {
      for (const { name, codec } of fields)
        codec.write(w, (value as Record<string, unknown>)[name]);
    },
    read: (r) => {
      const value: Record<string, unknown> = { ...blank };
      for (const { name, codec } of fields) value[name] = codec.read(r);
      return value as T;
    },
    skip: (r) => {
      // There may be as many of these as a group has members: no iterator for each.
      for (let i = 0; i < skips.length; i++) skips[i]?.(r);
    },
  };
}

/** A structure, and behind it the signature over it: `opaque signature<V>`. */
export function signed<T extends object>(
  content: Struct<T>,
): Codec<T & { readonly signature: Bytes }> {
  return structOf([...content.fields, { name: "signature", codec: opaque as Codec<unknown> }]);
}

/** What the signature at the end of an encoded structure covers (see `signed`): all before it. */
export function signedPart(encoded: Bytes, signature: Bytes): Bytes {
  const end = encoded.length - signature.length - lengthSize(signature.length);
  return encoded.subarray(0, end);
}

/** A codec that keeps encodings. */
export interface Kept<T> extends Codec<T> {
  /** The encoding as it is kept: it must not change. */
  readonly encoded: (value: T) => Bytes;
}

/**
 * For public structures whose encoding is asked for again and again: it is kept for as long as the value lives, and a value that
 * was read keeps the bytes it came from. Values must not change.
 */
export function kept<T extends object>(codec: Codec<T>, lasting = true): Kept<T> {
  const encodings = new WeakMap<T, Bytes>();
  const encoded = (value: T): Bytes => {
    const known = encodings.get(value);
    if (known) return known;
    const made = encode(codec, value);
    encodings.set(value, made);
    return made;
  };
  return {
    encoded,
    write: (w, value) => w.bytes(encoded(value)),
    read: (r) => {
      const start = r.offset;
      const value = codec.read(r);
      encodings.set(value, r.since(start, lasting));
      return value;
    },
  };
}

/** The names that an enumeration gives to numbers; a number without a name is refused. */
export function enumeration<N extends string>(
  number: Codec<number>,
  names: { readonly [K in N]: number },
): Codec<N> {
  const byNumber = new Map(Object.entries<number>(names).map(([name, n]) => [n, name as N]));
  return {
    write: (w, name) => number.write(w, names[name]),
    read: (r) => {
      const at = r.offset;
      const n = number.read(r);
      const name = byNumber.get(n);
      if (name === undefined)
        throw new MlsError("decode", "2.1", `no such value: ${n} at byte ${at}`);
      return name;
    },
  };
}

/** The tag of the arm that `select` takes for numbers it has no name for. */
export type OtherArm = "other";

/**
 * `select (tag)`: the tag's number, then the arm it names. With `other`, numbers without a name are
 * read as `{ [tag]: "other", number, … }` instead of being refused.
 */
export function select<K extends string, T extends { readonly [P in K]: string }>(
  tag: K,
  number: Codec<number>,
  arms: {
    readonly [N in Exclude<T[K], OtherArm>]: readonly [
      number,
      Struct<Omit<Extract<T, { readonly [P in K]: N }>, K>>,
    ];
  },
  other?: Codec<Omit<Extract<T, { readonly [P in K]: OtherArm }>, K | "number">>,
): Codec<T> {
  const byName = new Map(
    Object.entries(arms as unknown as Record<string, readonly [number, Struct<object>]>),
  );
  const byNumber = new Map(
    [...byName].map(([name, [n, codec]]) => [n, structOf(codec.fields, { [tag]: name })]),
  );
  return {
    write: (w, value) => {
      const arm = byName.get(value[tag]);
      if (arm) {
        number.write(w, arm[0]);
        arm[1].write(w, value);
      } else if (other && value[tag] === "other") {
        const open = value as unknown as { readonly number: number };
        if (byNumber.has(open.number)) throw new TypeError(`${tag} ${open.number} has a name`);
        number.write(w, open.number);
        other.write(w, value as never);
      } else {
        throw new TypeError(`no such ${tag}: ${value[tag]}`);
      }
    },
    read: (r) => {
      const at = r.offset;
      const n = number.read(r);
      const arm = byNumber.get(n);
      if (arm) return arm.read(r) as T;
      if (other) return { [tag]: "other", number: n, ...other.read(r) } as unknown as T;
      throw new MlsError("decode", "2.1", `unknown ${tag} ${n} at byte ${at}`);
    },
  };
}

/** A structure read and written by way of another type. */
export function mapped<A, B>(codec: Codec<A>, from: (wire: A) => B, to: (value: B) => A): Codec<B> {
  return { write: (w, value) => codec.write(w, to(value)), read: (r) => from(codec.read(r)) };
}
