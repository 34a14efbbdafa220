/**
 * Groups in PostgreSQL: their log, their tree, who is in them, their links. Whoever changes a group locks its row first,
 * and looks at the rest of it in the statements after that: they see all that came before.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Accepted, LogEntry } from "../protocol/index.ts";
import { createAppender } from "./postgres-append.ts";
import type { Database, Queries } from "./postgres-database.ts";
import { type EntryRow, toEntry } from "./rows.ts";
import {
  type AppendCommit,
  type Full,
  GONE,
  type GroupStore,
  PAST_EPOCHS,
  type Store,
  type StoredNode,
} from "./store.ts";
import { Undo } from "./undo.ts";

interface GroupRow {
  readonly number: number;
  readonly epoch: number;
  readonly version: number;
}

/** Where a row of `members` of the same group lets its device read: up to the log's end. */
const READABLE = (seq: string): string =>
  `${seq} >= members.from_seq AND (members.until_seq IS NULL OR ${seq} <= members.until_seq)`;

/** As it stands in the log. */
const NUMBER_OF = (groupId: string): string =>
  `(SELECT number FROM groups WHERE groups.group_id = ${groupId})`;

/** However small they are. */
const NODES_IN_A_PART = 4096;

/** The nodes that hold in an epoch. */
export const HOLDS = (epoch: string): string =>
  `from_epoch <= ${epoch} AND (to_epoch IS NULL OR to_epoch > ${epoch})`;

/** How many groups a device is in and did not give up. Exact for whoever holds the device's row. */
const GROUPS_NOW = (device: string): string =>
  `SELECT count(*) FROM members WHERE members.device = ${device} AND NOT given_up AND until_seq IS NULL`;

/** A row of a tree, after one of what it is the tree of: in one statement, so of one moment. */
export interface NodeRow {
  readonly node_index: number;
  readonly bytes: Bytes;
}

export function toNodes(rows: readonly NodeRow[]): StoredNode[] {
  return rows.map((row) => [row.node_index, row.bytes]);
}

async function lock(tx: Queries, groupId: Bytes): Promise<GroupRow | undefined> {
  return tx.one<GroupRow>(
    "SELECT number, epoch, version FROM groups WHERE group_id = $1 FOR NO KEY UPDATE",
    groupId,
  );
}

/**
 * Writes an entry behind the last one, which may be a message that was under way: they don't ask for the group's row. It is no
 * earlier than that.
 */
async function takePlace(
  tx: Queries,
  { number, epoch }: GroupRow,
  kind: "commit" | "proposal",
  entry: Pick<AppendCommit, "hash" | "message"> & { readonly at: number },
): Promise<Accepted> {
  for (;;) {
    const row = await tx.one<{ seq: number; accepted_at: number }>(
      `INSERT INTO log (group_number, seq, epoch, kind, hash, message, accepted_at)
       SELECT number, head + 1, $2::bigint, $3, $4::bytea, $5::bytea, greatest($6, accepted_at)
       FROM group_ends WHERE number = $1
       ON CONFLICT (group_number, seq) DO NOTHING RETURNING seq, accepted_at`,
      number,
      epoch,
      kind,
      entry.hash,
      entry.message,
      entry.at,
    );
    if (row !== undefined) return { seq: row.seq, acceptedAt: row.accepted_at };
  }
}

async function useLink(
  tx: Queries,
  { groupId, linkUsed, acceptedAt }: AppendCommit,
): Promise<void> {
  if (linkUsed === undefined) return;
  const used = await tx.one(
    `UPDATE links SET uses = uses + 1 WHERE link_id = $1 AND group_id = $2
     AND uses < max_uses AND expires_at > $3 AND sealed_group_info IS NOT NULL RETURNING 1`,
    linkUsed,
    groupId,
    Math.floor(acceptedAt / 1000),
  );
  if (used === undefined) throw new Undo("link-closed");
}

/** The end of all that ends with the commit, which is in the log. */
async function endEpoch(tx: Queries, commit: AppendCommit, seq: number): Promise<void> {
  const { groupId, acceptedAt } = commit;
  await tx.all(
    `WITH moved AS (
       UPDATE groups SET epoch = epoch + 1, version = $11, head = $2, accepted_at = $3
       WHERE group_id = $1
     ), followed AS (
       UPDATE group_states SET state = $4, group_info = $5 WHERE group_id = $1
     ), kept AS (
       INSERT INTO past_states (group_id, epoch, state)
       SELECT group_id, $6, state FROM group_states WHERE group_id = $1
     ), passed AS (
       DELETE FROM past_states WHERE group_id = $1 AND epoch <= $6::bigint - ${PAST_EPOCHS}
     ), answered AS (
       DELETE FROM reports WHERE group_id = $1 AND leaf_index = ANY($8::bigint[])
     ), replaced AS (
       UPDATE group_nodes SET to_epoch = $6::bigint + 1
       WHERE group_id = $1 AND node_index = ANY($7::bigint[]) AND to_epoch IS NULL
     ), removed AS (
       UPDATE members SET until_seq = $2
       WHERE group_id = $1 AND leaf_index = ANY($8::bigint[]) AND until_seq IS NULL
     ), closed AS (
       UPDATE links SET sealed_group_info = NULL
       WHERE group_id = $1 AND sealed_group_info IS NOT NULL AND link_id <> ALL($9::bytea[])
     )
     INSERT INTO handshakes (group_id, epoch, seq, kind, hash, accepted_at)
     VALUES ($1, $6, $2, 'commit', $10, $3)`,
    groupId,
    seq,
    acceptedAt,
    commit.state,
    commit.groupInfo,
    commit.epoch,
    commit.nodes.map(({ nodeIndex }) => nodeIndex),
    commit.removed,
    commit.links.map(({ linkId }) => linkId),
    commit.hash,
    commit.nextVersion,
  );
}

/** What begins with the epoch after the commit's. Replaced nodes stay for so many epochs, and while a Welcome leads to them. */
async function beginEpoch(tx: Queries, commit: AppendCommit): Promise<void> {
  const { groupId } = commit;
  const epoch = commit.epoch + 1n;
  const set = commit.nodes.flatMap(({ nodeIndex, node }) => (node ? [{ nodeIndex, node }] : []));
  const opened = await tx.one<{ opened: number }>(
    `WITH forgotten AS (
       DELETE FROM group_nodes WHERE group_id = $1 AND to_epoch = $2::bigint - ${PAST_EPOCHS} AND NOT EXISTS (
         SELECT 1 FROM inbox WHERE inbox.group_id = group_nodes.group_id
         AND inbox.epoch >= from_epoch AND inbox.epoch < to_epoch)
     ), set_nodes AS (
       INSERT INTO group_nodes (group_id, node_index, from_epoch, node)
       SELECT $1, node_index, $2, node
       FROM unnest($3::bigint[], $4::bytea[]) AS given (node_index, node)
     ), opened AS (
       INSERT INTO links (link_id, group_id, expires_at, max_uses, sealed_group_info)
       SELECT link_id, $1, expires_at, max_uses, sealed_group_info
       FROM unnest($5::bytea[], $6::bigint[], $7::bigint[], $8::bytea[])
         AS given (link_id, expires_at, max_uses, sealed_group_info)
       ON CONFLICT (link_id) DO UPDATE SET expires_at = excluded.expires_at,
         max_uses = excluded.max_uses, sealed_group_info = excluded.sealed_group_info
       WHERE links.group_id = excluded.group_id
       RETURNING 1
     )
     SELECT count(*) AS opened FROM opened`,
    groupId,
    epoch,
    set.map(({ nodeIndex }) => nodeIndex),
    set.map(({ node }) => node),
    commit.links.map(({ linkId }) => linkId),
    commit.links.map(({ expiresAt }) => expiresAt),
    commit.links.map(({ maxUses }) => maxUses),
    commit.links.map(({ sealedGroupInfo }) => sealedGroupInfo),
  );
  if (opened?.opened !== commit.links.length) throw new Undo("link-taken");
}

/** Those who enter, and the Welcome in their inboxes. Their rows are held: none is revoked meanwhile. */
async function letIn(tx: Queries, commit: AppendCommit, commitSeq: number): Promise<void> {
  const { groupId, added, welcome, acceptedAt } = commit;
  const welcomed = welcome?.devices ?? [];
  if (added.length === 0 && welcome === undefined) return;
  const devices = await tx.all<{ device: number; revoked_at: number }>(
    `SELECT device, revoked_at FROM devices WHERE device = ANY($1::bigint[])
     ORDER BY device FOR NO KEY UPDATE`,
    [...added.map(({ device }) => device), ...welcomed],
  );
  const mayEnter = new Set(
    devices.flatMap(({ device, revoked_at: at }) =>
      at > 0 && at * 1000 <= acceptedAt ? [] : [device],
    ),
  );
  if (!added.every(({ device }) => mayEnter.has(device))) throw new Undo("moved");
  const full = await tx.all<{ device: number }>(
    `WITH without_room AS (
       SELECT device FROM unnest($4::bigint[]) AS entering (device)
       WHERE (${GROUPS_NOW("entering.device")}) >= $10 AND NOT EXISTS (
         SELECT 1 FROM members WHERE members.group_id = $1 AND members.device = entering.device
           AND until_seq = $2 AND NOT given_up)
     ), entered AS (
       INSERT INTO members (group_id, leaf_index, device, from_seq)
       SELECT $1::bytea, leaf_index, device, $2::bigint
       FROM unnest($3::bigint[], $4::bigint[]) AS given (leaf_index, device)
     ), lifted AS (
       DELETE FROM barred WHERE group_id = $1 AND device = ANY($9::bigint[])
     ), kept AS (
       INSERT INTO welcomes (group_id, epoch, commit_seq, welcome)
       SELECT $1, $5::bigint, $2, $6::bytea WHERE $6::bytea IS NOT NULL
     ), numbered AS (
       UPDATE devices SET inbox_head = inbox_head + 1
       WHERE device = ANY($7::bigint[])
         AND (SELECT count(*) FROM inbox WHERE inbox.device = devices.device) < $8
       RETURNING device, inbox_head
     ), delivered AS (
       INSERT INTO inbox (device, seq, group_id, epoch)
       SELECT device, inbox_head, $1, $5 FROM numbered RETURNING device
     )
     SELECT device FROM without_room
     UNION (SELECT unnest($7::bigint[]) EXCEPT SELECT device FROM delivered)`,
    groupId,
    commitSeq,
    added.map(({ leafIndex }) => leafIndex),
    added.map(({ device }) => device),
    commit.epoch + 1n,
    welcome?.message ?? null,
    welcomed,
    welcome?.limit ?? 0,
    // By a link a device lets itself in: that lifts nothing.
    commit.linkUsed === undefined ? added.map(({ device }) => device) : [],
    commit.groupLimit,
  );
  if (full.length > 0) throw new Undo({ full: full.map(({ device }) => device) } satisfies Full);
}

export function postgresGroups(db: Database): GroupStore & Pick<Store, "waiting" | "close"> {
  const appender = createAppender(db);

  return {
    async createGroup({ groupId, device, leafIndex, state, groupInfo, nodes, now, ...how }) {
      const made = await db.transaction(async (tx) => {
        await tx.all("SELECT 1 FROM devices WHERE device = $1 FOR NO KEY UPDATE", device);
        const row = await tx.one<{ full: boolean }>(
          `WITH made AS (
             INSERT INTO groups (group_id, epoch, version, head, accepted_at)
             VALUES ($1, 0, $9, 0, $2) ON CONFLICT DO NOTHING RETURNING group_id
           ), followed AS (
             INSERT INTO group_states (group_id, state, group_info)
             SELECT group_id, $3::bytea, $4::bytea FROM made
           ), set_nodes AS (
             INSERT INTO group_nodes (group_id, node_index, from_epoch, node)
             SELECT group_id, node_index, 0, node FROM made
             CROSS JOIN unnest($5::bigint[], $6::bytea[]) AS given (node_index, node)
           ), entered AS (
             INSERT INTO members (group_id, leaf_index, device, from_seq)
             SELECT group_id, $7::bigint, $8::bigint, 1 FROM made
           )
           SELECT (${GROUPS_NOW("$8")}) >= $10 AS full FROM made`,
          groupId,
          now,
          state,
          groupInfo,
          nodes.map(([nodeIndex]) => nodeIndex),
          nodes.map(([, node]) => node),
          leafIndex,
          device,
          how.version,
          how.groupLimit,
        );
        if (row?.full === true) throw new Undo("full");
        return row === undefined ? undefined : "created";
      });
      if (made !== undefined) return made;
      const same = await db.one(
        `SELECT 1 FROM group_states JOIN members USING (group_id) JOIN groups USING (group_id)
         WHERE group_id = $1 AND group_info = $2 AND device = $3 AND epoch = 0`,
        groupId,
        groupInfo,
        device,
      );
      if (same === undefined) return "group-exists";
      await db.settle();
      return "created";
    },

    async group(groupId, heldVersion) {
      type Row = Partial<GroupRow> & { readonly accepted_at?: number } & NodeRow;
      const [held, ...nodes] = await db.all<Row>(
        `SELECT -1 AS node_index, epoch, version, accepted_at,
           CASE WHEN version IS DISTINCT FROM $2 THEN state END AS bytes
         FROM group_ends JOIN group_states USING (group_id) WHERE group_id = $1
         UNION ALL
         SELECT node_index, NULL, NULL, NULL, node FROM groups JOIN group_nodes USING (group_id)
         WHERE group_id = $1 AND version IS DISTINCT FROM $2 AND ${HOLDS("epoch")}
         ORDER BY node_index`,
        groupId,
        heldVersion ?? null,
      );
      if (held === undefined) return undefined;
      const { epoch = 0, version = 0, accepted_at: acceptedAt = 0, bytes: state } = held;
      const parts = version === heldVersion ? undefined : { state, nodes: toNodes(nodes) };
      return { epoch: BigInt(epoch), version, acceptedAt, parts };
    },

    async treePart(groupId, epoch, { from, bytes }) {
      const rows = await db.all<{
        readonly current: boolean;
        readonly waits: boolean;
        readonly last: number | null;
        readonly node_index: number | null;
        readonly node: Bytes;
      }>(
        `SELECT held.*, node_index, node FROM (
           SELECT epoch = $2 AS current,
             EXISTS (SELECT 1 FROM inbox WHERE group_id = $1 AND epoch = $2) AS waits,
             (SELECT max(node_index) FROM group_nodes
              WHERE group_id = $1 AND ${HOLDS("$2")}) AS last
           FROM groups WHERE group_id = $1) AS held
         LEFT JOIN (
           SELECT node_index, node,
             row_number() OVER (ORDER BY node_index) AS place,
             sum(octet_length(node)) OVER (ORDER BY node_index) AS size
           FROM (
             SELECT node_index, node FROM group_nodes
             WHERE group_id = $1 AND node_index >= $3 AND ${HOLDS("$2")}
             ORDER BY node_index LIMIT ${NODES_IN_A_PART}) AS following) AS part
         ON (current OR waits) AND (place = 1 OR size <= $4)
         ORDER BY node_index`,
        groupId,
        epoch,
        from,
        bytes,
      );
      const [held] = rows;
      if (held === undefined || !(held.current || held.waits)) return undefined;
      const nodes: StoredNode[] = [];
      for (const { node_index: nodeIndex, node } of rows) {
        if (nodeIndex !== null) nodes.push([nodeIndex, node]);
      }
      const read = nodes.at(-1)?.[0];
      const more = read !== undefined && held.last !== null && read < held.last;
      return { current: held.current, nodes, next: more ? read + 1 : undefined };
    },

    async leafOf(groupId, device) {
      const row = await db.one<{ leaf_index: number }>(
        "SELECT leaf_index FROM members WHERE device = $1 AND group_id = $2 AND until_seq IS NULL",
        device,
        groupId,
      );
      return row?.leaf_index;
    },

    async deviceOfLeaf(groupId, leafIndex) {
      const row = await db.one<{ device: number }>(
        "SELECT device FROM members WHERE group_id = $1 AND leaf_index = $2 AND until_seq IS NULL",
        groupId,
        leafIndex,
      );
      return row?.device;
    },

    async findEntry(groupId, device, hash) {
      const row = await db.one<{ seq: number; accepted_at: number }>(
        `SELECT seq, accepted_at FROM handshakes JOIN members USING (group_id)
         WHERE group_id = $1 AND device = $2 AND hash = $3 AND ${READABLE("seq")} LIMIT 1`,
        groupId,
        device,
        hash,
      );
      if (row === undefined) return undefined;
      await db.settle();
      return { seq: row.seq, acceptedAt: row.accepted_at };
    },

    async movedBy(groupId, seq) {
      const rows = await db.all<{ device: number; member: boolean }>(
        `SELECT device, until_seq IS NULL AS member FROM members
         WHERE group_id = $1 AND (from_seq = $2 AND until_seq IS NULL OR until_seq = $2 AND NOT EXISTS (
           SELECT 1 FROM members AS again WHERE again.group_id = members.group_id
           AND again.device = members.device AND again.until_seq IS NULL))`,
        groupId,
        seq,
      );
      const devices = (member: boolean): readonly number[] =>
        rows.filter((row) => row.member === member).map(({ device }) => device);
      return { joined: devices(true), left: devices(false) };
    },

    async winner(groupId, epoch) {
      return db.one<{ seq: number; hash: Bytes }>(
        "SELECT seq, hash FROM handshakes WHERE group_id = $1 AND epoch = $2 AND kind = 'commit'",
        groupId,
        epoch,
      );
    },

    async appendCommit(commit) {
      return db.transaction(async (tx): Promise<Accepted | "moved"> => {
        const held = await lock(tx, commit.groupId);
        if (held === undefined || held.version !== commit.version) return "moved";
        if (BigInt(held.epoch) !== commit.epoch) return "moved";
        const accepted = await takePlace(tx, held, "commit", { ...commit, at: commit.acceptedAt });
        if (accepted.acceptedAt > commit.acceptedAt) throw new Undo("moved");
        await useLink(tx, commit);
        await endEpoch(tx, commit, accepted.seq);
        await beginEpoch(tx, commit);
        await letIn(tx, commit, accepted.seq);
        return accepted;
      });
    },

    async appendProposal(proposal) {
      const { groupId, device, version, limit } = proposal;
      return db.transaction(async (tx) => {
        const held = await lock(tx, groupId);
        if (held === undefined || held.version !== version) return "moved";
        if (BigInt(held.epoch) !== proposal.epoch) return "moved";
        const seen = await tx.one<{ member: boolean; waiting: number }>(
          `SELECT EXISTS (
             SELECT 1 FROM members WHERE group_id = $1 AND device = $2 AND until_seq IS NULL
           ) AS member, (
             SELECT count(*) FROM handshakes
             WHERE group_id = $1 AND epoch = $3 AND kind = 'proposal'
           ) AS waiting`,
          groupId,
          device,
          held.epoch,
        );
        if (seen?.member !== true) return "not-member";
        if (seen.waiting >= limit) return "full";
        const accepted = await takePlace(tx, held, "proposal", { ...proposal, at: proposal.now });
        await tx.all(
          `WITH given_up AS (
             UPDATE members SET given_up = true
             WHERE group_id = $1 AND device = $8 AND until_seq IS NULL
           ), moved AS (
             UPDATE groups SET version = $7, head = $2, accepted_at = $3
             WHERE group_id = $1
           ), followed AS (
             UPDATE group_states SET state = $4 WHERE group_id = $1
           )
           INSERT INTO handshakes (group_id, epoch, seq, kind, hash, accepted_at)
           VALUES ($1, $5, $2, 'proposal', $6, $3)`,
          groupId,
          accepted.seq,
          accepted.acceptedAt,
          proposal.state,
          held.epoch,
          proposal.hash,
          proposal.nextVersion,
          device,
        );
        return accepted;
      });
    },

    appendApplication: (message) => appender.append(message),

    async log(groupId, device, { after, limit, bytes }) {
      type Row = Omit<EntryRow, "seq"> & {
        readonly last: number | null;
        readonly next: number | null;
        readonly kept_from: number;
        readonly seq: number | null;
      };
      const rows = await db.all<Row>(
        `SELECT last, next, kept_from, page.* FROM (
           SELECT max(coalesce(until_seq, head)) AS last, max(kept_from) AS kept_from,
             min(CASE WHEN coalesce(until_seq, head) > $3 THEN greatest(from_seq, $3 + 1) END) AS next
           FROM members JOIN group_ends USING (group_id)
           WHERE device = $2 AND group_id = $1) AS reach
         LEFT JOIN (
           SELECT seq, epoch, kind, message, accepted_at,
             row_number() OVER (ORDER BY seq) AS place,
             sum(octet_length(message)) OVER (ORDER BY seq) AS size
           FROM log WHERE group_number = ${NUMBER_OF("$1")} AND seq > $3 AND EXISTS (
             SELECT 1 FROM members WHERE group_id = $1 AND device = $2 AND ${READABLE("log.seq")})
           ORDER BY seq LIMIT $4) AS page
         ON next >= kept_from AND (place = 1 OR size <= $5) ORDER BY seq`,
        groupId,
        device,
        after,
        limit,
        bytes,
      );
      const head = rows[0]?.last ?? undefined;
      if (head === undefined) return undefined;
      const { next, kept_from: keptFrom = 1 } = rows[0] ?? {};
      if (typeof next === "number" && next < keptFrom) {
        // Who was removed learns nothing of what came later.
        return { entries: [], head, keptFrom: Math.min(keptFrom, head + 1) };
      }
      const entries: LogEntry[] = [];
      for (const { seq, ...row } of rows) if (seq !== null) entries.push(toEntry({ ...row, seq }));
      return { entries, head };
    },

    async groupsOf(device, { after, limit }) {
      const rows = await db.all<{
        group_id: Bytes;
        head: number;
        epoch: number;
        member: boolean;
      }>(
        // A past member is told the epoch that its removal ended, nothing later.
        `SELECT group_id, max(coalesce(until_seq, head)) AS head, bool_or(until_seq IS NULL) AS member,
           max(CASE WHEN until_seq IS NULL THEN groups.epoch ELSE (
             SELECT log.epoch FROM log WHERE group_number = groups.number AND seq = until_seq
           ) END) AS epoch
         FROM members JOIN group_ends AS groups USING (group_id)
         WHERE device = $1 AND group_id > $2 AND version <> ${GONE}
         GROUP BY group_id ORDER BY group_id LIMIT $3`,
        device,
        after ?? new Uint8Array(0),
        limit,
      );
      return rows.map((row) => ({
        groupId: row.group_id,
        head: row.head,
        epoch: BigInt(row.epoch),
        member: row.member,
      }));
    },

    async currentGroupsOf(device, limit) {
      const rows = await db.all<{ group_id: Bytes; head: number; epoch: number }>(
        `SELECT group_id, head, epoch FROM members JOIN group_ends USING (group_id)
         WHERE device = $1 AND until_seq IS NULL ORDER BY given_up LIMIT $2`,
        device,
        limit,
      );
      return rows.map(({ group_id: groupId, head, epoch }) => ({
        groupId,
        head,
        epoch: BigInt(epoch),
      }));
    },

    async giveUpGroup(groupId, device) {
      const known = await db.one(
        `WITH given_up AS (
           UPDATE members SET given_up = true
           WHERE device = $1 AND group_id = $2 AND until_seq IS NULL
         )
         SELECT 1 FROM members WHERE device = $1 AND group_id = $2`,
        device,
        groupId,
      );
      return known !== undefined;
    },

    async link(linkId, now) {
      const row = await db.one<{
        readonly group_id: Bytes;
        readonly epoch: number;
        readonly accepted_at: number;
        readonly expires_at: number;
        readonly uses_left: number;
        readonly sealed_group_info: Bytes | null;
      }>(
        `SELECT group_id, epoch, accepted_at, expires_at, max_uses - uses AS uses_left,
           sealed_group_info
         FROM links JOIN group_ends USING (group_id) WHERE link_id = $1`,
        linkId,
      );
      if (row === undefined) return undefined;
      const { sealed_group_info: sealedGroupInfo, uses_left: usesLeft } = row;
      const at = Math.max(now, row.accepted_at);
      // Of a closed link the column is NULL.
      if (sealedGroupInfo === null || usesLeft <= 0) return "closed";
      if (row.expires_at * 1000 <= at) return "closed";
      return {
        groupId: row.group_id,
        epoch: BigInt(row.epoch),
        sealedGroupInfo,
        usesLeft,
      };
    },

    async newest(groupId, { after, limit, bytes }) {
      const rows = await db.all<EntryRow>(
        `SELECT seq, epoch, kind, message, accepted_at FROM (
           SELECT seq, epoch, kind, message, accepted_at,
             sum(octet_length(message)) OVER (ORDER BY seq) AS size
           FROM log WHERE group_number = ${NUMBER_OF("$1")} AND seq > $2
             AND seq >= (SELECT kept_from FROM groups WHERE group_id = $1)
           ORDER BY seq LIMIT $3) AS page
         WHERE size <= $4 ORDER BY seq`,
        groupId,
        after,
        limit,
        bytes,
      );
      return rows.map(toEntry);
    },

    async membersAmong(groupId, devices) {
      const rows = await db.all<{
        readonly epoch: number;
        readonly device: number | null;
        readonly from_seq: number;
      }>(
        `SELECT epoch, device, from_seq FROM groups LEFT JOIN (
           SELECT group_id, device, from_seq FROM members
           WHERE device = ANY($2::bigint[]) AND group_id = $1 AND until_seq IS NULL) AS stays
         USING (group_id) WHERE group_id = $1`,
        groupId,
        devices,
      );
      const [first] = rows;
      if (first === undefined) return undefined;
      const fromSeq = new Map<number, number>();
      for (const row of rows) if (row.device !== null) fromSeq.set(row.device, row.from_seq);
      return { epoch: BigInt(first.epoch), fromSeq };
    },

    waiting: () => appender.waiting(),
    close: () => appender.close(),
  };
}
