/**
 * Nonces in HTML without plumbing: trusted templates write a secret marker where a nonce belongs, and each response's
 * bytes get its nonce in the marker's place on their way out.
 *
 * Injected text cannot hold the marker, for nobody outside the process has seen it: it is replaced in every response
 * whatever its type, and never sent. A marker is as long as a nonce, so lengths and ranges stay right.
 * @module
 */
import { CspError } from "../errors.ts";
import { createNonce } from "../make/build.ts";

/** What `createNonce` gives. */
const length = 24;

// Rare in text, and safe in attributes, URLs, JSON and JavaScript, so that no template changes it.
const first = "_";

/**
 * A new marker: 138 random bits. Make one when the process starts, hand it to the middleware as `nonceMarker`, and
 * write it in templates where a nonce belongs: `<script nonce="${marker}">`. Keep it like a key.
 */
export function createNonceMarker(): string {
  const random = createNonce().slice(1).replaceAll("+", "-").replaceAll("/", "_");
  return first + random;
}

/** Refuses what cannot be replaced in place, and what somebody may have thought of rather than drawn. */
export function checkNonceMarker(marker: string): void {
  if (marker.length === length && /^_[A-Za-z0-9_-]+$/.test(marker)) return;
  throw new CspError("invalid-value", "a nonce marker is made by createNonceMarker");
}

/** Replaces the marker in bytes that come in pieces. */
export interface MarkerReplacer {
  /** What can be sent by now; the given bytes stay as they are. What may be the start of a marker is kept back. */
  push(chunk: Uint8Array): Uint8Array<ArrayBuffer>;
  /** What was kept back, at most a byte less than a marker. */
  end(): Uint8Array<ArrayBuffer>;
}

export function markerReplacer(marker: string, nonce: string): MarkerReplacer {
  const wanted = toBytes(marker);
  const replacement = toBytes(nonce);
  let held = new Uint8Array(0);
  return {
    push(chunk) {
      const bytes = new Uint8Array(held.length + chunk.length);
      bytes.set(held);
      bytes.set(chunk, held.length);
      let rest = 0;
      for (let at = find(bytes, wanted, 0); at >= 0; at = find(bytes, wanted, rest)) {
        bytes.set(replacement, at);
        rest = at + length;
      }
      const kept = startsAtEnd(bytes, wanted, rest);
      held = bytes.slice(bytes.length - kept);
      return bytes.subarray(0, bytes.length - kept);
    },
    end() {
      const last = held;
      held = new Uint8Array(0);
      return last;
    },
  };
}

/**
 * A stream of bytes with the nonce in the marker's place, for what passes no middleware. Holds back less than a
 * marker's length, and only what looks like the start of one.
 */
export function replaceNonceMarker(
  marker: string,
  nonce: string,
): TransformStream<Uint8Array, Uint8Array<ArrayBuffer>> {
  checkNonceMarker(marker);
  const replacer = markerReplacer(marker, nonce);
  return new TransformStream({
    transform(chunk, controller) {
      const ready = replacer.push(chunk);
      if (ready.length > 0) controller.enqueue(ready);
    },
    flush(controller) {
      const ready = replacer.end();
      if (ready.length > 0) controller.enqueue(ready);
    },
  });
}

function find(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  const [firstByte = 0] = wanted;
  const last = bytes.length - wanted.length;
  for (let at = bytes.indexOf(firstByte, from); at >= 0; at = bytes.indexOf(firstByte, at + 1)) {
    if (at > last) return -1;
    if (matches(bytes, at, wanted, wanted.length)) return at;
  }
  return -1;
}

/** How many bytes at the end, from `from` on, are the beginning of `wanted`. */
function startsAtEnd(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  const most = Math.min(wanted.length - 1, bytes.length - from);
  for (let count = most; count > 0; count--) {
    if (matches(bytes, bytes.length - count, wanted, count)) return count;
  }
  return 0;
}

function matches(bytes: Uint8Array, at: number, wanted: Uint8Array, count: number): boolean {
  for (let i = 0; i < count; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

function toBytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
