import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openProfile } from "../src/node/index.ts";
import { type ClientStorage, changes } from "../src/storage.ts";
import { Warnings } from "../src/warnings.ts";

let folder: string;
let storage: ClientStorage;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "conclave-warnings-"));
  storage = openProfile(join(folder, "profile.db")).storage;
});
afterEach(async () => {
  await storage.close();
  rmSync(folder, { recursive: true });
});

async function add(warnings: Warnings, scope: string | undefined, at: number, accountId?: string) {
  const batch = changes();
  const code = "message-missing";
  const show = warnings.stage(batch, scope, { code, at, ...(accountId && { accountId }) });
  await storage.apply(batch);
  show();
}

it("warnings are kept until they are dismissed, in their own scope, oldest first", async () => {
  const warnings = new Warnings(storage);
  await add(warnings, "aa", 2, "cc");
  await add(warnings, "aa", 1);
  await add(warnings, "bb", 3);
  await add(warnings, undefined, 4);
  const again = new Warnings(storage);
  await again.load();
  expect(again.of("aa").map(({ at }) => at)).toEqual([1, 2]);
  expect(again.of("aa")).toEqual(warnings.of("aa"));
  expect(again.of(undefined).map(({ at }) => at)).toEqual([4]);
  await again.dismiss("aa");
  expect(again.of("aa")).toEqual([]);
  expect(again.of("bb")).toHaveLength(1);
  const last = new Warnings(storage);
  await last.load();
  expect(last.of("aa")).toEqual([]);
});

it("the same of the same account is one, however often it happens", async () => {
  const warnings = new Warnings(storage);
  for (let at = 0; at < 50; at++) await add(warnings, "aa", at, "cc");
  expect(warnings.of("aa")).toEqual([{ code: "message-missing", at: 49, accountId: "cc" }]);
  expect((await storage.list("warning/")).size).toBe(1);
});
