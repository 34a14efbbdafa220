/** What a hostile sender makes of bytes that were valid once. */

import type { Bytes } from "@conclave/mls/codec";
import { concat } from "../../src/bytes.ts";
import type { Random } from "./random.ts";

type Mutation = (random: Random, bytes: Bytes, corpus: readonly Bytes[]) => Bytes;

/** The first bytes of lengths that are extreme, cut short, not minimal or of no known form (§2.1.2). */
const LENGTHS: readonly (readonly number[])[] = [
  [0x3f],
  [0x7f, 0xff],
  [0xbf, 0xff, 0xff, 0xff],
  [0x80, 0, 0x40, 0],
  [0x40, 0],
  [0x40, 0x3f],
  [0x80, 0, 0, 0],
  [0x80, 0, 0x3f, 0xff],
  [0xc0, 0, 0, 0, 0, 0, 0, 0],
  [0xff],
  [0],
];
/** Numbers at the edge, and those that GREASE takes (§13.5). */
const NUMBERS: readonly (readonly number[])[] = [
  [0xff, 0xff],
  [0xff, 0xff, 0xff, 0xff],
  [0x7f, 0xff, 0xff, 0xff],
  [0x80, 0, 0, 0],
  [0, 2, 0, 0],
  [0x0a, 0x0a],
  [0x1a, 0x1a],
  [0xea, 0xea],
  [0xf0, 0x01],
  [0, 0],
  [0, 8],
];

function at(random: Random, bytes: Uint8Array): number {
  return random.below(bytes.length + 1);
}

/** `count` bytes at `start` replaced by others. */
function spliced(bytes: Bytes, start: number, count: number, put: Uint8Array): Bytes {
  return concat(bytes.subarray(0, start), put, bytes.subarray(start + count));
}

const MUTATIONS: readonly Mutation[] = [
  function flipBits(random, bytes) {
    const changed = bytes.slice();
    for (let i = random.below(4); i >= 0 && changed.length > 0; i--) {
      const where = random.below(changed.length);
      changed[where] = (changed[where] ?? 0) ^ (1 << random.below(8));
    }
    return changed;
  },
  function setByte(random, bytes) {
    const changed = bytes.slice();
    changed[random.below(Math.max(1, changed.length))] = random.below(256);
    return changed;
  },
  function truncate(random, bytes) {
    return bytes.slice(0, random.below(Math.max(1, bytes.length)));
  },
  function cutHead(random, bytes) {
    return bytes.slice(random.below(Math.min(9, bytes.length + 1)));
  },
  function trailing(random, bytes) {
    return concat(
      bytes,
      random.chance(0.5) ? new Uint8Array(1) : random.bytes(1 + random.below(9)),
    );
  },
  function length(random, bytes) {
    const put = Uint8Array.from(random.pick(LENGTHS));
    return spliced(bytes, at(random, bytes), random.chance(0.5) ? 1 : put.length, put);
  },
  function number(random, bytes) {
    const put = Uint8Array.from(random.pick(NUMBERS));
    return spliced(bytes, at(random, bytes), put.length, put);
  },
  function remove(random, bytes) {
    return spliced(bytes, at(random, bytes), 1 + random.below(8), new Uint8Array(0));
  },
  function insert(random, bytes) {
    return spliced(bytes, at(random, bytes), 0, random.bytes(1 + random.below(8)));
  },
  function repeat(random, bytes) {
    const from = at(random, bytes);
    const part = bytes.subarray(from, from + 1 + random.below(64));
    const times = random.chance(0.02) ? 500 : 1 + random.below(6);
    return spliced(bytes, from, 0, concat(...Array.from({ length: times }, () => part)));
  },
  function splice(random, bytes, corpus) {
    const other = random.pick(corpus);
    const from = at(random, other);
    const part = other.subarray(from, from + random.below(200));
    return spliced(bytes, at(random, bytes), random.below(part.length + 1), part);
  },
  function crossOver(random, bytes, corpus) {
    const other = random.pick(corpus);
    return concat(bytes.subarray(0, at(random, bytes)), other.subarray(at(random, other)));
  },
  function swap(random, bytes) {
    const [a, b] = [at(random, bytes), at(random, bytes)].sort((x, y) => x - y) as [number, number];
    return concat(bytes.subarray(b), bytes.subarray(a, b), bytes.subarray(0, a));
  },
  function zero(random, bytes) {
    const from = at(random, bytes);
    return bytes.slice().fill(random.chance(0.5) ? 0 : 0xff, from, from + random.below(40));
  },
];

/** Some bytes of a corpus, changed: mostly once, so that what stands behind the change is reached. */
export function mutated(random: Random, bytes: Bytes, corpus: readonly Bytes[]): Bytes {
  let changed = bytes;
  do changed = random.pick(MUTATIONS)(random, changed, corpus);
  while (random.chance(0.3));
  return changed;
}

/** Length prefixes in each other: as deep as a decoder might follow. */
function nested(random: Random): Bytes {
  let inner = random.bytes(random.below(4));
  for (let i = random.below(200); i >= 0; i--) {
    const { length } = inner;
    const prefix =
      length < 64
        ? [length]
        : length < 2 ** 14
          ? [0x40 | (length >> 8), length & 0xff]
          : [0x80, length >> 16, (length >> 8) & 0xff, length & 0xff];
    inner = concat(Uint8Array.from(prefix), inner);
  }
  return inner;
}

/** One hostile input out of valid ones. */
export function hostile(random: Random, corpus: readonly Bytes[]): Bytes {
  const kind = random.below(20);
  if (kind === 0) return random.bytes(random.below(200));
  if (kind === 1) return nested(random);
  if (kind === 2) return concat(random.pick(corpus), random.bytes(1 + random.below(3)));
  if (kind === 3) return random.pick(corpus);
  return mutated(random, random.pick(corpus), corpus);
}
