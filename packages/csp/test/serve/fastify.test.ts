import { CspError } from "@conclave/csp";
import { createNonceMarker, securityHeadersPlugin } from "@conclave/csp/fastify";
import fastify from "fastify";
import { expect, test } from "vitest";

const nonceMarker = createNonceMarker();
const options = {
  policy: (nonce: string) => ({ "script-src": [`'nonce-${nonce}'`] }),
  nonceMarker,
};

test("a route's wrong options are refused when it is registered", async () => {
  const app = fastify();
  await app.register(securityHeadersPlugin, options);
  const csp = { policy: { "img-src": ["a;b"] } };
  expect(() => app.get("/", { config: { csp } }, () => "")).toThrow(CspError);
});

test("a hijacked reply has the headers and the nonce", async () => {
  const app = fastify();
  await app.register(securityHeadersPlugin, options);
  app.get("/", (_request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { "Content-Type": "text/html" }).end(nonceMarker);
  });
  const { headers, body } = await app.inject("/");
  expect(headers["content-security-policy"]).toBe(`script-src 'nonce-${body}'`);
  expect(headers["cache-control"]).toBe("no-store");
});

test("routes in plugins of their own are included, and what is not found", async () => {
  const app = fastify();
  await app.register(securityHeadersPlugin, options);
  await app.register(async (part) => {
    part.get("/part", (_request, reply) => reply.cspNonce);
  });
  const { headers, body } = await app.inject("/part");
  expect(headers["content-security-policy"]).toBe(`script-src 'nonce-${body}'`);
  const missing = await app.inject("/missing");
  expect(missing.headers["content-security-policy"]).toMatch(/^script-src 'nonce-/);
});

test("forRequest has the last word after the route's options", async () => {
  const app = fastify();
  await app.register(securityHeadersPlugin, {
    ...options,
    forRequest: () => ({ referrerPolicy: "origin" }),
  });
  const csp = { referrerPolicy: "same-origin", contentTypeOptions: false } as const;
  app.get("/", { config: { csp } }, () => "");
  const { headers } = await app.inject("/");
  expect(headers["referrer-policy"]).toBe("origin");
  expect(headers["x-content-type-options"]).toBeUndefined();
});
