/**
 * A PostgreSQL database: its connections, statements and transactions, and what they say when they fail.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import pg from "pg";
import { OperatorError } from "../operator-error.ts";
import { FIND_MARK, markOf, TABLES } from "./contents.ts";
import { type ArrayElement, toBinaryArray } from "./postgres-arrays.ts";
import { MIGRATIONS } from "./postgres-schema.ts";
import { type DatabaseVersion, StoreUnavailable } from "./store.ts";
import { Undo } from "./undo.ts";

type Scalar = Bytes | string | number | bigint | null;
/** An array is for a parameter of type `bytea[]`, `bigint[]` or `text[]`. */
export type SqlValue = Scalar | readonly ArrayElement[] | readonly (string | null)[];

function toParameter(value: SqlValue): unknown {
  if (!isArray(value) || !isBinary(value)) return value;
  return toBinaryArray(value);
}

function isArray(value: SqlValue): value is Exclude<SqlValue, Scalar> {
  return Array.isArray(value);
}

/** Text stays text, and so does an array that doesn't tell what it is of. */
function isBinary(values: Exclude<SqlValue, Scalar>): values is readonly ArrayElement[] {
  const first: unknown = values.find((value) => value !== null);
  return first !== undefined && typeof first !== "string";
}

/** What runs statements: each in a transaction of its own, or all in one. */
export interface Queries {
  /** The first row. `Row` is what the statement selects: the schema is the proof. */
  readonly one: <Row>(sql: string, ...values: readonly SqlValue[]) => Promise<Row | undefined>;
  readonly all: <Row>(sql: string, ...values: readonly SqlValue[]) => Promise<readonly Row[]>;
  /** How many rows it wrote. */
  readonly count: (sql: string, ...values: readonly SqlValue[]) => Promise<number>;
}

export interface PostgresOptions {
  /** How many connections the process has at most: 10 unless given. The doorbell has one more. */
  readonly connections?: number;
}

type Patience = Pick<
  pg.ClientConfig,
  "statement_timeout" | "idle_in_transaction_session_timeout" | "query_timeout"
>;

/**
 * In milliseconds. A statement that takes longer is ended by the server, and so is a transaction that does nothing. A
 * connection that doesn't answer for longer still is given up: its commit waits for the quorum, or nobody is there.
 */
const PATIENCE: Patience = {
  statement_timeout: 10_000,
  idle_in_transaction_session_timeout: 10_000,
  query_timeout: 15_000,
};
/** Calls that wait for a connection. */
const WAITING = 2_000;
/**
 * What was read is shown if the quorum answered so lately, in milliseconds: less than any wait for it lasts before it is cut short. Asked
 * again when half of that has passed.
 */
const TRUST = 2_000;
/** What the pool says where none of its connections became free in time. */
const NONE_FREE = "timeout exceeded when trying to connect";
/** Of a transaction that others were in the way of. */
const ATTEMPTS = 5;

/** What the promises of a store rest on, whatever the server's own settings are. */
const PROMISES = ["default_transaction_isolation=read\\ committed", "synchronous_commit=on"];
/**
 * Statements are planned once a connection, to look rows up by their indexes: planning anew costs more than they do, and a plan that was made
 * when a table was small must be good when it no longer is. The newest of many are read by the index's order: a bitmap would be of all.
 * And joins look up row by row: others read all of a table, and lock what they change in an order of their own.
 */
const PLANS = [
  "plan_cache_mode=force_generic_plan",
  "enable_seqscan=off",
  "enable_bitmapscan=off",
  "enable_hashjoin=off",
  "enable_mergejoin=off",
  "jit=off",
];
const SETTINGS: string = [...PROMISES, ...PLANS].map((setting) => `-c ${setting}`).join(" ");

const FIND_VERSION = `SELECT EXISTS (SELECT 1 FROM information_schema.tables
  WHERE table_schema = current_schema() AND table_name = 'schema_version') AS there`;

/** What a database has where tables are looked for. */
interface Place {
  readonly there: boolean;
  /** Tables, of whomever; what extensions brought is none. */
  readonly taken: boolean;
  readonly usable: boolean;
  readonly creatable: boolean;
}
const NO_PLACE: Place = { there: false, taken: false, usable: false, creatable: false };
const FIND_PLACE = `SELECT (${FIND_VERSION}) AS there,
  current_schema() IS NOT NULL AS usable,
  coalesce(has_schema_privilege(current_schema()::text, 'CREATE'), false) AS creatable,
  EXISTS (SELECT FROM pg_class WHERE relkind IN ('r', 'p')
    AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
      AND objid = pg_class.oid AND deptype = 'e')) AS taken`;

/** Whether this user may do with the tables what the service does. */
const FIND_RIGHTS = `SELECT coalesce(bool_and(has_table_privilege(oid, 'SELECT')
    AND has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')
    AND has_table_privilege(oid, 'DELETE')), true) AS whole
  FROM pg_class WHERE relkind IN ('r', 'v') AND relname = ANY ($1::text[])
    AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())`;
const OWN_TABLES: readonly string[] = [
  ...TABLES.map(({ name }) => name),
  "facts",
  "group_ends",
  "handshakes",
  "schema_version",
  "settled",
];

const BOOL = 16;
const BYTEA = 17;
const INT8 = 20;
const INT2 = 21;
const INT4 = 23;

function toBytes(text: string): Bytes {
  const bytes = new Uint8Array(text.length / 2 - 1);
  Buffer.from(bytes.buffer).write(text.slice(2), "hex");
  return bytes;
}

function toNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number)) throw new RangeError("a number in the database is too large");
  return number;
}

const PARSERS = new Map<number, (text: string) => unknown>([
  [BOOL, (text) => text === "t"],
  [BYTEA, toBytes],
  [INT8, toNumber],
  [INT2, Number],
  [INT4, Number],
]);

const TYPES: pg.CustomTypesConfig = {
  getTypeParser: (type: number) => PARSERS.get(type) ?? ((text: string) => text),
};

/**
 * A database over a pool of connections, which are made again when they were lost: to the next of several hosts, until one is found that
 * takes writes.
 */
export class Database implements Queries {
  /** One for each host. */
  readonly #pools: readonly pg.Pool[];
  /** Which of them takes writes, as far as is known. */
  #current = 0;
  readonly #url: string;
  /** Names for statements, so that a connection plans each once. */
  readonly #names = new Map<string, string>();
  /** Connections on which a commit was not waited for. */
  readonly #unacknowledged = new WeakSet<pg.PoolClient>();
  #shows = true;
  /** Times there was reason to doubt that what can be read has reached the quorum; and how many of them are dispelled. */
  #doubts = 1;
  #dispelled = 0;
  /** When the quorum was last asked for what it then said, on the clock of `performance`. */
  #confirmedAt = 0;
  #settling: Promise<void> = Promise.resolve();
  #nextSettling: Promise<void> | undefined;

  private constructor(url: string, connections: number, patience: Patience) {
    this.#url = url;
    this.#pools = hostsOf(url).map((host) => this.#makePool(host, connections, patience));
  }

  #makePool(url: string, connections: number, patience: Patience): pg.Pool {
    const pool = new pg.Pool({
      connectionString: withSettings(url, SETTINGS),
      max: connections,
      application_name: "conclave-delivery",
      types: TYPES,
      keepAlive: true,
      connectionTimeoutMillis: 5_000,
      idleTimeoutMillis: 60_000,
      ...patience,
      // The pool waits for it; its types don't say so.
      // oxlint-disable-next-line typescript/no-misused-promises
      onConnect: checkWritable,
    });
    pool.on("connect", (client) => {
      // One that is lost in use: the pool listens only to those that are idle, and an error that nobody hears ends the process.
      client.on("error", () => this.#doubt());
      client.on("notice", (notice) => {
        if (isUnacknowledged(notice)) this.#unacknowledged.add(client);
      });
    });
    // A connection that was lost while nobody used it.
    pool.on("error", () => this.#doubt());
    return pool;
  }

  /** Connects, and brings the schema up to date. Throws for a database of a newer version. */
  static async open(url: string, options: PostgresOptions = {}): Promise<Database> {
    // A step may take long.
    const migrating = new Database(url, 1, {});
    try {
      await migrating.#migrate();
    } finally {
      await migrating.close();
    }
    return new Database(url, options.connections ?? 10, PATIENCE);
  }

  /** What a database says of itself; undefined where it has none of our tables. */
  static inspect(url: string): Promise<DatabaseVersion | undefined> {
    return Database.asIs(url, async (db) => {
      const { there, taken, usable, creatable } = (await db.one<Place>(FIND_PLACE)) ?? NO_PLACE;
      if (!usable || (!there && !taken && !creatable)) throw new Refused("3F000");
      if (!there && taken) throw new Refused("42P07");
      if (!there) return undefined;
      const rights = await db.one<{ whole: boolean }>(FIND_RIGHTS, OWN_TABLES);
      if (rights?.whole !== true) throw new Refused("42501");
      const facts = await db.one<{ there: boolean }>(
        "SELECT to_regclass('facts') IS NOT NULL AS there",
      );
      const copied = facts?.there === true ? markOf(await db.one(FIND_MARK)) : undefined;
      return { found: await db.version(), known: MIGRATIONS.length, copied };
    });
  }

  /** For a few questions to a database that is not brought up to date. */
  static async asIs<T>(url: string, work: (db: Database) => Promise<T>): Promise<T> {
    const db = new Database(url, 1, PATIENCE);
    // Nothing is shown of what is read here; and what the quorum is asked by may not be there.
    db.#shows = false;
    try {
      return await work(db);
    } finally {
      await db.close();
    }
  }

  async version(): Promise<number> {
    return (
      (await this.one<{ version: number }>("SELECT version FROM schema_version"))?.version ?? 0
    );
  }

  /** One process at a time takes the steps: whoever comes meanwhile waits, and finds them taken. */
  async #migrate(): Promise<void> {
    // Nothing is shown of what is read here; and what the quorum is asked by is still to be made.
    this.#shows = false;
    await this.transaction(async (tx) => {
      if ((await tx.one<{ there: boolean }>(FIND_VERSION))?.there === true) return;
      // Two that make the same table get in each other's way wherever they happen to meet.
      await tx.all("SELECT pg_advisory_xact_lock(hashtext('schema_version'))");
      if ((await tx.one<{ there: boolean }>(FIND_VERSION))?.there === true) return;
      await tx.all(
        "CREATE TABLE schema_version (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)",
      );
      await tx.all("INSERT INTO schema_version (one, version) VALUES (1, 0)");
    });
    const known = await this.one<{ version: number }>("SELECT version FROM schema_version");
    // Most often nothing is to do: then there is no commit here that would have to wait for the quorum.
    if (known?.version === MIGRATIONS.length) return;
    await this.transaction(async (tx) => {
      const row = await tx.one<{ version: number }>(
        "SELECT version FROM schema_version FOR UPDATE",
      );
      const version = row?.version ?? 0;
      if (version > MIGRATIONS.length) {
        throw new OperatorError(
          `the database has version ${version}, this service knows ${MIGRATIONS.length}`,
        );
      }
      // Their statements were made for the tables as they are.
      const step = `it has version ${version}, and is to be brought to ${MIGRATIONS.length}`;
      if (version < MIGRATIONS.length) await refuseServices(tx, step);
      for (const migration of MIGRATIONS.slice(version)) await tx.all(migration);
      if (version < MIGRATIONS.length) {
        await tx.all("UPDATE schema_version SET version = $1", MIGRATIONS.length);
      }
    });
  }

  async one<Row>(sql: string, ...values: readonly SqlValue[]): Promise<Row | undefined> {
    return (await this.all<Row>(sql, ...values))[0];
  }

  async all<Row>(sql: string, ...values: readonly SqlValue[]): Promise<readonly Row[]> {
    return this.#often((client) => this.#queries(client).all<Row>(sql, ...values));
  }

  async count(sql: string, ...values: readonly SqlValue[]): Promise<number> {
    return this.#often((client) => this.#queries(client).count(sql, ...values));
  }

  /**
   * All or nothing. What `work` throws undoes it; so does an `Undo`, whose result is the answer. It is done again
   * where others were in the way, so `work` must have no effect but in the database.
   */
  async transaction<T>(work: (tx: Queries) => Promise<T>): Promise<T> {
    return this.#often(async (client) => {
      const tx = this.#queries(client);
      await tx.all("BEGIN");
      let result: T;
      try {
        result = await work(tx);
      } catch (error) {
        if (!(error instanceof Failure && error.lost)) await tx.all("ROLLBACK");
        if (error instanceof Undo) return error.result as T;
        throw error;
      }
      await tx.all("COMMIT");
      return result;
    });
  }

  /** A transaction whose statements may take as long as they need, on a connection of its own. */
  unhurried<T>(work: (tx: Queries) => Promise<T>): Promise<T> {
    return Database.unhurried(this.#url, work);
  }

  /** The same in a database that is not brought up to date. */
  static async unhurried<T>(url: string, work: (tx: Queries) => Promise<T>): Promise<T> {
    const db = new Database(url, 1, {});
    db.#shows = false;
    try {
      return await db.transaction(work);
    } finally {
      await db.close();
    }
  }

  /**
   * Resolves when all that was read before is as durable as what this store acknowledges: a commit whose wait for
   * the quorum was cut short can be read, but a fail-over may take it away.
   */
  settle(): Promise<void> {
    this.#nextSettling ??= this.#settling
      .catch(() => undefined)
      .then(() => {
        const doubts = this.#doubts;
        const asked = performance.now();
        this.#nextSettling = undefined;
        this.#settling = this.#run((client) =>
          // The wait for this commit is one for all before it.
          this.#queries(client).one<State>(SETTLE),
        ).then(
          (state) => {
            checkState(state);
            this.#dispelled = Math.max(this.#dispelled, doubts);
            this.#confirmedAt = asked;
          },
          (error: unknown) => {
            throw error instanceof Failure ? error.outward : error;
          },
        );
        return this.#settling;
      });
    return this.#nextSettling;
  }

  /**
   * How often there was reason to doubt that what was read is still there: a connection was lost, and whoever answers by the next may
   * have another log.
   */
  get doubts(): number {
    return this.#doubts;
  }

  /**
   * For statements that are right only by what was read before: each is sent while there is no more reason to doubt that than `doubts`.
   * One that meets a row where it was to write one throws what `isTaken` knows, at once.
   */
  asOf(doubts: number): Pick<Queries, "all" | "count"> {
    const undoubted = <T>(work: (queries: Queries) => Promise<T>): Promise<T> =>
      this.#often(async (client) => {
        if (this.#doubts !== doubts) throw new Doubted();
        // The next try would find the row too.
        return work(this.#queries(client)).catch((error: unknown) => {
          throw isTaken(error) ? new Taken() : error;
        });
      });
    return {
      all: <Row>(sql: string, ...values: readonly SqlValue[]) =>
        undoubted(({ all }) => all<Row>(sql, ...values)),
      count: (sql, ...values) => undoubted(({ count }) => count(sql, ...values)),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => pool.end()));
  }

  #doubt(): void {
    this.#doubts += 1;
  }

  /** Nothing is read, and so nothing shown, that may not have reached the quorum. */
  async #trust(): Promise<void> {
    // One that is asked from now on will do, however long the answer takes.
    const now = performance.now();
    while (this.#dispelled < this.#doubts || this.#confirmedAt < now - TRUST) await this.settle();
    if (this.#confirmedAt < now - TRUST / 2) this.settle().catch(() => undefined);
  }

  async #often<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    if (this.#shows) await this.#trust();
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#run(work);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (!error.inTheWay || attempt === ATTEMPTS) throw error.outward;
      }
    }
  }

  async #run<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const { client, host } = await this.#connect();
    let lost = false;
    try {
      return await work(client);
    } catch (error) {
      lost = error instanceof Failure && error.lost;
      if (lost) {
        this.#doubt();
        this.#leave(host);
      }
      throw error;
    } finally {
      client.release(lost);
    }
  }

  /** How many calls wait for a connection. */
  get waiting(): number {
    return this.#pools.reduce((sum, pool) => sum + pool.waitingCount, 0);
  }

  /** A connection to the first host that takes writes, from the current one on. */
  async #connect(): Promise<{ readonly client: pg.PoolClient; readonly host: number }> {
    let failure: unknown;
    for (let tried = 0; tried < this.#pools.length; tried++) {
      const host = this.#current;
      const pool = this.#pools[host];
      if (pool === undefined) break;
      if (pool.waitingCount >= WAITING) throw new StoreUnavailable("too many calls wait");
      const isFull = pool.totalCount >= pool.options.max;
      try {
        return { client: await pool.connect(), host };
      } catch (error) {
        failure = error;
        // Whoever waited in vain for one of those that are in use has learned nothing of the host.
        if (isFull && error instanceof Error && error.message === NONE_FREE) break;
        this.#doubt();
        this.#leave(host);
      }
    }
    throw new Failure(failure);
  }

  /** Another may take writes now; unless somebody else found that out before. */
  #leave(host: number): void {
    if (this.#current === host) this.#current = (host + 1) % this.#pools.length;
  }

  #queries(client: pg.PoolClient): Queries {
    const run = async (sql: string, values: readonly SqlValue[]): Promise<pg.QueryResult> => {
      const query =
        values.length === 0
          ? { text: sql }
          : { name: this.#nameOf(sql), text: sql, values: values.map(toParameter) };
      const result = await client.query(query).catch((error: unknown) => {
        throw new Failure(error);
      });
      if (this.#unacknowledged.delete(client)) {
        throw new Failure(new StoreUnavailable("the wait for the quorum was cut short"));
      }
      if (sql === "COMMIT" && result.command !== "COMMIT") {
        throw new Error("the transaction was undone");
      }
      return result;
    };
    return {
      one: async <Row>(sql: string, ...values: readonly SqlValue[]) =>
        (await run(sql, values)).rows[0] as Row | undefined,
      all: async <Row>(sql: string, ...values: readonly SqlValue[]) =>
        (await run(sql, values)).rows as Row[],
      count: async (sql, ...values) => (await run(sql, values)).rowCount ?? 0,
    };
  }

  #nameOf(sql: string): string {
    const name = this.#names.get(sql) ?? `s${this.#names.size}`;
    this.#names.set(sql, name);
    return name;
  }
}

/** What is asked with each settling, since it costs nothing more: whether the database is still this program's to serve from. */
const SETTLE = `UPDATE settled SET times = times + 1
  RETURNING (SELECT version FROM schema_version) AS version, EXISTS (${FIND_MARK}) AS copied`;

interface State {
  readonly version: number;
  readonly copied: boolean;
}

/** A newer program brought it up to date, or all was copied elsewhere, under a service that could not be seen then. */
function checkState(state: State | undefined): void {
  if (state?.copied === true) throw new StoreUnavailable("the database was copied elsewhere");
  if (state?.version === MIGRATIONS.length) return;
  throw new StoreUnavailable(
    `the database has version ${state?.version ?? 0} now, this service knows ${MIGRATIONS.length}`,
  );
}

/**
 * Each process of the service has a connection by which it hears of the others. Throws `OperatorError` where there is one.
 *
 * @param why in the way of what: completes "the PostgreSQL database …: ".
 */
export async function refuseServices(tx: Pick<Queries, "one">, why?: string): Promise<void> {
  const running = await tx.one<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'conclave-doorbell'`,
  );
  if (running === undefined || running.count === 0) return;
  const because = why === undefined ? "" : ` (${why})`;
  throw new OperatorError(
    `the PostgreSQL database is in use by the service, in so many processes: ${running.count}; stop them first${because}`,
  );
}

/** There is a row already where the statement was to write one. */
class Taken extends Error {
  constructor() {
    super("there is such a row already");
  }
}

/** Whether a statement failed since there is a row already where it was to write one. */
export function isTaken(error: unknown): boolean {
  return error instanceof Taken || (error instanceof Failure && error.taken);
}

/** It was not sent: what it is right by is to be read again. */
export class Doubted extends Error {
  constructor() {
    super("what was read may not be there any more");
  }
}

/** `postgres://user@a:1,b:2/name` names two hosts: a URL for each. */
export function hostsOf(url: string): readonly string[] {
  const [, before = "", hosts = "", after = ""] =
    /^(\w+:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s.exec(url) ?? [];
  return hosts.split(",").map((host) => before + host + after);
}

/** The URL with settings for its sessions, which win over what it has itself. */
export function withSettings(url: string, settings: string): string {
  // The error of the parser would carry the URL, and with it the password.
  if (!URL.canParse(url)) throw new OperatorError("the database's URL can't be read");
  const parsed = new URL(url);
  const given = parsed.searchParams.get("options");
  parsed.searchParams.set("options", given === null ? settings : `${given} ${settings}`);
  return parsed.toString();
}

/** A standby can be connected to, but what it shows may be old. */
async function checkWritable(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ transaction_read_only: string }>(
    "SHOW transaction_read_only",
  );
  if (rows[0]?.transaction_read_only !== "off") {
    throw new StoreUnavailable("the database is read-only");
  }
}

/**
 * PostgreSQL answers a COMMIT whose wait for a standby was cancelled with success and a warning. Servers translate
 * messages, but not the names of their routines.
 */
function isUnacknowledged(notice: {
  readonly routine?: string | undefined;
  readonly code?: string | undefined;
  readonly message?: string | undefined;
}): boolean {
  return (
    notice.routine === "SyncRepWaitForLSN" ||
    (notice.code === "01000" && notice.message?.includes("synchronous replication") === true)
  );
}

/** SQLSTATE classes of what may be otherwise in a moment. */
const PASSING = ["08", "25", "28", "3D", "40", "53", "55", "57", "58"];
/** Those in which the server ends the connection, or isn't the one that writes. */
const LOST = ["08", "25", "57P"];
/** There is such a row already. */
const TAKEN = "23505";
/** Rolled back since others did something at the same time: done again it will see what they did. */
const IN_THE_WAY = ["40", TAKEN];

/** The database said no, and would say so again: unlike what passes, it is not to be tried anew. */
class Refused extends Error {
  constructor(state: string, constraint?: string) {
    const where = constraint === undefined ? "" : ` (${constraint})`;
    super(`the database refused with SQLSTATE ${state}${where}`);
  }
}

/** How a statement failed. */
class Failure extends Error {
  /** Nobody knows where its connection is. */
  readonly lost: boolean;
  readonly inTheWay: boolean;
  readonly taken: boolean;
  /** What may be seen of it: the server's messages quote values. */
  readonly outward: Error;

  constructor(error: unknown) {
    super("a statement failed");
    const isOneOf = (states: readonly string[], state: string): boolean =>
      states.some((start) => state.startsWith(start));
    if (error instanceof pg.DatabaseError) {
      const { code = "", constraint } = error;
      this.lost = isOneOf(LOST, code);
      this.inTheWay = isOneOf(IN_THE_WAY, code);
      this.taken = code === TAKEN;
      this.outward = isOneOf(PASSING, code)
        ? new StoreUnavailable(`SQLSTATE ${code}`)
        : new Refused(code, constraint);
      return;
    }
    this.inTheWay = false;
    this.taken = false;
    // Of the driver's own errors, those from parsing a row leave the connection where it should be.
    this.lost = !(error instanceof RangeError);
    if (error instanceof StoreUnavailable || error instanceof RangeError) this.outward = error;
    else {
      const code = error instanceof Error && "code" in error ? String(error.code) : "no answer";
      this.outward = new StoreUnavailable(code);
    }
  }
}
