/**
 * A SQLite file: how it is opened, its statements and transactions.
 * @module
 */

import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { MIGRATIONS } from "./sqlite-schema.ts";

/** One connection; the process has no other to this file. Its transactions run whole, since nothing awaits inside. */
export class Database {
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** Opens or makes the file, and brings its schema up to date. Throws for a file of a newer version. */
  constructor(path: string) {
    this.#connection = new DatabaseSync(path, { enableForeignKeyConstraints: true });
    // FULL: in WAL mode with NORMAL an acknowledged transaction may be lost when the power fails.
    this.#connection.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    this.#connection.exec("PRAGMA busy_timeout = 5000; PRAGMA secure_delete = ON;");
    this.#migrate();
  }

  #migrate(): void {
    this.transaction(() => {
      const version = this.one<{ user_version: number }>("PRAGMA user_version")?.user_version ?? 0;
      if (version > MIGRATIONS.length) {
        throw new Error(
          `the database has version ${version}, this service knows ${MIGRATIONS.length}`,
        );
      }
      for (const migration of MIGRATIONS.slice(version)) this.#connection.exec(migration);
      this.#connection.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    });
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#connection.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** The first row. `Row` is what the statement selects: the schema is the proof. */
  one<Row>(sql: string, ...values: readonly SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  all<Row>(sql: string, ...values: readonly SQLInputValue[]): readonly Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /** Row by row: stop early and the rest is not read. */
  each<Row>(sql: string, ...values: readonly SQLInputValue[]): Iterable<Row> {
    return this.#prepare(sql).iterate(...values) as Iterable<Row>;
  }

  /** How many rows changed. */
  run(sql: string, ...values: readonly SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  /** All or nothing. What `work` throws undoes it; so does a value that `undo` is called with. */
  transaction<T>(work: () => T): T {
    this.#connection.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#connection.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#connection.isTransaction) this.#connection.exec("ROLLBACK");
      if (error instanceof Undo) return error.result as T;
      throw error;
    }
  }

  close(): void {
    this.#connection.close();
  }
}

/** Thrown in a transaction: undoes it, and `result` is its answer. */
export class Undo extends Error {
  readonly result: unknown;

  constructor(result: unknown) {
    super("the transaction is undone");
    this.result = result;
  }
}
