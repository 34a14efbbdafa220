/**
 * What is for the operator alone, at an address of its own: metrics, health, readiness, and a page. The page is made
 * whole by the server, without any script; it asks for the token as a password.
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { Hono } from "hono";
import { html } from "hono/html";
import type { Metrics } from "./metrics.ts";
import { STYLE } from "./operator-style.ts";
import type { ServiceStatus } from "./service.ts";
import type { Statistics } from "./store/store.ts";

export interface OperatorSite {
  readonly fetch: (request: Request) => Promise<Response>;
}

/** What the page shows beside the metrics. */
export interface Report {
  /** Milliseconds since the Unix epoch, as are all times here. */
  readonly startedAt: number;
  readonly version: string;
  /** "SQLite" or "PostgreSQL". */
  readonly database: string;
  readonly state: "running" | "shutting down";
  readonly status: ServiceStatus;
  /** Absent where the database doesn't answer. */
  readonly statistics: Statistics | undefined;
}

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
    "require-trusted-types-for 'script'; trusted-types 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
} as const;

export function createOperatorSite(options: {
  readonly metrics: Metrics;
  /** Without one there is no page. */
  readonly token: string | undefined;
  readonly report: () => Promise<Report>;
  /** Whether requests are to be sent here. */
  readonly isReady: () => Promise<boolean>;
}): OperatorSite {
  const { metrics, token, report, isReady } = options;
  const app = new Hono();

  app.use(async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
  });

  app.get("/metrics", async (c) => {
    const text = await metrics.text();
    return c.body(text, 200, { "content-type": metrics.contentType });
  });
  app.get("/health", (c) => c.text("ok\n"));
  app.get("/ready", async (c) =>
    (await isReady()) ? c.text("ready\n") : c.text("not ready\n", 503),
  );
  app.get("/style.css", (c) => c.body(STYLE, 200, { "content-type": "text/css; charset=utf-8" }));

  app.get("/", async (c) => {
    if (token === undefined)
      return c.text("The operator's page is off: metrics.token is not set.\n", 404);
    if (!isSame(passwordOf(c.req.header("authorization")), token)) {
      return c.text("The token is missing or wrong.\n", 401, {
        "www-authenticate":
          'Basic realm="Conclave delivery: any name, and the token", charset="UTF-8"',
      });
    }
    return c.html(page(await report(), await metrics.refusals()));
  });

  return { fetch: async (request) => app.fetch(request) };
}

/** By `Basic`, whatever the name, or by `Bearer`. */
function passwordOf(header = ""): string {
  const [, scheme = "", value = ""] = /^(Basic|Bearer) +(\S+)$/i.exec(header) ?? [];
  if (scheme.toLowerCase() === "bearer") return value;
  const pair = Buffer.from(value, "base64").toString("utf8");
  return pair.slice(pair.indexOf(":") + 1);
}

/** In a time that doesn't depend on where the two differ. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

type Row = readonly [name: string, value: string];

function table(title: string, rows: readonly Row[], none = "None.") {
  const id = title.toLowerCase().replaceAll(" ", "-");
  return html`<section aria-labelledby="${id}">
      <h2 id="${id}">${title}</h2>
      ${
        rows.length === 0
          ? html`<p>${none}</p>`
          : html`<table>
              <tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</tbody>
            </table>`
      }
    </section>`;
}

function page(report: Report, refusals: readonly (readonly [string, number])[]) {
  const { status, statistics } = report;
  const facts = statistics?.facts;
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>Conclave delivery · Operator</title>
    <link rel="stylesheet" href="/style.css" />
  </head>
  <body>
    <header>
      <h1>Conclave delivery</h1>
      <a href="/">Refresh</a>
    </header>
    <main>
      ${table("Process", [
        ["State", report.state],
        ["Version", report.version],
        ["Running since", time(report.startedAt)],
        ["WebSockets", number(status.sockets)],
        ["Frames that wait for a WebSocket", number(status.backlog)],
        ["Requests under way", number(status.requests)],
        ["Commits and messages that wait for their turn", number(status.waitingForTurn)],
        ["Work that waits for the store", number(status.waitingForStore)],
      ])}
      ${table(
        "Store",
        statistics === undefined
          ? []
          : [
              ["Database", report.database],
              ["Size", size(statistics.bytes)],
              ["Accounts", number(statistics.accounts)],
              ["Devices", number(statistics.devices)],
              ["Groups", number(statistics.groups)],
              ["Welcomes that wait", number(statistics.welcomes)],
              ["Last back-up by this program", time(facts?.["backed-up"])],
              ["Last sweep", time(facts?.swept)],
              ["Restored from a copy", time(facts?.restored)],
            ],
        "The database doesn't answer.",
      )}
      ${table(
        "Refusals",
        refusals.map(([code, count]) => [code, number(count)]),
        "None since this process started.",
      )}
    </main>
  </body>
</html>`;
}

function number(value: number): string {
  return value.toLocaleString("en");
}

function time(at: number | undefined): string {
  return at === undefined
    ? "never"
    : `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function size(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toLocaleString("en", { maximumFractionDigits: 1 })} ${units[unit]}`;
}
