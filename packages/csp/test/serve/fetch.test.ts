import { CspError } from "@conclave/csp";
import { withSecurityHeaders } from "@conclave/csp/fetch";
import { describe, expect, test } from "vitest";

const request = new Request("https://example.com/");

describe("withSecurityHeaders", () => {
  test("the nonce of the policy is the handler's, and new for each request", async () => {
    const handler = withSecurityHeaders((_request, { nonce }) => new Response(nonce), {
      policy: (nonce) => ({ "script-src": [`'nonce-${nonce}'`] }),
    });
    const nonces = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const response = await handler(request);
      const nonce = await response.text();
      expect(response.headers.get("Content-Security-Policy")).toBe(`script-src 'nonce-${nonce}'`);
      nonces.add(nonce);
    }
    expect(nonces.size).toBe(3);
  });

  test("hands on the request, and what the response is", async () => {
    const handler = withSecurityHeaders(
      async ({ url }) => {
        const response = new Response(url, { status: 418, statusText: "Teapot" });
        response.headers.append("Set-Cookie", "a=1");
        response.headers.append("Set-Cookie", "b=2");
        return response;
      },
      { policy: { "default-src": ["'none'"] } },
    );
    const response = await handler(request);
    expect([response.status, response.statusText]).toEqual([418, "Teapot"]);
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(await response.text()).toBe("https://example.com/");
  });

  test("a header of the handler's own stays", async () => {
    const handler = withSecurityHeaders(
      () => new Response("", { headers: { "referrer-policy": "origin" } }),
      {},
    );
    expect((await handler(request)).headers.get("Referrer-Policy")).toBe("origin");
  });

  test("immutable headers are no hindrance", async () => {
    const handler = withSecurityHeaders(() => Response.redirect("https://a.test/", 303), {});
    const response = await handler(request);
    expect(response.status).toBe(303);
    expect(response.headers.get("Location")).toBe("https://a.test/");
    expect(response.headers.get("Referrer-Policy")).toBe("no-referrer");
  });

  test("responses without a body stay so", async () => {
    const handler = withSecurityHeaders(() => new Response(null, { status: 304 }), {});
    const response = await handler(request);
    expect([response.status, response.body]).toEqual([304, null]);
  });

  test("a network error is handed on as it is", async () => {
    const error = Response.error();
    expect(await withSecurityHeaders(() => error, {})(request)).toBe(error);
  });

  test("a stream is passed on while it is written", async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const handler = withSecurityHeaders(() => new Response(readable), {});
    const response = await handler(request);
    const writer = writable.getWriter();
    const reader = response.body?.getReader();
    for (const byte of [1, 2, 3]) {
      const written = writer.write(Uint8Array.of(byte));
      expect((await reader?.read())?.value).toEqual(Uint8Array.of(byte));
      await written;
    }
    await writer.close();
    expect((await reader?.read())?.done).toBe(true);
  });

  test("wrong options are refused before the first request", () => {
    const wrap = () =>
      withSecurityHeaders(() => new Response(), {
        policy: (nonce) => ({ "script-src": [`'nonce-${nonce};'`] }),
      });
    expect(wrap).toThrow(CspError);
  });
});
