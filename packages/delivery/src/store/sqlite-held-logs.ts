/**
 * What messages are judged by, held in memory for the groups that have some now: the group's epoch, where its log ends, who is known
 * to be a member, and which messages have their place already. With it a message is one INSERT.
 *
 * What is held is what the rows say. The database itself tells which group's rows were changed, by triggers; and nothing is held past
 * a change by another connection, or past anything that was undone (`Database.era`).
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { keyOf } from "../bytes.ts";
import type { Accepted } from "../protocol/index.ts";
import { Places } from "./places.ts";
import type { Database } from "./sqlite-database.ts";
import { endOf, groupRow, type LogEnd, leafOf, NEWEST_OF_EPOCH, spanOf } from "./sqlite-log.ts";
import { REMEMBERED } from "./store.ts";

/** For how many places and members there is memory for groups that were asked for lately, and as many for those before: some 60 bytes each. */
const HELD = 400_000;
/** What a group takes of that by itself. */
const ITSELF = 10;

export interface HeldLog extends LogEnd {
  readonly epoch: bigint;
  last: Accepted;
  /** The devices that were asked for, and are members. */
  readonly members: Set<number>;
  /** The places of the epoch's application messages: of the newest `REMEMBERED` at least. */
  newer: Places;
  older: Places;
}

const GROUP_OF_ROW = "(SELECT group_id FROM groups WHERE number = OLD.group_number)";

/**
 * Whatever of a group a message is judged by, but that it has a message more. With each commit and proposal, which take places in the
 * log too, the group has another version.
 */
const TRIGGERS = [
  [
    "groups_change",
    "UPDATE OF epoch, version, head, accepted_at, number ON main.groups",
    "NEW.group_id",
  ],
  ["members_change", "UPDATE OF device, until_seq ON main.members", "NEW.group_id"],
  ["members_go", "DELETE ON main.members", "OLD.group_id"],
  ["log_goes", "DELETE ON main.log", GROUP_OF_ROW],
  ["spans_go", "DELETE ON main.spans", GROUP_OF_ROW],
] as const;

export class HeldLogs {
  readonly #db: Database;
  readonly #limit: number;
  /** Those that were asked for lately, and those that were before them. */
  #recent = new Map<string, HeldLog>();
  #earlier = new Map<string, HeldLog>();
  /** Of the recent ones, as `HELD` counts. */
  #weight = 0;
  #era: object | undefined;

  constructor(db: Database, limit: number = HELD) {
    this.#db = db;
    this.#limit = limit;
    db.define("forget_log", (groupId) => {
      if (groupId instanceof Uint8Array) this.#forget(keyOf(groupId));
    });
    for (const [name, when, groupId] of TRIGGERS) {
      db.run(`CREATE TEMP TRIGGER ${name} AFTER ${when} BEGIN SELECT forget_log(${groupId}); END`);
    }
  }

  /** Once in each transaction, before it asks. */
  begin(): void {
    const era = this.#db.era();
    const isOther = era !== this.#era;
    this.#era = era;
    if (!isOther && this.#weight <= this.#limit) return;
    this.#earlier = isOther ? new Map() : this.#recent;
    this.#recent = new Map();
    this.#weight = 0;
  }

  get(groupId: Bytes): HeldLog | undefined {
    const key = keyOf(groupId);
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const log = this.#earlier.get(key) ?? this.#load(groupId);
    if (log === undefined) return undefined;
    this.#earlier.delete(key);
    this.#recent.set(key, log);
    this.#weight += weightOf(log);
    return log;
  }

  isMember(groupId: Bytes, log: HeldLog, device: number): boolean {
    if (log.members.has(device)) return true;
    if (leafOf(this.#db, groupId, device) === undefined) return false;
    log.members.add(device);
    this.#weight++;
    return true;
  }

  /** Where the log has a message already, by its hash. */
  placeOf({ newer, older }: HeldLog, hash: Bytes): Accepted | undefined {
    return newer.get(hash) ?? older.get(hash);
  }

  /** The next message of the log, which is written before the transaction ends. */
  add(log: HeldLog, hash: Bytes, place: Accepted): void {
    const before = weightOf(log);
    if (log.newer.size === REMEMBERED) {
      log.older = log.newer;
      log.newer = new Places();
    }
    log.newer.add(hash, place);
    log.last = place;
    this.#weight += weightOf(log) - before;
  }

  #load(groupId: Bytes): HeldLog | undefined {
    const row = groupRow(this.#db, groupId);
    if (row === undefined) return undefined;
    const { number, head: seq, accepted_at: acceptedAt } = row;
    const epoch = BigInt(row.epoch);
    const newest = this.#db.all<{ seq: number; accepted_at: number; hash: Bytes }>(
      NEWEST_OF_EPOCH,
      number,
      endOf(this.#db, number, epoch - 1n),
      seq,
    );
    const older = new Places();
    for (const one of newest) older.add(one.hash, { seq: one.seq, acceptedAt: one.accepted_at });
    return {
      number,
      span: spanOf(this.#db, number),
      epoch,
      last: { seq, acceptedAt },
      members: new Set(),
      newer: new Places(),
      older,
    };
  }

  #forget(key: string): void {
    this.#earlier.delete(key);
    const log = this.#recent.get(key);
    if (log === undefined) return;
    this.#recent.delete(key);
    this.#weight -= weightOf(log);
  }
}

function weightOf({ members, newer, older }: HeldLog): number {
  return ITSELF + members.size + newer.weight + older.weight;
}
