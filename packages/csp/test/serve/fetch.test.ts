import { CspError, type SecurityHeadersOptions } from "@conclave/csp";
import { createNonceMarker, withSecurityHeaders } from "@conclave/csp/fetch";
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

  test("what a runtime gives beside the request comes after the context", async () => {
    const handler = withSecurityHeaders(
      (_request, _context, env: { readonly name: string }, count: number) =>
        new Response(env.name.repeat(count)),
      {},
    );
    expect(await (await handler(request, { name: "a" }, 3)).text()).toBe("aaa");
  });

  test("a marker that no key generator made is refused before the first request", () => {
    const wrap = () => withSecurityHeaders(() => new Response(), { nonceMarker: "{{nonce}}" });
    expect(wrap).toThrow(CspError);
  });

  test.each(["text/html; charset=utf-16le", 'application/xhtml+xml; charset="UTF-16"'])(
    "a page in %s is refused, as a marker in it would not be seen",
    async (type) => {
      const options = { nonceMarker: createNonceMarker() };
      const answer = () => new Response("", { headers: { "Content-Type": type } });
      await expect(withSecurityHeaders(answer, options)(request)).rejects.toThrow(CspError);
      expect((await withSecurityHeaders(answer, {})(request)).status).toBe(200);
    },
  );

  test.each([
    ["text/html", "no-store"],
    ["Text/HTML; charset=utf-8", "no-store"],
    ["application/xhtml+xml", "no-store"],
    ["image/svg+xml", "no-store"],
    ["text/xml", "no-store"],
    ["text/javascript", null],
    ["text/htmlx", null],
  ])("%s with a nonce in its policy has Cache-Control %s", async (type, expected) => {
    const answer = () => new Response("", { headers: { "Content-Type": type } });
    const nonced = { policy: (nonce: string) => ({ "script-src": [`'nonce-${nonce}'`] }) };
    const plain = { policy: () => ({ "script-src": ["'self'"] }) };
    const control = async (options: SecurityHeadersOptions) =>
      (await withSecurityHeaders(answer, options)(request)).headers.get("Cache-Control");
    expect(await control(nonced)).toBe(expected);
    expect(await control({ reportOnly: nonced.policy })).toBe(expected);
    expect(await control(plain)).toBeNull();
  });

  describe("forRequest", () => {
    test("tries a stricter policy with a part of the visitors", async () => {
      const handler = withSecurityHeaders(() => new Response(), {
        policy: { "script-src": ["'self'"] },
        forRequest: ({ headers }) =>
          headers.get("Cookie") === "trial=1"
            ? { reportOnly: { "script-src": ["'none'"] } }
            : undefined,
      });
      const policies = async (cookie: string) => {
        const { headers } = await handler(new Request(request, { headers: { Cookie: cookie } }));
        return [
          headers.get("Content-Security-Policy"),
          headers.get("Content-Security-Policy-Report-Only"),
        ];
      };
      expect(await policies("trial=1")).toEqual(["script-src 'self'", "script-src 'none'"]);
      expect(await policies("trial=0")).toEqual(["script-src 'self'", null]);
    });

    test("what it gives is checked", async () => {
      const handler = withSecurityHeaders(() => new Response(), {
        forRequest: () => ({ policy: { "img-src": ["a;b"] } }),
      });
      await expect(handler(request)).rejects.toThrow(CspError);
    });

    test("what it leaves undefined is as before", async () => {
      const undecided: SecurityHeadersOptions = Object.fromEntries([["policy", undefined]]);
      const handler = withSecurityHeaders(() => new Response(), {
        policy: { "script-src": ["'self'"] },
        forRequest: () => undecided,
      });
      const { headers } = await handler(request);
      expect(headers.get("Content-Security-Policy")).toBe("script-src 'self'");
    });

    test("policies that it gives get this request's nonce", async () => {
      const own: SecurityHeadersOptions = {
        policy: (nonce) => ({ "script-src": [`'nonce-${nonce}'`] }),
      };
      const handler = withSecurityHeaders((_request, { nonce }) => new Response(nonce), {
        forRequest: () => own,
      });
      for (let i = 0; i < 2; i++) {
        const response = await handler(request);
        const nonce = await response.text();
        expect(response.headers.get("Content-Security-Policy")).toBe(`script-src 'nonce-${nonce}'`);
      }
    });
  });
});
