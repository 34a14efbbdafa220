/** A site that React renders on the server, in pieces, with a nonce on every script. */
import { createServer, type Server } from "node:http";
import type { SecurityHeadersOptions } from "@conclave/csp";
import { getNonce, securityHeadersMiddleware } from "@conclave/csp/node";
import { createElement, type ReactNode, Suspense, use } from "react";
import { renderToPipeableStream } from "react-dom/server";

const client = `document.getElementById("more").addEventListener("click", async () => {
  const { text } = await import("/text.mjs");
  const script = document.createElement("script");
  script.src = "/extra.js?" + text;
  document.head.append(script);
});`;

function Slow({ wait }: { readonly wait: Promise<string> }): ReactNode {
  return createElement("p", { id: "slow" }, use(wait));
}

function Page({ wait }: { readonly wait: Promise<string> }): ReactNode {
  return createElement(
    "html",
    { lang: "en" },
    createElement("head", null, createElement("title", null, "News")),
    createElement(
      "body",
      null,
      createElement("button", { id: "more", type: "button" }, "More"),
      createElement(
        Suspense,
        { fallback: createElement("p", null, "Loading…") },
        createElement(Slow, { wait }),
      ),
    ),
  );
}

/** `options` are the middleware's. */
export function streamingSite(options: SecurityHeadersOptions): Server {
  const secure = securityHeadersMiddleware(options);
  return createServer((request, response) => {
    secure(request, response);
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const scripts: Readonly<Record<string, string>> = {
      "/client.js": client,
      "/text.mjs": 'export const text = "news";',
      "/extra.js": 'document.title = "More news";',
    };
    const script = scripts[pathname];
    if (script !== undefined) {
      response.setHeader("Content-Type", "text/javascript");
      response.end(script);
      return;
    }
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    const wait = new Promise<string>((resolve) => setTimeout(resolve, 50, "Here at last"));
    const nonce = getNonce(response);
    const { pipe } = renderToPipeableStream(createElement(Page, { wait }), {
      nonce,
      bootstrapScriptContent: `document.documentElement.dataset.at = ${JSON.stringify(String(Math.random()))}`,
      bootstrapScripts: ["/client.js"],
      onShellReady: () => pipe(response),
    });
  });
}
