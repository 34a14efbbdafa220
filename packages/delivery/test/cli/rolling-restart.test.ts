/** Two processes on one PostgreSQL behind a proxy, each restarted while devices send. */

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../../../../scripts/free-port.ts";
import { MIGRATIONS } from "../../src/store/postgres-schema.ts";
import { newMember, postMessage, readLog, startGroup } from "../member.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { type Bytes, call, eventually, ORIGIN } from "../world.ts";
import { type Running, runCommand, startCommand } from "./process.ts";

let postgres: PostgresServer;
let folder: string;
beforeAll(async () => {
  postgres = await startPostgres();
  folder = await mkdtemp(join(tmpdir(), "rolling-"));
});
afterAll(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** Asks one after another, and the next where one doesn't take the request: what a proxy does. */
async function startProxy(ports: readonly number[]): Promise<Server> {
  let turn = 0;
  async function ask(incoming: IncomingMessage, body: Buffer): Promise<Answer | undefined> {
    let last: Answer | undefined;
    turn += 1;
    for (let i = 0; i < ports.length; i++) {
      const port = ports[(turn + i) % ports.length];
      const { method, url: path, headers } = incoming;
      const asked = request({ host: "127.0.0.1", port, method, path, headers });
      asked.end(body);
      try {
        const [response] = (await once(asked, "response")) as [IncomingMessage];
        last = {
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: await buffer(response),
        };
        if (last.status !== 503) return last;
      } catch {
        // Not there, or gone in the middle: whoever sends it again gets the same answer.
      }
    }
    return last;
  }
  const proxy = createServer((incoming, outgoing) => {
    void (async () => {
      const answer = await ask(incoming, await buffer(incoming));
      if (answer === undefined) outgoing.destroy();
      else outgoing.writeHead(answer.status, answer.headers).end(answer.body);
    })();
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return proxy;
}

it("loses no message and takes none twice while each process is restarted in turn", async () => {
  const url = await postgres.database();
  const ports = [await freePort(), await freePort()];
  const start = (port: number): Promise<Running> =>
    startCommand({
      CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
      CONCLAVE_LISTEN: `127.0.0.1:${port}`,
      CONCLAVE_TRUSTED_PROXIES: "1",
      CONCLAVE_DATA: folder,
      CONCLAVE_DATABASE_URL: url,
      CONCLAVE_SHUTDOWN_SPREAD: "0",
      CONCLAVE_LIMITS_DEVICE_BURST: "100000",
      CONCLAVE_LIMITS_ADDRESS_BURST: "100000",
    });
  const running = await Promise.all(ports.map(start));
  const proxy = await startProxy(ports);
  const place = { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };

  let ended = false;
  let acknowledged = 0;
  let refused = 0;
  async function write(name: string): Promise<void> {
    const member = await newMember(place, name);
    const group = await startGroup(place, member);
    const places = new Map<number, Bytes>();
    while (!ended) {
      const message = await group.send(new Uint8Array(Buffer.from("hello")));
      const post = () => postMessage(place, member, group.groupId, message).catch(() => undefined);
      let answer = await post();
      // With the same bytes, as devices do.
      for (; answer?.status !== 201; answer = await post()) refused += 1;
      expect(places.has(answer.body.seq)).toBe(false);
      places.set(answer.body.seq, message);
      acknowledged += 1;
    }
    const entries: { readonly seq: number; readonly message: Bytes }[] = [];
    for (let head = 1; entries.length < head; ) {
      const page = await readLog(place, member, group.groupId, entries.length);
      entries.push(...page.entries);
      head = page.head;
    }
    expect(entries.map(({ seq, message }) => [seq, message])).toEqual([...places]);
  }

  const restarting = (async () => {
    for (const [i, port] of ports.entries()) {
      const enough = acknowledged + 30;
      while (acknowledged < enough) await new Promise((resolve) => setTimeout(resolve, 5));
      running[i]?.child.kill("SIGTERM");
      expect(await running[i]?.ended).toBe(0);
      running[i] = await start(port);
    }
    const enough = acknowledged + 30;
    while (acknowledged < enough) await new Promise((resolve) => setTimeout(resolve, 5));
  })().finally(() => {
    ended = true;
  });
  try {
    await Promise.all([restarting, ...["Ada", "Ben", "Cy"].map(write)]);
    expect(acknowledged).toBeGreaterThan(90);
    expect(refused).toBeLessThan(acknowledged);
  } finally {
    ended = true;
    proxy.closeAllConnections();
    proxy.close();
    for (const { child } of running) child.kill("SIGKILL");
  }
});

it("leaves a database of another version to others: none migrates under a service, none serves from it", async () => {
  const url = await postgres.database();
  const port = await freePort();
  const environment = {
    CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
    CONCLAVE_LISTEN: `127.0.0.1:${port}`,
    CONCLAVE_DATA: folder,
    CONCLAVE_DATABASE_URL: url,
    CONCLAVE_SHUTDOWN_SPREAD: "0",
    CONCLAVE_LIMITS_DEVICE_BURST: "100000",
    CONCLAVE_LIMITS_ADDRESS_BURST: "100000",
    CONCLAVE_LIMITS_ACCOUNT_BURST: "100000",
  };
  const newest = MIGRATIONS.length;
  const versionIs = (version: number) =>
    postgres.query(`UPDATE schema_version SET version = ${version}`, url);
  const running = await startCommand(environment);
  const place = { url: `http://127.0.0.1:${port}` };
  const ada = await newMember(place, "Ada");
  const becomes = (status: number) =>
    eventually(async () => {
      const answers = await Promise.all(
        ["/ready", "/v1/groups"].map((path) => call(place, "GET", path, { token: ada.token })),
      );
      return answers.every((answer) => answer.status === status);
    });
  const linesOf = (event: string) => running.lines.filter((line) => line.event === event);
  /** Each time that it said that the database can't be served from it said later that it can again. */
  const saysAvailable = () =>
    eventually(() => {
      return linesOf("database-available").length === linesOf("database-unavailable").length;
    });

  // An older one has it, so a newer one waits until it is gone.
  await versionIs(newest - 1);
  const refusals = [
    [["migrate"], ` .*has version ${newest - 1}`],
    [["serve"], ` .*has version ${newest - 1}`],
    // Under services of its own version neither.
    [["restore", "--mark"], ""],
  ] as const;
  for (const [args, why] of refusals) {
    const { code, stderr } = await runCommand(args, { ...environment, CONCLAVE_LISTEN: "" });
    expect([args, code]).toEqual([args, 1]);
    expect(stderr).toMatch(new RegExp(`in use by the service[^\n]*: 1; stop them first${why}`));
  }
  expect(await postgres.query("SELECT version FROM schema_version", url)).toEqual([
    { version: newest - 1 },
  ]);
  await versionIs(newest);
  await becomes(200);
  await saysAvailable();
  const before = linesOf("database-unavailable").length;
  // By what nobody saw coming.
  await versionIs(newest + 1);
  await becomes(503);
  await eventually(() => linesOf("database-unavailable").length > before);
  expect(linesOf("database-unavailable").at(-1)?.reason).toContain(`has version ${newest + 1} now`);
  await versionIs(newest);
  await becomes(200);
  await postgres.query("INSERT INTO facts VALUES ('copied to elsewhere', 1)", url);
  await becomes(503);
  await postgres.query("DELETE FROM facts", url);
  await becomes(200);
  await saysAvailable();
  running.child.kill("SIGTERM");
  expect(await running.ended).toBe(0);
  await versionIs(newest);
  expect(await runCommand(["migrate"], environment)).toMatchObject({ code: 0 });
});
