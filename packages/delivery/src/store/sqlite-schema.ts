/**
 * The schema, as the steps that lead to it. A step that was released is never changed: another is added.
 * @module
 */

const FIRST = `
CREATE TABLE accounts (
  account_id BLOB PRIMARY KEY,
  name TEXT NOT NULL,
  -- What names share that only differ in case.
  name_key TEXT NOT NULL UNIQUE,
  device_list BLOB NOT NULL,
  version INTEGER NOT NULL,
  hash BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  registration BLOB NOT NULL
) STRICT;

CREATE TABLE devices (
  device INTEGER PRIMARY KEY,
  account_id BLOB NOT NULL REFERENCES accounts,
  device_id BLOB NOT NULL,
  signature_key BLOB NOT NULL UNIQUE,
  sign_in_key BLOB NOT NULL,
  -- Seconds since the Unix epoch; 0 while it is not revoked.
  revoked_at INTEGER NOT NULL,
  inbox_head INTEGER NOT NULL DEFAULT 0,
  UNIQUE (account_id, device_id)
) STRICT;

CREATE TABLE nonces (
  device INTEGER NOT NULL REFERENCES devices,
  nonce BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (device, nonce)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  token_hash BLOB PRIMARY KEY,
  device INTEGER NOT NULL REFERENCES devices,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_device ON sessions (device, expires_at);

-- The pool: a row is served once and goes with that, but a last resort.
CREATE TABLE key_packages (
  ref BLOB PRIMARY KEY,
  device INTEGER NOT NULL REFERENCES devices,
  suite INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  last_resort INTEGER NOT NULL,
  key_package BLOB NOT NULL
) STRICT;
CREATE INDEX key_packages_of_device ON key_packages (device, last_resort);
CREATE UNIQUE INDEX one_last_resort ON key_packages (device) WHERE last_resort = 1;

-- Every package that was in the pool and has not expired: none enters it twice.
CREATE TABLE key_package_refs (
  ref BLOB PRIMARY KEY,
  device INTEGER NOT NULL REFERENCES devices,
  not_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX key_package_refs_of_device ON key_package_refs (device, not_after);

-- Written with every message, therefore small; what changes with epochs alone is in group_states.
CREATE TABLE groups (
  group_id BLOB PRIMARY KEY,
  epoch INTEGER NOT NULL,
  version INTEGER NOT NULL,
  head INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL
) STRICT;

CREATE TABLE group_states (
  group_id BLOB PRIMARY KEY REFERENCES groups,
  state BLOB NOT NULL,
  group_info BLOB NOT NULL
) STRICT;

-- A node holds in the epochs from from_epoch on, up to and without to_epoch.
CREATE TABLE group_nodes (
  group_id BLOB NOT NULL REFERENCES groups,
  node_index INTEGER NOT NULL,
  from_epoch INTEGER NOT NULL,
  to_epoch INTEGER,
  node BLOB NOT NULL,
  PRIMARY KEY (group_id, node_index, from_epoch)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_node_an_index ON group_nodes (group_id, node_index) WHERE to_epoch IS NULL;
CREATE INDEX replaced_nodes ON group_nodes (group_id, to_epoch) WHERE to_epoch IS NOT NULL;

CREATE TABLE log (
  group_id BLOB NOT NULL REFERENCES groups,
  seq INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('commit', 'proposal', 'application')),
  hash BLOB NOT NULL,
  message BLOB NOT NULL,
  accepted_at INTEGER NOT NULL,
  PRIMARY KEY (group_id, seq),
  UNIQUE (group_id, hash)
) STRICT;
CREATE UNIQUE INDEX one_commit_an_epoch ON log (group_id, epoch) WHERE kind = 'commit';
CREATE INDEX proposals_of_epoch ON log (group_id, epoch) WHERE kind = 'proposal';

-- Whose leaf it is, from the entry of the commit that added it to that of the one that removed it.
CREATE TABLE members (
  group_id BLOB NOT NULL REFERENCES groups,
  leaf_index INTEGER NOT NULL,
  device INTEGER NOT NULL REFERENCES devices,
  from_seq INTEGER NOT NULL,
  until_seq INTEGER,
  PRIMARY KEY (group_id, leaf_index, from_seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_member_a_leaf ON members (group_id, leaf_index) WHERE until_seq IS NULL;
CREATE UNIQUE INDEX one_leaf_a_device ON members (group_id, device) WHERE until_seq IS NULL;
CREATE INDEX members_of_device ON members (device, group_id);

-- Closed: sealed_group_info is NULL. The row stays, so that its uses stay counted.
CREATE TABLE links (
  link_id BLOB PRIMARY KEY,
  group_id BLOB NOT NULL REFERENCES groups,
  expires_at INTEGER NOT NULL,
  max_uses INTEGER NOT NULL,
  uses INTEGER NOT NULL DEFAULT 0,
  sealed_group_info BLOB
) STRICT;
CREATE INDEX links_of_group ON links (group_id);

-- A Welcome is kept once, as long as it is in an inbox. Its epoch is the one it leads into.
CREATE TABLE welcomes (
  group_id BLOB NOT NULL REFERENCES groups,
  epoch INTEGER NOT NULL,
  commit_seq INTEGER NOT NULL,
  welcome BLOB NOT NULL,
  PRIMARY KEY (group_id, epoch)
) STRICT;

CREATE TABLE inbox (
  device INTEGER NOT NULL REFERENCES devices,
  seq INTEGER NOT NULL,
  group_id BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  PRIMARY KEY (device, seq),
  FOREIGN KEY (group_id, epoch) REFERENCES welcomes
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_of_group ON inbox (group_id, epoch);
`;

const PEOPLE = `
ALTER TABLE sessions ADD COLUMN started_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_that_expire ON sessions (expires_at);

-- Whether strangers may add its devices to groups: 'open' or 'ask'; NULL where the service's own rule holds.
ALTER TABLE accounts ADD COLUMN contact TEXT CHECK (contact IN ('open', 'ask'));
-- Milliseconds since the Unix epoch. The row stays, so that nobody takes the id over; its name is free.
ALTER TABLE accounts ADD COLUMN deleted_at INTEGER;
-- When it last asked to reach somebody: written each time, so that asking takes as long where there is nobody.
ALTER TABLE accounts ADD COLUMN asked_at INTEGER;

-- What an account said to another, or was asked by it.
CREATE TABLE contacts (
  account_id BLOB NOT NULL REFERENCES accounts,
  -- Whom it is about; it need not exist.
  peer_id BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asked', 'allowed', 'refused', 'blocked')),
  -- When the peer last asked; NULL where it never did.
  asked_at INTEGER,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, peer_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX contacts_by_state ON contacts (account_id, state, asked_at);
CREATE INDEX contacts_of_peer ON contacts (peer_id);
`;

const BLOBS = `
-- A row stays until the bytes are removed, whatever ended it.
CREATE TABLE blobs (
  blob_id BLOB PRIMARY KEY,
  account_id BLOB NOT NULL,
  request_key BLOB NOT NULL,
  size INTEGER NOT NULL,
  stored INTEGER NOT NULL DEFAULT 0 CHECK (stored <= size),
  expires_at INTEGER NOT NULL,
  deleted_at INTEGER,
  UNIQUE (account_id, request_key)
) STRICT;
CREATE INDEX blobs_by_expiry ON blobs (expires_at);
CREATE INDEX deleted_blobs ON blobs (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE blob_parts (
  blob_id BLOB NOT NULL REFERENCES blobs,
  start INTEGER NOT NULL,
  length INTEGER NOT NULL,
  hash BLOB NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (blob_id, start)
) STRICT, WITHOUT ROWID;

-- What the blobs of an account that are not deleted come to.
CREATE TABLE blob_usage (
  account_id BLOB PRIMARY KEY,
  bytes INTEGER NOT NULL,
  blobs INTEGER NOT NULL
) STRICT;
`;

/** Each suite has a last resort of its own, and what key packages are capable of is asked for. */
const KEY_PACKAGES = `
DROP INDEX one_last_resort;
CREATE UNIQUE INDEX one_last_resort ON key_packages (device, suite) WHERE last_resort = 1;
-- JSON, a list of texts; NULL of those from before.
ALTER TABLE key_packages ADD COLUMN capabilities TEXT;
-- When a last resort was last served; NULL until then.
ALTER TABLE key_packages ADD COLUMN served_at INTEGER;
`;

const UPKEEP = `
-- Before this sequence number the messages were deleted for their age; their rows stay, empty.
ALTER TABLE groups ADD COLUMN kept_from INTEGER NOT NULL DEFAULT 1;

-- What happened to the database as a whole, and when.
CREATE TABLE facts (
  name TEXT PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`;

const REPORTS = `
-- A group's public state as it was when an epoch ended. Its nodes are in group_nodes.
CREATE TABLE past_states (
  group_id BLOB NOT NULL REFERENCES groups,
  epoch INTEGER NOT NULL,
  state BLOB NOT NULL,
  PRIMARY KEY (group_id, epoch)
) STRICT;

-- Members that can't follow a commit, until their leaf is removed.
CREATE TABLE reports (
  group_id BLOB NOT NULL REFERENCES groups,
  leaf_index INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  report BLOB NOT NULL,
  proven INTEGER NOT NULL,
  PRIMARY KEY (group_id, leaf_index)
) STRICT, WITHOUT ROWID;

-- Devices that may not commit in a group.
CREATE TABLE barred (
  group_id BLOB NOT NULL REFERENCES groups,
  device INTEGER NOT NULL REFERENCES devices,
  PRIMARY KEY (group_id, device)
) STRICT, WITHOUT ROWID;
`;

const ENDED = `
-- Groups whose log is to go, portion by portion: nobody is left who may read it.
CREATE TABLE ended_groups (
  group_id BLOB PRIMARY KEY REFERENCES groups
) STRICT, WITHOUT ROWID;
`;

const BOUNDS = `
-- Whether the device gave the group up: it counts no more among those that it is in.
ALTER TABLE members ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;
CREATE INDEX members_now ON members (device, given_up) WHERE until_seq IS NULL;
`;

const INSTANCES = `
-- The running copy of the device's client that signed in last; NULL where none ever said which it is.
ALTER TABLE devices ADD COLUMN instance BLOB;
`;

/**
 * The bytes of a message name their group: a hash says enough. And a row is only ever made beside the group's own: the reference needs
 * no check of its own, once a message.
 */
const HASHES = `
CREATE TABLE new_log (
  group_id BLOB NOT NULL,
  seq INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('commit', 'proposal', 'application')),
  hash BLOB NOT NULL UNIQUE,
  message BLOB NOT NULL,
  accepted_at INTEGER NOT NULL,
  PRIMARY KEY (group_id, seq)
) STRICT;
INSERT INTO new_log SELECT group_id, seq, epoch, kind, hash, message, accepted_at FROM log ORDER BY rowid;
DROP TABLE log;
ALTER TABLE new_log RENAME TO log;
CREATE UNIQUE INDEX one_commit_an_epoch ON log (group_id, epoch) WHERE kind = 'commit';
CREATE INDEX proposals_of_epoch ON log (group_id, epoch) WHERE kind = 'proposal';
`;

const BACKUP_MARKS = `
-- What an account noted about its newest backup, which is elsewhere.
CREATE TABLE backup_marks (
  account_id BLOB PRIMARY KEY REFERENCES accounts,
  number INTEGER NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;
`;

const ADMISSION = `
-- Codes by which one account each is made: SHA-256 of them, and times in milliseconds since the Unix epoch.
CREATE TABLE invites (
  hash BLOB PRIMARY KEY,
  made_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  spent_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX invites_that_expire ON invites (expires_at);

-- Since when the operator lets none of its devices sign in.
ALTER TABLE accounts ADD COLUMN disabled_at INTEGER;
`;

/**
 * The log in order of arrival: what comes together lies together, whatever groups it is of, so that few pages are written for many
 * messages. A group has a number, since its place is a key of every row; and a kind is one, since what it may be is checked of every row.
 */
const ARRIVAL = `
ALTER TABLE groups ADD COLUMN number INTEGER;
UPDATE groups SET number = rowid;
CREATE UNIQUE INDEX groups_by_number ON groups (number);

CREATE TABLE new_log (
  id INTEGER PRIMARY KEY,
  group_number INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  -- An application message, a commit, a proposal.
  kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
  accepted_at INTEGER NOT NULL,
  hash BLOB NOT NULL,
  message BLOB NOT NULL
) STRICT;
INSERT INTO new_log (group_number, seq, epoch, kind, accepted_at, hash, message)
  SELECT number, seq, log.epoch, CASE kind WHEN 'application' THEN 0 WHEN 'commit' THEN 1 ELSE 2 END,
    log.accepted_at, hash, message
  FROM log CROSS JOIN groups USING (group_id) ORDER BY log.rowid;
DROP TABLE log;
ALTER TABLE new_log RENAME TO log;
CREATE UNIQUE INDEX places ON log (group_number, seq);
CREATE UNIQUE INDEX one_commit_an_epoch ON log (group_number, epoch) WHERE kind = 1;
CREATE INDEX proposals_of_epoch ON log (group_number, epoch) WHERE kind = 2;
CREATE UNIQUE INDEX commits_and_proposals ON log (hash) WHERE kind > 0;

-- Where each group's log ends. A message leaves the group's own row as it is: that says so of what is not in the log.
CREATE VIEW group_ends AS SELECT group_id, number, epoch, version, kept_from,
  max(head, ifnull((SELECT max(seq) FROM log WHERE group_number = number), 0)) AS head,
  max(accepted_at, ifnull((SELECT log.accepted_at FROM log WHERE group_number = number
    ORDER BY seq DESC LIMIT 1), 0)) AS accepted_at
FROM groups;
`;

/**
 * The index on places in order of arrival too: an index on groups alone has a page for each group that many write in, and each is
 * written for one message. Here 4,096 entries that came together lie together, a stretch, whatever groups they are of; and `spans` has
 * a row for each stretch in which a group has entries. A group is read span by span, in each by the index.
 *
 * In a stretch the index forbids two entries at a place; a span begins behind all that its group has in earlier stretches.
 */
const STRETCHES = `
DROP VIEW group_ends;
DROP INDEX places;
ALTER TABLE log ADD COLUMN stretch INTEGER AS (id / 4096);
CREATE UNIQUE INDEX places ON log (stretch, group_number, seq);

CREATE TABLE spans (
  group_number INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  stretch INTEGER NOT NULL,
  PRIMARY KEY (group_number, first_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO spans SELECT group_number, min(seq), stretch FROM log GROUP BY group_number, stretch;
CREATE TRIGGER spans_follow BEFORE INSERT ON spans BEGIN
  SELECT RAISE(FAIL, 'the place in the log is taken') FROM (
    SELECT stretch FROM spans WHERE group_number = NEW.group_number ORDER BY first_seq DESC LIMIT 1) AS newest
  WHERE newest.stretch >= NEW.stretch OR EXISTS (
    SELECT 1 FROM log WHERE stretch = newest.stretch AND group_number = NEW.group_number AND seq >= NEW.first_seq);
END;

-- The log by groups: in the order of first_seq, then of seq.
CREATE VIEW entries AS SELECT first_seq, log.* FROM spans CROSS JOIN log USING (stretch, group_number);

CREATE VIEW group_ends AS SELECT group_id, number, epoch, version, kept_from,
  max(head, ifnull((SELECT seq FROM entries WHERE group_number = number
    ORDER BY first_seq DESC, seq DESC LIMIT 1), 0)) AS head,
  max(accepted_at, ifnull((SELECT entries.accepted_at FROM entries WHERE group_number = number
    ORDER BY first_seq DESC, seq DESC LIMIT 1), 0)) AS accepted_at
FROM groups;
`;

/**
 * The index by parts of a stretch: 1,024 entries lie together, on a few pages, of which a batch writes two or three; of a whole stretch
 * it writes a dozen. A span is of four parts still, so that most groups need few.
 */
const PARTS = `
DROP VIEW group_ends;
DROP VIEW entries;
DROP TRIGGER spans_follow;
DROP INDEX places;
ALTER TABLE log DROP COLUMN stretch;
ALTER TABLE log ADD COLUMN part INTEGER AS (id / 1024);
CREATE UNIQUE INDEX places ON log (part, group_number, seq);

-- A part of a stretch is one of these.
CREATE TABLE parts (n INTEGER PRIMARY KEY) STRICT;
INSERT INTO parts VALUES (0), (1), (2), (3);

-- The log by groups: in the order of first_seq, then of n, then of seq.
CREATE VIEW entries AS SELECT first_seq, n, log.* FROM spans CROSS JOIN parts CROSS JOIN log
  ON log.part = spans.stretch * 4 + n AND log.group_number = spans.group_number;

CREATE TRIGGER spans_follow BEFORE INSERT ON spans BEGIN
  SELECT RAISE(FAIL, 'the place in the log is taken') FROM (
    SELECT first_seq, stretch FROM spans WHERE group_number = NEW.group_number
    ORDER BY first_seq DESC LIMIT 1) AS newest
  WHERE newest.stretch >= NEW.stretch OR EXISTS (
    SELECT 1 FROM entries WHERE group_number = NEW.group_number AND first_seq = newest.first_seq
    AND seq >= NEW.first_seq);
END;

CREATE VIEW group_ends AS SELECT group_id, number, epoch, version, kept_from,
  max(head, ifnull((SELECT seq FROM entries WHERE group_number = number
    ORDER BY first_seq DESC, n DESC, seq DESC LIMIT 1), 0)) AS head,
  max(accepted_at, ifnull((SELECT entries.accepted_at FROM entries WHERE group_number = number
    ORDER BY first_seq DESC, n DESC, seq DESC LIMIT 1), 0)) AS accepted_at
FROM groups;
`;

export const MIGRATIONS: readonly string[] = [
  FIRST,
  PEOPLE,
  BLOBS,
  KEY_PACKAGES,
  UPKEEP,
  REPORTS,
  ENDED,
  BOUNDS,
  INSTANCES,
  HASHES,
  BACKUP_MARKS,
  ADMISSION,
  ARRIVAL,
  STRETCHES,
  PARTS,
];
