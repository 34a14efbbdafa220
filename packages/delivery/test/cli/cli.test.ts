import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../../../scripts/free-port.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { MIGRATIONS } from "../../src/store/sqlite-schema.ts";
import { type Member, memberOf, newMember, readLog, send, startGroup } from "../member.ts";
import { call, ORIGIN, proveSignIn } from "../world.ts";
import {
  type Environment,
  runCommand,
  runInto,
  runLimited,
  spawnCommand,
  startCommand,
} from "./process.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cli-"));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
/** A user to whom nothing belongs. */
const NOBODY = 65_534;

function anEnvironment(more: Environment = {}): Environment & { readonly CONCLAVE_DATA: string } {
  return {
    CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
    CONCLAVE_TRUSTED_PROXIES: "1",
    CONCLAVE_DATA: join(folder, `${++count}`),
    ...more,
  };
}

describe("conclave-delivery", () => {
  it("says what it can do, and what it is asked wrongly", async () => {
    const help = await runCommand(["--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect((await runCommand([])).stderr).toBe(
      `conclave-delivery: say what to do\n\n${help.stdout}`,
    );
    for (const name of ["serve", "migrate", "backup", "restore", "copy", "invite", "accounts"]) {
      expect(help.stdout).toContain(`  ${name}`);
      const about = await runCommand([name, "--help"]);
      expect(about.stdout).toContain(`Usage: conclave-delivery ${name}`);
    }
    const { version } = JSON.parse(
      await readFile(new URL("../../package.json", import.meta.url), "utf8"),
    ) as { version: string };
    expect((await runCommand(["--version"])).stdout).toBe(`${version}\n`);
    const wrong = [
      [[], "say what to do"],
      [["serv"], 'there is no command "serv"; did you mean serve? (conclave-delivery --help'],
      [["frob"], 'there is no command "frob" (conclave-delivery --help'],
      [["serve", "--chekc"], "there is no option --chekc; did you mean --check?"],
      [["backup"], "FILE is missing"],
      [["serve", "now"], '"now" is one word too many'],
    ] as const;
    for (const [args, complaint] of wrong) {
      const { code, stderr, stdout } = await runCommand(args);
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(`conclave-delivery: ${complaint}`);
    }
  });

  it("checks a configuration: 0 where it would start, 1 where something is in the way, 2 where it can't be followed", async () => {
    const environment = anEnvironment();
    const good = await runCommand(["serve", "--check"], environment);
    expect(good).toMatchObject({ code: 0, stderr: "" });
    expect(good.stdout).toContain("conclave.sqlite (would be made)");
    await expect(stat(environment.CONCLAVE_DATA)).rejects.toThrow("ENOENT");

    const unreadable = {
      CONCLAVE_TLS_CERT_FILE: join(folder, "none"),
      CONCLAVE_TLS_KEY_FILE: join(folder, "none"),
    };
    const blocked = await runCommand(["serve", "--check"], anEnvironment(unreadable));
    expect(blocked.code).toBe(1);
    expect(blocked.stderr).toContain("tls.certFile: ");

    const file = join(folder, "no-database");
    await writeFile(file, "this is no database, only a text that is long enough to be looked at");
    const damaged = anEnvironment({ CONCLAVE_DATABASE_URL: `sqlite:${file}` });
    const refused = await runCommand(["serve", "--check"], damaged);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`${file} can't be read: it is no SQLite database`);

    for (const args of [["serve"], ["migrate"], ["backup", join(folder, "copy")]]) {
      const { code, stderr } = await runCommand(args, damaged);
      expect([args, code]).toEqual([args, 1]);
      expect(stderr).toMatch(/^conclave-delivery: [^\n]*it is no SQLite database\n$/);
    }
    const nowhere = await runCommand(["serve", "--check"], anEnvironment({ CONCLAVE_DATA: file }));
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toContain(`data: ${file} is no folder`);

    const one = { CONCLAVE_LISTEN: "127.0.0.1:1", CONCLAVE_METRICS_LISTEN: "127.0.0.1:1" };
    const both = await runCommand(["serve", "--check"], anEnvironment(one));
    expect(both.code).toBe(2);
    expect(both.stderr).toContain("listen and metrics.listen are one address");
    const missing = await runCommand(["serve", "--check"]);
    expect(missing.stderr).toContain("publicOrigin (CONCLAVE_PUBLIC_ORIGIN) is needed");

    const wrong = await runCommand(["serve", "--check"], anEnvironment({ CONCLAVE_LISTEN: "x" }));
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("listen (CONCLAVE_LISTEN) has to be HOST:PORT");
  });

  it("warns at a check, is as strict as it is asked to be, and answers programs", async () => {
    const warned = anEnvironment({ CONCLAVE_PUBLIC_ORIGIN: "http://delivery.example" });
    const check = (environment: Environment, ...more: readonly string[]) =>
      runCommand(["serve", "--check", ...more], environment);
    const lenient = await check(warned);
    expect([lenient.code, lenient.stderr]).toEqual([
      0,
      expect.stringMatching(/^conclave-delivery: warning: publicOrigin is http/),
    ]);
    expect(lenient.stdout).toContain("Ready to start.");
    const strict = await check(warned, "--strict");
    expect(strict.code).toBe(1);
    expect(strict.stdout).not.toContain("Ready");

    const shown = async (environment: Environment, ...more: readonly string[]) => {
      const { code, stdout, stderr } = await check(environment, "--json", ...more);
      expect(stderr).toBe("");
      return [code, JSON.parse(stdout) as unknown];
    };
    const warnings = [expect.stringMatching(/^publicOrigin/)];
    expect(await shown(anEnvironment())).toEqual([
      0,
      expect.objectContaining({
        ready: true,
        problems: [],
        warnings: [],
        settings: expect.objectContaining({
          publicOrigin: { value: ORIGIN, text: ORIGIN },
          registration: { value: "open", text: "of everybody" },
          contact: { value: "ask", text: "after asking them" },
          log: { value: { level: "request", format: "json" }, text: expect.any(String) },
          shutdown: { value: { delay: 0, spread: 2, grace: 10 }, text: expect.any(String) },
          limits: { value: DEFAULT_LIMITS, text: "as they are by default" },
        }),
      }),
    ]);
    expect(await shown(warned)).toMatchObject([0, { ready: true, warnings }]);
    expect(await shown(warned, "--strict")).toMatchObject([1, { ready: false, warnings }]);
    const blocked = anEnvironment({ CONCLAVE_DATABASE_URL: `sqlite:${folder}` });
    expect(await shown(blocked)).toMatchObject([
      1,
      { ready: false, problems: [expect.stringContaining("is a folder")] },
    ]);
    const wrong = anEnvironment({ CONCLAVE_LISTEN: "x", CONCLAVE_CONTACT: "y" });
    expect(await shown(wrong)).toMatchObject([
      2,
      { ready: false, problems: [expect.any(String), expect.any(String)] },
    ]);
    const misplaced = await runCommand(["serve", "--json"], anEnvironment());
    expect([misplaced.code, misplaced.stderr]).toEqual([2, expect.stringContaining("--check")]);
  });

  it.runIf(process.platform === "linux")(
    "ends with one line where a folder can't be made",
    async () => {
      const file = join(folder, "a-file");
      await writeFile(file, "");
      const copy = join(folder, "of-migrated.sqlite");
      const environment = anEnvironment();
      await runCommand(["migrate"], environment);
      expect((await runCommand(["backup", copy], environment)).code).toBe(0);
      // In /proc Node's own way of making folders goes on for ever.
      for (const data of ["/proc/none", "/proc/none/below", join(file, "below")]) {
        for (const args of [["migrate"], ["serve"], ["restore", copy]]) {
          const { code, stdout, stderr } = await runCommand(
            args,
            anEnvironment({ CONCLAVE_DATA: data }),
          );
          expect([args, code, stdout]).toEqual([args, 1, ""]);
          expect(stderr).toMatch(/^conclave-delivery: [^\n]*can't be (made|read): [^\n]*\n$/);
          expect(stderr).toContain(data);
          expect(stderr).not.toMatch(/partial|ENO|EEXIST/);
        }
      }
    },
  );

  it.runIf(process.platform === "linux")(
    "says at a check that a folder can't be made where the kernel shows what it knows",
    async () => {
      for (const data of ["/proc/none", "/sys/none/below"]) {
        const found = await runCommand(
          ["serve", "--check"],
          anEnvironment({ CONCLAVE_DATA: data }),
        );
        expect([found.code, found.stdout]).toEqual([1, ""]);
        expect(found.stderr).toMatch(
          /(no files can be made in|this user can't write to) \/(proc|sys)\n/,
        );
      }
    },
  );

  it("tries at a check whether the addresses could be listened on, and says which limits are changed", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const listen = { CONCLAVE_LISTEN: `127.0.0.1:${port}` };
    const changed = { CONCLAVE_LIMITS_INBOX: "7", CONCLAVE_LIMITS_CLAIM_BURST: "3" };
    const busy = await runCommand(["serve", "--check"], anEnvironment({ ...listen, ...changed }));
    expect([busy.code, busy.stderr]).toEqual([0, ""]);
    expect(busy.stdout).toContain(`127.0.0.1:${port}, http (in use now: by the service itself`);
    expect(busy.stdout).toContain(
      "claim 3 and 1/s (120 and 1/s by default), inbox 7 (1000 by default)",
    );
    taken.close();
    await once(taken, "close");
    const free = await runCommand(["serve", "--check", "--json"], anEnvironment(listen));
    expect(JSON.parse(free.stdout)).toMatchObject({
      settings: {
        listen: { value: { address: `127.0.0.1:${port}`, state: "free", protocol: "http" } },
        metrics: { value: null },
        database: { value: { kind: "sqlite", version: null } },
      },
    });
    // Nobody listens there afterwards.
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow("fetch failed");
    for (const [more, complaint] of [
      [{ CONCLAVE_LISTEN: "192.0.2.1:80" }, "listen: can't listen on 192.0.2.1:80: it is not"],
      [{ CONCLAVE_METRICS_LISTEN: "192.0.2.1:81" }, "metrics.listen: can't listen on 192.0.2.1:81"],
      [{ CONCLAVE_LISTEN: `unix:${folder}/no/socket` }, "there is no such folder"],
    ] as const) {
      const { code, stderr } = await runCommand(["serve", "--check"], anEnvironment(more));
      expect([code, stderr]).toEqual([1, expect.stringContaining(complaint)]);
    }
    const socket = { CONCLAVE_LISTEN: `unix:${folder}/none` };
    const untried = await runCommand(["serve", "--check"], anEnvironment(socket));
    expect([untried.code, untried.stdout]).toEqual([0, expect.stringContaining("(not tried)")]);
  });

  it.runIf(process.platform === "linux")(
    "finds at a check the files that another user made",
    async () => {
      const environment = anEnvironment();
      await runCommand(["migrate"], environment);
      await chmod(folder, 0o755);
      await chmod(environment.CONCLAVE_DATA, 0o777);
      const path = join(environment.CONCLAVE_DATA, "conclave.sqlite");
      for (const file of [path, `${path}-lock`, join(environment.CONCLAVE_DATA, "blobs")]) {
        for (const rest of ["-wal", "-shm"]) await rm(path + rest, { force: true });
        await chmod(path, 0o666);
        await chmod(`${path}-lock`, 0o666);
        if (file.endsWith("blobs")) await mkdir(file);
        await chmod(file, file.endsWith("blobs") ? 0o555 : 0o444);
        // Who is root may write to all of them.
        const uid = process.getuid?.() === 0 ? NOBODY : process.getuid?.();
        const child = spawnCommand(["serve", "--check"], environment, uid);
        if (child.stderr === null) throw new Error("it has no standard error");
        const [said] = await Promise.all([text(child.stderr), once(child, "exit")]);
        expect([child.exitCode, said]).toEqual([
          1,
          expect.stringMatching(
            /^conclave-delivery: (database\.url|data): this user can't write to /,
          ),
        ]);
        expect(said).toContain(file);
      }
    },
  );

  it("answers programs in JSON, whatever is done", async () => {
    const environment = anEnvironment();
    const shown = async (args: readonly string[], env: Environment) => {
      const { code, stdout, stderr } = await runCommand([...args, "--json"], env);
      expect([code, stderr]).toEqual([0, ""]);
      return JSON.parse(stdout) as unknown;
    };
    const database = `sqlite:${environment.CONCLAVE_DATA}/conclave.sqlite`;
    const newest = MIGRATIONS.length;
    expect(await shown(["migrate"], environment)).toEqual({
      database,
      before: null,
      after: newest,
    });
    expect(await shown(["migrate"], environment)).toEqual({
      database,
      before: newest,
      after: newest,
    });
    const file = join(folder, "for-programs.sqlite");
    expect(await shown(["backup", file], environment)).toEqual({ database, file });
    expect(await shown(["restore", "--mark"], environment)).toEqual({ database, restored: true });
  });

  it.runIf(process.platform === "linux")(
    "says that what it shows could not be written",
    async () => {
      const environment = anEnvironment();
      await runCommand(["migrate"], environment);
      for (const args of [["invite"], ["accounts", "list", "--json"], ["--help"]]) {
        expect(await runInto("/dev/full", args, environment)).toEqual({
          code: 1,
          stderr: expect.stringMatching(
            /^conclave-delivery: standard output can't be written: the/m,
          ),
        });
      }
    },
  );

  it("makes files for its own user alone, in a folder that others may read", async () => {
    const environment = anEnvironment();
    await mkdir(environment.CONCLAVE_DATA, { mode: 0o755 });
    expect(await runInto(join(folder, "said"), ["migrate"], environment)).toMatchObject({
      code: 0,
    });
    for (const name of await readdir(environment.CONCLAVE_DATA)) {
      const { mode } = await stat(join(environment.CONCLAVE_DATA, name));
      expect([name, mode & 0o777]).toEqual([name, 0o600]);
    }
  });

  it("makes nothing in the database of another program", async () => {
    const path = join(folder, "notes.sqlite");
    const notes = new DatabaseSync(path);
    notes.exec("CREATE TABLE notes (text TEXT)");
    for (const args of [["serve", "--check"], ["migrate"], ["serve"]]) {
      const environment = anEnvironment({ CONCLAVE_DATABASE_URL: `sqlite:${path}` });
      const { code, stderr } = await runCommand(args, environment);
      expect([args, code]).toEqual([args, 1]);
      expect(stderr).toContain(`${path} is the database of another program`);
    }
    const copy = join(folder, "notes.copy");
    const environment = anEnvironment({ CONCLAVE_DATABASE_URL: `sqlite:${path}` });
    const copied = await runCommand(["backup", copy], environment);
    expect(copied.code).toBe(1);
    await expect(stat(copy)).rejects.toThrow("ENOENT");
    expect(notes.prepare("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "notes" }]);
    notes.close();
  });

  it("says in one line that a copy has no place to be", async () => {
    const environment = anEnvironment();
    await runCommand(["migrate"], environment);
    const { code, stderr } = await runCommand(["backup", join(folder, "no", "copy")], environment);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^conclave-delivery: [^\n]*copy can't be written: there is nothing by that name[^\n]*\n$/,
    );
  });

  it("brings the database up to date, and refuses one of a newer version", async () => {
    const environment = anEnvironment();
    const path = join(environment.CONCLAVE_DATA, "conclave.sqlite");
    const made = await runCommand(["migrate"], environment);
    expect(made.stdout).toMatch(/: made, now version \d+\.\n$/);
    const again = await runCommand(["migrate"], environment);
    expect(again.stdout).toMatch(/: version \d+, the newest: nothing to do\.\n$/);
    const check = await runCommand(["serve", "--check"], environment);
    expect(check.stdout).toMatch(/\(version \d+, the newest\)/);
    const db = new DatabaseSync(path);
    db.exec("PRAGMA user_version = 99");
    db.close();
    for (const args of [["serve", "--check"], ["migrate"], ["serve"]]) {
      const { code, stderr } = await runCommand(args, environment);
      expect(code).toBe(1);
      expect(stderr).toContain("version 99");
    }
  });

  it("serves, shows its state to the operator, and ends in order", async () => {
    const [port, metricsPort] = [await freePort(), await freePort()];
    const token = "a-token-for-the-operator";
    const environment = anEnvironment({
      CONCLAVE_LISTEN: `127.0.0.1:${port}`,
      CONCLAVE_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
      CONCLAVE_METRICS_TOKEN: token,
      CONCLAVE_SHUTDOWN_SPREAD: "0",
    });
    const running = await startCommand(environment);
    const place = { url: `http://127.0.0.1:${port}` };
    const ada = await newMember(place, "Ada Lovelace");
    const group = await startGroup(place, ada);
    await send(place, ada, group, "hello");
    expect((await call(place, "GET", "/ready")).body).toEqual({ status: "ready" });
    const second = await runCommand(["serve"], {
      ...environment,
      CONCLAVE_LISTEN: "127.0.0.1:0",
      CONCLAVE_METRICS_LISTEN: "",
    });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain("is in use by another process");

    const operator = { url: `http://127.0.0.1:${metricsPort}` };
    expect((await call(operator, "GET", "/")).status).toBe(401);
    const page = await call(operator, "GET", "/", { token: `${token}s` });
    expect(page.status).toBe(401);
    const basic = `Basic ${Buffer.from(`me:${token}`).toString("base64")}`;
    const shown = await fetch(`${operator.url}/`, { headers: { authorization: basic } });
    const text = await shown.text();
    expect(text).toContain('<th scope="row">Groups</th><td>1</td>');
    const metrics = await (await fetch(`${operator.url}/metrics`)).text();
    expect(metrics).toMatch(/conclave_request_seconds_count\{route="message",status="201"\} 1/);

    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(0);
    const events = running.lines.map(({ event }) => event);
    expect(events[0]).toBe("started");
    expect(events.slice(-2)).toEqual(["stopping", "stopped"]);
    const output = JSON.stringify(running.lines);
    for (const personal of ["Ada", "127.0.0.1", Buffer.from(group.groupId).toString("base64url")]) {
      expect(output + text + metrics).not.toContain(personal);
    }
  });

  it("migrates nothing under a service that runs", async () => {
    const port = await freePort();
    const environment = anEnvironment({ CONCLAVE_LISTEN: `127.0.0.1:${port}` });
    const running = await startCommand(environment);
    const newest = await runCommand(["migrate"], environment);
    expect([newest.code, newest.stdout]).toEqual([0, expect.stringContaining("nothing to do")]);
    const path = join(environment.CONCLAVE_DATA, "conclave.sqlite");
    const db = new DatabaseSync(path);
    db.exec("PRAGMA user_version = 3");
    const refused = await runCommand(["migrate"], environment);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("is in use by another process");
    expect(db.prepare("PRAGMA user_version").get()).toEqual({ user_version: 3 });
    db.close();
    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(0);
  });

  it("leaves nothing half-made where a disk is full", async () => {
    const environment = anEnvironment();
    await runCommand(["migrate"], environment);
    const copy = join(folder, "whole.sqlite");
    expect((await runCommand(["backup", copy], environment)).code).toBe(0);
    const another = anEnvironment();
    // A file may have so many KiB: what a full disk is to who writes.
    for (const [args, kib, env, made] of [
      [["backup", join(folder, "half.sqlite")], 100, environment, folder],
      [["restore", copy], 20, another, another.CONCLAVE_DATA],
      [["migrate"], 20, another, another.CONCLAVE_DATA],
    ] as const) {
      const { code, stderr } = await runLimited(args, env, kib);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^conclave-delivery: [^\n]+can't be (written|made|used): [^\n]+\n$/);
      const left = (await readdir(made)).filter((name) =>
        /half|conclave\.sqlite(?!-lock)/.test(name),
      );
      expect(left).toEqual([]);
    }
  });

  it("ends at once at a second signal", async () => {
    const port = await freePort();
    const running = await startCommand(
      anEnvironment({ CONCLAVE_LISTEN: `127.0.0.1:${port}`, CONCLAVE_SHUTDOWN_DELAY: "600" }),
    );
    running.child.kill("SIGTERM");
    const place = { url: `http://127.0.0.1:${port}` };
    while ((await call(place, "GET", "/ready")).status !== 503);
    expect((await call(place, "GET", "/ready")).problem.code).toBe("shutting-down");
    // Who asks nevertheless is served, as long as others may not know yet.
    expect((await call(place, "GET", "/health")).status).toBe(200);
    running.child.kill("SIGINT");
    expect(await running.ended).toBe(1);
    expect(running.lines.at(-1)?.event).toBe("cut-off");
  });

  it("listens on a unix socket, also over one that a killed process left behind", async () => {
    const path = join(folder, "delivery.sock");
    const environment = anEnvironment({
      CONCLAVE_LISTEN: `unix:${path}`,
      CONCLAVE_TRUSTED_PROXIES: "1",
    });
    const first = await startCommand(environment);
    first.child.kill("SIGKILL");
    await first.ended;
    const running = await startCommand(environment);
    expect((await stat(path)).mode & 0o777).toBe(0o660);
    const asked = request({ socketPath: path, path: "/health" }).end();
    const [response] = (await once(asked, "response")) as [{ statusCode: number }];
    expect(response.statusCode).toBe(200);
    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(0);
    await expect(stat(path)).rejects.toThrow("ENOENT");
  });

  it("speaks https, and takes a new certificate when it is told to", async () => {
    const port = await freePort();
    const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    await makeCertificate(certFile, keyFile, "first.example");
    const running = await startCommand(
      anEnvironment({
        CONCLAVE_LISTEN: `127.0.0.1:${port}`,
        CONCLAVE_TLS_CERT_FILE: certFile,
        CONCLAVE_TLS_KEY_FILE: keyFile,
      }),
    );
    expect(await commonName(port)).toBe("first.example");
    // What can't be used changes nothing.
    await makeCertificate(certFile, join(folder, "other-key.pem"), "other.example");
    running.child.kill("SIGHUP");
    while (!running.lines.some(({ event }) => event === "certificate-unusable")) await tick();
    expect(await commonName(port)).toBe("first.example");
    await makeCertificate(certFile, keyFile, "second.example");
    running.child.kill("SIGHUP");
    while (!running.lines.some(({ event }) => event === "certificate-renewed")) await tick();
    expect(await commonName(port)).toBe("second.example");
    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(0);
  });
});

function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

async function makeCertificate(cert: string, key: string, name: string): Promise<void> {
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  const args = ["req", "-x509", ...kind, "-keyout", key, "-out", cert, ...subject];
  await promisify(execFile)("openssl", args);
}

async function commonName(port: number): Promise<string | undefined> {
  const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return typeof subject.CN === "string" ? subject.CN : undefined;
}

async function signInAgain(place: { readonly url: string }, member: Member): Promise<Member> {
  const body = { signIn: await proveSignIn(member.person) };
  const answer = await call(place, "POST", "/v1/sessions", { body });
  return memberOf(member.person, answer.body.token);
}

describe("back-up and restore of SQLite", () => {
  it("copies while the service writes, and puts the copy back so that nothing is given twice", async () => {
    const port = await freePort();
    const environment = anEnvironment({ CONCLAVE_LISTEN: `127.0.0.1:${port}` });
    const place = { url: `http://127.0.0.1:${port}` };
    let running = await startCommand(environment);
    const ada = await newMember(place, "Ada");
    const group = await startGroup(place, ada);
    const before = await send(place, ada, group, "before");
    const copy = join(folder, "copy.sqlite");

    // Sends while it is copied.
    let copying = true;
    const sending = (async () => {
      const sent: number[] = [];
      while (copying) sent.push((await send(place, ada, group, "meanwhile")).answer.body.seq);
      return sent;
    })();
    const made = await runCommand(["backup", copy], environment);
    copying = false;
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const acknowledged = await sending;
    expect((await stat(copy)).mode & 0o777).toBe(0o600);
    const db = new DatabaseSync(copy, { readOnly: true });
    expect(db.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    db.close();
    const twice = await runCommand(["backup", copy], environment);
    expect(twice.code).toBe(1);
    expect(twice.stderr).toContain("is there already, and is not overwritten");

    const early = await runCommand(["restore", copy], environment);
    expect(early.code).toBe(1);
    expect(early.stderr).toContain("is not overwritten");
    const marked = await runCommand(["restore", "--mark"], environment);
    expect(marked.code).toBe(1);
    expect(marked.stderr).toContain("is in use by another process");
    running.child.kill("SIGKILL");
    await running.ended;
    for (const name of await readdir(environment.CONCLAVE_DATA)) {
      await rm(join(environment.CONCLAVE_DATA, name));
    }
    const restored = await runCommand(["restore", copy], environment);
    expect(restored).toMatchObject({ code: 0, stderr: "" });
    expect(await readdir(environment.CONCLAVE_DATA)).toEqual(
      expect.arrayContaining(["conclave.sqlite", "conclave.sqlite-lock"]),
    );

    running = await startCommand(environment);
    // Tokens of before are void: the device signs in again.
    expect((await call(place, "GET", "/v1/groups", { token: ada.token })).status).toBe(401);
    const again = await signInAgain(place, ada);
    const { entries } = await readLog(place, again, group.groupId);
    expect(entries[0]?.message).toEqual(before.message);
    const after = await send(place, again, group, "after");
    expect(after.answer.status).toBe(201);
    expect(after.answer.body.seq).toBeGreaterThan(Math.max(...acknowledged, 1) + 1e6);
    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(0);
  });

  it("refuses a copy that is damaged, newer, or something else", async () => {
    const environment = anEnvironment();
    await runCommand(["migrate"], environment);
    const copy = join(folder, "good.sqlite");
    expect((await runCommand(["backup", copy], environment)).code).toBe(0);
    const content = await readFile(copy);
    const damaged = join(folder, "damaged.sqlite");
    await writeFile(damaged, content.fill(7, 4096, 3 * 4096));
    const newer = join(folder, "newer.sqlite");
    const empty = join(folder, "empty.sqlite");
    for (const [file, version] of [
      [newer, 99],
      [empty, 0],
    ] as const) {
      const db = new DatabaseSync(file);
      db.exec(`CREATE TABLE x (y); PRAGMA user_version = ${version}`);
      db.close();
    }
    const junk = join(folder, "junk.sqlite");
    await writeFile(
      junk,
      "no database, but long enough to be looked at as if it were one".repeat(9),
    );
    for (const [file, reason] of [
      [damaged, "is damaged"],
      [newer, "has version 99"],
      [empty, "is no database of this service"],
      [junk, "can't be read: it is no SQLite database"],
      [folder, "is a folder, and a file is needed"],
      [join(folder, "none"), "there is no copy at"],
    ] as const) {
      const target = anEnvironment();
      const { code, stdout, stderr } = await runCommand(["restore", file], target);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(/^conclave-delivery: [^\n]+\n$/);
      expect(stderr).toContain(reason);
      expect(stderr).toContain(file);
      // Nothing was made, and nothing beside the copy.
      await expect(stat(target.CONCLAVE_DATA)).rejects.toThrow("ENOENT");
      await expect(stat(`${file}-shm`)).rejects.toThrow("ENOENT");
    }
  });
});
