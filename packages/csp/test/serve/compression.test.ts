/** A marker under a compression cannot be seen: the order of middleware decides, and the wrong one is refused. */
import type { RequestListener, ServerResponse } from "node:http";
import { createGzip } from "node:zlib";
import { createNonceMarker, securityHeadersMiddleware as honoMiddleware } from "@conclave/csp/hono";
import { securityHeadersMiddleware } from "@conclave/csp/node";
import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import { Hono } from "hono";
import { compress } from "hono/compress";
import { describe, expect, test } from "vitest";
import { listen } from "./frameworks.ts";

const nonceMarker = createNonceMarker();
const options = {
  policy: (nonce: string) => ({ "script-src": [`'nonce-${nonce}'`] }),
  nonceMarker,
};
const page = `<script nonce="${nonceMarker}">${"run(); ".repeat(500)}</script>`;

async function expectNonce(response: Response): Promise<void> {
  const policy = response.headers.get("Content-Security-Policy") ?? "";
  const text = await response.text();
  expect(text).not.toContain(nonceMarker);
  expect(`script-src 'nonce-${/nonce="([^"]*)"/.exec(text)?.[1]}'`).toBe(policy);
}

/** As Express's `compression` does it: in the place of `write` and `end`, until a page is known to be one. */
const compression: RequestHandler = (_request, response, next) => {
  const gzip = createGzip();
  const write = response.write.bind(response);
  const end = response.end.bind(response);
  const start = () => {
    if (response.headersSent) return;
    response.setHeader("Content-Encoding", "gzip");
    response.removeHeader("Content-Length");
    response.writeHead(response.statusCode);
  };
  gzip.on("data", (chunk: Buffer) => write(chunk)).on("end", () => end());
  Object.assign(response, {
    write: (chunk: string | Uint8Array) => (start(), gzip.write(chunk)),
    end: (chunk?: string | Uint8Array) => {
      start();
      gzip.end(chunk);
      return response;
    },
  } satisfies Partial<Record<keyof ServerResponse, unknown>>);
  next();
};

describe("Express", () => {
  const failed: ErrorRequestHandler = (_error, _request, response, _next) => response.destroy();
  const app = (...middleware: readonly RequestHandler[]): RequestListener => {
    const application = express();
    for (const one of middleware) application.use(one);
    application.get("/", (_request, response) => {
      response.type("html").write(page.slice(0, 20));
      response.end(page.slice(20));
    });
    return application.use(failed);
  };
  const secure = securityHeadersMiddleware(options);

  test("outside of the middleware it gets the nonce", async () => {
    const running = await listen(app(compression, secure));
    const response = await fetch(running.origin);
    expect(response.headers.get("Content-Encoding")).toBe("gzip");
    await expectNonce(response);
    await running.close();
  });

  test("inside it is refused before a byte is sent", async () => {
    const running = await listen(app(secure, compression));
    const status = await fetch(running.origin).then(
      (response) => response.status,
      (error: Error) => error.message,
    );
    await running.close();
    expect(status).toBe("fetch failed");
  });
});

describe("Hono", () => {
  const request = new Request("http://localhost/", { headers: { "Accept-Encoding": "gzip" } });

  test("outside of the middleware it gets the nonce", async () => {
    const app = new Hono().use(compress(), honoMiddleware(options)).get("/", (c) => c.html(page));
    const response = await app.request(request);
    expect(response.headers.get("Content-Encoding")).toBe("gzip");
    const { body } = response;
    const text = await new Response(body?.pipeThrough(new DecompressionStream("gzip"))).text();
    await expectNonce(new Response(text, { headers: response.headers }));
  });

  test("inside it is refused", async () => {
    const app = new Hono().use(honoMiddleware(options), compress()).get("/", (c) => c.html(page));
    const codes: unknown[] = [];
    app.onError((error, c) => {
      codes.push("code" in error ? error.code : error);
      return c.text("failed", 500);
    });
    const response = await app.request(request);
    expect([response.status, await response.text()]).toEqual([500, "failed"]);
    expect(codes).toEqual(["invalid-header"]);
  });
});
