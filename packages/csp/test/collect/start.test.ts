/** The collector as a server, on real sockets. */
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Collector, type CollectorOptions, startCollector } from "@conclave/csp/collect";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { delivery } from "./reports.ts";

const token = "0123456789abcdef";
let folder: string;
let running: Collector[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "collect-"));
  running = [];
});
afterEach(async () => {
  await Promise.all(running.map((collector) => collector.close()));
  rmSync(folder, { recursive: true });
});

async function start(options: Partial<CollectorOptions> = {}): Promise<Collector> {
  const collector = await startCollector({ file: join(folder, "reports.db"), token, ...options });
  running.push(collector);
  return collector;
}
const send = ({ url }: Collector, body: string, headers: Record<string, string> = {}) =>
  fetch(new URL("/reports", url), {
    method: "POST",
    headers: { "Content-Type": "application/reports+json", ...headers },
    body,
  });
const list = async ({ url }: Collector) => {
  const headers = { Authorization: `Bearer ${token}`, Accept: "application/json" };
  const response = await fetch(new URL("/?show=all", url), { headers });
  return (await response.json()).groups;
};

test("takes reports and shows them; a restart keeps them", async () => {
  const first = await start();
  expect((await send(first, delivery({}, {}))).status).toBe(204);
  expect(await list(first)).toMatchObject([{ count: 2 }]);
  await first.close();
  await expect(fetch(first.url)).rejects.toThrow("fetch failed");
  const second = await start();
  await send(second, delivery({}));
  expect(await list(second)).toMatchObject([{ count: 3 }]);
});

test("10 MB are refused, and the connection is not kept", async () => {
  const collector = await start();
  const response = await send(collector, delivery({ sample: "x".repeat(10_000_000) }));
  expect(response.status).toBe(413);
  expect(response.headers.get("Connection")).toBe("close");
  expect((await send(collector, delivery({}))).status).toBe(204);
});

test("a method that no Request can have is refused, and is no error", async () => {
  const errors: unknown[] = [];
  const collector = await start({ onError: (error) => errors.push(error) });
  const status = await new Promise((resolve, reject) => {
    const asked = request(new URL("/reports", collector.url), { method: "TRACE" });
    asked.on("response", (response) => resolve(response.resume().statusCode));
    asked.on("error", reject).end();
  });
  expect(status).toBe(405);
  expect(errors).toEqual([]);
});

test("a client that goes away in the middle disturbs nobody", async () => {
  const errors: unknown[] = [];
  const collector = await start({ onError: (error) => errors.push(error) });
  await new Promise<void>((resolve) => {
    const { port } = new URL(collector.url);
    const socket = connect(Number(port), "127.0.0.1", () => {
      socket.write("POST /reports HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[");
      setTimeout(() => socket.destroy(), 50);
    });
    socket.on("close", () => resolve());
  });
  expect((await send(collector, delivery({}))).status).toBe(204);
  expect(errors).toEqual([]);
});

test("behind a proxy rates are counted by the address that it saw", async () => {
  const perAddress = { burst: 1, perMinute: 1 };
  const sendFrom = (collector: Collector, address: string) =>
    send(collector, delivery({}), { "X-Forwarded-For": `198.51.100.9, ${address}` });
  const proxied = await start({ perAddress, behindProxy: true });
  expect((await sendFrom(proxied, "192.0.2.1")).status).toBe(204);
  expect((await sendFrom(proxied, "192.0.2.2")).status).toBe(204);
  expect((await sendFrom(proxied, "192.0.2.1")).status).toBe(429);
  const direct = await start({ file: ":memory:", perAddress });
  expect((await sendFrom(direct, "192.0.2.1")).status).toBe(204);
  expect((await sendFrom(direct, "192.0.2.2")).status).toBe(429);
});

test("odd requests have answers, too", async () => {
  const collector = await start();
  const ask = (method: string, path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const { port } = new URL(collector.url);
      request({ host: "127.0.0.1", port, method, path }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode));
      })
        .on("error", reject)
        .end();
    });
  expect(await ask("OPTIONS", "*")).toBe(401);
  expect(await ask("GET", "http://other.example/reports")).toBe(401);
  expect(await ask("GET", "//other.example/x")).toBe(401);
  expect(await ask("HEAD", "/style.css")).toBe(200);
  expect(await ask("DELETE", "/reports")).toBe(405);
});

describe("does not start", () => {
  test("with a token that can be guessed", async () => {
    await expect(start({ token: "short" })).rejects.toThrow(TypeError);
  });

  test("on a port that is taken, and holds nothing then", async () => {
    const port = Number(new URL((await start({ file: ":memory:" })).url).port);
    await expect(start({ port })).rejects.toThrow("EADDRINUSE");
    expect(await list(await start())).toEqual([]);
  });
});
