/**
 * The tables of the collector's file, as the steps that lead to them: `PRAGMA user_version` says how many were taken.
 * A step that was published is never changed.
 *
 * Times are milliseconds since the Unix epoch; `start` is the first millisecond of an hour or a day in UTC.
 * @module
 */

export const migrations: readonly string[] = [
  `
  CREATE TABLE groups (
    group_id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    class TEXT NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    site TEXT NOT NULL,
    document TEXT NOT NULL,
    directive TEXT NOT NULL,
    blocked TEXT NOT NULL,
    detail TEXT NOT NULL,
    count INTEGER NOT NULL,
    enforced INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE counts (
    group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
    span TEXT NOT NULL CHECK (span IN ('hour', 'day')),
    start INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (group_id, span, start)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX counts_by_start ON counts (span, start);

  -- What counts of groups that had to go would be missed from.
  CREATE TABLE totals (
    class TEXT NOT NULL,
    span TEXT NOT NULL CHECK (span IN ('hour', 'day')),
    start INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (class, span, start)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE policies (
    policy_id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    text TEXT NOT NULL,
    last_seen INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX policies_by_last_seen ON policies (last_seen);

  CREATE TABLE samples (
    sample_id INTEGER PRIMARY KEY,
    group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
    policy_id INTEGER REFERENCES policies ON DELETE SET NULL,
    digest BLOB NOT NULL,
    count INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    document_url TEXT NOT NULL,
    blocked_url TEXT NOT NULL,
    disposition TEXT NOT NULL,
    source_file TEXT NOT NULL,
    line_number INTEGER NOT NULL,
    column_number INTEGER NOT NULL,
    status_code INTEGER NOT NULL,
    sample TEXT NOT NULL,
    UNIQUE (group_id, digest)
  ) STRICT;
  CREATE INDEX samples_by_policy ON samples (policy_id);

  CREATE TABLE agents (
    group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
    agent TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (group_id, agent)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE refusals (
    reason TEXT NOT NULL,
    start INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (reason, start)
  ) STRICT, WITHOUT ROWID;
  `,
];
