import { startEngineWorker } from "../../../src/browser/index.ts";

addEventListener("message", (event: MessageEvent<string>) => {
  startEngineWorker({
    serviceOrigin: event.data,
    log: (what, error) => console.error(what, error),
  });
});
