import { expect, it } from "vitest";
import { startPostgres } from "../postgres.ts";
import { run } from "./run.ts";

// A machine that is busy with other things is slow, not wrong.
const PATIENCE = 5 * 60_000;

it(
  "two thousand hostile requests neither fail, leak, nor keep honest members from talking",
  async () => {
    const { findings, sent, honest } = await run({ count: 2000, seed: 1, workers: 8 });
    expect(findings).toEqual([]);
    expect(sent).toBe(2000);
    expect(honest.sent).toBeGreaterThan(5);
  },
  PATIENCE,
);

it(
  "nor with PostgreSQL",
  async () => {
    const postgres = await startPostgres();
    try {
      const store = await postgres.database();
      const { findings, honest } = await run({ count: 400, seed: 2, workers: 8, store });
      expect(findings).toEqual([]);
      expect(honest.sent).toBeGreaterThan(2);
    } finally {
      await postgres.stop();
    }
  },
  PATIENCE,
);
