import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CHUNK_LENGTH,
  HEADER_LENGTH,
  openBackup,
  readBackup,
  SEALED_CHUNK_LENGTH,
  sealBackup,
} from "../../src/backup/container.ts";
import { concat, randomBytes } from "../../src/bytes.ts";
import { phraseKeyOf } from "../../src/phrase.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const phraseKey = await phraseKeyOf(randomBytes(16));
const noted = async () => {};

/** As much as one may ask of the generator at once. */
const LARGE = Uint8Array.from({ length: 2 * CHUNK_LENGTH + 100 }, (_, i) => i % 251);

async function collect(parts: AsyncIterable<Bytes>): Promise<readonly Bytes[]> {
  const collected: Bytes[] = [];
  for await (const part of parts) collected.push(part);
  return collected;
}

async function* inParts(content: Bytes, length: number): AsyncGenerator<Bytes> {
  for (let at = 0; at < content.length; at += length) yield content.slice(at, at + length);
}

/** Header and chunks. */
const sealed = (content: Bytes): Promise<readonly Bytes[]> =>
  collect(sealBackup(phraseKey, inParts(content, 10_000), noted));

async function opened(parts: readonly Bytes[], key = phraseKey): Promise<Bytes> {
  const backup = await openBackup(new Blob([...parts]), key);
  return concat(...(await collect(readBackup(backup, {}))));
}

const codeOf = (reading: Promise<unknown>): Promise<unknown> =>
  reading.then(
    () => "opened",
    (error: object) => Reflect.get(error, "code"),
  );

const LENGTHS = [0, 1, CHUNK_LENGTH - 1, CHUNK_LENGTH, CHUNK_LENGTH + 1, 3 * CHUNK_LENGTH];

describe("a backup file", () => {
  it.each(LENGTHS)("of %i bytes comes back, in chunks of one length", async (length) => {
    const content = Uint8Array.from({ length }, (_, i) => i % 251);
    const parts = await sealed(content);
    const [header, ...chunks] = parts;
    expect(header).toHaveLength(HEADER_LENGTH);
    expect(chunks).toHaveLength(Math.max(1, Math.ceil(length / CHUNK_LENGTH)));
    for (const chunk of chunks.slice(0, -1)) expect(chunk).toHaveLength(SEALED_CHUNK_LENGTH);
    expect(Buffer.compare(await opened(parts), content)).toBe(0);
  });

  it("is another each time, and says nothing of what is in it", async () => {
    const content = new Uint8Array(1000).fill(65);
    const [one, two] = [concat(...(await sealed(content))), concat(...(await sealed(content)))];
    expect(one.length).toBe(two.length);
    expect(Buffer.compare(one, two)).not.toBe(0);
    expect(Buffer.from(one).includes("AAAA")).toBe(false);
  });

  it("has no end before it is noted, and none where that fails", async () => {
    const seen: string[] = [];
    const noting = async () => {
      seen.push("noted");
    };
    const content = LARGE.slice(0, CHUNK_LENGTH + 5);
    for await (const part of sealBackup(phraseKey, inParts(content, 999), noting)) {
      seen.push(String(part.length));
    }
    expect(seen).toEqual([String(HEADER_LENGTH), String(SEALED_CHUNK_LENGTH), "noted", "21"]);

    const parts: Bytes[] = [];
    const failing = sealBackup(phraseKey, inParts(content, 999), async () => {
      throw new Error("not noted");
    });
    const making = async () => {
      for await (const part of failing) parts.push(part);
    };
    await expect(making()).rejects.toThrow("not noted");
    expect(parts).toHaveLength(2);
    expect(await codeOf(opened(parts))).toBe("backup-damaged");
  });

  it("is read no further than asked", async () => {
    const file = new Blob([...(await sealed(LARGE))]);
    const end = new AbortController();
    const { signal } = end;
    const read: number[] = [];
    const reading = async () => {
      const backup = await openBackup(file, phraseKey);
      for await (const _ of readBackup(backup, { signal, onRead: (bytes) => read.push(bytes) })) {
        if (read.length === 2) end.abort(new Error("enough"));
      }
    };
    await expect(reading()).rejects.toThrow("enough");
    expect(read).toEqual([1, 2].map((n) => HEADER_LENGTH + n * SEALED_CHUNK_LENGTH));
  });
});

describe("a backup file is refused", () => {
  it("where it is none, or of a later version", async () => {
    expect(await codeOf(opened([]))).toBe("backup-none");
    expect(await codeOf(opened([randomBytes(5000)]))).toBe("backup-none");
    const [header = randomBytes(0), ...chunks] = await sealed(LARGE);
    const later = header.slice();
    later[17] = 2;
    expect(await codeOf(opened([later, ...chunks]))).toBe("backup-newer");
  });

  it("with the words of another account", async () => {
    const other = await phraseKeyOf(randomBytes(16));
    expect(await codeOf(opened(await sealed(LARGE), other))).toBe("backup-foreign");
  });

  it("where chunks are cut off, left out, moved, repeated, put behind, or of another backup", async () => {
    const [header, one, two, three] = await sealed(LARGE);
    const [, other, , last] = await sealed(LARGE);
    if (!header || !one || !two || !three || !other || !last) throw new Error("three chunks");
    const wrong = [
      [header],
      [header, one],
      [header, one, two],
      [header, two, three],
      [header, one, three],
      [header, three],
      [header, two, one, three],
      [header, one, two, two, three],
      [header, one, two, three, three],
      [header, one, two, three, randomBytes(1)],
      [header, other, two, three],
      [header, one, two, last],
    ];
    for (const parts of wrong) expect(await codeOf(opened(parts))).toBe("backup-damaged");
  });

  it("whatever byte is flipped, and wherever it is cut off", async () => {
    const whole = concat(...(await sealed(LARGE)));
    const anywhere = fc.oneof(fc.nat(HEADER_LENGTH - 1), fc.nat(whole.length - 1));
    await fc.assert(
      fc.asyncProperty(anywhere, fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const changed = whole.slice();
        changed[at] = (changed[at] ?? 0) ^ mask;
        expect(await codeOf(opened([changed]))).toMatch(/^backup-/);
        expect(await codeOf(opened([whole.slice(0, at)]))).toMatch(/^backup-/);
      }),
      { numRuns: 150 },
    );
  });
});
