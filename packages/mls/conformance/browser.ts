/**
 * Test vectors in a headless Chromium: the package and its vectors' checks are bundled as an application's would be, and
 * served to a page on this machine, where WebCrypto is to be had.
 * @module
 */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { launchChromium } from "../../../scripts/chromium.ts";
import type { Platform } from "./main.ts";

export interface OpenBrowser {
  readonly run: Platform;
  readonly close: () => Promise<void>;
}

/** The page's script by path: one file, and those that it loads on demand. */
async function bundle(): Promise<ReadonlyMap<string, string>> {
  const built = await build({
    configFile: false,
    logLevel: "error",
    publicDir: false,
    resolve: { conditions: ["@conclave/source", "module", "browser"] },
    build: {
      write: false,
      target: "esnext",
      lib: {
        entry: fileURLToPath(new URL("./page/main.ts", import.meta.url)),
        formats: ["es"],
        fileName: () => "main.js",
      },
    },
  });
  const outputs = [built].flat().flatMap((one) => ("output" in one ? one.output : []));
  return new Map(
    outputs.flatMap((one) => (one.type === "chunk" ? [[`/${one.fileName}`, one.code]] : [])),
  );
}

/** The Chromium that `CHROMIUM` names, or /usr/bin/chromium, with a page that runs vectors. */
export async function openChromium(): Promise<OpenBrowser> {
  const scripts = await bundle();
  const server = createServer((request, response) => {
    const script = scripts.get(request.url ?? "");
    if (script !== undefined) {
      response.setHeader("content-type", "text/javascript").end(script);
    } else {
      response
        .setHeader("content-type", "text/html")
        .end('<!doctype html><title>MLS</title><script type="module" src="/main.js"></script>');
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const browser = await launchChromium();
  const close = async (): Promise<void> => {
    await browser.close();
    server.close();
    server.closeAllConnections();
  };
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.waitForFunction(() => globalThis.conformance !== undefined);
    const run: Platform = (json) =>
      page.evaluate((text) => {
        if (!globalThis.conformance) throw new Error("no page of vectors");
        return globalThis.conformance(text);
      }, json);
    return { run, close };
  } catch (cause) {
    await close();
    throw cause;
  }
}
