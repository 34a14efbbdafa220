import {
  chown,
  lstat,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openSqliteDoorbell, ringSqliteDoorbell } from "../src/sqlite-doorbell.ts";
import { eventually } from "./world.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bell-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("is heard, whoever rang before, and belongs to whom the database does", async () => {
  const path = join(folder, "store.sqlite");
  const bell = `${path}-bell`;
  await writeFile(path, "");
  await writeFile(bell, "of another user, who lets nobody write to it", { mode: 0o400 });
  // Only root can give a file away.
  if (process.getuid?.() === 0) await chown(path, 65534, 65534);
  const before = await stat(bell);
  const doorbell = openSqliteDoorbell(path);
  let heard = 0;
  doorbell.listen(({ type }) => {
    if (type === "all") heard++;
  });
  await ringSqliteDoorbell(path, Date.now());
  await eventually(() => heard > 0);
  doorbell.close();
  const after = await stat(bell);
  expect(after.ino).not.toBe(before.ino);
  expect(after.uid).toBe((await stat(path)).uid);
  expect((await readdir(folder)).toSorted()).toEqual(["store.sqlite", "store.sqlite-bell"]);
});

it("writes to no file that a link in its place leads to, and gives none away", async () => {
  const path = join(folder, "linked.sqlite");
  const target = join(folder, "not-of-the-service");
  await writeFile(path, "");
  await writeFile(target, "untouched", { mode: 0o600 });
  const { uid } = await stat(target);
  if (process.getuid?.() === 0) await chown(path, 65534, 65534);
  await symlink(target, `${path}-bell.${process.pid}`);
  await ringSqliteDoorbell(path, Date.now());
  expect(await readFile(target, "utf8")).toBe("untouched");
  expect((await stat(target)).uid).toBe(uid);
  expect((await lstat(`${path}-bell`)).isFile()).toBe(true);
});
