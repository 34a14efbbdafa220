import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { takeDataFolder } from "../../src/server/data-folder.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "conclave-data-folder-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("is made for its owner alone", async () => {
  (await takeDataFolder(join(folder, "a", "b"))).close();
  expect((await stat(join(folder, "a", "b"))).mode & 0o777).toBe(0o700);
});

test("has one owner at a time", async () => {
  const first = await takeDataFolder(folder);
  await expect(takeDataFolder(folder)).rejects.toThrow("in use by another Conclave");
  first.close();
  (await takeDataFolder(folder)).close();
});

test("a folder that can't be written to is explained", async () => {
  await writeFile(join(folder, "file"), "");
  // In /proc there can be none, and Node's own way of making folders goes on for ever.
  for (const path of [join(folder, "file", "data"), "/proc/none/data"]) {
    await expect(takeDataFolder(path)).rejects.toThrow("can't be written to");
  }
});
