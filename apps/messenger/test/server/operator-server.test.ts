import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { integrityOf } from "@conclave/csp";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createOperatorServer } from "../../src/server/operator-server.ts";
import { openViolationStore, type ViolationStore } from "../../src/server/violation-store.ts";

const token = "the-token";
let folder: string;
let violations: ViolationStore;
let ask: (path: string, init?: RequestInit) => Promise<Response>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "conclave-operator-"));
  violations = openViolationStore(join(folder, "violations.sqlite"));
  const { fetch } = await createOperatorServer({
    token,
    violations,
    counters: () => [{ name: "Accounts", value: 3 }],
    startedAt: 1_000,
  });
  ask = (path, init) =>
    Promise.resolve(
      fetch(new Request(new URL(path, "http://localhost:8442"), init), { address: "127.0.0.1" }),
    );
});
afterEach(async () => {
  violations.close();
  await rm(folder, { recursive: true });
});

const authorized = { headers: { Authorization: `Bearer ${token}` } };

test("with the token: counters and violations", async () => {
  violations.record({ document: "/", directive: "script-src-elem", blocked: "inline" }, 5_000);
  const answer = await ask("/status", authorized);
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({
    startedAt: 1_000,
    counters: [{ name: "Accounts", value: 3 }],
    violations: [
      {
        document: "/",
        directive: "script-src-elem",
        blocked: "inline",
        count: 1,
        firstSeen: 5_000,
        lastSeen: 5_000,
      },
    ],
  });
});

test.each([
  ["without a token", {}],
  ["with another", { headers: { Authorization: "Bearer another" } }],
  ["with a part of it", { headers: { Authorization: `Bearer ${token.slice(1)}` } }],
  ["in another scheme", { headers: { Authorization: `Basic ${token}` } }],
])("%s: nothing", async (_, init) => {
  const answer = await ask("/status", init);
  expect(answer.status).toBe(401);
  expect(await answer.text()).not.toContain("Accounts");
  expect((await ask("/violations", { ...init, method: "DELETE" })).status).toBe(401);
});

test("never in the query, where it would be kept in histories and logs", async () => {
  expect((await ask(`/status?token=${token}`)).status).toBe(401);
});

test("clearing needs the token, and leaves nothing", async () => {
  violations.record({ document: "/", directive: "script-src-elem", blocked: "inline" }, 5_000);
  await ask("/violations", { method: "DELETE" });
  expect(violations.groups()).toHaveLength(1);
  expect((await ask("/violations", { ...authorized, method: "DELETE" })).status).toBe(204);
  expect(violations.groups()).toEqual([]);
});

test("the page's script has the digest that page and policy name", async () => {
  const page = await (await ask("/")).text();
  const script = await ask("/operator.js");
  const integrity = await integrityOf(await script.text());
  expect(page).toContain(`<script integrity="${integrity}" type="module" src="/operator.js">`);
  expect(script.headers.get("Content-Security-Policy")).toContain(`script-src '${integrity}'`);
  expect((await ask("/operator.css")).headers.get("Content-Type")).toBe("text/css; charset=utf-8");
});

test("nothing of it is kept", async () => {
  for (const path of ["/", "/operator.js", "/status"]) {
    expect((await ask(path, authorized)).headers.get("Cache-Control")).toBe("no-store");
  }
});
