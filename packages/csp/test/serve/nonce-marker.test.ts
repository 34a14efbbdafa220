import { CspError, createNonce } from "@conclave/csp";
import { createNonceMarker, replaceNonceMarker } from "@conclave/csp/fetch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkNonceMarker, markerReplacer } from "../../src/serve/nonce-marker.ts";

const marker = createNonceMarker();
const nonce = createNonce();
const encode = (text: string) => new TextEncoder().encode(text);
const decode = (...parts: readonly Uint8Array[]) => Buffer.concat(parts).toString("latin1");

function replace(...chunks: readonly Uint8Array[]): string {
  const replacer = markerReplacer(marker, nonce);
  return decode(...chunks.map((chunk) => replacer.push(chunk)), replacer.end());
}

describe("createNonceMarker", () => {
  test("is new each time, as long as a nonce, and nothing that a template would change", () => {
    const markers = new Set(Array.from({ length: 1000 }, createNonceMarker));
    expect(markers.size).toBe(1000);
    for (const one of markers) {
      expect(one).toMatch(/^_[A-Za-z0-9_-]{23}$/);
      expect(one.length).toBe(createNonce().length);
      checkNonceMarker(one);
    }
  });

  test.each([
    "",
    "{{nonce}}",
    "_".repeat(23),
    `${"_".repeat(24)}x`,
    `<${"a".repeat(23)}`,
    `x${"a".repeat(23)}`,
  ])("%j is none", (text) => {
    expect(() => checkNonceMarker(text)).toThrow(CspError);
    expect(() => replaceNonceMarker(text, nonce)).toThrow(CspError);
  });
});

describe("markerReplacer", () => {
  test("replaces every marker, wherever the chunks part", () => {
    const text = `${marker}a${marker}${marker}_${marker}${marker.slice(0, 23)}`;
    const expected = `${nonce}a${nonce}${nonce}_${nonce}${marker.slice(0, 23)}`;
    const bytes = encode(text);
    expect(replace(bytes)).toBe(expected);
    for (let at = 0; at <= bytes.length; at++) {
      expect(replace(bytes.subarray(0, at), bytes.subarray(at))).toBe(expected);
    }
    expect(replace(...Array.from(bytes, (byte) => Uint8Array.of(byte)))).toBe(expected);
  });

  test("does to any bytes in any chunks what it would do to all at once", () => {
    // Many beginnings of the marker, so that they meet the ends of chunks.
    const piece = fc.oneof(
      fc.integer({ min: 1, max: 24 }).map((count) => encode(marker.slice(0, count))),
      fc.integer({ min: 0, max: 23 }).map((from) => encode(marker.slice(from))),
      fc.uint8Array({ maxLength: 30 }),
    );
    fc.assert(
      fc.property(fc.array(piece), fc.array(fc.nat({ max: 40 })), (pieces, lengths) => {
        const bytes = Buffer.concat(pieces);
        const before = Buffer.from(bytes);
        const chunks: Uint8Array[] = [];
        let at = 0;
        for (const length of lengths) chunks.push(bytes.subarray(at, (at += length)));
        chunks.push(bytes.subarray(at));
        expect(replace(...chunks)).toBe(bytes.toString("latin1").replaceAll(marker, nonce));
        expect(bytes.equals(before)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("a marker that overlaps itself is found", () => {
    const repeated = `__${"a_".repeat(11)}`;
    const replacer = markerReplacer(repeated, nonce);
    const text = `_${repeated}${repeated}__a`;
    const out = Array.from(text, (c) => replacer.push(encode(c)));
    expect(decode(...out, replacer.end())).toBe(`_${nonce}${nonce}__a`);
  });

  test("holds back less than a marker, and nothing that cannot become one", () => {
    const replacer = markerReplacer(marker, nonce);
    // No marker holds a point.
    expect(replacer.push(encode("a_.")).length).toBe(3);
    let sent = 0;
    const bytes = encode(`x${marker.slice(0, 23)}`.repeat(50));
    for (const [i, byte] of bytes.entries()) {
      sent += replacer.push(Uint8Array.of(byte)).length;
      expect(i + 1 - sent).toBeLessThan(marker.length);
    }
  });
});

describe("replaceNonceMarker", () => {
  test("is a stream that waits for its reader", async () => {
    let made = 0;
    const endless = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          made++;
          controller.enqueue(encode(`<script nonce="${marker}">`));
        },
      },
      { highWaterMark: 0 },
    );
    const reader = endless.pipeThrough(replaceNonceMarker(marker, nonce)).getReader();
    for (let i = 0; i < 5; i++) {
      const { value } = await reader.read();
      expect(decode(value ?? new Uint8Array())).toBe(`<script nonce="${nonce}">`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(made).toBeLessThanOrEqual(8);
    await reader.cancel();
  });
});
