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
  takeDataFolder(join(folder, "a", "b")).close();
  expect((await stat(join(folder, "a", "b"))).mode & 0o777).toBe(0o700);
});

test("has one owner at a time", () => {
  const first = takeDataFolder(folder);
  expect(() => takeDataFolder(folder)).toThrow("in use by another Conclave");
  first.close();
  takeDataFolder(folder).close();
});

test("a folder that can't be written to is explained", async () => {
  await writeFile(join(folder, "file"), "");
  expect(() => takeDataFolder(join(folder, "file", "data"))).toThrow("can't be written to");
});
