import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { Bundle } from "../../src/server/bundle.ts";
import { createPageServer } from "../../src/server/page-server.ts";

const origins = { pageOrigin: "http://localhost:8440", serviceOrigin: "http://localhost:8441" };
const script = Buffer.from("let x = 1;".repeat(50));
const bundle: Bundle = {
  files: new Map([
    [
      "/",
      {
        contentType: "text/html; charset=utf-8",
        body: Buffer.from("<!doctype html>"),
        hashed: false,
      },
    ],
    [
      "/assets/page-1.js",
      {
        contentType: "text/javascript; charset=utf-8",
        body: script,
        compressed: brotliCompressSync(script),
        hashed: true,
      },
    ],
    [
      "/assets/worker-1.js",
      { contentType: "text/javascript; charset=utf-8", body: script, hashed: true },
    ],
  ]),
  scripts: new Map([["/assets/page-1.js", `sha384-${"A".repeat(64)}`]]),
  workers: ["/assets/worker-1.js"],
};

function serverOf({ behindProxy = false } = {}) {
  const reports: string[] = [];
  const { fetch } = createPageServer({
    bundle,
    origins,
    behindProxy,
    collect: async (request, { address }) => {
      reports.push(`${address} ${await request.text()}`);
      return new Response(null, { status: 204 });
    },
  });
  const ask = (path: string, init?: RequestInit, origin = origins.pageOrigin) =>
    Promise.resolve(fetch(new Request(new URL(path, origin), init), { address: "192.0.2.7" }));
  return { ask, reports };
}

const { ask } = serverOf();

test("the page is never kept, so that a new one is seen at once; hashed files are kept for ever", async () => {
  const page = await ask("/");
  expect(page.status).toBe(200);
  expect(await page.text()).toBe("<!doctype html>");
  expect(page.headers.get("Content-Type")).toBe("text/html; charset=utf-8");
  expect(page.headers.get("Cache-Control")).toBe("no-store");
  const asset = await ask("/assets/page-1.js");
  expect(asset.headers.get("Cache-Control")).toBe("public, max-age=31536000, immutable");
});

test("compressed for those who can read it", async () => {
  const compressed = await ask("/assets/page-1.js", { headers: { "Accept-Encoding": "gzip, br" } });
  expect(compressed.headers.get("Content-Encoding")).toBe("br");
  expect(brotliDecompressSync(await compressed.arrayBuffer())).toEqual(script);
  const plain = await ask("/assets/page-1.js", { headers: { "Accept-Encoding": "gzip" } });
  expect(plain.headers.get("Content-Encoding")).toBeNull();
  expect(Buffer.from(await plain.arrayBuffer())).toEqual(script);
  expect(plain.headers.get("Vary")).toBe("Accept-Encoding");
});

test("the service's address is a file, the same for everybody", async () => {
  const config = await ask("/config.json");
  expect(await config.json()).toEqual({ serviceOrigin: origins.serviceOrigin });
  expect(config.headers.get("Cache-Control")).toBe("no-store");
});

describe("headers", () => {
  test.each(["/", "/assets/page-1.js", "/config.json", "/missing"])(
    "%s has the page's policy",
    async (path) => {
      const { headers } = await ask(path);
      expect(headers.get("Content-Security-Policy")).toContain("script-src 'sha384-");
      expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
      expect(headers.get("Referrer-Policy")).toBe("no-referrer");
      expect(headers.get("Cross-Origin-Opener-Policy")).toBe("same-origin");
      expect(headers.get("Cross-Origin-Resource-Policy")).toBe("same-origin");
      expect(headers.get("X-Frame-Options")).toBe("DENY");
      expect(headers.get("Set-Cookie")).toBeNull();
    },
  );

  test("the worker has its own", async () => {
    const { headers } = await ask("/assets/worker-1.js");
    expect(headers.get("Content-Security-Policy")).not.toContain("script-src");
    expect(headers.get("Content-Security-Policy")).toContain("default-src 'none'");
  });
});

test("what isn't in the bundle isn't there", async () => {
  expect((await ask("/index.html")).status).toBe(404);
  expect((await ask("/assets/../../package.json")).status).toBe(404);
  expect((await ask("/assets/%2e%2e%2f%2e%2e%2fpackage.json")).status).toBe(404);
  expect((await ask("/__proto__")).status).toBe(404);
  expect((await ask("/", { method: "POST" })).status).toBe(404);
});

test("reports go to the collector, with the address they come from", async () => {
  const { ask: send, reports } = serverOf();
  expect((await send("/reports", { method: "POST", body: "[]" })).status).toBe(204);
  expect(reports).toEqual(["192.0.2.7 []"]);
});

test("under another of the machine's names people are sent to the one that works", async () => {
  const answer = await ask("/", undefined, "http://127.0.0.1:8440");
  expect(answer.status).toBe(307);
  expect(answer.headers.get("Location")).toBe("http://localhost:8440/");
  const doubled = await ask("http://127.0.0.1:8440//evil.example/");
  expect(doubled.headers.get("Location")).toBe("http://localhost:8440//evil.example/");
});

test("behind a proxy the Host is the proxy's own matter", async () => {
  const { ask: send } = serverOf({ behindProxy: true });
  expect((await send("/", undefined, "http://10.0.0.1:8440")).status).toBe(200);
});
