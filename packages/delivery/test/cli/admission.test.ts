import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "@conclave/delivery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../../../scripts/free-port.ts";
import { listenReady } from "../listener.ts";
import { newMember, send, startGroup } from "../member.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { call, newPerson, ORIGIN, PAGE, proveSignIn, register, signList } from "../world.ts";
import { type Environment, runCommand, runLimited, startCommand } from "./process.ts";

let folder: string;
let postgres: PostgresServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "admission-"));
  postgres = await startPostgres({ fsync: "off" });
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await postgres.stop();
});

let count = 0;
async function anEnvironment(
  database: "SQLite" | "PostgreSQL",
  more: Environment = {},
): Promise<Environment> {
  const data = join(folder, `${++count}`);
  const url = database === "SQLite" ? undefined : await postgres.database("empty");
  return {
    CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
    CONCLAVE_DATA: data,
    ...(url !== undefined && { CONCLAVE_DATABASE_URL: url }),
    ...more,
  };
}

async function shown(args: readonly string[], environment: Environment): Promise<unknown> {
  const { code, stdout, stderr } = await runCommand([...args, "--json"], environment);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe.each(["SQLite", "PostgreSQL"] as const)("beside a service on %s", (database) => {
  it("invite makes codes that it never shows again, lists them by their state, and revokes them", async () => {
    const port = await freePort();
    const environment = await anEnvironment(database, {
      CONCLAVE_LISTEN: `127.0.0.1:${port}`,
      CONCLAVE_REGISTRATION: "invite",
      CONCLAVE_ALLOWED_ORIGINS: PAGE,
      CONCLAVE_SHUTDOWN_SPREAD: "0",
    });
    const running = await startCommand(environment);
    const made = await runCommand(["invite", "--count", "3", "--expires", "2h"], environment);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const lines = made.stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    const [code = "", link] = lines[0]?.split("  ") ?? [];
    expect(link).toBe(`${PAGE}/#invite=${code}`);

    const place = { url: `http://127.0.0.1:${port}` };
    const person = await newPerson("Guest");
    const proof = { deviceList: await signList(person), signIn: await proveSignIn(person) };
    const ask = (invite?: string) =>
      call(place, "POST", "/v1/accounts", { body: { ...proof, ...(invite && { invite }) } });
    expect((await ask()).problem.code).toBe("invite-needed");
    const second = lines[1]?.split(" ")[0] ?? "";
    const revoked = await runCommand(["invite", "revoke", second], environment);
    expect(revoked).toMatchObject({ code: 0, stderr: "" });
    expect((await ask(second)).problem.code).toBe("invite-unknown");
    expect((await ask(code)).status).toBe(201);

    const listed = (await shown(["invite", "list"], environment)) as readonly {
      readonly id: string;
      readonly state: string;
    }[];
    expect(listed.map(({ state }) => state).toSorted()).toEqual(["open", "spent"]);
    expect(JSON.stringify(listed)).not.toContain(code);
    const plain = (await runCommand(["invite", "list"], environment)).stdout;
    expect(plain).toMatch(/^[0-9a-f]{12} {2}(open {4}until|spent {3}at) 2[\dTZ:-]+, made /);
    const id = listed.find(({ state }) => state === "open")?.id ?? "";
    expect(await shown(["invite", "revoke", id], environment)).toEqual([{ id, state: "revoked" }]);
    const spent = await runCommand(["invite", "revoke", code], environment);
    expect([spent.code, spent.stderr]).toEqual([1, expect.stringContaining("is spent")]);
    const unknown = await runCommand(["invite", "revoke", id], environment);
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining("no such code")]);
    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(0);
  });

  it("accounts lists, shows, disables, enables and deletes; the service hears of it", async () => {
    const port = await freePort();
    const environment = await anEnvironment(database, {
      CONCLAVE_LISTEN: `127.0.0.1:${port}`,
      CONCLAVE_SHUTDOWN_SPREAD: "0",
      // So far off that only who rings closes a socket.
      CONCLAVE_LIMITS_HEARTBEAT: "3600000",
    });
    const running = await startCommand(environment);
    const place = { url: `http://127.0.0.1:${port}` };
    const ada = await newMember(place, "Ada Lovelace");
    await register(place, await newPerson("Bob"));
    await send(place, ada, await startGroup(place, ada), "hello");
    const id = hex(ada.person.accountId);

    expect(await shown(["accounts", "list"], environment)).toEqual([
      { name: "Ada Lovelace", state: "enabled", id },
      { name: "Bob", state: "enabled", id: expect.stringMatching(/^[0-9a-f]{64}$/) },
    ]);
    expect(await shown(["accounts", "show", "ada  lovelace"], environment)).toMatchObject({
      name: "Ada Lovelace",
      id,
      groups: 1,
      blobs: 0,
      devices: [{ id: hex(ada.person.device.deviceId), sessions: 1 }],
    });

    const signIn = async (): Promise<string | undefined> =>
      (
        await call(place, "POST", "/v1/sessions", {
          body: { signIn: await proveSignIn(ada.person) },
        })
      ).problem.code;
    const socket = await listenReady(place, ada.token);
    const disabled = await runCommand(["accounts", "disable", id], environment);
    expect(disabled).toMatchObject({ code: 0, stderr: "" });
    expect(await socket.closed).toBe(4401);
    expect((await call(place, "GET", "/v1/groups", { token: ada.token })).status).toBe(401);
    expect(await signIn()).toBe("account-disabled");
    const plain = await runCommand(["accounts", "show", id], environment);
    expect(plain.stdout).toMatch(/^state +disabled since 2[\dTZ:-]+$/m);
    expect(await shown(["accounts", "enable", "Ada Lovelace"], environment)).toEqual({
      name: "Ada Lovelace",
      id,
      state: "enabled",
    });
    expect(await signIn()).toBeUndefined();

    const token = (
      await call(place, "POST", "/v1/sessions", {
        body: { signIn: await proveSignIn(ada.person) },
      })
    ).body.token;
    const second = await listenReady(place, token);
    const unsure = await runCommand(["accounts", "delete", id], environment);
    expect([unsure.code, unsure.stderr]).toEqual([2, expect.stringContaining("say --yes")]);
    const deleted = await runCommand(["accounts", "delete", id, "--yes"], environment);
    expect(deleted).toMatchObject({ code: 0, stderr: "" });
    expect(await second.closed).toBe(4401);
    expect(await signIn()).toBe("account-deleted");
    await register(place, await newPerson("Ada Lovelace"));
    const gone = await runCommand(["accounts", "show", id], environment);
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining("there is no account")]);
    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(0);
    // As when the person does it: the group in which nobody else ever was is gone.
    const store = await openStore(
      environment["CONCLAVE_DATABASE_URL"] ??
        `sqlite:${join(environment["CONCLAVE_DATA"] ?? "", "conclave.sqlite")}`,
    );
    expect(await store.isDeleted(ada.person.accountId)).toBe(true);
    expect(await store.account(ada.person.accountId)).toBeUndefined();
    await store.close();
  });
});

describe("invite and accounts", () => {
  it("need a database of this version, and change none of another", async () => {
    const environment = await anEnvironment("SQLite");
    for (const args of [["invite"], ["invite", "list"], ["accounts", "list"]]) {
      const { code, stderr } = await runCommand(args, environment);
      expect([code, stderr]).toEqual([1, expect.stringContaining("`migrate` makes it")]);
    }
    const old = await postgres.database("empty");
    const older = await anEnvironment("SQLite", { CONCLAVE_DATABASE_URL: old });
    await runCommand(["migrate"], older);
    await postgres.query("UPDATE schema_version SET version = 3", old);
    const refused = await runCommand(["accounts", "list"], older);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(
        /has version 3, this program needs \d+: `migrate` brings it up to date/,
      ),
    ]);
    expect(await postgres.query("SELECT version FROM schema_version", old)).toEqual([
      { version: 3 },
    ]);
  });

  it("say in one line that there is no room, and change nothing then", async () => {
    const environment = await anEnvironment("SQLite");
    await runCommand(["migrate"], environment);
    const { code, stderr } = await runLimited(["invite", "--count", "1000"], environment, 48);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^conclave-delivery: the database can't be used: the disk [^\n]+\n$/);
    expect(await shown(["invite", "list"], environment)).toEqual([]);
  });

  it("say what is asked wrongly", async () => {
    const environment = await anEnvironment("SQLite");
    await runCommand(["migrate"], environment);
    const wrong = [
      [["invite", "--count", "0"], "--count has to be a whole number from 1 to 1000"],
      [["invite", "--expires", "soon"], "--expires has to be a time such as 30m, 12h or 14d"],
      [["invite", "list", "--count", "2"], "--count and --expires are for making codes"],
      [["invite", "revoke"], "ID or CODE is missing"],
      [["invite", "show"], 'invite can list and revoke, not "show"'],
      [["invite", "lst"], 'invite can list and revoke, not "lst"; did you mean list?'],
      [
        ["accounts", "disabel"],
        'accounts can list, show, disable, enable, delete, not "disabel"; did you mean disable?',
      ],
      [["accounts"], "accounts can list, show, disable, enable, delete"],
      [["accounts", "show"], "NAME or ID is missing"],
      [["accounts", "list", "--yes"], "--yes is for delete"],
      [["accounts", "show", "\u200b"], '"\u200b" is neither a name nor an id'],
      [["accounts", "show", ""], '"" is neither a name nor an id'],
      [["accounts", "disable", "a", "b"], '"b" is one word too many'],
    ] as const;
    for (const [args, complaint] of wrong) {
      const { code, stdout, stderr } = await runCommand(args, environment);
      expect([args, code, stdout]).toEqual([args, 2, ""]);
      expect(stderr).toContain(`conclave-delivery: ${complaint}`);
    }
    const open = await runCommand(["invite"], environment);
    expect(open.code).toBe(0);
    expect(open.stdout).toMatch(/^[0-9A-Z-]{19}\n$/);
    expect(open.stderr).toContain('registration is "open", so nobody needs a code');
    expect(await runCommand(["accounts", "list"], environment)).toMatchObject({ stdout: "" });
  });
});
