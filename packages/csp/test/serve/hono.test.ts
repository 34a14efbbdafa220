import { securityHeadersMiddleware } from "@conclave/csp/hono";
import { Hono } from "hono";
import { expect, test } from "vitest";

const options = { policy: (nonce: string) => ({ "script-src": [`'nonce-${nonce}'`] }) };

test("one nonce for a response, however often the middleware is used", async () => {
  const app = new Hono()
    .use(securityHeadersMiddleware(options))
    .use(async (c, next) => {
      const before = c.get("cspNonce");
      await next();
      c.header("X-Before", before);
    })
    .get("/", securityHeadersMiddleware(options), (c) => c.text(c.get("cspNonce")));
  const response = await app.request("/");
  const nonce = await response.text();
  expect(response.headers.get("X-Before")).toBe(nonce);
  expect(response.headers.get("Content-Security-Policy")).toBe(`script-src 'nonce-${nonce}'`);
});

test("what an error handler answers has the headers, too", async () => {
  const app = new Hono().use(securityHeadersMiddleware(options)).get("/", () => {
    throw new Error("thrown");
  });
  app.onError((_error, c) => c.text(c.get("cspNonce"), 500));
  const response = await app.request("/");
  const nonce = await response.text();
  expect(response.headers.get("Content-Security-Policy")).toBe(`script-src 'nonce-${nonce}'`);
});
