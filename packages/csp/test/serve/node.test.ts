import { once } from "node:events";
import {
  get as httpGet,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { connect, createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { CspError } from "@conclave/csp";
import { createNonceMarker, getNonce, securityHeadersMiddleware } from "@conclave/csp/node";
import { createElement, lazy, Suspense } from "react";
import { renderToPipeableStream } from "react-dom/server";
import { afterEach, describe, expect, test } from "vitest";
import { listen, type Running } from "./frameworks.ts";

let running: Running | undefined;
afterEach(() => running?.close());

async function get(listener: RequestListener): Promise<Response> {
  running = await listen(listener);
  return fetch(running.origin);
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

  test("used again it replaces what it set, keeps the nonce, and leaves what the handler set", async () => {
    const response = await get((request, reply) => {
      secure(request, reply);
      const nonce = getNonce(reply);
      reply.setHeader("Referrer-Policy", "origin");
      securityHeadersMiddleware({ contentTypeOptions: false, referrerPolicy: false })(
        request,
        reply,
      );
      reply.end(String(getNonce(reply) === nonce));
    });
    expect(await response.text()).toBe("true");
    expect(response.headers.get("Content-Security-Policy")).toBeNull();
    expect(response.headers.get("X-Content-Type-Options")).toBeNull();
    expect(response.headers.get("Referrer-Policy")).toBe("origin");
  });

  test("a response it has not seen has no nonce", () => {
    expect(() => getNonce({})).toThrow(TypeError);
  });

  test("wrong options are refused at once", () => {
    const options = { policy: { "report-to": "nowhere" } };
    expect(() => securityHeadersMiddleware(options)).toThrow(CspError);
  });
});

describe("nonceMarker", () => {
  const marker = createNonceMarker();
  const marking = securityHeadersMiddleware({
    policy: (nonce) => ({ "script-src": [`'nonce-${nonce}'`] }),
    nonceMarker: marker,
  });
  const marked = (write: (reply: ServerResponse) => void) =>
    get((request, reply) => {
      marking(request, reply);
      write(reply);
    });
  const nonceOf = (response: Response) =>
    response.headers.get("Content-Security-Policy")?.slice("script-src 'nonce-".length, -1);
  const html = { "Content-Type": "text/html" };

  test.each<[string, (reply: ServerResponse) => void]>([
    ["end(text)", (reply) => reply.end(marker)],
    ["end(text, encoding)", (reply) => reply.end(Buffer.from(marker).toString("hex"), "hex")],
    ["end(bytes, callback)", (reply) => reply.end(Buffer.from(marker), () => {})],
    ["end(text, encoding, callback)", (reply) => reply.end(marker, "utf8", () => {})],
    ["write, end", (reply) => void (reply.write(marker), reply.end())],
    ["write(text, encoding)", (reply) => void (reply.write(marker, "latin1"), reply.end(null))],
    ["write(text, callback)", (reply) => void reply.write(marker, () => reply.end())],
    [
      "write(text, encoding, callback)",
      (reply) => void reply.write(marker, "utf8", () => reply.end(() => {})),
    ],
    [
      "halves, each waited for",
      (reply) => {
        reply.write(marker.slice(0, 7), () => reply.write(marker.slice(7), () => reply.end()));
      },
    ],
    ["writeHead(status)", (reply) => reply.writeHead(200).end(marker)],
    ["writeHead(status, message)", (reply) => reply.writeHead(200, "Fine").end(marker)],
    ["writeHead(status, headers)", (reply) => reply.writeHead(200, { "X-A": marker }).end(marker)],
    [
      "writeHead(status, message, headers)",
      (reply) => reply.writeHead(200, "Fine", { "X-A": marker }).end(marker),
    ],
    ["writeHead(status, list)", (reply) => reply.writeHead(200, ["X-A", marker]).end(marker)],
    [
      "flushHeaders",
      (reply) => {
        reply.setHeader("X-A", marker);
        reply.flushHeaders();
        reply.end(marker);
      },
    ],
  ])("is replaced by way of %s", async (how, write) => {
    const response = await marked(write);
    const nonce = nonceOf(response);
    expect(nonce?.length).toBe(24);
    expect(await response.text()).toBe(nonce);
    expect(response.statusText).toBe(how.includes("message") ? "Fine" : "OK");
    expect(response.headers.get("X-A")).toBe(/headers|list|flush/i.test(how) ? nonce : null);
  });

  test("what only looks like its start is sent at the end", async () => {
    const response = await marked((reply) => {
      reply.write(`a${marker.slice(0, 23)}`);
      reply.end();
    });
    expect(await response.text()).toBe(`a${marker.slice(0, 23)}`);
  });

  test("what is written is sent before the end", async () => {
    let finish = () => {};
    const response = await marked((reply) => {
      reply.writeHead(200, html).write(`<script nonce="${marker}">`);
      finish = () => reply.end("</script>");
    });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    expect(Buffer.from(first?.value ?? []).toString()).toBe(
      `<script nonce="${nonceOf(response)}">`,
    );
    finish();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("</script>");
  });

  test("a writer is told to wait, and when to go on", async () => {
    const chunk = Buffer.alloc(1 << 20, marker);
    let waits = 0;
    const response = await marked((reply) => {
      reply.on("drain", () => waits++);
      Readable.from(Array.from({ length: 8 }, () => chunk)).pipe(reply);
    });
    const body = await response.text();
    expect(waits).toBeGreaterThan(0);
    expect(body.length).toBe(8 << 20);
    expect(body.startsWith(`${nonceOf(response)}`)).toBe(true);
    expect(body).not.toContain(marker);
  });

  test("a body that is none is Node's to refuse", async () => {
    const response = await marked((reply) => {
      try {
        reply.end(1 as never);
      } catch (error) {
        reply.end((error as NodeJS.ErrnoException).code);
      }
    });
    expect(await response.text()).toBe("ERR_INVALID_ARG_TYPE");
  });

  test("early hints have the nonce, too", async () => {
    const server = await listen((request, reply) => {
      marking(request, reply);
      reply.writeEarlyHints({ link: [`</a.js>; rel=preload; as=script; nonce="${marker}"`] });
      reply.end(getNonce(reply));
    });
    const hints: string[] = [];
    const request = httpGet(server.origin);
    request.on("information", ({ headers }) => hints.push(String(headers["link"])));
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const body = await text(response);
    expect(hints).toEqual([`</a.js>; rel=preload; as=script; nonce="${body}"`]);
    await server.close();
  });

  test("HTTP/2 by Node's compatible interface", async () => {
    const server = createHttp2Server((request, reply) => {
      marking(request as never, reply as never);
      reply.setHeader("Content-Type", "text/html");
      if (request.url === "/end") reply.end(marker);
      else if (request.url === "/tail") reply.end(marker.slice(0, 23));
      else {
        reply.write(marker.slice(0, 5));
        reply.end(marker.slice(5));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    for (const path of ["/end", "/write", "/tail"]) {
      const stream = client.request({ ":path": path });
      const [headers] = (await once(stream, "response")) as [Record<string, string>];
      const nonce = headers["content-security-policy"]?.slice("script-src 'nonce-".length, -1);
      expect(await text(stream)).toBe(path === "/tail" ? marker.slice(0, 23) : nonce);
      expect(headers["cache-control"]).toBe("no-store");
    }
    client.close();
    server.close();
  });

  test("React streams with it", async () => {
    const Late = lazy(async () => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      return { default: () => createElement("b", null, "late") };
    });
    const app = createElement(
      "html",
      null,
      createElement(
        "body",
        null,
        createElement(Suspense, { fallback: "wait" }, createElement(Late)),
      ),
    );
    const response = await marked((reply) => {
      reply.writeHead(200, html);
      const { pipe } = renderToPipeableStream(app, {
        nonce: marker,
        bootstrapScriptContent: "start()",
        bootstrapModules: ["/main.js"],
        onShellReady: () => void pipe(reply),
      });
    });
    const nonce = nonceOf(response);
    const body = await response.text();
    expect(body).toContain("<b>late</b>");
    const scripts = body.match(/<script[^>]*>/g) ?? [];
    expect(scripts.length).toBeGreaterThan(2);
    for (const script of scripts) expect(script).toContain(`nonce="${nonce}"`);
    expect(body).not.toContain(marker);
  });
});
