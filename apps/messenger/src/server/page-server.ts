/**
 * The page's origin: an immutable bundle, the address of the service as a file, and the collector of violations.
 * No templates, no cookies, no state: what it hands out is the same for everybody.
 * @module
 */

import { Hono } from "hono";
import type { Bundle } from "./bundle.ts";
import type { Caller, Handler, Site } from "./listener.ts";
import { type Origins, pageHeaders, REPORTS_PATH, workerHeaders } from "./policy.ts";

interface Environment {
  readonly Bindings: Caller;
}

export function createPageServer({
  bundle,
  origins,
  behindProxy,
  collect,
}: {
  readonly bundle: Bundle;
  readonly origins: Origins;
  /** The `Host` of a request is not what the browser sent. */
  readonly behindProxy: boolean;
  readonly collect: Handler;
}): Site {
  const app = new Hono<Environment>();
  const forPage = pageHeaders(bundle, origins);
  const forWorkers = workerHeaders(origins);
  const workers = new Set(bundle.workers);
  const { host } = new URL(origins.pageOrigin);

  app.use(async (c, next) => {
    await next();
    for (const [name, value] of workers.has(c.req.path) ? forWorkers : forPage) {
      c.header(name, value);
    }
  });

  // Service and policy know the page by one origin: under another of the machine's names nothing would work.
  app.get("*", (c, next) => {
    const url = new URL(c.req.url);
    if (behindProxy || url.host === host) return next();
    return Promise.resolve(c.redirect(`${origins.pageOrigin}${url.pathname}`, 307));
  });

  app.get("/config.json", (c) => {
    c.header("Cache-Control", "no-store");
    return c.json({ serviceOrigin: origins.serviceOrigin });
  });

  app.post(REPORTS_PATH, (c) => collect(c.req.raw, c.env));

  app.get("*", (c) => {
    const file = bundle.files.get(c.req.path);
    if (!file) return c.notFound();
    c.header("Content-Type", file.contentType);
    c.header("Cache-Control", file.hashed ? "public, max-age=31536000, immutable" : "no-store");
    c.header("Vary", "Accept-Encoding");
    if (file.compressed && /\bbr\b/.test(c.req.header("Accept-Encoding") ?? "")) {
      c.header("Content-Encoding", "br");
      return c.body(new Uint8Array(file.compressed));
    }
    return c.body(new Uint8Array(file.body));
  });

  return { fetch: (request, caller) => app.fetch(request, caller) };
}
