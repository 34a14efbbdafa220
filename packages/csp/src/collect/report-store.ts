/**
 * Where reports are counted: one SQLite file, whose size nobody outside decides.
 *
 * Reports of one kind are one group, with a count for each hour (after a week, each day), a few different samples, and
 * the policies that these name. The number of groups, of samples and policies, of new groups and policies in an hour
 * has a limit; what is over it is counted in one group for all of that. The file has a largest size.
 * @module
 */
import { createHash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { ReportFacts } from "./facts.ts";
import { type GroupClass, type GroupKey, overflow } from "./group.ts";
import { migrations } from "./store-schema.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** How long counts by the hour are kept before they become counts by the day. */
const HOURS_KEPT = 7 * DAY;

/** What the file may hold. */
export interface StoreLimits {
  /** After so many days without a report a group is forgotten, and so are older counts. Default 90. */
  readonly days: number;
  /** Default 2,000. Beyond it the rarest gives way, of those the one not seen for longest. */
  readonly groups: number;
  /** Default 200. What comes beyond is counted in one group. */
  readonly newGroupsPerHour: number;
  /** Different samples of a group, the most recent. Default 5. */
  readonly samples: number;
  /** Different policies. Default 200, of which a quarter may be new in an hour. */
  readonly policies: number;
  /** The largest size of the file. Default 256 MiB. */
  readonly bytes: number;
}

const defaults: StoreLimits = {
  days: 90,
  groups: 2_000,
  newGroupsPerHour: 200,
  samples: 5,
  policies: 200,
  bytes: 256 * 1024 * 1024,
};

export interface Observation {
  readonly group: GroupKey;
  readonly facts: ReportFacts;
}

/** Times in milliseconds since the Unix epoch. */
export interface ReportGroup extends GroupKey {
  readonly id: number;
  /** Of all time, and those of them that were enforced; the others were only reported. */
  readonly count: number;
  readonly enforced: number;
  readonly firstSeen: number;
  readonly lastSeen: number;
}

export interface GroupFilter {
  /** Any of these; all, where it is undefined. */
  readonly classes?: readonly GroupClass[];
  readonly directive?: string;
  readonly site?: string;
  /** In the document, what was blocked, or the detail; upper and lower case are one. */
  readonly text?: string;
  /** With a report since then. */
  readonly since?: number;
  readonly order?: "count" | "last-seen" | "first-seen";
  readonly limit?: number;
  readonly offset?: number;
}

export interface ListedGroup extends ReportGroup {
  /** Since the filter's `since`, at the grain of what is kept: hours, before a week ago days. */
  readonly recent: number;
}

export interface Count {
  readonly start: number;
  readonly count: number;
}

export interface ReportSample extends Omit<ReportFacts, "type" | "directive" | "agent"> {
  readonly count: number;
  readonly lastSeen: number;
}

export interface GroupDetails {
  readonly group: ReportGroup;
  readonly samples: readonly ReportSample[];
  readonly agents: readonly { readonly agent: string; readonly count: number }[];
}

export interface ReportStore {
  /** Counts what was observed; all of it or, where the file is full, nothing, which is counted as refused. */
  record(observations: readonly Observation[], now: number): void;
  /** Counts requests that had no report to record, by why. Written with what is recorded next. */
  refuse(reason: string, now: number): void;
  groups(filter?: GroupFilter): readonly ListedGroup[];
  /** How many groups the filter finds, whatever its limit. */
  size(filter?: GroupFilter): number;
  details(id: number): GroupDetails | undefined;
  /** A group's counts since then, the oldest first. */
  counts(id: number, since: number): readonly Count[];
  /** Counts of all reports since then, those of forgotten groups too. */
  totals(since: number): readonly (Count & { readonly class: GroupClass })[];
  refusals(since: number): readonly { readonly reason: string; readonly count: number }[];
  /** For filters: what there is to choose from, sorted. */
  directives(): readonly string[];
  sites(): readonly string[];
  forget(id: number): void;
  /** A second time does nothing. */
  close(): void;
}

/** Makes the file where there is none, for its owner alone. Throws for a file of a newer version. */
export function openReportStore(file: string, limits: Partial<StoreLimits> = {}): ReportStore {
  return new SqliteReportStore(file, { ...defaults, ...limits });
}

/** What groups a filter finds. Bound with `filterValues`. */
const FILTER = `(:classes IS NULL OR class IN (SELECT value FROM json_each(:classes)))
  AND (:directive IS NULL OR directive = :directive)
  AND (:site IS NULL OR site = :site)
  AND (:text IS NULL OR instr(lower(document || ' ' || blocked || ' ' || detail), :text) > 0)
  AND last_seen >= :since`;

const LISTED = `SELECT *, (
    SELECT coalesce(sum(count), 0) FROM counts WHERE counts.group_id = groups.group_id
    AND start >= :since
  ) AS recent FROM groups WHERE ${FILTER}`;

const orders = {
  count: "recent DESC, last_seen DESC, group_id",
  "last-seen": "last_seen DESC, group_id",
  "first-seen": "first_seen DESC, group_id",
} as const;

class SqliteReportStore implements ReportStore {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #limits: StoreLimits;
  #groups: number;
  #policies: number;
  /** What is new in this hour. A restart gives a new allowance. */
  #hour = 0;
  #newGroups = 0;
  #newPolicies = 0;
  /** Waiting to be written with the next transaction. */
  readonly #refused = new Map<string, { reason: string; start: number; count: number }>();

  constructor(file: string, limits: StoreLimits) {
    // SQLite gives its other files the rights of this one.
    if (file !== ":memory:") closeSync(openSync(file, "a", 0o600));
    this.#limits = limits;
    this.#database = new DatabaseSync(file, { enableForeignKeyConstraints: true });
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    this.#database.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_size_limit = 1048576;");
    const pageSize = this.#number("SELECT page_size AS n FROM pragma_page_size");
    const pages = Math.max(64, Math.floor(limits.bytes / pageSize));
    this.#database.exec(`PRAGMA max_page_count = ${pages}`);
    this.#migrate();
    this.#groups = this.#number("SELECT count(*) AS n FROM groups");
    this.#policies = this.#number("SELECT count(*) AS n FROM policies");
  }

  record(observations: readonly Observation[], now: number): void {
    if (Math.floor(now / HOUR) * HOUR !== this.#hour) this.#beginHour(now);
    const record = () =>
      this.#transaction(() => {
        for (const observation of observations) this.#record(observation, now);
      });
    try {
      record();
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#makeRoom();
      try {
        record();
      } catch (again) {
        if (!isFull(again)) throw again;
        this.refuse("the file is full", now);
      }
    }
  }

  refuse(reason: string, now: number): void {
    const start = startOf(DAY, now);
    const key = `${start} ${reason}`;
    const count = (this.#refused.get(key)?.count ?? 0) + 1;
    this.#refused.set(key, { reason, start, count });
  }

  groups(filter: GroupFilter = {}): readonly ListedGroup[] {
    const { order = "count", limit = 100, offset = 0 } = filter;
    const sql = `${LISTED} ORDER BY ${orders[order]} LIMIT :limit OFFSET :offset`;
    const rows = this.#prepare(sql).all({ ...filterValues(filter), limit, offset });
    return rows.map((row) => ({ ...toGroup(row), recent: Number(row["recent"]) }));
  }

  size(filter: GroupFilter = {}): number {
    return this.#number(`SELECT count(*) AS n FROM groups WHERE ${FILTER}`, filterValues(filter));
  }

  details(id: number): GroupDetails | undefined {
    const row = this.#prepare("SELECT * FROM groups WHERE group_id = :id").get({ id });
    if (!row) return undefined;
    const samples = this.#prepare(
      `SELECT samples.*, coalesce(text, '') AS policy FROM samples LEFT JOIN policies USING (policy_id)
       WHERE group_id = :id ORDER BY samples.last_seen DESC, sample_id DESC`,
    ).all({ id });
    const agents = this.#prepare(
      "SELECT agent, count FROM agents WHERE group_id = :id ORDER BY count DESC, agent",
    ).all({ id });
    return {
      group: toGroup(row),
      samples: samples.map(toSample),
      agents: agents.map(({ agent, count }) => ({ agent: String(agent), count: Number(count) })),
    };
  }

  counts(id: number, since: number): readonly Count[] {
    return this.#prepare(
      "SELECT start, count FROM counts WHERE group_id = :id AND start >= :since ORDER BY start",
    )
      .all({ id, since })
      .map(({ start, count }) => ({ start: Number(start), count: Number(count) }));
  }

  totals(since: number): readonly (Count & { readonly class: GroupClass })[] {
    return this.#prepare(
      "SELECT class, start, count FROM totals WHERE start >= :since ORDER BY start, class",
    )
      .all({ since })
      .map((row) => ({
        // Written by `#record` alone.
        class: String(row["class"]) as GroupClass,
        start: Number(row["start"]),
        count: Number(row["count"]),
      }));
  }

  refusals(since: number): readonly { readonly reason: string; readonly count: number }[] {
    this.#transaction(() => undefined);
    return this.#prepare(
      `SELECT reason, sum(count) AS count FROM refusals WHERE start >= :since
       GROUP BY reason ORDER BY reason`,
    )
      .all({ since: startOf(DAY, since) })
      .map(({ reason, count }) => ({ reason: String(reason), count: Number(count) }));
  }

  directives(): readonly string[] {
    return this.#strings("SELECT DISTINCT directive AS s FROM groups ORDER BY s");
  }

  sites(): readonly string[] {
    return this.#strings("SELECT DISTINCT site AS s FROM groups ORDER BY s");
  }

  forget(id: number): void {
    this.#transaction(() => {
      this.#groups -= this.#run("DELETE FROM groups WHERE group_id = :id", { id });
      this.#dropPolicies();
    });
  }

  close(): void {
    if (!this.#database.isOpen) return;
    this.#transaction(() => undefined);
    this.#database.close();
  }

  #record({ group, facts }: Observation, now: number): void {
    const id = this.#groupFor(group, now);
    const start = startOf(HOUR, now);
    const kept = id ?? this.#overflow(now);
    this.#run(
      `UPDATE groups SET count = count + 1, enforced = enforced + :enforced, last_seen = :now
       WHERE group_id = :id`,
      { id: kept, now, enforced: facts.disposition === "enforce" ? 1 : 0 },
    );
    this.#run(
      `INSERT INTO counts VALUES (:id, 'hour', :start, 1)
       ON CONFLICT DO UPDATE SET count = count + 1`,
      { id: kept, start },
    );
    this.#run(
      `INSERT INTO totals VALUES (:class, 'hour', :start, 1)
       ON CONFLICT DO UPDATE SET count = count + 1`,
      { class: group.class, start },
    );
    if (id === undefined) return;
    this.#run(
      "INSERT INTO agents VALUES (:id, :agent, 1) ON CONFLICT DO UPDATE SET count = count + 1",
      { id, agent: facts.agent },
    );
    this.#sample(id, facts, now);
  }

  /** The group's number; undefined where it is a new one and there were enough of them. */
  #groupFor(group: GroupKey, now: number): number | undefined {
    const { type, class: groupClass, reason, site, document, directive, blocked, detail } = group;
    // Not the evidence, of which the first is kept.
    const digest = digestOf([type, groupClass, reason, site, document, directive, blocked, detail]);
    const held = this.#prepare("SELECT group_id FROM groups WHERE digest = :digest").get({
      digest,
    });
    if (held) return Number(held["group_id"]);
    if (group !== overflow) {
      if (this.#newGroups >= this.#limits.newGroupsPerHour) return undefined;
      this.#newGroups += 1;
      if (this.#groups >= this.#limits.groups) this.#forgetRarest(1);
    }
    const { lastInsertRowid } = this.#prepare(
      `INSERT INTO groups (digest, type, class, reason, evidence, site, document, directive,
         blocked, detail, count, enforced, first_seen, last_seen)
       VALUES (:digest, :type, :class, :reason, :evidence, :site, :document, :directive,
         :blocked, :detail, 0, 0, :now, :now)`,
    ).run({ digest, ...group, now });
    this.#groups += 1;
    return Number(lastInsertRowid);
  }

  #overflow(now: number): number {
    return this.#groupFor(overflow, now) ?? 0;
  }

  #forgetRarest(count: number): void {
    this.#groups -= this.#run(
      `DELETE FROM groups WHERE group_id IN (
         SELECT group_id FROM groups WHERE class <> 'overflow'
         ORDER BY count, last_seen LIMIT :count)`,
      { count },
    );
  }

  #sample(id: number, facts: ReportFacts, now: number): void {
    const { type: _, directive: __, agent: ___, policy, ...fields } = facts;
    const policyId = policy === "" ? null : this.#policyFor(policy, now);
    const values = { digest: digestOf([JSON.stringify(fields), policyId ?? 0]), id, now };
    const seen = this.#run(
      `UPDATE samples SET count = count + 1, last_seen = :now
       WHERE group_id = :id AND digest = :digest`,
      values,
    );
    if (seen > 0) return;
    this.#run(
      `INSERT INTO samples (group_id, policy_id, digest, count, last_seen, document_url, blocked_url,
         disposition, source_file, line_number, column_number, status_code, sample)
       VALUES (:id, :policyId, :digest, 1, :now, :documentURL, :blockedURL, :disposition,
         :sourceFile, :lineNumber, :columnNumber, :statusCode, :sample)`,
      { ...values, policyId, ...fields },
    );
    this.#run(
      `DELETE FROM samples WHERE sample_id IN (
         SELECT sample_id FROM samples WHERE group_id = :id
         ORDER BY last_seen DESC, sample_id DESC LIMIT -1 OFFSET :samples)`,
      { id, samples: this.#limits.samples },
    );
  }

  /** The policy's number; null where it is a new one and there were enough of them. */
  #policyFor(text: string, now: number): number | null {
    const digest = digestOf([text]);
    const held = this.#prepare(
      "UPDATE policies SET last_seen = :now WHERE digest = :digest RETURNING policy_id",
    ).get({ digest, now });
    if (held) return Number(held["policy_id"]);
    const { policies } = this.#limits;
    if (this.#newPolicies >= Math.ceil(policies / 4)) return null;
    this.#newPolicies += 1;
    if (this.#policies >= policies) {
      this.#policies -= this.#run(
        `DELETE FROM policies WHERE policy_id IN (
           SELECT policy_id FROM policies ORDER BY last_seen LIMIT 1)`,
      );
    }
    const { lastInsertRowid } = this.#prepare(
      "INSERT INTO policies (digest, text, last_seen) VALUES (:digest, :text, :now)",
    ).run({ digest, text, now });
    this.#policies += 1;
    return Number(lastInsertRowid);
  }

  /** Adds up the hours that are old enough, and forgets what is too old. */
  #beginHour(now: number): void {
    this.#hour = startOf(HOUR, now);
    this.#newGroups = 0;
    this.#newPolicies = 0;
    const before = startOf(DAY, now - HOURS_KEPT);
    const oldest = startOf(DAY, now - this.#limits.days * DAY);
    this.#transaction(() => {
      for (const [table, key] of [
        ["counts", "group_id"],
        ["totals", "class"],
      ] as const) {
        this.#run(
          `INSERT INTO ${table} SELECT ${key}, 'day', start - start % ${DAY}, sum(count) FROM ${table}
           WHERE span = 'hour' AND start < :before GROUP BY 1, 3
           ON CONFLICT DO UPDATE SET count = count + excluded.count`,
          { before },
        );
        this.#run(`DELETE FROM ${table} WHERE span = 'hour' AND start < :before`, { before });
        this.#run(`DELETE FROM ${table} WHERE span = 'day' AND start < :oldest`, { oldest });
      }
      this.#run("DELETE FROM refusals WHERE start < :oldest", { oldest });
      this.#groups -= this.#run("DELETE FROM groups WHERE last_seen < :oldest", { oldest });
      this.#dropPolicies();
    });
  }

  #dropPolicies(): void {
    this.#policies -= this.#run(
      `DELETE FROM policies WHERE NOT EXISTS (
         SELECT 1 FROM samples WHERE samples.policy_id = policies.policy_id)`,
    );
  }

  /** What can be missed most easily: samples of what is rare, and a quarter of the groups. */
  #makeRoom(): void {
    this.#transaction(() => {
      this.#forgetRarest(Math.ceil(this.#groups / 4));
      this.#run("DELETE FROM samples WHERE count = 1");
      this.#dropPolicies();
    });
  }

  #migrate(): void {
    this.#transaction(() => {
      const version = this.#number("SELECT user_version AS n FROM pragma_user_version");
      if (version > migrations.length) {
        throw new Error(
          `the file has version ${version}, this collector knows ${migrations.length}`,
        );
      }
      for (const migration of migrations.slice(version)) this.#database.exec(migration);
      this.#database.exec(`PRAGMA user_version = ${migrations.length}`);
    });
  }

  /** All or nothing, and with it the refusals that wait. */
  #transaction(work: () => void): void {
    const held = [this.#groups, this.#policies, this.#newGroups, this.#newPolicies] as const;
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      for (const refused of this.#refused.values()) {
        this.#run(
          `INSERT INTO refusals VALUES (:reason, :start, :count)
           ON CONFLICT DO UPDATE SET count = count + excluded.count`,
          refused,
        );
      }
      this.#database.exec("COMMIT");
      this.#refused.clear();
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      [this.#groups, this.#policies, this.#newGroups, this.#newPolicies] = held;
      throw error;
    }
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** How many rows changed. */
  #run(sql: string, values: Readonly<Record<string, SQLInputValue>> = {}): number {
    return Number(this.#prepare(sql).run(values).changes);
  }

  #number(sql: string, values: Readonly<Record<string, SQLInputValue>> = {}): number {
    return Number(this.#prepare(sql).get(values)?.["n"] ?? 0);
  }

  #strings(sql: string): readonly string[] {
    return this.#prepare(sql)
      .all()
      .map(({ s }) => String(s));
  }
}

function filterValues(filter: GroupFilter): Record<string, SQLInputValue> {
  const { classes, directive, site, text, since = 0 } = filter;
  return {
    classes: classes ? JSON.stringify(classes) : null,
    directive: directive ?? null,
    site: site ?? null,
    text: text?.toLowerCase() ?? null,
    since,
  };
}

function startOf(span: number, at: number): number {
  return at - (at % span);
}

/** Of fields, so that no field can pass for a part of its neighbour. */
function digestOf(fields: readonly (string | number)[]): Uint8Array {
  return createHash("sha256").update(JSON.stringify(fields)).digest();
}

const SQLITE_FULL = 13;

function isFull(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === SQLITE_FULL;
}

type Row = Readonly<Record<string, unknown>>;

function toGroup(row: Row): ReportGroup {
  const text = (name: string) => String(row[name]);
  return {
    id: Number(row["group_id"]),
    // The two are written from a `GroupKey` alone.
    type: text("type") as GroupKey["type"],
    class: text("class") as GroupClass,
    reason: text("reason"),
    evidence: text("evidence"),
    site: text("site"),
    document: text("document"),
    directive: text("directive"),
    blocked: text("blocked"),
    detail: text("detail"),
    count: Number(row["count"]),
    enforced: Number(row["enforced"]),
    firstSeen: Number(row["first_seen"]),
    lastSeen: Number(row["last_seen"]),
  };
}

function toSample(row: Row): ReportSample {
  return {
    documentURL: String(row["document_url"]),
    blockedURL: String(row["blocked_url"]),
    disposition: row["disposition"] === "enforce" ? "enforce" : "report",
    policy: String(row["policy"]),
    sourceFile: String(row["source_file"]),
    lineNumber: Number(row["line_number"]),
    columnNumber: Number(row["column_number"]),
    statusCode: Number(row["status_code"]),
    sample: String(row["sample"]),
    count: Number(row["count"]),
    lastSeen: Number(row["last_seen"]),
  };
}
