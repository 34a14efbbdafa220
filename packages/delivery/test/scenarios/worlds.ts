/**
 * A world on each store, for what must hold on both.
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { type DeliveryServiceOptions, openPostgresStore } from "@conclave/delivery";
import { afterAll, beforeAll, describe } from "vitest";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { startWorld, type World } from "../world.ts";

export interface StoredWorld extends World {
  /** Statements of the test's own, past the service. */
  readonly meddle: (sql: string) => Promise<void>;
}

export type Start = (options?: Partial<DeliveryServiceOptions>) => Promise<StoredWorld>;

/** The same tests on SQLite and on PostgreSQL. `tests` gets what starts a world on a new store. */
export function onBothStores(
  title: string,
  tests: (start: Start, store: "SQLite" | "PostgreSQL") => void,
): void {
  describe(`${title}, on SQLite`, () => {
    tests(async (options) => {
      const world = await startWorld(options);
      return {
        ...world,
        async meddle(sql) {
          const db = new DatabaseSync(world.file);
          db.exec(sql);
          db.close();
        },
      };
    }, "SQLite");
  });
  describe(`${title}, on PostgreSQL`, () => {
    let server: PostgresServer;
    beforeAll(async () => {
      server = await startPostgres();
    });
    afterAll(() => server.stop());
    tests(async (options) => {
      const url = await server.database();
      const world = await startWorld({ store: await openPostgresStore(url), ...options });
      return {
        ...world,
        async meddle(sql) {
          await server.query(sql, url);
        },
      };
    }, "PostgreSQL");
  });
}
