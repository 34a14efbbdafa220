/**
 * Two processes over one PostgreSQL. They are killed at random moments, and so is it.
 * @module
 */

import { startPostgres } from "../postgres.ts";
import {
  beat,
  type Deployment,
  plagueServices,
  type Rhythm,
  startServiceProcess,
} from "./deployment.ts";
import { count } from "./ledger.ts";

export async function deployOnPostgres(rhythm: Rhythm): Promise<Deployment> {
  const server = await startPostgres();
  try {
    const url = await server.database();
    const crashes: string[] = [];
    const begin = () => startServiceProcess(url, (why) => crashes.push(why));
    const services = [await begin(), await begin()];
    const kills = new Map<string, number>();

    async function plagueDatabase(until: AbortSignal): Promise<void> {
      const untilNext = beat(rhythm.database);
      for (;;) {
        await untilNext(until);
        if (until.aborted) return;
        await server.crash();
        count(kills, "database");
      }
    }

    return {
      urls: services.map((service) => service.url),
      kills,
      crashes,
      async plague(random, until) {
        const plague = plagueServices(services, rhythm, kills, random, until);
        await Promise.all([plague, plagueDatabase(until)]);
      },
      async close() {
        await Promise.all(services.map((service) => service.close()));
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
