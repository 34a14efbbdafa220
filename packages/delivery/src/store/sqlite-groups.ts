/**
 * Groups in SQLite: their log, their tree, who is in them, their links.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Accepted } from "../protocol/index.ts";
import { sqliteAppender } from "./sqlite-append.ts";
import type { Database } from "./sqlite-database.ts";
import { HeldLogs } from "./sqlite-held-logs.ts";
import {
  atPlace,
  type EntryRow,
  entriesOf,
  findHandshake,
  fromSpan,
  type GroupRow,
  groupRow,
  IN_ORDER,
  insertEntries,
  leafOf,
  logEnd,
  READABLE,
  winnerOf,
} from "./sqlite-log.ts";
import {
  type AppendCommit,
  type AppendMessage,
  type Full,
  GONE,
  type GroupStore,
  PAST_EPOCHS,
  type StoredNode,
} from "./store.ts";
import { Undo } from "./undo.ts";

/** A message that is accepted now; time does not go back in a log. */
function acceptedNow(
  message: AppendMessage,
  held: GroupRow,
): AppendMessage & { readonly acceptedAt: number } {
  return { ...message, acceptedAt: Math.max(message.now, held.accepted_at) };
}

/** The tree of an epoch, in the order of indices. */
export function nodesAt(
  db: Database,
  groupId: Bytes,
  epoch: number | bigint,
): readonly StoredNode[] {
  return db
    .all<{ node_index: number; node: Bytes }>(
      `SELECT node_index, node FROM group_nodes
       WHERE group_id = ? AND from_epoch <= ? AND (to_epoch IS NULL OR to_epoch > ?)
       ORDER BY node_index`,
      groupId,
      epoch,
      epoch,
    )
    .map((row) => [row.node_index, row.node]);
}

export function sqliteGroups(db: Database, logs: HeldLogs = new HeldLogs(db)): GroupStore {
  /** Whether the device leaves with this entry of the log, and with it a place among its groups. */
  function freesPlace(groupId: Bytes, device: number, seq: number): boolean {
    const left = db.one(
      "SELECT 1 FROM members WHERE device = ? AND group_id = ? AND until_seq = ? AND given_up = 0",
      device,
      groupId,
      seq,
    );
    return left !== undefined;
  }

  /** How many groups it is in and did not give up. */
  function groupsNow(device: number): number {
    const row = db.one<{ n: number }>(
      "SELECT count(*) AS n FROM members WHERE device = ? AND given_up = 0 AND until_seq IS NULL",
      device,
    );
    return row?.n ?? 0;
  }

  function giveUp(groupId: Bytes, device: number): void {
    db.run(
      "UPDATE members SET given_up = 1 WHERE device = ? AND group_id = ? AND until_seq IS NULL",
      device,
      groupId,
    );
  }

  function insertNode(groupId: Bytes, nodeIndex: number, epoch: number, node: Bytes): void {
    db.run(
      "INSERT INTO group_nodes (group_id, node_index, from_epoch, node) VALUES (?, ?, ?, ?)",
      groupId,
      nodeIndex,
      epoch,
      node,
    );
  }

  function insertMember(groupId: Bytes, leafIndex: number, device: number, seq: number): void {
    db.run(
      "INSERT INTO members (group_id, leaf_index, device, from_seq) VALUES (?, ?, ?, ?)",
      groupId,
      leafIndex,
      device,
      seq,
    );
  }

  /** The next place in the log. */
  function append(
    kind: "commit" | "proposal",
    { number, head }: GroupRow,
    entry: Pick<AppendCommit, "epoch" | "hash" | "message" | "acceptedAt">,
  ): Accepted {
    const accepted = { seq: head + 1, acceptedAt: entry.acceptedAt };
    const log = logEnd(db, number);
    insertEntries(db, [{ log, kind, entry, place: accepted }]);
    return accepted;
  }

  /**
   * Nodes change owner epoch by epoch; those that were replaced stay for so many epochs, and while a Welcome leads to them.
   */
  function replaceNodes({ groupId, nodes }: AppendCommit, epoch: number): void {
    for (const { nodeIndex, node } of nodes) {
      db.run(
        `UPDATE group_nodes SET to_epoch = ?
         WHERE group_id = ? AND node_index = ? AND to_epoch IS NULL`,
        epoch,
        groupId,
        nodeIndex,
      );
      if (node !== undefined) insertNode(groupId, nodeIndex, epoch, node);
    }
    db.run(
      `DELETE FROM group_nodes WHERE group_id = ? AND to_epoch = ? AND NOT EXISTS (
         SELECT 1 FROM inbox WHERE inbox.group_id = group_nodes.group_id
         AND inbox.epoch >= from_epoch AND inbox.epoch < to_epoch)`,
      groupId,
      epoch - PAST_EPOCHS,
    );
  }

  /** Answers with those who enter and have no room for another group. */
  function replaceMembers(
    { groupId, removed, added, acceptedAt, linkUsed, groupLimit }: AppendCommit,
    seq: number,
  ): readonly number[] {
    const full: number[] = [];
    for (const leafIndex of removed) {
      db.run(
        `UPDATE members SET until_seq = ?
         WHERE group_id = ? AND leaf_index = ? AND until_seq IS NULL`,
        seq,
        groupId,
        leafIndex,
      );
      db.run("DELETE FROM reports WHERE group_id = ? AND leaf_index = ?", groupId, leafIndex);
    }
    for (const { leafIndex, device } of added) {
      const revoked = db.one(
        "SELECT 1 FROM devices WHERE device = ? AND revoked_at > 0 AND revoked_at * 1000 <= ?",
        device,
        acceptedAt,
      );
      if (revoked) throw new Undo("moved");
      if (groupsNow(device) >= groupLimit && !freesPlace(groupId, device, seq)) full.push(device);
      // By a link a device lets itself in: that lifts nothing.
      if (linkUsed === undefined) {
        db.run("DELETE FROM barred WHERE group_id = ? AND device = ?", groupId, device);
      }
      insertMember(groupId, leafIndex, device, seq);
    }
    return full;
  }

  function replaceLinks({ groupId, links }: AppendCommit): void {
    db.run("UPDATE links SET sealed_group_info = NULL WHERE group_id = ?", groupId);
    for (const { linkId, expiresAt, maxUses, sealedGroupInfo } of links) {
      const kept = db.run(
        `INSERT INTO links (link_id, group_id, expires_at, max_uses, sealed_group_info)
         VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (link_id) DO UPDATE SET expires_at = excluded.expires_at,
           max_uses = excluded.max_uses, sealed_group_info = excluded.sealed_group_info
         WHERE links.group_id = excluded.group_id`,
        linkId,
        groupId,
        expiresAt,
        maxUses,
        sealedGroupInfo,
      );
      if (kept === 0) throw new Undo("link-taken");
    }
  }

  function useLink(groupId: Bytes, linkId: Bytes, acceptedAt: number): void {
    const used = db.run(
      `UPDATE links SET uses = uses + 1 WHERE link_id = ? AND group_id = ?
       AND uses < max_uses AND expires_at > ? AND sealed_group_info IS NOT NULL`,
      linkId,
      groupId,
      Math.floor(acceptedAt / 1000),
    );
    if (used === 0) throw new Undo("link-closed");
  }

  /** Answers with those whose inboxes are full. */
  function deliverWelcome(
    groupId: Bytes,
    epoch: number,
    commitSeq: number,
    { message, devices, limit }: NonNullable<AppendCommit["welcome"]>,
  ): readonly number[] {
    const full: number[] = [];
    db.run(
      "INSERT INTO welcomes (group_id, epoch, commit_seq, welcome) VALUES (?, ?, ?, ?)",
      groupId,
      epoch,
      commitSeq,
      message,
    );
    for (const device of devices) {
      const waiting = db.one<{ n: number }>(
        "SELECT count(*) AS n FROM inbox WHERE device = ?",
        device,
      );
      if ((waiting?.n ?? 0) >= limit) full.push(device);
      db.run(
        `INSERT INTO inbox (device, seq, group_id, epoch)
         SELECT device, inbox_head + 1, ?, ? FROM devices WHERE device = ?`,
        groupId,
        epoch,
        device,
      );
      db.run("UPDATE devices SET inbox_head = inbox_head + 1 WHERE device = ?", device);
    }
    return full;
  }

  return {
    async createGroup({ groupId, device, leafIndex, state, groupInfo, nodes, now, ...how }) {
      return db.transaction(() => {
        const isNew = db.run(
          `INSERT INTO groups (group_id, epoch, version, head, accepted_at, number)
           VALUES (?, 0, ?, 0, ?, (SELECT ifnull(max(number), 0) + 1 FROM groups))
           ON CONFLICT (group_id) DO NOTHING`,
          groupId,
          how.version,
          now,
        );
        if (isNew === 0) {
          const same = db.one(
            `SELECT 1 FROM group_states JOIN members USING (group_id) JOIN groups USING (group_id)
             WHERE group_id = ? AND group_info = ? AND device = ? AND epoch = 0`,
            groupId,
            groupInfo,
            device,
          );
          return same ? "created" : "group-exists";
        }
        if (groupsNow(device) >= how.groupLimit) throw new Undo("full");
        db.run(
          "INSERT INTO group_states (group_id, state, group_info) VALUES (?, ?, ?)",
          groupId,
          state,
          groupInfo,
        );
        for (const [nodeIndex, node] of nodes) insertNode(groupId, nodeIndex, 0, node);
        insertMember(groupId, leafIndex, device, 1);
        return "created";
      });
    },

    async group(groupId, heldVersion) {
      return db.transaction(() => {
        const held = groupRow(db, groupId);
        if (held === undefined) return undefined;
        const epoch = BigInt(held.epoch);
        const { version, accepted_at: acceptedAt } = held;
        if (version === heldVersion) return { epoch, version, acceptedAt, parts: undefined };
        const state = db.one<{ state: Bytes }>(
          "SELECT state FROM group_states WHERE group_id = ?",
          groupId,
        )?.state;
        if (state === undefined) return undefined;
        return { epoch, version, acceptedAt, parts: { state, nodes: nodesAt(db, groupId, epoch) } };
      });
    },

    async treePart(groupId, epoch, { from, bytes }) {
      const held = groupRow(db, groupId);
      if (held === undefined) return undefined;
      const current = BigInt(held.epoch) === epoch;
      const waits =
        current || db.one("SELECT 1 FROM inbox WHERE group_id = ? AND epoch = ?", groupId, epoch);
      if (!waits) return undefined;
      const rows = db.each<{ node_index: number; node: Bytes }>(
        `SELECT node_index, node FROM group_nodes
         WHERE group_id = ? AND node_index >= ? AND from_epoch <= ?
           AND (to_epoch IS NULL OR to_epoch > ?)
         ORDER BY node_index`,
        groupId,
        from,
        epoch,
        epoch,
      );
      const nodes: StoredNode[] = [];
      let size = 0;
      for (const { node_index: nodeIndex, node } of rows) {
        size += node.length;
        if (nodes.length > 0 && size > bytes) return { current, nodes, next: nodeIndex };
        nodes.push([nodeIndex, node]);
      }
      return { current, nodes, next: undefined };
    },

    async leafOf(groupId, device) {
      return leafOf(db, groupId, device);
    },

    async deviceOfLeaf(groupId, leafIndex) {
      return db.one<{ device: number }>(
        "SELECT device FROM members WHERE group_id = ? AND leaf_index = ? AND until_seq IS NULL",
        groupId,
        leafIndex,
      )?.device;
    },

    async findEntry(groupId, device, hash) {
      return findHandshake(db, groupId, device, hash);
    },

    async movedBy(groupId, seq) {
      const rows = db.all<{ device: number; member: number }>(
        `SELECT device, until_seq IS NULL AS member FROM members
         WHERE group_id = ? AND (from_seq = ? AND until_seq IS NULL OR until_seq = ? AND NOT EXISTS (
           SELECT 1 FROM members AS again WHERE again.group_id = members.group_id
           AND again.device = members.device AND again.until_seq IS NULL))`,
        groupId,
        seq,
        seq,
      );
      const devices = (member: boolean): readonly number[] =>
        rows.filter((row) => (row.member === 1) === member).map(({ device }) => device);
      return { joined: devices(true), left: devices(false) };
    },

    async winner(groupId, epoch) {
      return winnerOf(db, groupId, epoch);
    },

    async appendCommit(commit) {
      const { groupId, welcome } = commit;
      return db.transaction((): Accepted | "moved" => {
        const held = groupRow(db, groupId);
        if (held === undefined || held.version !== commit.version) return "moved";
        if (BigInt(held.epoch) !== commit.epoch) return "moved";
        if (held.accepted_at > commit.acceptedAt) return "moved";
        if (commit.linkUsed !== undefined) useLink(groupId, commit.linkUsed, commit.acceptedAt);
        const accepted = append("commit", held, commit);
        const epoch = held.epoch + 1;
        db.run(
          "UPDATE groups SET epoch = ?, version = ? WHERE group_id = ?",
          epoch,
          commit.nextVersion,
          groupId,
        );
        db.run(
          `INSERT INTO past_states (group_id, epoch, state)
           SELECT group_id, ?, state FROM group_states WHERE group_id = ?`,
          held.epoch,
          groupId,
        );
        db.run(
          "DELETE FROM past_states WHERE group_id = ? AND epoch < ?",
          groupId,
          epoch - PAST_EPOCHS,
        );
        db.run(
          "UPDATE group_states SET state = ?, group_info = ? WHERE group_id = ?",
          commit.state,
          commit.groupInfo,
          groupId,
        );
        replaceNodes(commit, epoch);
        const full = new Set(replaceMembers(commit, accepted.seq));
        replaceLinks(commit);
        for (const device of welcome ? deliverWelcome(groupId, epoch, accepted.seq, welcome) : []) {
          full.add(device);
        }
        if (full.size > 0) throw new Undo({ full: [...full] } satisfies Full);
        return accepted;
      });
    },

    async appendProposal(proposal) {
      const { groupId, device, version, nextVersion, state, limit } = proposal;
      return db.transaction(() => {
        const held = groupRow(db, groupId);
        if (held === undefined || held.version !== version) return "moved";
        if (BigInt(held.epoch) !== proposal.epoch) return "moved";
        if (leafOf(db, groupId, device) === undefined) return "not-member";
        const waiting = db.one<{ n: number }>(
          "SELECT count(*) AS n FROM log WHERE group_number = ? AND epoch = ? AND kind = 2",
          held.number,
          held.epoch,
        );
        if ((waiting?.n ?? 0) >= limit) return "full";
        giveUp(groupId, device);
        db.run("UPDATE groups SET version = ? WHERE group_id = ?", nextVersion, groupId);
        db.run("UPDATE group_states SET state = ? WHERE group_id = ?", state, groupId);
        return append("proposal", held, acceptedNow(proposal, held));
      });
    },

    appendApplication: sqliteAppender(db, logs),

    async log(groupId, device, { after, limit, bytes }) {
      const last = db.one<{ head: number | null }>(
        `SELECT max(ifnull(until_seq, head)) AS head FROM members JOIN group_ends USING (group_id)
         WHERE device = ? AND group_id = ?`,
        device,
        groupId,
      );
      if (last === undefined || last.head === null) return undefined;
      const next = db.one<{ seq: number | null; kept_from: number }>(
        `SELECT min(max(from_seq, ? + 1)) AS seq, kept_from FROM members JOIN group_ends USING (group_id)
         WHERE device = ? AND group_id = ? AND ifnull(until_seq, head) > ?`,
        after,
        device,
        groupId,
        after,
      );
      if (next !== undefined && next.seq !== null && next.seq < next.kept_from) {
        // Who was removed learns nothing of what came later.
        const keptFrom = Math.min(next.kept_from, last.head + 1);
        return { entries: [], head: last.head, keptFrom };
      }
      const rows = db.each<EntryRow>(
        `SELECT seq, log.epoch, kind, message, log.accepted_at
         FROM groups CROSS JOIN entries AS log ON group_number = number
         WHERE group_id = ?1 AND seq > ?2 AND ${fromSpan("number", "?2")} AND ${READABLE}
         ORDER BY ${IN_ORDER} LIMIT ?`,
        groupId,
        after,
        device,
        groupId,
        limit,
      );
      return { entries: entriesOf(rows, bytes, 1), head: last.head };
    },

    async groupsOf(device, { after, limit }) {
      const rows = db.all<{ group_id: Bytes; head: number; epoch: number; member: number }>(
        // A past member is told the epoch that its removal ended, nothing later.
        `SELECT group_id, max(ifnull(until_seq, head)) AS head, max(until_seq IS NULL) AS member,
           max(CASE WHEN until_seq IS NULL THEN groups.epoch ELSE (
             SELECT entries.epoch FROM entries
             WHERE group_number = number AND ${atPlace("number", "until_seq")}
           ) END) AS epoch
         FROM members JOIN group_ends AS groups USING (group_id)
         WHERE device = ? AND group_id > ? AND version <> ${GONE}
         GROUP BY group_id ORDER BY group_id LIMIT ?`,
        device,
        after ?? new Uint8Array(0),
        limit,
      );
      return rows.map((row) => ({
        groupId: row.group_id,
        head: row.head,
        epoch: BigInt(row.epoch),
        member: row.member === 1,
      }));
    },

    async currentGroupsOf(device, limit) {
      return db
        .all<{ group_id: Bytes; head: number; epoch: number }>(
          `SELECT group_id, head, epoch FROM members JOIN group_ends USING (group_id)
           WHERE device = ? AND until_seq IS NULL ORDER BY given_up LIMIT ?`,
          device,
          limit,
        )
        .map(({ group_id: groupId, head, epoch }) => ({ groupId, head, epoch: BigInt(epoch) }));
    },

    async giveUpGroup(groupId, device) {
      return db.transaction(() => {
        giveUp(groupId, device);
        const known = db.one(
          "SELECT 1 FROM members WHERE device = ? AND group_id = ?",
          device,
          groupId,
        );
        return known !== undefined;
      });
    },

    async link(linkId, now) {
      return db.transaction(() => {
        const row = db.one<{
          readonly group_id: Bytes;
          readonly epoch: number;
          readonly accepted_at: number;
          readonly expires_at: number;
          readonly max_uses: number;
          readonly uses: number;
          readonly sealed_group_info: Bytes | null;
        }>(
          `SELECT group_id, epoch, accepted_at, expires_at, max_uses, uses, sealed_group_info
           FROM links JOIN group_ends USING (group_id) WHERE link_id = ?`,
          linkId,
        );
        if (row === undefined) return undefined;
        const { group_id: groupId, sealed_group_info: sealedGroupInfo } = row;
        const usesLeft = row.max_uses - row.uses;
        const at = Math.max(now, row.accepted_at);
        if (sealedGroupInfo === null || usesLeft <= 0 || row.expires_at * 1000 <= at) {
          return "closed";
        }
        return { groupId, epoch: BigInt(row.epoch), sealedGroupInfo, usesLeft };
      });
    },

    async newest(groupId, { after, limit, bytes }) {
      const rows = db.each<EntryRow>(
        `SELECT seq, log.epoch, kind, message, log.accepted_at
         FROM groups CROSS JOIN entries AS log ON group_number = number
         WHERE group_id = ?1 AND seq > ?2 AND seq >= kept_from AND ${fromSpan("number", "?2")}
         ORDER BY ${IN_ORDER} LIMIT ?3`,
        groupId,
        after,
        limit,
      );
      return entriesOf(rows, bytes, 0);
    },

    async membersAmong(groupId, devices) {
      // Nothing is awaited in between, so both are of one moment.
      const held = groupRow(db, groupId);
      if (held === undefined) return undefined;
      const rows = db.all<{ device: number; from_seq: number }>(
        `SELECT device, from_seq FROM json_each(?) CROSS JOIN members ON device = json_each.value
         WHERE group_id = ? AND until_seq IS NULL`,
        JSON.stringify(devices),
        groupId,
      );
      const fromSeq = new Map(rows.map((row) => [row.device, row.from_seq]));
      return { epoch: BigInt(held.epoch), fromSeq };
    },
  };
}
