import { inspect } from "node:util";
import { openPostgresStore } from "@conclave/delivery";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openPostgresDoorbell } from "../../src/postgres-doorbell.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { ORIGIN } from "../world.ts";
import { runCommand } from "./process.ts";

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

it("looks at a PostgreSQL, brings it up to date, and marks it as restored", async () => {
  const url = await postgres.database("empty");
  const environment = {
    CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
    CONCLAVE_TRUSTED_PROXIES: "1",
    CONCLAVE_DATABASE_URL: url,
  };
  const empty = await runCommand(["serve", "--check"], environment);
  expect(empty).toMatchObject({ code: 0, stderr: "" });
  expect(empty.stdout).toContain("(would be made)");
  expect((await runCommand(["restore", "--mark"], environment)).code).toBe(1);
  const made = await runCommand(["migrate"], environment);
  expect(made.stdout).toMatch(/: made, now version \d+\.\n$/);
  const check = await runCommand(["serve", "--check"], environment);
  expect(check.stdout).toMatch(/\(version \d+, the newest\)/);
  const doorbell = await openPostgresDoorbell(url);
  const busy = await runCommand(["restore", "--mark"], environment);
  expect([busy.code, busy.stderr]).toEqual([1, expect.stringContaining("in use by the service")]);
  await doorbell.close();
  expect(await runCommand(["restore", "--mark"], environment)).toMatchObject({ code: 0 });
  expect(await postgres.query("SELECT name FROM facts", url)).toEqual([{ name: "restored" }]);
  const copied = await runCommand(["backup", "/tmp/never-made"], environment);
  expect(copied.code).toBe(1);
  expect(copied.stderr).toContain("copy it with pg_dump or pg_basebackup");
  await postgres.query("UPDATE schema_version SET version = 99", url);
  for (const args of [["serve", "--check"], ["migrate"], ["serve"]]) {
    const refused = await runCommand(args, environment);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("version 99");
  }
});

it("says that a PostgreSQL can't be reached, and not with which password it was tried", async () => {
  const url = "postgres://conclave:very-secret@127.0.0.1:1/conclave";
  const environment = { CONCLAVE_PUBLIC_ORIGIN: ORIGIN, CONCLAVE_DATABASE_URL: url };
  for (const args of [["serve", "--check"], ["serve"]]) {
    const { code, stdout, stderr } = await runCommand(args, environment);
    expect(code).toBe(1);
    expect(stderr).toContain("postgres://conclave@127.0.0.1:1/conclave can't be reached");
    expect(stdout + stderr).not.toContain("secret");
  }
});

it("says in words what a PostgreSQL refuses, and what to do", async () => {
  const url = await postgres.database("empty");
  await postgres.query("CREATE ROLE poor LOGIN; REVOKE ALL ON SCHEMA public FROM public", url);
  const changed = (change: (parsed: URL) => void): string => {
    const parsed = new URL(url);
    change(parsed);
    return parsed.toString();
  };
  for (const [name, complaint] of [
    [
      changed((one) => (one.pathname = "/none")),
      "can't be reached: it has no database by that name",
    ],
    [
      changed((one) => (one.username = "nobody-there")),
      "can't be reached: it lets this user not in",
    ],
    [
      changed((one) => (one.username = "poor")),
      "can't be used: this user may make no tables there",
    ],
    ["postgres://postgres@localhost/x?host=/none", "can't be reached: there is no such socket"],
    ["postgres://postgres@127.0.0.1:1/x", "can't be reached: nobody listens there"],
  ] as const) {
    const environment = { CONCLAVE_PUBLIC_ORIGIN: ORIGIN, CONCLAVE_DATABASE_URL: name };
    const { code, stdout, stderr } = await runCommand(["migrate"], environment);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^conclave-delivery: [^\n]+\n$/);
    expect(stderr).toContain(complaint);
  }
});

it("finds out at a check what would be in the way of the service, and says it alike wherever it is met", async () => {
  const [whole, lacking, used, foreign, alike, clashing] = [
    await postgres.database(),
    await postgres.database(),
    await postgres.database(),
    await postgres.database("empty"),
    await postgres.database("empty"),
    await postgres.database("empty"),
  ];
  await postgres.query("CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN", whole);
  await postgres.query("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", whole);
  // All but what a commit writes besides the log.
  await postgres.query(
    `CREATE ROLE writer LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO writer;
     REVOKE INSERT ON handshakes FROM writer`,
    lacking,
  );
  await postgres.query("REVOKE ALL ON SCHEMA public FROM public", used);
  await postgres.query("CREATE TABLE notes (text TEXT)", foreign);
  await postgres.query("CREATE TABLE schema_version (text TEXT)", alike);
  await postgres.query("CREATE TABLE accounts (text TEXT)", clashing);
  const changed = (url: string, change: (parsed: URL) => void): string => {
    const parsed = new URL(url);
    change(parsed);
    return parsed.toString();
  };
  const commands = [
    ["serve", "--check"],
    ["serve"],
    ["migrate"],
    ["restore", "--mark"],
    ["accounts", "list"],
    ["invite"],
    ["copy", "--unmark"],
  ];
  for (const [url, complaint] of [
    [changed(whole, (one) => (one.username = "reader")), "this user may not"],
    [changed(lacking, (one) => (one.username = "writer")), "this user may not"],
    [changed(used, (one) => (one.username = "stranger")), "this user may make no tables there"],
    [foreign, "a table of another program is in the way"],
    [alike, "its tables are another program's"],
    [clashing, "a table of another program is in the way"],
    [
      changed(whole, (one) => one.searchParams.set("options", "-c nonsense=1")),
      "it refused with SQLSTATE 42704",
    ],
  ] as const) {
    for (const args of commands) {
      const { code, stdout, stderr } = await runCommand(args, {
        CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
        CONCLAVE_TRUSTED_PROXIES: "1",
        CONCLAVE_LISTEN: "127.0.0.1:0",
        CONCLAVE_DATABASE_URL: url,
      });
      expect([args, code, stdout]).toEqual([args, 1, ""]);
      expect(stderr).toMatch(/^conclave-delivery: postgres:[^\n]+ can't be used: [^\n]+\n$/);
      expect(stderr).toContain(complaint);
    }
  }
});

it("says nothing of a password, whatever the form of the URL", async () => {
  const hosts = "127.0.0.1:1,127.0.0.1:2/conclave";
  const urls = [
    [1, `postgres://conclave:hunter-two@${hosts}`],
    [1, `postgres://conclave:hunter@two@${hosts}`],
    [2, `postgres://conclave:hunter#two@${hosts}`],
    [2, `postgres://conclave:12/two-hunter@${hosts}`],
    [2, `postgres://conclave:hunter-two%@${hosts}`],
  ] as const;
  const commands = [["serve"], ["serve", "--check"], ["migrate"], ["restore", "--mark"]];
  for (const [expected, url] of urls) {
    const environment = { CONCLAVE_PUBLIC_ORIGIN: ORIGIN, CONCLAVE_DATABASE_URL: url };
    for (const args of commands) {
      const { code, stdout, stderr } = await runCommand(args, environment);
      expect(code).toBe(expected);
      expect(stdout + stderr).not.toMatch(/hunter|two/);
      expect(stderr).toContain(
        expected === 1 ? `postgres://conclave@${hosts} can't` : "database.url",
      );
    }
  }
});

it("leaves no URL in the error of one that can't be parsed", async () => {
  const error: unknown = await openPostgresStore("postgres://u:hunter/two@a/b").catch(
    (e: unknown) => e,
  );
  expect(inspect(error)).toContain("can't be read");
  expect(inspect(error)).not.toContain("hunter");
});
