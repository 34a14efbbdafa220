/** A copy that is killed, at each point of its way. */

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openPostgresStore, openSqliteStore, refuseCopied } from "@conclave/delivery";
import { afterAll, beforeAll, expect, it } from "vitest";
import { withoutSecrets } from "../../src/config.ts";
import { withSqliteContents } from "../../src/store/sqlite-contents.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { ORIGIN } from "../world.ts";
import { type Environment, runCommand, spawnCommand } from "./process.ts";
import { endOf, type Meeting, where, wireTo } from "./wire.ts";

let folder: string;
let postgres: PostgresServer;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "copy-killed-"));
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true });
});

const newFile = (): string => join(folder, `${++count}`, "conclave.sqlite");

function configured(databaseUrl: string): Environment {
  return {
    CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
    CONCLAVE_DATA: folder,
    CONCLAVE_DATABASE_URL: databaseUrl,
  };
}

const INVITE = { hash: new Uint8Array(32), madeAt: 1, expiresAt: 2 };

async function fillPostgres(url: string): Promise<void> {
  const store = await openPostgresStore(url);
  await store.addInvites([INVITE]);
  await store.close();
}

async function fillSqlite(file: string): Promise<void> {
  await runCommand(["migrate"], configured(`sqlite:${file}`));
  const store = openSqliteStore(file);
  await store.addInvites([INVITE]);
  await store.close();
}

function hasInvites(file: string): boolean {
  const db = new DatabaseSync(file);
  try {
    return db.prepare("SELECT 1 FROM invites").get() !== undefined;
  } finally {
    db.close();
  }
}

async function isInPostgres(url: string): Promise<boolean> {
  const [table] = await postgres.query("SELECT to_regclass('invites') AS there", url);
  if (table?.there === null) return false;
  return (await postgres.query("SELECT 1 FROM invites", url)).length > 0;
}

it.each<
  readonly [
    where: string,
    from: "sqlite" | "postgres",
    at: Meeting,
    there: "none" | "all" | "noted",
  ]
>([
  ["before anything is marked", "postgres", where("INSERT INTO facts"), "none"],
  ["once it is marked", "postgres", where("DECLARE cursor_1 "), "none"],
  ["before anything is copied", "sqlite", where("LOCK TABLE accounts"), "none"],
  ["before the copy is kept", "sqlite", endOf("hold"), "none"],
  ["once the copy is kept", "sqlite", endOf("answered"), "all"],
  ["before that is noted for good", "postgres", endOf("hold"), "all"],
  ["once that is noted for good", "postgres", endOf("answered"), "noted"],
])(
  "a copy may be killed %s: never are both served, and the same again ends it",
  async (_where, from, at, there) => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    await runCommand(["migrate"], configured(`sqlite:${file}`));
    if (from === "postgres") await fillPostgres(url);
    else await fillSqlite(file);
    const wire = await wireTo(url, at, { socket: postgres.folder, folder });
    const [source, target] =
      from === "sqlite" ? [`sqlite:${file}`, wire.url] : [wire.url, `sqlite:${file}`];
    const args = ["copy", "--from", source, "--json"];
    const child = spawnCommand(args, configured(target));
    const ended = once(child, "exit");
    const early = ended.then(() => Promise.reject(new Error("it ended before it was killed")));
    await Promise.race([wire.met, early]);
    child.kill("SIGKILL");
    await ended;
    wire.open();
    const isServed = async (one: string): Promise<boolean> =>
      (await runCommand(["serve", "--check"], configured(one))).code === 0;
    const isThere = (): Promise<boolean> | boolean =>
      from === "sqlite" ? isInPostgres(url) : hasInvites(file);
    const arrived = await isThere();
    expect(arrived).toBe(there !== "none");
    expect(arrived && (await isServed(source))).toBe(false);
    expect(await isServed(target)).toBe(true);
    const again = await runCommand(args, configured(target));
    const { rows } = JSON.parse(again.stdout || "{}") as { rows?: { invites: number } | null };
    expect([again.code, rows?.invites]).toEqual(
      { none: [0, 1], all: [0, undefined], noted: [1, undefined] }[there],
    );
    expect(await isThere()).toBe(true);
    expect([await isServed(source), await isServed(target)]).toEqual([false, true]);
    await expect(refuseCopied(source)).rejects.toThrow("was copied to");
    wire.close();
  },
);

it("a copy that was cut off goes nowhere else, and is given up on request", async () => {
  const [file, url, other] = [
    newFile(),
    await postgres.database("empty"),
    await postgres.database("empty"),
  ];
  await fillSqlite(file);
  const source = `sqlite:${file}`;
  await withSqliteContents(file, (contents) => contents.markCopying(withoutSecrets(url), 5));
  const elsewhere = await runCommand(["copy", "--from", source], configured(other));
  // Both are on one socket: their names differ.
  expect(elsewhere).toMatchObject({ code: 1, stdout: "" });
  expect(elsewhere.stderr).toContain("is being copied to");
  // It may have arrived: who can't find out takes no mark away.
  const lost = await runCommand(["copy", "--from", source], configured(`${url}&port=1`));
  expect([lost.code, lost.stderr]).toEqual([1, expect.stringContaining("may be in")]);
  await expect(refuseCopied(source)).rejects.toThrow("is being copied to");
  for (const args of [["accounts", "list"], ["invite"]]) {
    const refused = await runCommand(args, configured(source));
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("is being copied")]);
  }
  expect(await runCommand(["copy", "--unmark"], configured(source))).toMatchObject({ code: 0 });
  await refuseCopied(source);
  expect(await runCommand(["copy", "--from", source], configured(other))).toMatchObject({
    code: 0,
  });
});
