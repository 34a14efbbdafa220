/**
 * The worker's entry. The page says first, and once, where the service is.
 * @module
 */
import { startEngineWorker } from "@conclave/client/browser";
import { configurationOf } from "./configuration.ts";

addEventListener(
  "message",
  ({ data }: MessageEvent<unknown>) => {
    const { serviceOrigin } = configurationOf(data);
    startEngineWorker({ serviceOrigin });
  },
  { once: true },
);
