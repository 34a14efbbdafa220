/**
 * A store by its URL.
 * @module
 */

import { openPostgresStore } from "./postgres.ts";
import type { PostgresOptions } from "./postgres-database.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { Store } from "./store.ts";

/** `sqlite:PATH`, with the path of a file or `:memory:`, or `postgres://…`. A `TypeError` for anything else. */
export async function openStore(url: string, options: PostgresOptions = {}): Promise<Store> {
  const [scheme = "", rest = ""] = url.split(/:(.*)/s);
  switch (scheme) {
    case "sqlite":
      if (rest !== "") return openSqliteStore(rest);
      break;
    case "postgres":
    case "postgresql":
      return openPostgresStore(url, options);
  }
  // The URL may have a password in it.
  throw new TypeError("a store is sqlite:PATH or postgres://…");
}
