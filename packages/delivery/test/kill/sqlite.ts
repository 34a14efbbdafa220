/**
 * One process over a SQLite file, killed at random moments.
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Deployment, plagueServices, type Rhythm, startServiceProcess } from "./deployment.ts";

export async function deployOnSqlite(rhythm: Pick<Rhythm, "service">): Promise<Deployment> {
  const folder = await mkdtemp(join(tmpdir(), "conclave-kill-"));
  const crashes: string[] = [];
  const store = `sqlite:${join(folder, "store.sqlite")}`;
  const service = await startServiceProcess(store, (why) => crashes.push(why));
  const kills = new Map<string, number>();
  return {
    urls: [service.url],
    kills,
    crashes,
    async plague(random, until) {
      await plagueServices([service], rhythm, kills, random, until);
    },
    async close() {
      await service.close();
      await rm(folder, { recursive: true });
    },
  };
}
