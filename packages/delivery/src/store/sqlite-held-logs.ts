/**
 * What messages are judged by, held in memory for the groups that have some now: the group's epoch, where its log ends, who is known
 * to be a member, and which messages have their place already. With it a message is one INSERT.
 *
 * What is held is what the rows say. The database itself tells which group's rows were changed, by triggers; and nothing is held past
 * a change by another connection, or past anything that was undone (`Database.era`).
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Accepted } from "../protocol/index.ts";
import { NewestPlaces, type RememberedLog, RememberedLogs } from "./remembered-logs.ts";
import type { Database } from "./sqlite-database.ts";
import { endOf, groupRow, type LogEnd, leafOf, logEnd, NEWEST_OF_EPOCH } from "./sqlite-log.ts";

/** Places and members, and as many again. */
const HELD = 400_000;

export interface HeldLog extends LogEnd, RememberedLog {
  readonly epoch: bigint;
  last: Accepted;
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
  readonly #logs: RememberedLogs<HeldLog>;
  #era: object | undefined;

  constructor(db: Database, limit: number = HELD) {
    this.#db = db;
    this.#logs = new RememberedLogs(limit);
    db.define("forget_log", (groupId) => {
      if (groupId instanceof Uint8Array) this.#logs.forget(groupId);
    });
    for (const [name, when, groupId] of TRIGGERS) {
      db.run(`CREATE TEMP TRIGGER ${name} AFTER ${when} BEGIN SELECT forget_log(${groupId}); END`);
    }
  }

  /** Once in each transaction, before it asks. */
  begin(): void {
    const era = this.#db.era();
    if (era !== this.#era) this.#logs.forgetAll();
    this.#era = era;
    this.#logs.bound();
  }

  get(groupId: Bytes): HeldLog | undefined {
    const held = this.#logs.get(groupId);
    if (held !== undefined) return held;
    const log = this.#load(groupId);
    if (log !== undefined) this.#logs.set(groupId, log);
    return log;
  }

  isMember(groupId: Bytes, log: HeldLog, device: number): boolean {
    if (log.members.has(device)) return true;
    if (leafOf(this.#db, groupId, device) === undefined) return false;
    log.members.add(device);
    this.#logs.weigh(log);
    return true;
  }

  /** The next message of the log, which is written before the transaction ends; unless it is there: then its place. */
  add(log: HeldLog, hash: Bytes, place: Accepted): Accepted | undefined {
    const there = log.places.add(hash, place);
    if (there !== undefined) return there;
    log.places.bound();
    log.last = place;
    this.#logs.weigh(log);
    return undefined;
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
    const places = new NewestPlaces();
    for (const one of newest) places.add(one.hash, { seq: one.seq, acceptedAt: one.accepted_at });
    places.bound();
    return {
      ...logEnd(this.#db, number),
      epoch,
      last: { seq, acceptedAt },
      members: new Set(),
      places,
      weight: 0,
    };
  }
}
