/**
 * One process over a SQLite file, killed at random moments.
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Deployment, pause, startServiceProcess } from "./deployment.ts";
import { count } from "./ledger.ts";

/** Between two kills, in milliseconds. */
const PEACE = { shortest: 200, longest: 3000 };

export async function deployOnSqlite(): Promise<Deployment> {
  const folder = await mkdtemp(join(tmpdir(), "conclave-kill-"));
  const service = await startServiceProcess(`sqlite:${join(folder, "store.sqlite")}`);
  const kills = new Map<string, number>();
  return {
    urls: [service.url],
    kills,
    async plague(random, until) {
      while (!until.aborted) {
        await pause(random.between(PEACE.shortest, PEACE.longest), until);
        await service.kill();
        count(kills, "service");
      }
    },
    async close() {
      await service.close();
      await rm(folder, { recursive: true });
    },
  };
}
