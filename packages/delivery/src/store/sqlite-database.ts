/**
 * A SQLite file: how it is opened, its statements and transactions.
 * @module
 */

import {
  DatabaseSync,
  type SQLInputValue,
  type SQLOutputValue,
  type StatementSync,
} from "node:sqlite";
import { OperatorError } from "../operator-error.ts";
import { MIGRATIONS } from "./sqlite-schema.ts";
import { StoreUnavailable } from "./store.ts";
import { Undo } from "./undo.ts";

/** How long a batch may take before its COMMIT, in milliseconds: what waits longer goes into the next. */
const BATCH_TIME = 4;
/** How many transactions may wait. Each holds what it is to write. */
const WAITING = 4096;

interface Waiting {
  readonly work: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

type Answer = { readonly result: unknown } | { readonly error: unknown };

/**
 * One connection. What reads sees committed data alone, since a batch of transactions
 * runs from BEGIN to COMMIT without anything in between.
 */
export class Database {
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #waiting: Waiting[] = [];
  #era: object = {};
  #changesOfOthers: number | undefined;

  /** Opens or makes the file, and brings its schema up to date. Throws for a file of a newer version. */
  constructor(path: string) {
    this.#connection = new DatabaseSync(path, { enableForeignKeyConstraints: true });
    try {
      this.#prepareFile();
    } catch (error) {
      this.#connection.close();
      throw error;
    }
  }

  #prepareFile(): void {
    // FULL: in WAL mode with NORMAL an acknowledged transaction may be lost when the power fails.
    this.#connection.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    this.#connection.exec("PRAGMA busy_timeout = 5000; PRAGMA secure_delete = ON;");
    // Pages are moved from the WAL less often, so that one that many messages change is moved once for many; and more are held.
    this.#connection.exec("PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16384;");
    this.#migrate();
  }

  #migrate(): void {
    this.#connection.exec("BEGIN IMMEDIATE");
    try {
      const version = this.version();
      if (version > MIGRATIONS.length) {
        throw new OperatorError(
          `the database has version ${version}, this service knows ${MIGRATIONS.length}`,
        );
      }
      for (const migration of MIGRATIONS.slice(version)) this.#connection.exec(migration);
      this.#connection.exec(`PRAGMA user_version = ${MIGRATIONS.length}; COMMIT`);
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  /** How many of the migrations the file went through. */
  version(): number {
    return this.one<{ user_version: number }>("PRAGMA user_version")?.user_version ?? 0;
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

  /** How many rows changed. What changes rows belongs into a transaction. */
  run(sql: string, ...values: readonly SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  /** The number of the last row that was inserted. */
  insert(sql: string, ...values: readonly SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).lastInsertRowid);
  }

  /** A function that statements and triggers of this connection can call. */
  define(name: string, work: (value: SQLOutputValue) => void): void {
    this.#connection.function(name, (value: SQLOutputValue): null => {
      work(value);
      return null;
    });
  }

  /**
   * The same object for as long as the file has been changed by this connection alone, and nothing that it did was lost. Exact
   * in a transaction: then no other can write.
   */
  era(): object {
    const changes = this.one<{ data_version: number }>("PRAGMA data_version")?.data_version;
    if (changes !== this.#changesOfOthers) this.#era = {};
    this.#changesOfOthers = changes;
    return this.#era;
  }

  /**
   * All or nothing, and durable when the promise resolves. What `work` throws undoes it; so does an `Undo`, with its answer.
   * Those that come together are written in one batch, with one COMMIT, in their order; each sees what those before it
   * did, and none is undone by another. Rejects with `StoreUnavailable` where the batch failed, or too many wait.
   */
  transaction<T>(work: () => T): Promise<T> {
    if (this.#waiting.length >= WAITING) {
      return Promise.reject(new StoreUnavailable("too many transactions wait"));
    }
    return new Promise<T>((resolve, reject) => {
      // The batch answers with what `work` answered.
      this.#waiting.push({ work, resolve: resolve as Waiting["resolve"], reject });
      // After what has arrived by now was read: writers that came together go together.
      if (this.#waiting.length === 1) setImmediate(() => this.#writeBatch());
    });
  }

  /** How many transactions are to be written. */
  get waiting(): number {
    return this.#waiting.length;
  }

  #writeBatch(): void {
    if (this.#waiting.length === 0) return;
    const until = performance.now() + BATCH_TIME;
    const answers: (() => void)[] = [];
    let taken = 0;
    let failure: unknown;
    try {
      this.#connection.exec("BEGIN IMMEDIATE");
      for (const { work, resolve, reject } of this.#waiting) {
        taken++;
        const answer = taken === 1 ? this.#first(work) : this.#next(work);
        answers.push(() => ("error" in answer ? reject(answer.error) : resolve(answer.result)));
        if (performance.now() >= until) break;
      }
      this.#connection.exec("COMMIT");
    } catch (error) {
      failure = new StoreUnavailable("a batch was not written", { cause: error });
      this.#era = {};
      this.#rollBack();
    }
    // Where nothing could begin, nobody waits for the same again.
    const batch = this.#waiting.slice(0, taken === 0 ? undefined : taken);
    this.#waiting = this.#waiting.slice(batch.length);
    if (this.#waiting.length > 0) setImmediate(() => this.#writeBatch());
    if (failure === undefined) for (const answer of answers) answer();
    else for (const { reject } of batch) reject(failure);
  }

  /** The first of a batch: to undo it nothing need be kept, since nothing was before it. */
  #first(work: () => unknown): Answer {
    try {
      return { result: work() };
    } catch (error) {
      return this.#undo(error, "ROLLBACK; BEGIN IMMEDIATE");
    }
  }

  /** Another of a batch. SQLite keeps each page that it changes as it was before. */
  #next(work: () => unknown): Answer {
    this.#prepare("SAVEPOINT one").run();
    try {
      const result = work();
      this.#prepare("RELEASE one").run();
      return { result };
    } catch (error) {
      return this.#undo(error, "ROLLBACK TO one; RELEASE one");
    }
  }

  /** Throws where the whole batch is lost. */
  #undo(error: unknown, sql: string): Answer {
    // SQLite itself undoes the batch when the disk is full, for one.
    if (!this.#connection.isTransaction) throw error;
    this.#connection.exec(sql);
    if (error instanceof Undo) return { result: error.result };
    this.#era = {};
    return { error };
  }

  #rollBack(): void {
    if (this.#connection.isOpen && this.#connection.isTransaction) {
      this.#connection.exec("ROLLBACK");
    }
  }

  /** What waits is written first. */
  close(): void {
    while (this.#waiting.length > 0) this.#writeBatch();
    if (this.#connection.isOpen) this.#connection.close();
  }
}
