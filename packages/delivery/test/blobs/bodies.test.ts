/** What every place for the bytes of blobs promises, on a disk and in a bucket. */

import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { type BlobBodies, diskBodies, s3Bodies } from "@conclave/delivery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { random } from "../world.ts";
import { type S3Server, startS3Server } from "./s3-server.ts";

let folder: string;
let s3: S3Server;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bodies-"));
  s3 = await startS3Server();
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await s3.close();
});

const aName = (): string => Buffer.from(random(16)).toString("hex");

for (const [name, open] of [
  ["disk", () => diskBodies(join(folder, aName(), "blobs"))],
  ["S3", () => s3Bodies(s3.options)],
] as const satisfies readonly (readonly [string, () => BlobBodies])[]) {
  describe(`${name}: bodies`, () => {
    it("give back the parts that were put, and no others", async () => {
      const bodies = open();
      const [blob, other] = [aName(), aName()];
      const [first, second] = [random(100_000), random(1)];
      await Promise.all([bodies.put(blob, "aa", first), bodies.put(blob, "bb", second)]);
      expect(await bodies.get(blob, "aa")).toEqual(first);
      expect(await bodies.get(blob, "bb")).toEqual(second);
      expect(await bodies.get(blob, "cc")).toBeUndefined();
      expect(await bodies.get(other, "aa")).toBeUndefined();
    });

    it("remove one part, or all of a blob and nothing else", async () => {
      const bodies = open();
      const [blob, other] = [aName(), aName()];
      for (const part of ["aa", "bb", "cc"]) await bodies.put(blob, part, random(10));
      await bodies.put(other, "aa", random(10));
      await bodies.removePart(blob, "aa");
      await bodies.removePart(blob, "aa");
      expect(await bodies.get(blob, "aa")).toBeUndefined();
      expect(await bodies.get(blob, "bb")).toBeDefined();
      await bodies.remove(blob);
      await bodies.remove(blob);
      expect(await bodies.get(blob, "bb")).toBeUndefined();
      expect(await bodies.get(other, "aa")).toBeDefined();
    });
  });
}

describe("bodies on a disk", () => {
  it("are files that their owner alone may read", async () => {
    const root = join(folder, "mode");
    await diskBodies(root).put("abcd", "01", random(10));
    expect((await stat(join(root, "ab", "abcd"))).mode & 0o777).toBe(0o700);
    expect((await stat(join(root, "ab", "abcd", "01"))).mode & 0o777).toBe(0o600);
  });

  it("leave nothing of a part that could not be written", async () => {
    const root = join(folder, "broken");
    const bodies = diskBodies(root);
    await bodies.put("abcd", "01", random(10));
    await mkdir(join(root, "ab", "abcd", "02"));
    await expect(bodies.put("abcd", "02", random(10))).rejects.toThrow(
      "a part of a blob was not written",
    );
    expect(await readdir(join(root, "ab", "abcd"))).toEqual(["01", "02"]);
  });
});

describe("bodies in a bucket", () => {
  it("are asked for again where the store is busy, and not where it says no", async () => {
    const bodies = s3Bodies(s3.options);
    s3.failing.count = 3;
    const bytes = random(1000);
    await bodies.put("abcd", "01", bytes);
    expect(await bodies.get("abcd", "01")).toEqual(bytes);
    s3.failing.count = 4;
    await expect(bodies.get("abcd", "01")).rejects.toThrow("the blob store answered with 503");
    expect(s3.failing.count).toBe(0);
    Object.assign(s3.failing, { count: 1, status: 403 });
    await expect(bodies.get("abcd", "01")).rejects.toThrow("the blob store answered with 403");
    Object.assign(s3.failing, { count: 0, status: 503 });
  });

  it("are behind a signature, which the server checks", async () => {
    const { options } = s3;
    const wrong = s3Bodies({ ...options, secretAccessKey: "another" });
    await expect(wrong.put("abcd", "02", random(10))).rejects.toThrow("answered with 403");
    await expect(wrong.get("abcd", "01")).rejects.toThrow("answered with 403");
  });

  it("say nothing of names and credentials when they fail", async () => {
    const nowhere = s3Bodies({
      ...s3.options,
      endpoint: "http://127.0.0.1:1",
      secretAccessKey: "very secret",
    });
    const error: unknown = await nowhere.get("abcdef0123", "45").catch((thrown: unknown) => thrown);
    const text = inspect(error, { depth: 9 });
    expect(text).toContain("the blob store was not reached");
    for (const secret of ["very secret", "S3RVER", "abcdef0123", "127.0.0.1:1"]) {
      expect(text).not.toContain(secret);
    }
  });

  it("have names with nothing in them that would have to be escaped", () => {
    expect(() => s3Bodies({ ...s3.options, prefix: "a&b/" })).toThrow(TypeError);
  });
});
