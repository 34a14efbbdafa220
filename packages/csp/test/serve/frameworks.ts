/** One application in every framework: the same routes, written as its users write them. */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import type { PolicyDirectives, SecurityHeadersOptions } from "@conclave/csp";
import { securityHeadersPlugin } from "@conclave/csp/fastify";
import { createNonceMarker, withSecurityHeaders } from "@conclave/csp/fetch";
import {
  securityHeadersMiddleware as honoMiddleware,
  type SecurityHeadersEnv,
} from "@conclave/csp/hono";
import { getNonce, securityHeadersMiddleware } from "@conclave/csp/node";
import { getRequestListener } from "@hono/node-server";
import express, { type ErrorRequestHandler } from "express";
import Fastify from "fastify";
import { Hono } from "hono";

export const marker: string = createNonceMarker();

export const strict = (nonce: string): PolicyDirectives => ({
  "script-src": [`'nonce-${nonce}'`, "'strict-dynamic'"],
  "base-uri": ["'none'"],
  "object-src": ["'none'"],
});

const routePolicy: SecurityHeadersOptions = {
  policy: (nonce) => [strict(nonce), { "img-src": ["'none'"] }],
  reportOnly: false,
  referrerPolicy: "origin",
};

const options: SecurityHeadersOptions & { readonly nonceMarker: string } = {
  policy: strict,
  reportOnly: { "style-src": ["'self'"] },
  nonceMarker: marker,
};

const forPath = (path: string): SecurityHeadersOptions | undefined =>
  path === "/by-request" ? routePolicy : undefined;

const html = { "Content-Type": "text/html; charset=utf-8" };

// A page whose template is trusted and whose `q` is an attacker's. The chunks part in the middle of each marker.
function* page(q: string): Generator<Buffer> {
  const text = `<!doctype html><title>Page</title>
<script nonce="${marker}">ran("head")</script>
<p>${q}</p>
<script nonce="${marker}">ran("body")</script>`;
  const half = marker.length / 2;
  let from = 0;
  for (let at = text.indexOf(marker); at >= 0; at = text.indexOf(marker, at + 1)) {
    yield Buffer.from(text.slice(from, at + half));
    from = at + half;
  }
  yield Buffer.from(text.slice(from));
}

const json = { html: `<script nonce="${marker}">` };
const link = `</a.js>; rel=preload; as=script; nonce="${marker}"`;
const whole = `<script nonce="${marker}">ran("whole")</script>`;
const compressed = gzipSync(whole);

const withNode = (): RequestListener => {
  const secure = securityHeadersMiddleware({
    ...options,
    forRequest: (request) => forPath(request.url ?? ""),
  });
  const secureRoute = securityHeadersMiddleware({ ...options, ...routePolicy });
  return (request, response) => {
    secure(request, response);
    const url = new URL(request.url ?? "", "http://localhost");
    try {
      switch (url.pathname) {
        case "/page":
          response.writeHead(200, html);
          Readable.from(page(url.searchParams.get("q") ?? "")).pipe(response);
          return;
        case "/whole":
          response.writeHead(200, { ...html, "Content-Length": whole.length }).end(whole);
          return;
        case "/json":
          response.setHeader("Content-Type", "application/json");
          response.end(JSON.stringify(json));
          return;
        case "/link":
          response.writeHead(200, ["Link", link, "Set-Cookie", "a=1", "Set-Cookie", `b=${marker}`]);
          response.end();
          return;
        case "/nonce":
          response.end(getNonce(response));
          return;
        case "/by-route":
          secureRoute(request, response);
          response.end(getNonce(response));
          return;
        case "/cached":
          response.writeHead(200, { ...html, "cache-control": "private" }).end(whole);
          return;
        case "/unmodified":
          response.writeHead(304).end();
          return;
        case "/compressed":
          response.writeHead(200, { ...html, "Content-Encoding": "gzip" }).end(compressed);
          return;
        case "/compressed-asset":
          response.setHeader("Content-Type", "text/javascript");
          response.setHeader("Content-Encoding", "gzip");
          response.end(gzipSync("1"));
          return;
        default:
          response.end();
      }
    } catch {
      response.writeHead(500, { "Content-Type": "text/plain", "Content-Encoding": "identity" });
      response.end("failed");
    }
  };
};

const withExpress = (): RequestListener => {
  const app = express();
  app.use(
    securityHeadersMiddleware<express.Request>({ ...options, forRequest: (r) => forPath(r.path) }),
  );
  app.get("/page", (request, response) => {
    Readable.from(page(new URL(request.url, "http://localhost").searchParams.get("q") ?? "")).pipe(
      response.set(html),
    );
  });
  app.get("/whole", (_request, response) => void response.send(whole));
  app.get("/json", (_request, response) => void response.json(json));
  app.get("/link", (_request, response) => {
    response.append("Link", link).cookie("a", "1").append("Set-Cookie", `b=${marker}`).end();
  });
  app.get(
    "/nonce",
    (_request, response) => void response.type("text").send(response.locals["cspNonce"]),
  );
  app.get("/by-request", (_request, response) => void response.send(""));
  app.get("/by-route", securityHeadersMiddleware({ ...options, ...routePolicy }), (_, response) => {
    response.type("text").send(getNonce(response));
  });
  app.get(
    "/cached",
    (_request, response) => void response.set("Cache-Control", "private").send(whole),
  );
  app.get("/unmodified", (_request, response) => void response.status(304).end());
  app.get("/compressed", (_request, response) => {
    response.set({ ...html, "Content-Encoding": "gzip" }).send(compressed);
  });
  app.get("/compressed-asset", (_request, response) => {
    response
      .set({ "Content-Type": "text/javascript", "Content-Encoding": "gzip" })
      .send(gzipSync("1"));
  });
  const failed: ErrorRequestHandler = (_error, _request, response, _next) => {
    response.removeHeader("Content-Encoding");
    response.status(500).type("text").send("failed");
  };
  return app.use(failed);
};

const withHono = (): RequestListener => {
  const app = new Hono<SecurityHeadersEnv>();
  app.use(honoMiddleware({ ...options, forRequest: (c) => forPath(c.req.path) }));
  app.get("/page", (c) => c.body(webStream(c.req.query("q") ?? ""), 200, html));
  app.get("/whole", (c) => c.html(whole, 200, { "Content-Length": String(whole.length) }));
  app.get("/json", (c) => c.json(json));
  app.get("/link", (c) => {
    c.header("Link", link);
    c.header("Set-Cookie", "a=1", { append: true });
    c.header("Set-Cookie", `b=${marker}`, { append: true });
    return c.body(null);
  });
  app.get("/nonce", (c) => c.text(c.get("cspNonce")));
  app.get("/by-request", (c) => c.body(""));
  app.get("/by-route", honoMiddleware({ ...options, ...routePolicy }), (c) =>
    c.text(c.get("cspNonce")),
  );
  app.get("/cached", (c) => c.html(whole, 200, { "Cache-Control": "private" }));
  app.get("/unmodified", (c) => c.body(null, 304));
  app.get("/compressed", (c) => c.body(compressed, 200, { ...html, "Content-Encoding": "gzip" }));
  app.get("/compressed-asset", (c) =>
    c.body(gzipSync("1"), 200, { "Content-Type": "text/javascript", "Content-Encoding": "gzip" }),
  );
  app.onError((_error, c) => c.text("failed", 500));
  return adapted(app.fetch);
};

const withFetch = (): RequestListener => {
  const handler = withSecurityHeaders(
    (request, { nonce }) => {
      const { pathname, searchParams } = new URL(request.url);
      switch (pathname) {
        case "/page":
          return new Response(webStream(searchParams.get("q") ?? ""), { headers: html });
        case "/whole":
          return new Response(whole, {
            headers: { ...html, "Content-Length": String(whole.length) },
          });
        case "/json":
          return Response.json(json);
        case "/link": {
          const headers = new Headers({ Link: link });
          headers.append("Set-Cookie", "a=1");
          headers.append("Set-Cookie", `b=${marker}`);
          return new Response(null, { headers });
        }
        case "/cached":
          return new Response(whole, { headers: { ...html, "Cache-Control": "private" } });
        case "/unmodified":
          return new Response(null, { status: 304 });
        case "/compressed":
          return new Response(compressed, { headers: { ...html, "Content-Encoding": "gzip" } });
        case "/compressed-asset":
          return new Response(gzipSync("1"), {
            headers: { "Content-Type": "text/javascript", "Content-Encoding": "gzip" },
          });
        default:
          return new Response(nonce);
      }
    },
    {
      ...options,
      forRequest: ({ url }) => {
        const { pathname } = new URL(url);
        return pathname === "/by-route" ? routePolicy : forPath(pathname);
      },
    },
  );
  return adapted((request) =>
    handler(request).catch(() => new Response("failed", { status: 500 })),
  );
};

function adapted(handler: (request: Request) => Response | Promise<Response>): RequestListener {
  const listener = getRequestListener(handler);
  return (request, response) => void listener(request, response);
}

function webStream(q: string): ReadableStream<Uint8Array> {
  const chunks = page(q);
  return new ReadableStream({
    pull(controller) {
      const { done, value } = chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}

async function withFastify(): Promise<Running> {
  const app = Fastify();
  await app.register(securityHeadersPlugin, {
    ...options,
    forRequest: (request) => forPath(request.routeOptions.url ?? ""),
  });
  app.get<{ Querystring: { q?: string } }>("/page", (request, reply) =>
    reply.headers(html).send(Readable.from(page(request.query.q ?? ""))),
  );
  app.get("/whole", (_request, reply) => reply.headers(html).send(whole));
  app.get("/json", () => json);
  app.get("/link", (_request, reply) =>
    reply
      .header("Link", link)
      .header("Set-Cookie", ["a=1", `b=${marker}`])
      .send(),
  );
  app.get("/nonce", (_request, reply) => reply.cspNonce);
  app.get("/by-request", () => "");
  app.get("/by-route", { config: { csp: routePolicy } }, (_request, reply) => reply.cspNonce);
  app.get("/cached", (_request, reply) =>
    reply.headers({ ...html, "Cache-Control": "private" }).send(whole),
  );
  app.get("/unmodified", (_request, reply) => reply.status(304).send());
  app.get("/compressed", (_request, reply) =>
    reply.headers({ ...html, "Content-Encoding": "gzip" }).send(compressed),
  );
  app.get("/compressed-asset", (_request, reply) =>
    reply
      .headers({ "Content-Type": "text/javascript", "Content-Encoding": "gzip" })
      .send(gzipSync("1")),
  );
  app.setErrorHandler((_error, _request, reply) =>
    reply.removeHeader("Content-Encoding").status(500).type("text/plain").send("failed"),
  );
  const origin = await app.listen({ port: 0, host: "127.0.0.1" });
  return { origin, close: () => app.close() };
}

export interface Running {
  readonly origin: string;
  readonly close: () => Promise<void>;
}

export async function listen(listener: RequestListener): Promise<Running> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return { origin: `http://127.0.0.1:${port}`, close };
}

export const frameworks: readonly (readonly [string, () => Promise<Running>])[] = [
  ["node:http", () => listen(withNode())],
  ["express", () => listen(withExpress())],
  ["hono", () => listen(withHono())],
  ["fetch", () => listen(withFetch())],
  ["fastify", withFastify],
];
