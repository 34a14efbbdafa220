import { X509Certificate } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { integrityOf } from "@conclave/csp";
import { lockSqliteFile } from "@conclave/delivery";
import { afterEach, beforeEach, expect, test } from "vitest";
import { unmarkCopied } from "../../../../packages/delivery/src/database.ts";
import { withSqliteContents } from "../../../../packages/delivery/src/store/sqlite-contents.ts";
import { freePort } from "../../../../scripts/free-port.ts";
import { type Messenger, startMessenger } from "../../src/server/messenger.ts";
import { type Options, parseOptions } from "../../src/server/options.ts";

let folder: string;
let data: string;
let messenger: Messenger | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "conclave-messenger-"));
  data = join(folder, "data");
  const script = "export {};";
  await mkdir(join(folder, "page", "assets"), { recursive: true });
  await writeFile(join(folder, "page", "assets", "page-1.js"), script);
  await writeFile(
    join(folder, "page", "index.html"),
    `<script type="module" src="/assets/page-1.js" integrity="${await integrityOf(script)}"></script>`,
  );
});
afterEach(async () => {
  await messenger?.close();
  messenger = undefined;
  await rm(folder, { recursive: true });
});

async function options(...more: readonly string[]): Promise<Options> {
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const names = ["--port", "--service-port", "--operator-port"];
  const args = names.flatMap((name, i) => [name, String(ports[i])]);
  const parsed = parseOptions([...args, "--data", data, ...more]);
  if (parsed === "help") throw new Error("help was not asked for");
  return parsed;
}

async function start(given: Options): Promise<Messenger> {
  messenger = await startMessenger(given, join(folder, "page"));
  return messenger;
}

test("three origins answer, the page's pages may use the service, and no other's", async () => {
  const given = await options();
  const { operatorUrl } = await start(given);
  expect((await fetch(given.pageOrigin)).status).toBe(200);
  expect((await fetch(new URL("/", operatorUrl))).status).toBe(200);
  const health = (origin: string) =>
    fetch(`${given.serviceOrigin}/health`, { headers: { Origin: origin } });
  const own = await health(given.pageOrigin);
  expect(own.status).toBe(200);
  expect(own.headers.get("Access-Control-Allow-Origin")).toBe(given.pageOrigin);
  expect((await health("https://evil.example")).status).toBe(403);
  expect((await health(new URL(operatorUrl).origin)).status).toBe(403);
});

test("doesn't start on a database that was copied to another", async () => {
  const given = await options();
  await start(given);
  await messenger?.close();
  messenger = undefined;
  const path = join(data, "conclave.sqlite");
  await withSqliteContents(path, async (contents) => {
    await contents.markCopying("postgres://elsewhere/conclave", 0);
    await contents.markCopied();
  });
  await expect(start(given)).rejects.toThrow(/was copied to postgres:.*copy --unmark/);
  await unmarkCopied(`sqlite:${path}`);
  await start(given);
});

test("holds its database, so that no command takes it elsewhere meanwhile", async () => {
  await start(await options());
  const path = join(data, "conclave.sqlite");
  expect(() => lockSqliteFile(path)).toThrow("is in use by another process");
  await messenger?.close();
  messenger = undefined;
  const lock = lockSqliteFile(path);
  await expect(start(await options())).rejects.toThrow("The database can't be used: ");
  lock.close();
});

test("the operator's address carries a token that opens its data, another at each start", async () => {
  const tokens: string[] = [];
  for (let i = 0; i < 2; i++) {
    const { operatorUrl } = await start(await options());
    const token = new URL(operatorUrl).hash.slice(1);
    const answer = await fetch(new URL("/status", operatorUrl), {
      headers: { Authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(200);
    expect(token.length).toBeGreaterThanOrEqual(32);
    tokens.push(token);
    await messenger?.close();
  }
  expect(tokens[0]).not.toBe(tokens[1]);
});

test("reports of violations reach the operator", async () => {
  const given = await options();
  const { operatorUrl } = await start(given);
  const body = {
    "document-uri": `${given.pageOrigin}/`,
    "blocked-uri": "inline",
    "effective-directive": "script-src-elem",
  };
  await fetch(`${given.pageOrigin}/reports`, {
    method: "POST",
    headers: { "Content-Type": "application/csp-report" },
    body: JSON.stringify({ "csp-report": body }),
  });
  const answer = await fetch(new URL("/status", operatorUrl), {
    headers: { Authorization: `Bearer ${new URL(operatorUrl).hash.slice(1)}` },
  });
  expect(await answer.json()).toMatchObject({
    violations: [{ document: "/", directive: "script-src-elem", blocked: "inline", count: 1 }],
  });
});

test("a second one doesn't get the same data", async () => {
  const given = await options();
  await start(given);
  const second = startMessenger(await options(), join(folder, "page"));
  await expect(second).rejects.toThrow("in use by another Conclave");
});

test("--tls: page and service by https, with the certificate whose fingerprint is printed", async () => {
  const given = await options("--tls");
  const { fingerprint } = await start(given);
  const ca = await readFile(join(data, "certificate.pem"), "utf8");
  expect(fingerprint).toBe(new X509Certificate(ca).fingerprint256);
  for (const url of [given.pageOrigin, `${given.serviceOrigin}/health`]) {
    expect(url).toMatch(/^https:/);
    const status = await new Promise((resolve, reject) => {
      request(url, { ca, agent: false }, (response) => resolve(response.resume().statusCode))
        .on("error", reject)
        .end();
    });
    expect(status).toBe(200);
  }
});

test("where one port is taken, nothing stays open", async () => {
  const given = await options();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(given.pagePort, "localhost", resolve));
  await expect(start(given)).rejects.toThrow(`Port ${given.pagePort} is in use`);
  await new Promise((resolve) => other.close(resolve));
  await start(given);
});

test("a page that wasn't built is explained, and nothing stays taken", async () => {
  const given = await options();
  await expect(startMessenger(given, join(folder, "nowhere"))).rejects.toThrow("build it first");
  await start(given);
});
