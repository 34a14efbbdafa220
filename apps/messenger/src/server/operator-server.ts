/**
 * The operator's page, on loopback and an origin of its own: counters of the service, violations of the page's
 * policy. Its data needs the token that was printed at the start; its files are the same for everybody.
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { integrityOf } from "@conclave/csp";
import { Hono } from "hono";
import type { Counter } from "./counters.ts";
import type { Site } from "./listener.ts";
import { operatorHeaders } from "./policy.ts";
import type { ViolationStore } from "./violation-store.ts";

const FILES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/operator.css": ["operator.css", "text/css; charset=utf-8"],
  "/operator.js": ["operator.js", "text/javascript; charset=utf-8"],
} as const;

export async function createOperatorServer({
  token,
  violations,
  counters,
  startedAt,
}: {
  readonly token: string;
  readonly violations: ViolationStore;
  readonly counters: () => readonly Counter[];
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
}): Promise<Site> {
  const script = await read("operator.js");
  const integrity = await integrityOf(script);
  const headers = operatorHeaders(integrity);
  const app = new Hono();

  app.use(async (c, next) => {
    await next();
    for (const [name, value] of headers) c.header(name, value);
    c.header("Cache-Control", "no-store");
  });

  for (const [path, [name, contentType]] of Object.entries(FILES)) {
    const text = await read(name);
    const body = text.replace('src="/operator.js"', `src="/operator.js" integrity="${integrity}"`);
    app.get(path, (c) => c.body(body, 200, { "Content-Type": contentType }));
  }

  app.use(async (c, next) => {
    const [, given = ""] = /^Bearer (.+)$/.exec(c.req.header("Authorization") ?? "") ?? [];
    return isSame(given, token) ? next() : c.json({ error: "The token is missing or wrong." }, 401);
  });

  app.get("/status", (c) =>
    c.json({ startedAt, counters: counters(), violations: violations.groups() }),
  );

  app.delete("/violations", (c) => {
    violations.clear();
    return c.body(null, 204);
  });

  return { fetch: (request) => app.fetch(request) };
}

function read(name: string): Promise<string> {
  return readFile(fileURLToPath(new URL(`./operator/${name}`, import.meta.url)), "utf8");
}

/** In a time that doesn't depend on where the two differ. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
