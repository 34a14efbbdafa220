/**
 * Starts this tab's candidate for the engine. Its script is the one URL that the page's Trusted
 * Types policy lets through.
 * @module
 */

import { pauseAfter } from "./pause.ts";
// oxlint-disable-next-line import/default -- Vite answers with the URL of the bundled worker.
import engineUrl from "./worker.ts?worker&url";

/** The part of Trusted Types that is needed; TypeScript's DOM library doesn't have it. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { readonly createScriptURL: (url: string) => string },
  ): { createScriptURL(url: string): URL };
}
declare global {
  // Browsers without it enforce no such policy either.
  var trustedTypes: TrustedTypes | undefined;
}

/**
 * `onError` is called when the worker can't be loaded, or its script throws. One that can't be loaded, as while the server starts anew, is
 * tried again: a tab without one would have no engine once the tab is closed in which it runs.
 */
export function startEngineWorker(serviceOrigin: string, onError: () => void): void {
  const url =
    globalThis.trustedTypes
      ?.createPolicy("conclave", { createScriptURL: onlyTheEngine })
      .createScriptURL(engineUrl) ?? engineUrl;
  const start = (last?: number): void => {
    const worker = new Worker(url, { type: "module", name: "engine" });
    worker.addEventListener("error", (event) => {
      onError();
      // What its script threw would be thrown again.
      if (event instanceof ErrorEvent) return;
      worker.terminate();
      const pause = pauseAfter(last);
      setTimeout(start, pause, pause);
    });
    worker.postMessage({ serviceOrigin });
  };
  start();
}

function onlyTheEngine(url: string): string {
  if (url !== engineUrl) throw new TypeError("not the engine's URL");
  return url;
}
