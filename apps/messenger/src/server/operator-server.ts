/**
 * The operator's page, on loopback and an origin of its own: counters of the service, violations of the page's
 * policy. Its data needs the token that was printed at the start; its files are the same for everybody.
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { integrityOf } from "@conclave/csp";
import { Hono } from "hono";
import type { Counter } from "./counters.ts";
import type { Site } from "./listener.ts";
import { operatorHeaders } from "./policy.ts";
import type { ViolationStore } from "./violation-store.ts";

const PAGE = new URL("./operator/index.html", import.meta.url);
const STYLE = new URL("./operator/operator.css", import.meta.url);
const SCRIPT = new URL("./operator/operator.js", import.meta.url);

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
  const page = await readFile(PAGE, "utf8");
  const style = await readFile(STYLE, "utf8");
  const script = await readFile(SCRIPT, "utf8");
  const integrity = await integrityOf(script);
  const headers = operatorHeaders(integrity);
  const app = new Hono();

  app.use(async (c, next) => {
    await next();
    for (const [name, value] of headers) c.header(name, value);
    c.header("Cache-Control", "no-store");
  });

  const files = {
    "/": ["text/html", page.replace("<script ", `<script integrity="${integrity}" `)],
    "/operator.css": ["text/css", style],
    "/operator.js": ["text/javascript", script],
  } as const;
  for (const [path, [type, body]] of Object.entries(files)) {
    app.get(path, (c) => c.body(body, 200, { "Content-Type": `${type}; charset=utf-8` }));
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

/** In a time that doesn't depend on where the two differ. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
