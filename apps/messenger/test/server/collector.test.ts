import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createCollector } from "../../src/server/collector.ts";
import type { Handler } from "../../src/server/listener.ts";
import { openViolationStore, type ViolationStore } from "../../src/server/violation-store.ts";

const origin = "http://localhost:8440";
let folder: string;
let store: ViolationStore;
let collect: Handler;
let now = 1_000;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "conclave-collector-"));
  store = openViolationStore(join(folder, "violations.sqlite"));
  collect = createCollector({ origin, paths: new Set(["/"]), store, now: () => now });
});
afterEach(async () => {
  store.close();
  await rm(folder, { recursive: true });
});

async function post(
  body: string,
  { contentType = "application/reports+json", address = "127.0.0.1" } = {},
): Promise<number> {
  const request = new Request(`${origin}/reports`, {
    method: "POST",
    headers: { "Content-Type": contentType },
    body,
  });
  return (await collect(request, { address })).status;
}

function report(blockedURL = "inline", documentURL = `${origin}/`) {
  const body = {
    documentURL,
    blockedURL,
    effectiveDirective: "script-src-elem",
    disposition: "enforce",
    sample: "the inserted text",
  };
  return { type: "csp-violation", age: 0, url: documentURL, user_agent: "x", body };
}

test("reports of both formats are counted together", async () => {
  expect(await post(JSON.stringify([report(), report("eval")]))).toBe(204);
  now = 2_000;
  const old = {
    "document-uri": `${origin}/`,
    "blocked-uri": "inline",
    "effective-directive": "script-src-elem",
  };
  expect(
    await post(JSON.stringify({ "csp-report": old }), { contentType: "application/csp-report" }),
  ).toBe(204);
  expect(store.groups()).toMatchObject([
    { blocked: "inline", count: 2, firstSeen: 1_000, lastSeen: 2_000 },
    { blocked: "eval", count: 1 },
  ]);
});

test("the file has nothing of what was inserted", async () => {
  await post(JSON.stringify([report("https://evil.example/carried-out?secret")]));
  for (const name of await readdir(folder)) {
    const content = await readFile(join(folder, name), "latin1");
    expect(content).not.toMatch(/the inserted text|carried-out/);
  }
});

test("about other origins: accepted, and not kept", async () => {
  expect(await post(JSON.stringify([report("inline", "https://elsewhere.example/")]))).toBe(204);
  expect(store.groups()).toEqual([]);
});

test("nonsense is refused", async () => {
  expect(await post("{", {})).toBe(400);
  expect(await post(JSON.stringify([report()]), { contentType: "text/plain" })).toBe(415);
  expect(await post(" ".repeat(64 * 1024 + 1))).toBe(413);
  expect(store.groups()).toEqual([]);
});

test("a body that never ends is refused once it is too long", async () => {
  const endless = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(16 * 1024)),
  });
  // Streams are sent one way; the DOM's types don't know the member that says so.
  const init = { method: "POST", body: endless, duplex: "half" };
  const request = new Request(`${origin}/reports`, init);
  expect((await collect(request, { address: "127.0.0.1" })).status).toBe(413);
});

test("an address that floods is slowed down; others are heard", async () => {
  const answers = [];
  for (let i = 0; i < 70; i++) answers.push(await post(JSON.stringify([report()])));
  expect(answers.filter((status) => status === 204)).toHaveLength(60);
  expect(answers.at(-1)).toBe(429);
  expect(await post(JSON.stringify([report()]), { address: "192.0.2.1" })).toBe(204);
});

test("many addresses together are slowed down too", async () => {
  const answers = [];
  for (let i = 0; i < 601; i++) {
    answers.push(await post("{", { address: `192.0.2.${i}` }));
  }
  expect(answers.at(599)).toBe(400);
  expect(answers.at(600)).toBe(429);
});
