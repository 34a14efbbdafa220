/**
 * Two processes over a primary with two standbys. The primary is killed again and again: most often it goes on where it was, at
 * other times a standby takes its place, once while commits wait for a quorum in vain and their waits are cancelled.
 * @module
 */

import { type Cluster, startCluster } from "./cluster.ts";
import {
  beat,
  type Deployment,
  pause,
  plagueServices,
  type Rhythm,
  startServiceProcess,
} from "./deployment.ts";
import { count } from "./ledger.ts";

/** What becomes of a primary that is killed. */
export type Fate = "goes on" | "replaced" | "replaced without a quorum";

/** In this order and then again. */
const FATES: readonly Fate[] = ["goes on", "replaced", "replaced without a quorum", "goes on"];

export async function deployOnNewCluster(rhythm: Rhythm): Promise<Deployment> {
  const cluster = await startCluster();
  try {
    const deployment = await deployOnCluster(cluster, rhythm);
    return {
      ...deployment,
      async close() {
        await deployment.close();
        await cluster.close();
      },
    };
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

/** On one that stays the caller's to close. */
export async function deployOnCluster(
  cluster: Cluster,
  rhythm: Rhythm,
  fates: readonly Fate[] = FATES,
): Promise<Deployment> {
  const crashes: string[] = [];
  const begin = () => startServiceProcess(cluster.url, (why) => crashes.push(why));
  const services = [await begin(), await begin()];
  const kills = new Map<string, number>();

  async function plaguePrimary(until: AbortSignal): Promise<void> {
    const untilNext = beat(rhythm.database);
    for (let turn = 0; ; turn++) {
      await untilNext(until);
      if (until.aborted) return;
      const fate = fates[turn % fates.length];
      if (fate === "replaced without a quorum") await loseQuorum(cluster, kills);
      const primary = cluster.primary();
      await cluster.kill(primary);
      count(kills, "primary");
      if (fate === "goes on") await cluster.start(primary);
      else {
        await cluster.failOver();
        count(kills, "promoted");
      }
    }
  }

  return {
    urls: services.map(({ url }) => url),
    kills,
    crashes,
    async plague(random, until) {
      await Promise.all([
        plagueServices(services, rhythm, kills, random, until),
        plaguePrimary(until),
      ]);
    },
    async close() {
      await Promise.all(services.map((service) => service.close()));
    },
  };
}

/**
 * Both standbys die under load, and whoever waits for them is told not to: PostgreSQL lets everybody see these commits. Then the
 * standbys come back without them. The primary is killed before it can pass them on.
 */
async function loseQuorum(cluster: Cluster, kills: Map<string, number>): Promise<void> {
  const primary = cluster.primary();
  const standbys = cluster.standbys();
  await Promise.all(standbys.map((node) => cluster.kill(node)));
  count(kills, "quorum");
  // The service takes two seconds to notice that there is no quorum any more.
  await pause(2500);
  for (let round = 0; round < 3; round++) {
    await pause(500);
    const cancelled = await cluster.query(
      primary,
      "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    );
    for (let i = 0; i < Number(cancelled); i++) count(kills, "wait");
  }
  await cluster.kill(primary);
  await Promise.all(standbys.map((node) => cluster.start(node)));
}
