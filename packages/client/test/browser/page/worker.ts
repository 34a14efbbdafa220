import { SCHEMA, type SchemaStep, startEngineWorker } from "../../../src/browser/index.ts";

/** What a version of the page that is to come may do to the database. */
const STEPS: Readonly<Record<string, readonly SchemaStep[]>> = {
  now: [],
  next: [
    async (_, transaction) => {
      await transaction.objectStore("records").put(Uint8Array.of(1), "next");
    },
  ],
  "next, failing": [
    async (_, transaction) => {
      const records = transaction.objectStore("records");
      await records.clear();
      throw new Error("half-way");
    },
  ],
};

addEventListener(
  "message",
  ({ data }: MessageEvent<{ readonly serviceOrigin: string; readonly version: string }>) => {
    startEngineWorker({
      serviceOrigin: data.serviceOrigin,
      schema: [...SCHEMA, ...(STEPS[data.version] ?? [])],
      log: (what, error) => console.error(what, error),
    });
  },
);
