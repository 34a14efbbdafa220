/**
 * What a store remembers of logs: the places of an epoch's newest messages, and devices that are members. It is for groups that were
 * asked for lately, as many as there is memory for.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { BytesMap } from "../bytes.ts";
import type { Accepted } from "../protocol/index.ts";
import { Places } from "./places.ts";
import { REMEMBERED } from "./store.ts";

/** What a group weighs by itself, counted in places. */
const ITSELF = 10;

/** The places of an epoch's application messages: of the newest `REMEMBERED` at least, and of no more than some twice as many. */
export class NewestPlaces {
  #newer = new Places();
  #older = new Places();

  get size(): number {
    return this.#newer.size + this.#older.size;
  }

  /** What all of it takes, as `Places` counts. */
  get weight(): number {
    return this.#newer.weight + this.#older.weight;
  }

  get(hash: Bytes): Accepted | undefined {
    return this.#newer.get(hash) ?? this.#older.get(hash);
  }

  /** Takes it in, unless it is there: then that is the answer. */
  add(hash: Bytes, place: Accepted): Accepted | undefined {
    return this.#older.get(hash) ?? this.#newer.add(hash, place);
  }

  /** Forgets those that were added last, since it was bounded at the latest. */
  undo(count: number): void {
    this.#newer.shrink(this.#newer.size - count);
  }

  /** Lets the older go where the newer are enough. */
  bound(): void {
    if (this.#newer.size < REMEMBERED) return;
    [this.#newer, this.#older] = [this.#older, this.#newer];
    this.#newer.clear();
  }
}

export interface RememberedLog {
  /** The devices that were asked for, and are members. */
  readonly members: Set<number>;
  readonly places: NewestPlaces;
  /** What it weighed when that was last counted: 0 before. */
  weight: number;
}

/** Logs by their groups. */
export class RememberedLogs<Log extends RememberedLog> {
  readonly #limit: number;
  /** Those that were asked for lately, and those that were before them. */
  #recent = new BytesMap<Log>();
  #earlier = new BytesMap<Log>();
  /** Of the recent ones. */
  #weight = 0;

  /** `limit`: for how many places and members there is memory, and as many again: some 60 bytes each. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(groupId: Bytes): Log | undefined {
    const recent = this.#recent.get(groupId);
    if (recent !== undefined) return recent;
    const log = this.#earlier.get(groupId);
    if (log === undefined) return undefined;
    this.#earlier.delete(groupId);
    log.weight = 0;
    this.set(groupId, log);
    return log;
  }

  /** Of a group that it doesn't have. */
  set(groupId: Bytes, log: Log): void {
    this.#recent.set(groupId, log);
    this.weigh(log);
  }

  /** After that one was changed. */
  weigh(log: Log): void {
    const weight = ITSELF + log.members.size + log.places.weight;
    this.#weight += weight - log.weight;
    log.weight = weight;
  }

  forget(groupId: Bytes): void {
    this.#earlier.delete(groupId);
    const log = this.#recent.get(groupId);
    if (log === undefined) return;
    this.#recent.delete(groupId);
    this.#weight -= log.weight;
  }

  forgetAll(): void {
    this.#recent = new BytesMap();
    this.#earlier = new BytesMap();
    this.#weight = 0;
  }

  /** Where there are too many: lets those go that nobody asked for since there were too many last. */
  bound(): void {
    if (this.#weight <= this.#limit) return;
    this.#earlier = this.#recent;
    this.#recent = new BytesMap();
    this.#weight = 0;
  }
}
