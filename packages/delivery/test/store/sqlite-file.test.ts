import { chown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockSqliteFile } from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const isRoot = process.getuid?.() === 0;
/** Of whom the folder is; nobody needs to have that number. */
const SERVICE = 54_321;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lock-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("the lock of a SQLite file", () => {
  it("is one process's at a time", () => {
    const path = join(folder, "store.sqlite");
    const lock = lockSqliteFile(path);
    expect(() => lockSqliteFile(path)).toThrow("in use by another process");
    lock.close();
    lockSqliteFile(path).close();
  });

  it("is the file's, by whichever name it is called", async () => {
    const [path, link] = [join(folder, "store.sqlite"), join(folder, "link.sqlite")];
    await writeFile(path, "");
    await symlink(path, link);
    const lock = lockSqliteFile(path);
    expect(() => lockSqliteFile(link)).toThrow("in use by another process");
    lock.close();
  });

  it.runIf(isRoot)("is the service's, should root make it", async () => {
    await chown(folder, SERVICE, SERVICE);
    const path = join(folder, "store.sqlite");
    lockSqliteFile(path).close();
    expect(await stat(`${path}-lock`)).toMatchObject({ uid: SERVICE, gid: SERVICE });
  });

  it.runIf(isRoot)("is not taken from whom it belongs to", async () => {
    await chown(folder, SERVICE, SERVICE);
    const path = join(folder, "store.sqlite");
    await writeFile(`${path}-lock`, "");
    lockSqliteFile(path).close();
    expect(await stat(`${path}-lock`)).toMatchObject({ uid: 0 });
  });

  it("says what to do where it can't be had", async () => {
    const path = join(folder, "store.sqlite");
    await mkdir(`${path}-lock`);
    expect(() => lockSqliteFile(path)).toThrow(
      `${path}-lock can't be locked: it can't be opened; is its folder there, and may this user write to it?; if it is another user's, remove it`,
    );
  });
});
