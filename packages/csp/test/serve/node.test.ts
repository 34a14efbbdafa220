import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { CspError } from "@conclave/csp";
import { getNonce, securityHeadersMiddleware } from "@conclave/csp/node";
import { afterEach, describe, expect, test } from "vitest";

let server: Server | undefined;
afterEach(() => server?.close());

async function get(listener: RequestListener): Promise<Response> {
  const listening = createServer(listener);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  const { port } = listening.address() as AddressInfo;
  return fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
}

const secure = securityHeadersMiddleware({
  policy: (nonce) => ({ "script-src": [`'nonce-${nonce}'`] }),
});

describe("securityHeadersMiddleware", () => {
  test("called first in a listener, it sets the headers and keeps the nonce", async () => {
    const response = await get((request, reply) => {
      secure(request, reply);
      reply.writeHead(200, { "Content-Type": "text/plain" }).end(getNonce(reply));
    });
    const nonce = await response.text();
    expect(nonce).toMatch(/^[A-Za-z0-9+/]{24}$/);
    expect(response.headers.get("Content-Security-Policy")).toBe(`script-src 'nonce-${nonce}'`);
    expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(response.headers.get("Content-Type")).toBe("text/plain");
  });

  test("in a framework it calls the next", async () => {
    const response = await get((request, reply) => {
      secure(request, reply, () => {
        reply.end("next");
      });
    });
    expect(await response.text()).toBe("next");
    expect(response.headers.get("Content-Security-Policy")).toMatch(/^script-src /);
  });

  test("a header the handler sets itself wins", async () => {
    const response = await get((request, reply) => {
      secure(request, reply);
      reply.writeHead(200, { "referrer-policy": "origin" }).end();
    });
    expect(response.headers.get("Referrer-Policy")).toBe("origin");
  });

  test("each response has its own nonce", () => {
    const first = { setHeader: () => {} };
    const second = { setHeader: () => {} };
    secure(undefined, first);
    secure(undefined, second);
    expect(getNonce(first)).not.toBe(getNonce(second));
    expect(getNonce(first)).toBe(getNonce(first));
  });

  test("a response it has not seen has no nonce", () => {
    expect(() => getNonce({ setHeader: () => {} })).toThrow(TypeError);
  });

  test("wrong options are refused at once", () => {
    const options = { policy: { "report-to": "nowhere" } };
    expect(() => securityHeadersMiddleware(options)).toThrow(CspError);
  });
});
