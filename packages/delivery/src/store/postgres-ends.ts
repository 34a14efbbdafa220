/**
 * Where the logs of groups end, as this process remembers: what a message is judged by without asking the database. It counts for
 * nothing unless the group's row still says the same, and nothing is in the log behind that end: which is asked as the log moves on.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type Database, Doubted, type Queries } from "./postgres-database.ts";
import { NewestPlaces, type RememberedLog, RememberedLogs } from "./remembered-logs.ts";
import { REMEMBERED } from "./store.ts";

/**
 * How many statements ask for the group's row once others have told that they lost while they held it. Those come again a round trip later:
 * whoever is nearer to the database must still ask by then, or would be first each time.
 */
const TOLD = 32;

/** Places and members, and as many again. */
const HELD = 1_000_000;

/** Whoever changes its epoch, or writes what is no message, leaves another version, and a version is never drawn twice. */
export interface End extends RememberedLog {
  /** Of the group, as the log has it. */
  readonly number: number;
  epoch: bigint;
  version: number;
  /** What the group's row has for an end: whoever writes beside others moves it on, so that these look. */
  base: number;
  head: number;
  acceptedAt: number;
  /** Whether others were found to write messages: then the log is looked at as it is written to. */
  isShared: boolean;
  /** How much other processes write to the log: 0 where that wasn't noticed, 1 where it is read before, more where it is locked too. */
  rivals: number;
}

/** A group that is read, and devices of which it is asked whether they are members. */
export interface Asked {
  readonly groupId: Bytes;
  readonly devices: ReadonlySet<number>;
}

/**
 * All of one moment. What is looked up in large tables is so by subqueries that can't be made joins: a join may be made by reading all
 * of a table.
 */
const READ = `SELECT place, number, epoch, version, base, head, accepted_at, newest, NULL AS device
  FROM unnest($1::bytea[], $2::bigint[], $3::bigint[])
    WITH ORDINALITY AS asked (group_id, known_epoch, known_head, place)
  CROSS JOIN LATERAL (
    SELECT group_ends.*, (SELECT head FROM groups WHERE groups.number = group_ends.number) AS base
    FROM group_ends WHERE group_ends.group_id = asked.group_id OFFSET 0) AS own
  CROSS JOIN LATERAL (
    SELECT string_agg(int8send(seq) || int8send(log.accepted_at) || hash, '') AS newest FROM (
      SELECT seq, log.accepted_at, hash FROM log
      WHERE log.group_number = own.number AND kind = 'application'
        AND seq > CASE WHEN own.epoch = known_epoch THEN known_head ELSE coalesce((
          SELECT seq FROM handshakes AS ended WHERE ended.group_id = own.group_id
          AND ended.epoch = own.epoch - 1 AND ended.kind = 'commit'), 0) END
      ORDER BY seq DESC LIMIT ${REMEMBERED}) AS log) AS places
  UNION ALL
  SELECT place, NULL, NULL, NULL, NULL, NULL, NULL, NULL, device
  FROM unnest($4::bigint[], $5::bytea[], $6::bigint[]) AS asked (place, group_id, device)
  WHERE (SELECT 1 FROM members WHERE members.group_id = asked.group_id
    AND members.device = asked.device AND until_seq IS NULL) IS NOT NULL`;

interface EndRow {
  /** Among those that were asked for, from 1 on. */
  readonly place: number;
  readonly device: null;
  readonly number: number;
  readonly epoch: number;
  readonly version: number;
  readonly base: number;
  readonly head: number;
  readonly accepted_at: number;
  /** Of each message, the newest first: its place, when it was accepted, and its hash. */
  readonly newest: Bytes | null;
}
type Row = EndRow | { readonly place: number; readonly device: number };

/** Where that is in the bytes of one message, and how many they are. */
const NEWEST = { seq: 0, acceptedAt: 8, hash: 16, size: 48 };

export class Ends {
  readonly #db: Database;
  readonly #logs: RememberedLogs<End>;
  #doubts = 0;

  constructor(db: Database, limit: number = HELD) {
    this.#db = db;
    this.#logs = new RememberedLogs(limit);
  }

  /** Before any is asked for. Nothing is remembered from when there was less reason to doubt: gives how much there is now. */
  begin(): number {
    const { doubts } = this.#db;
    if (doubts !== this.#doubts) this.#logs.forgetAll();
    this.#doubts = doubts;
    this.#logs.bound();
    return doubts;
  }

  get(groupId: Bytes): End | undefined {
    return this.#logs.get(groupId);
  }

  forget(groupId: Bytes): void {
    this.#logs.forget(groupId);
  }

  /** Changes what is remembered of a group, where that is still this: what was read since knows nothing of it. */
  change(groupId: Bytes, end: End, change: (end: End) => void): void {
    if (this.#logs.get(groupId) !== end) return;
    change(end);
    this.#logs.weigh(end);
  }

  /** Reads all of these anew. Throws `Doubted` where there is more reason to doubt than that. */
  async read(
    queries: Pick<Queries, "all">,
    doubts: number,
    asked: readonly Asked[],
  ): Promise<void> {
    const known = asked.map(({ groupId }) => this.get(groupId));
    const devices = asked.flatMap((one, i) =>
      Array.from(one.devices, (device) => ({ place: i + 1, groupId: one.groupId, device })),
    );
    const rows = await queries.all<Row>(
      READ,
      asked.map(({ groupId }) => groupId),
      known.map((end) => end?.epoch ?? null),
      known.map((end) => end?.head ?? null),
      devices.map(({ place }) => place),
      devices.map(({ groupId }) => groupId),
      devices.map(({ device }) => device),
    );
    if (this.#db.doubts !== doubts) throw new Doubted();
    for (const { groupId } of asked) this.forget(groupId);
    const found = new Map<number, End>();
    for (const row of rows) {
      if (row.device !== null) continue;
      const end = follow(known[row.place - 1], row);
      if (end !== undefined) found.set(row.place, end);
    }
    for (const { place, device } of rows) {
      if (device !== null) found.get(place)?.members.add(device);
    }
    for (const [place, end] of found) {
      const { groupId } = asked[place - 1] ?? {};
      if (groupId !== undefined) this.#logs.set(groupId, end);
    }
  }
}

/** What is remembered now; nothing where the log went back, since what was read is what follows then. */
function follow(known: End | undefined, row: EndRow): End | undefined {
  if (known !== undefined && row.head < known.head) return undefined;
  const epoch = BigInt(row.epoch);
  const isSame = known?.version === row.version && known.head === row.head;
  const isTold = known?.version === row.version && known.base !== row.base;
  const end: End = {
    number: row.number,
    epoch,
    version: row.version,
    base: row.base,
    head: row.head,
    acceptedAt: row.accepted_at,
    isShared: known?.isShared === true || (known?.version === row.version && !isSame),
    members: known?.version === row.version ? known.members : new Set(),
    places: known?.epoch === epoch ? known.places : new NewestPlaces(),
    rivals: isTold ? TOLD : Math.max(0, (known?.rivals ?? 0) - (isSame ? 1 : 0)),
    weight: 0,
  };
  const bytes = row.newest ?? new Uint8Array(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; at += NEWEST.size) {
    const hash = bytes.subarray(at + NEWEST.hash, at + NEWEST.size);
    const seq = Number(view.getBigInt64(at + NEWEST.seq));
    const acceptedAt = Number(view.getBigInt64(at + NEWEST.acceptedAt));
    end.places.add(hash, { seq, acceptedAt });
  }
  end.places.bound();
  return end;
}
