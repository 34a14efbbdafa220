/**
 * Where violations of the page's policy are counted: a SQLite file of their own, with a bounded number of rows, so
 * that a flood of reports can't touch messages. A row holds nothing but what `violation.ts` lets through.
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import type { Violation } from "./violation.ts";

/** All violations of one kind. Times in milliseconds since the Unix epoch. */
export interface ViolationGroup extends Violation {
  readonly count: number;
  readonly firstSeen: number;
  readonly lastSeen: number;
}

export interface ViolationStore {
  record(violation: Violation, now: number): void;
  /** The most recent first. */
  groups(): readonly ViolationGroup[];
  clear(): void;
  close(): void;
}

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA journal_size_limit = 1048576;
  CREATE TABLE IF NOT EXISTS violations (
    document TEXT NOT NULL,
    directive TEXT NOT NULL,
    blocked TEXT NOT NULL,
    count INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (document, directive, blocked)
  ) STRICT, WITHOUT ROWID;
`;

/** `limit`: how many groups are kept; beyond it the rarest and oldest gives way. */
export function openViolationStore(path: string, limit = 500): ViolationStore {
  const database = new DatabaseSync(path);
  database.exec(SCHEMA);
  const record = database.prepare(`
    INSERT INTO violations VALUES (?, ?, ?, 1, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + 1, last_seen = excluded.last_seen
  `);
  const trim = database.prepare(`
    DELETE FROM violations WHERE (document, directive, blocked) IN (
      SELECT document, directive, blocked FROM violations
      ORDER BY count DESC, last_seen DESC LIMIT -1 OFFSET ?
    )
  `);
  const select = database.prepare(`
    SELECT document, directive, blocked, count, first_seen AS firstSeen, last_seen AS lastSeen
    FROM violations ORDER BY last_seen DESC, count DESC
  `);
  return {
    record({ document, directive, blocked }, now) {
      record.run(document, directive, blocked, now, now);
      trim.run(limit);
    },
    groups: () =>
      select.all().map((row) => ({
        document: String(row["document"]),
        directive: String(row["directive"]),
        blocked: String(row["blocked"]),
        count: Number(row["count"]),
        firstSeen: Number(row["firstSeen"]),
        lastSeen: Number(row["lastSeen"]),
      })),
    clear() {
      database.exec("DELETE FROM violations");
    },
    close() {
      database.close();
    },
  };
}
