/**
 * The content of a message, after MIMI's content format (draft-ietf-mimi-content): a CBOR array with a
 * salt, what it relates to, and a tree of parts. Shapes are followed; interoperability is not claimed.
 *
 * The decoder is total: a value, or `ContentError`. Depth, number and size of parts are bounded.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type DecodeOptions, decode, encode } from "cborg";

export class ContentError extends Error {
  override readonly name = "ContentError";
}

/** The largest encoded content, in bytes. */
export const MAX_CONTENT_LENGTH: number = 128 * 1024;
const MAX_DEPTH = 4;
const MAX_PARTS = 64;
const MAX_EXTENSIONS = 32;
const MAX_NAME_LENGTH = 1024;

/** `baseDispos` of the draft; other numbers are allowed and mean "unspecified" to us. */
export const DISPOSITION = { unspecified: 0, render: 1, reaction: 2 } as const;
const CARDINALITY = { nullpart: 0, single: 1, external: 2, multi: 3 } as const;

export type PartSemantics = 0 | 1 | 2;

export type Part = {
  readonly disposition: number;
  /** A BCP 47 tag, or empty. */
  readonly language: string;
} & (
  | { readonly type: "null" }
  | { readonly type: "single"; readonly contentType: string; readonly content: Bytes }
  | {
      readonly type: "external";
      readonly contentType: string;
      readonly url: string;
      /** Seconds since the Unix epoch; 0 for never. */
      readonly expires: number;
      readonly size: number;
      readonly encAlg: number;
      readonly key: Bytes;
      readonly nonce: Bytes;
      readonly aad: Bytes;
      readonly hashAlg: number;
      readonly contentHash: Bytes;
      readonly description: string;
      readonly filename: string;
    }
  /** 0: choose one; 1: a single unit; 2: process all. */
  | { readonly type: "multi"; readonly semantics: PartSemantics; readonly parts: readonly Part[] }
);

export interface Content {
  /** 16 random bytes. */
  readonly salt: Bytes;
  /** The message this one edits or deletes. */
  readonly replaces?: Bytes;
  /** Empty for none. */
  readonly topicId: Bytes;
  readonly expires?: { readonly relative: boolean /** Seconds. */; readonly time: number };
  readonly inReplyTo?: Bytes;
  readonly extensions: ReadonlyMap<string | number, ExtensionValue>;
  readonly part: Part;
}

export type ExtensionValue = string | number | boolean | Bytes;

/** A message of plain text. */
export function textContent(text: string, salt: Bytes): Content {
  const content = new TextEncoder().encode(text);
  return {
    salt,
    topicId: new Uint8Array(0),
    extensions: new Map(),
    part: {
      type: "single",
      disposition: DISPOSITION.render,
      language: "",
      contentType: "text/plain;charset=utf-8",
      content,
    },
  };
}

/** The text that stands in a content, or undefined where it has none that we can show. */
export function textOf(content: Content): string | undefined {
  const { part } = content;
  if (part.type !== "single" || !/^text\/plain(;|$)/u.test(part.contentType)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(part.content);
  } catch {
    return undefined;
  }
}

export function encodeContent(content: Content): Bytes {
  const { expires } = content;
  return encode([
    content.salt,
    content.replaces ?? null,
    content.topicId,
    expires ? [expires.relative, expires.time] : null,
    content.inReplyTo ?? null,
    content.extensions,
    toWire(content.part),
  ]) as Bytes;
}

function toWire(part: Part): unknown[] {
  const head = [part.disposition, part.language];
  switch (part.type) {
    case "null":
      return [...head, CARDINALITY.nullpart];
    case "single":
      return [...head, CARDINALITY.single, part.contentType, part.content];
    case "external":
      return [
        ...head,
        CARDINALITY.external,
        part.contentType,
        part.url,
        part.expires,
        part.size,
        part.encAlg,
        part.key,
        part.nonce,
        part.aad,
        part.hashAlg,
        part.contentHash,
        part.description,
        part.filename,
      ];
    case "multi":
      return [...head, CARDINALITY.multi, part.semantics, part.parts.map(toWire)];
  }
}

/** Throws `ContentError`. */
export function decodeContent(bytes: Bytes): Content {
  const fields = tuple(readCbor(bytes, MAX_CONTENT_LENGTH), 7, 7);
  const [salt, replaces, topicId, expires, inReplyTo, extensions, part] = fields;
  return {
    salt: bytesOf(salt, 16, 16),
    ...(replaces !== null && { replaces: bytesOf(replaces, 32, 32) }),
    topicId: bytesOf(topicId, 0, MAX_NAME_LENGTH),
    ...(expires !== null && { expires: expirationOf(expires) }),
    ...(inReplyTo !== null && { inReplyTo: bytesOf(inReplyTo, 32, 32) }),
    extensions: extensionsOf(extensions),
    part: partOf(part, MAX_DEPTH, { left: MAX_PARTS }),
  };
}

const STRICT: DecodeOptions = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
  rejectDuplicateMapKeys: true,
  useMaps: true,
};

/** One CBOR value in its strict form. Throws `ContentError`. */
export function readCbor(bytes: Uint8Array, maxLength: number): unknown {
  if (bytes.length > maxLength) throw new ContentError(`${bytes.length} bytes of content`);
  try {
    return decode(bytes, STRICT);
  } catch (cause) {
    // Also what the library throws for hostile nesting (RangeError).
    throw new ContentError("not strict CBOR", { cause });
  }
}

export function tuple(value: unknown, least: number, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length < least || value.length > most) {
    throw new ContentError(`an array of ${least} to ${most} elements was expected`);
  }
  return value;
}

export function bytesOf(value: unknown, least: number, most: number): Bytes {
  if (!(value instanceof Uint8Array) || value.length < least || value.length > most) {
    throw new ContentError(`${least} to ${most} bytes were expected`);
  }
  // A copy: the library hands out a view of the whole input.
  return value.slice() as Bytes;
}

export function naturalOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new ContentError("a natural number was expected");
  }
  return value;
}

function stringOf(value: unknown): string {
  if (typeof value !== "string" || value.length > MAX_NAME_LENGTH) {
    throw new ContentError("a short text was expected");
  }
  return value;
}

function expirationOf(value: unknown): NonNullable<Content["expires"]> {
  const [relative, time] = tuple(value, 2, 2);
  if (typeof relative !== "boolean") throw new ContentError("a boolean was expected");
  return { relative, time: naturalOf(time) };
}

function extensionsOf(value: unknown): Content["extensions"] {
  if (!(value instanceof Map) || value.size > MAX_EXTENSIONS) {
    throw new ContentError(`a map of at most ${MAX_EXTENSIONS} extensions was expected`);
  }
  const extensions = new Map<string | number, ExtensionValue>();
  for (const [name, inner] of value as Map<unknown, unknown>) {
    const key = Number.isSafeInteger(name) ? (name as number) : stringOf(name);
    extensions.set(key, extensionOf(inner));
  }
  return extensions;
}

function extensionOf(value: unknown): ExtensionValue {
  if (value instanceof Uint8Array) return bytesOf(value, 0, MAX_NAME_LENGTH);
  if (typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  return stringOf(value);
}

function partOf(value: unknown, depth: number, budget: { left: number }): Part {
  if (depth === 0 || budget.left-- === 0) throw new ContentError("too many parts");
  const [disposition, language, cardinality, ...rest] = tuple(value, 3, 15);
  const head = { disposition: naturalOf(disposition), language: stringOf(language) };
  switch (cardinality) {
    case CARDINALITY.nullpart:
      tuple(rest, 0, 0);
      return { ...head, type: "null" };
    case CARDINALITY.single: {
      const [contentType, content] = tuple(rest, 2, 2);
      return {
        ...head,
        type: "single",
        contentType: stringOf(contentType),
        content: bytesOf(content, 0, MAX_CONTENT_LENGTH),
      };
    }
    case CARDINALITY.external: {
      const fields = tuple(rest, 12, 12);
      return {
        ...head,
        type: "external",
        contentType: stringOf(fields[0]),
        url: stringOf(fields[1]),
        expires: naturalOf(fields[2]),
        size: naturalOf(fields[3]),
        encAlg: naturalOf(fields[4]),
        key: bytesOf(fields[5], 0, 64),
        nonce: bytesOf(fields[6], 0, 64),
        aad: bytesOf(fields[7], 0, MAX_NAME_LENGTH),
        hashAlg: naturalOf(fields[8]),
        contentHash: bytesOf(fields[9], 0, 64),
        description: stringOf(fields[10]),
        filename: stringOf(fields[11]),
      };
    }
    case CARDINALITY.multi: {
      const [semantics, parts] = tuple(rest, 2, 2);
      if (semantics !== 0 && semantics !== 1 && semantics !== 2) {
        throw new ContentError("no such part semantics");
      }
      return {
        ...head,
        type: "multi",
        semantics,
        parts: tuple(parts, 2, MAX_PARTS).map((inner) => partOf(inner, depth - 1, budget)),
      };
    }
    default:
      throw new ContentError("no such cardinality");
  }
}
