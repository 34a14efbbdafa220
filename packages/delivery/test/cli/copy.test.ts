import { randomBytes } from "node:crypto";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  lockSqliteFile,
  openPostgresStore,
  openSqliteStore,
  refuseCopied,
} from "@conclave/delivery";
import { bytesToText } from "@conclave/delivery/protocol";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../../../scripts/free-port.ts";
import { runCli } from "../../src/cli/cli.ts";
import { openPostgresDoorbell, type PostgresDoorbell } from "../../src/postgres-doorbell.ts";
import { withPostgresContents } from "../../src/store/postgres-contents.ts";
import { withSqliteContents } from "../../src/store/sqlite-contents.ts";
import {
  addAll,
  addOf,
  aKeyPackage,
  commit,
  commitLinks,
  joinByLink,
  joinByWelcome,
  newLink,
  newMember,
  postMessage,
  readLog,
  send,
  startGroup,
} from "../member.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { call, eventually, ORIGIN } from "../world.ts";
import { type Environment, type Running, runCommand, runLimited, startCommand } from "./process.ts";
import { endOf, wireTo } from "./wire.ts";

let folder: string;
let postgres: PostgresServer;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "copy-"));
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true });
});

const newFile = (): string => join(folder, `${++count}`, "conclave.sqlite");

function configured(databaseUrl: string, more: Environment = {}): Environment {
  return {
    CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
    CONCLAVE_CONTACT: "open",
    CONCLAVE_DATA: folder,
    CONCLAVE_DATABASE_URL: databaseUrl,
    ...more,
  };
}

/** By `serve`, and where it is asked whether it would start. */
async function expectRefused(url: string): Promise<void> {
  for (const args of [["serve"], ["serve", "--check"]]) {
    const { code, stderr } = await runCommand(args, configured(url));
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /^conclave-delivery: [^\n]* was copied to [^\n]*copy --unmark[^\n]*\n$/,
      ),
    ]);
  }
}

async function stop({ child, ended }: Running): Promise<void> {
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
}

const INVITE = { hash: new Uint8Array(32), madeAt: 1, expiresAt: 2 };

async function fillPostgres(url: string): Promise<void> {
  const store = await openPostgresStore(url);
  await store.addInvites([INVITE]);
  await store.close();
}

describe("conclave-delivery copy", () => {
  it("takes people who talk from SQLite to PostgreSQL and back, and they talk on", async () => {
    const port = await freePort();
    const place = { url: `http://127.0.0.1:${port}` };
    const [first, second, third] = [
      `sqlite:${newFile()}`,
      await postgres.database("empty"),
      `sqlite:${newFile()}`,
    ];
    const serving = (url: string): Promise<Running> =>
      startCommand(configured(url, { CONCLAVE_LISTEN: `127.0.0.1:${port}` }));
    const copy = (from: string, to: string) =>
      runCommand(["copy", "--from", from, "--json"], configured(to));

    let running = await serving(first);
    const [ada, ben, cleo] = [
      await newMember(place, "Ada"),
      await newMember(place, "Ben"),
      await newMember(place, "Cleo"),
    ];
    const group = await startGroup(place, ada);
    const [ofBen] = await addAll(place, { member: ada, group }, [ben]);
    if (ofBen === undefined) throw new Error("nobody joined");
    const { message, answer } = await send(place, ada, group, "before");
    expect(answer.status).toBe(201);
    const uploaded = await aKeyPackage(cleo);
    const packages = { keyPackages: [uploaded, await aKeyPackage(cleo)] };
    expect(
      (await call(place, "POST", "/v1/key-packages", { token: cleo.token, body: packages })).status,
    ).toBe(200);
    const content = new Uint8Array(randomBytes(3000));
    const blob = await call(place, "POST", "/v1/blobs", {
      token: ada.token,
      body: content,
      headers: {
        "content-type": "application/octet-stream",
        "upload-complete": "?1",
        "upload-length": "3000",
      },
    });
    expect(blob.status).toBe(201);
    const open = await newLink();
    expect((await commitLinks(place, ada, group, [open])).status).toBe(201);
    for (const { message: entry } of (await readLog(place, ben, group.groupId, 1)).entries) {
      await ofBen.receive(entry);
    }
    const before = await readLog(place, ben, group.groupId);
    await stop(running);

    const there = await copy(first, second);
    expect(there).toMatchObject({ code: 0, stderr: "" });
    const { rows } = JSON.parse(there.stdout) as { rows: Record<string, number> };
    await expectRefused(first);
    expect(rows).toMatchObject({ accounts: 3, groups: 1, log: before.head, blobs: 1, links: 1 });

    running = await serving(second);
    // Everybody is still signed in, and what was sent before has its place.
    expect(await readLog(place, ben, group.groupId)).toEqual(before);
    expect((await postMessage(place, ada, group.groupId, message)).body).toEqual(answer.body);
    const got = await call(place, "GET", blob.headers.get("location") ?? "", { token: ada.token });
    expect(got.body).toEqual(content);
    // Both of Cleo's key packages are there, and each is served once; by one she is added, and joins.
    const claimed: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      const claim = await call(place, "POST", "/v1/key-packages/claim", {
        token: ada.token,
        body: { accountId: bytesToText(cleo.person.accountId), suites: [1] },
      });
      claimed.push(...claim.body.keyPackages.map((one: { keyPackage?: string }) => one.keyPackage));
    }
    expect(new Set(claimed.filter((one) => one !== undefined)).size).toBe(2);
    const added = await commit(place, ada, group, { proposals: [addOf(uploaded)] });
    expect(added.status).toBe(201);
    await stop(running);

    const back = await copy(second, third);
    expect(back).toMatchObject({ code: 0, stderr: "" });
    await expectRefused(second);
    running = await serving(third);
    // Her Welcome was under way.
    const ofCleo = await joinByWelcome(place, cleo);
    const after = await readLog(place, ben, group.groupId, before.head);
    expect(after.entries.map(({ seq }) => seq)).toEqual([before.head + 1]);
    for (const { message: entry } of after.entries) await ofBen.receive(entry);
    const said = await send(place, ofBen === undefined ? ada : ben, ofBen, "after");
    expect(said.answer.body.seq).toBe(before.head + 2);
    const received = await ofCleo.receive(said.message);
    expect(received).toMatchObject({ type: "application" });
    const dora = await newMember(place, "Dora");
    expect((await joinByLink(place, dora, open)).answer.status).toBe(201);
    await stop(running);
  });

  it("marks what was copied, so that no service runs on it by mistake, and none is copied again", async () => {
    const [file, url] = [`sqlite:${newFile()}`, await postgres.database("empty")];
    await runCommand(["migrate"], configured(file));
    for (const [from, to] of [
      [file, url],
      // Empty as it is, it may be copied to, and is the one to run on again.
      [url, file],
    ] as const) {
      const copied = await runCommand(["copy", "--from", from], configured(to));
      expect(copied).toMatchObject({ code: 0, stdout: expect.stringContaining("is marked") });
      await expectRefused(from);
      expect((await runCommand(["serve", "--check"], configured(to))).code).toBe(0);
      const again = await runCommand(["copy", "--from", from], configured(to));
      expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("was copied to")]);
    }
    const unmark = (...more: string[]) =>
      runCommand(["copy", "--unmark", ...more], configured(url));
    expect((await unmark("--from", file)).code).toBe(2);
    expect(await unmark()).toMatchObject({ code: 0, stdout: expect.stringContaining("may run") });
    expect(JSON.parse((await unmark("--json")).stdout)).toMatchObject({ unmarked: false });
    expect((await runCommand(["serve", "--check"], configured(url))).code).toBe(0);
    await runCommand(["copy", "--from", file], configured(url));
    await expectRefused(file);
    const released = await runCommand(["copy", "--unmark", "--json"], configured(file));
    expect(JSON.parse(released.stdout)).toMatchObject({ unmarked: true });
    await stop(await startCommand(configured(file, { CONCLAVE_LISTEN: "127.0.0.1:0" })));
  });

  it("copies only into an empty database of the other kind, from one that is there", async () => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    const refused = async (from: string, to: string): Promise<string> => {
      const { code, stdout, stderr } = await runCommand(["copy", "--from", from], configured(to));
      expect(stdout).toBe("");
      return `${code}: ${stderr}`;
    };
    expect(await refused(`sqlite:${file}`, url)).toBe(
      `1: conclave-delivery: there is no database at sqlite:${file}\n`,
    );
    await runCommand(["migrate"], configured(`sqlite:${file}`));
    expect(await refused(`sqlite:${file}`, `sqlite:${newFile()}`)).toMatch(/^2: .*both are SQLite/);
    expect(await refused(url, await postgres.database())).toMatch(/^2: .*both are PostgreSQL/);
    expect(await refused("mysql://x", url)).toMatch(/^2: .*has to be sqlite:PATH or postgres:/);
    const { code, stderr } = await runCommand(["copy"], configured(url));
    expect([code, stderr]).toEqual([2, expect.stringContaining("--from URL is missing")]);

    const store = await openPostgresStore(url);
    const invite = { hash: new Uint8Array(32), madeAt: 1, expiresAt: 2 };
    await store.addInvites([invite]);
    await store.close();
    expect(await refused(`sqlite:${file}`, url)).toMatch(
      /^1: conclave-delivery: nothing was copied, \S+ is as it was\nconclave-delivery: \S+ is not empty \(it has invites\)/,
    );
    const unreachable = "postgres://conclave:very-secret@127.0.0.1:1/conclave";
    const lost = await refused(`sqlite:${file}`, unreachable);
    expect(lost).toMatch(/^1: .*nothing was copied.*\n.*@127.0.0.1:1\/conclave can't be reached/);
    expect(lost).not.toContain("secret");
    const full = openSqliteStore(file);
    await full.addInvites([invite]);
    await full.close();
    expect(await refused(url, `sqlite:${file}`)).toMatch(/^1: .*\n.*is not empty/);
    // It doesn't have to be there before.
    const made = newFile();
    expect(await runCommand(["copy", "--from", url], configured(`sqlite:${made}`))).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^invites +1\n[\s\S]*is marked as copied/m),
    });
    expect((await stat(made)).isFile()).toBe(true);
  });

  it("copies nothing when it is stopped on the way", async () => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    await runCommand(["migrate"], configured(`sqlite:${file}`));
    const store = openSqliteStore(file);
    await store.addInvites([{ hash: new Uint8Array(32), madeAt: 1, expiresAt: 2 }]);
    await store.close();
    let said = "";
    const code = await runCli({
      args: ["copy", "--from", `sqlite:${file}`],
      environment: configured(url),
      write: () => undefined,
      complain: (text) => {
        said += text;
      },
      now: Date.now,
      onSignal: (signal, listener) => signal === "SIGINT" && listener(),
    });
    expect([code, said]).toEqual([
      1,
      expect.stringMatching(
        /nothing was copied[^\n]*\nconclave-delivery: it was stopped by SIGINT\n$/,
      ),
    ]);
    expect(await postgres.query("SELECT * FROM invites", url)).toEqual([]);
  });

  it("copies nothing where the disk is full", async () => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    const store = await openPostgresStore(url);
    const invites = Array.from({ length: 9000 }, () => {
      return { hash: new Uint8Array(randomBytes(32)), madeAt: 1, expiresAt: 2 };
    });
    await store.addInvites(invites);
    await store.close();
    const args = ["copy", "--from", url];
    const { code, stderr } = await runLimited(args, configured(`sqlite:${file}`), 500);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /nothing was copied, [^\n]*\n[^\n]*sqlite can't be used: the disk [^\n]*\n$/,
    );
    expect(stderr).toContain(file);
    // It may be tried again.
    expect(await runCommand(args, configured(`sqlite:${file}`))).toMatchObject({ code: 0 });
  });

  it("is done once the copy is kept, even where what was copied is lost then", async () => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    await fillPostgres(url);
    // Between the two: hangs up where the transaction that read everything is to end.
    const wire = await wireTo(url, endOf("cut"), { socket: postgres.folder, folder });
    const args = ["copy", "--from", wire.url, "--json"];
    const copied = await runCommand(args, configured(`sqlite:${file}`));
    await wire.met;
    wire.close();
    expect(copied.code).toBe(0);
    expect(JSON.parse(copied.stdout)).toMatchObject({ rows: { invites: 1 }, marked: false });
    expect(copied.stderr).toMatch(
      /^conclave-delivery: all was copied, but \S+ says only that it was begun/,
    );
    const { code, stderr } = await runCommand(["serve", "--check"], configured(url));
    expect([code, stderr]).toEqual([1, expect.stringContaining("is being copied to sqlite:")]);
  });

  it("copies nothing where a service was started on what is copied, at the last moment", async () => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    await (await openPostgresStore(url)).close();
    const reader = new pg.Client({ connectionString: url });
    await reader.connect();
    await reader.query("BEGIN");
    await reader.query("SELECT FROM facts");
    const copying = runCommand(["copy", "--from", url, "--json"], configured(`sqlite:${file}`));
    const marking = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'facts'::regclass";
    await eventually(async () => (await postgres.query(marking, url)).length > 0);
    const doorbell = await openPostgresDoorbell(url);
    await reader.end();
    const copied = await copying;
    await doorbell.close();
    expect([copied.code, copied.stdout]).toEqual([1, ""]);
    expect(copied.stderr).toMatch(/nothing was copied[^\n]*\n[^\n]*in use by the service[^\n]*\n$/);
    expect(await postgres.query("SELECT * FROM facts", url)).toEqual([]);
  });

  it("is not given up while it runs, nor under a service", async () => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    await runCommand(["migrate"], configured(`sqlite:${file}`));
    await (await openPostgresStore(url)).close();
    const unmark = (one: string) => runCommand(["copy", "--unmark"], configured(one));
    await withSqliteContents(file, (contents) => contents.markCopying("elsewhere", 5));
    const lock = lockSqliteFile(file);
    expect(await unmark(`sqlite:${file}`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("in use by another process"),
    });
    lock.close();
    await withPostgresContents(url, async (contents) => {
      await contents.markCopying("elsewhere", 5);
      expect(await unmark(url)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("somebody else writes to it"),
      });
    });
    const doorbell = await openPostgresDoorbell(url);
    expect(await unmark(url)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("in use by the service"),
    });
    await doorbell.close();
    for (const one of [url, `sqlite:${file}`]) {
      await expect(refuseCopied(one)).rejects.toThrow("is being copied to elsewhere");
      expect((await unmark(one)).code).toBe(0);
    }
  });

  it("names the place as it is called, in a mark's words too", async () => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    await runCommand(["migrate"], configured(`sqlite:${file}`));
    await (await openPostgresStore(url)).close();
    const to = "sqlite:/copying to another/100%_x";
    await withSqliteContents(file, async (contents) => {
      await contents.markCopying(to, 5);
      await contents.markCopied();
    });
    await withPostgresContents(url, async (contents) => {
      await contents.markCopying(to, 5);
      await contents.markCopied();
    });
    for (const one of [url, `sqlite:${file}`]) {
      await expect(refuseCopied(one)).rejects.toThrow(`was copied to ${to},`);
    }
  });

  it("changes neither where a service runs on the other", async () => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    await runCommand(["migrate"], configured(`sqlite:${file}`));
    const tables = (): Promise<unknown> =>
      postgres.query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
        url,
      );
    const lock = lockSqliteFile(file);
    const args = ["copy", "--from", `sqlite:${file}`];
    expect((await runCommand(args, configured(url))).stderr).toContain("in use by another process");
    lock.close();
    const doorbell = await openPostgresDoorbell(url);
    expect((await runCommand(args, configured(url))).stderr).toContain("in use by the service");
    expect(await tables()).toEqual([]);
    const made = newFile();
    const back = await runCommand(["copy", "--from", url], configured(`sqlite:${made}`));
    expect(back.stderr).toContain("there is no database at");
    await doorbell.close();
    await expect(stat(made)).rejects.toThrow("ENOENT");
  });

  it("copies nothing where a service starts meanwhile", async () => {
    const url = await postgres.database("empty");
    await (await openPostgresStore(url)).close();
    let doorbell: PostgresDoorbell | undefined;
    const starting = withPostgresContents(url, async ({ noteArrival }) => {
      await noteArrival(1);
      doorbell = await openPostgresDoorbell(url);
    });
    await expect(starting).rejects.toThrow("in use by the service");
    expect(await postgres.query("SELECT * FROM facts", url)).toEqual([]);
    await doorbell?.close();
  });

  it("copies nothing while a service runs on either", async () => {
    const [file, url] = [newFile(), await postgres.database("empty")];
    const listen = { CONCLAVE_LISTEN: "127.0.0.1:0" };
    for (const [busy, from, to] of [
      [`sqlite:${file}`, `sqlite:${file}`, url],
      [url, `sqlite:${file}`, url],
      [url, url, `sqlite:${newFile()}`],
    ] as const) {
      const running = await startCommand(configured(busy, listen));
      const { code, stdout, stderr } = await runCommand(["copy", "--from", from], configured(to));
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(/nothing was copied[^\n]*\n[^\n]* is in use by [^\n]*\n$/);
      await stop(running);
    }
  });
});
