/**
 * Servers on this machine, one for http and one for https, that stand in for every host: Chromium is told to find all
 * names here. They answer with the page under test and what its payload needs.
 */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createRequire } from "node:module";
import type { AddressInfo, Server } from "node:net";
import type { Payload, StandIn } from "@conclave/csp/judge";

const pem = readFileSync(new URL("../serve/localhost.pem", import.meta.url));
const { resolve } = createRequire(import.meta.url);
const libraries: Readonly<Record<string, string>> = {
  Alpine: resolve("alpinejs/dist/cdn.min.js"),
  AngularJS: resolve("angular/angular.min.js"),
  Knockout: resolve("knockout/build/output/knockout-latest.js"),
  RequireJS: resolve("requirejs/require.js"),
};

/** A page with what is injected and what is its own, under these headers. */
export interface Shown {
  readonly payload: Pick<Payload, "html" | "page" | "standIns">;
  readonly policies: readonly string[];
}

export interface StandInServer {
  /** Chromium's option that leads every name here. */
  readonly resolverRules: string;
  readonly show: (shown: Shown) => void;
  readonly close: () => Promise<void>;
}

export const pageOrigin = "https://page.example";

export async function startStandIns(): Promise<StandInServer> {
  let current: Shown | null = null;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(`https://${request.headers.host}${request.url}`);
    if (current && url.origin === pageOrigin && url.pathname === "/") {
      answerPage(current, response);
      return;
    }
    const found = current?.payload.standIns.find((standIn) => {
      const own = new URL(standIn.url, pageOrigin);
      return own.host === url.host && own.pathname === url.pathname;
    });
    if (found) answerFor(found, url, response);
    else response.writeHead(404).end();
  };
  const plain = createServer(answer);
  const secure = createTlsServer({ key: pem, cert: pem }, answer);
  const [http, https] = await Promise.all([listen(plain), listen(secure)]);
  return {
    resolverRules: `--host-resolver-rules=MAP *:80 127.0.0.1:${http}, MAP * 127.0.0.1:${https}`,
    show(shown) {
      current = shown;
    },
    async close() {
      for (const server of [plain, secure]) {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
      }
    },
  };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}

function answerPage({ payload, policies }: Shown, response: ServerResponse): void {
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.setHeader("Content-Security-Policy", [...policies]);
  response.end(`<!doctype html><title>page</title><body>${payload.html}${payload.page}`);
}

function answerFor(standIn: StandIn, url: URL, response: ServerResponse): void {
  response.setHeader("Access-Control-Allow-Origin", "*");
  if (standIn.type === "redirect") {
    response.writeHead(302, { Location: standIn.to }).end();
    return;
  }
  response.setHeader("Content-Type", "text/javascript; charset=utf-8");
  switch (standIn.type) {
    case "script":
      response.end(standIn.body);
      break;
    case "jsonp":
      response.end(`${url.searchParams.get(standIn.parameter) ?? ""}({})`);
      break;
    case "library":
      response.end(readFileSync(libraries[standIn.library] ?? ""));
  }
}
