/**
 * The ends of logs, kept in memory once for all sockets that are told of them: an entry is encoded when it comes, a frame when the first
 * socket is to get it. What was accepted in this process is put in; the rest is read from the store, once for all.
 * @module
 */

import type { Limits } from "./limits.ts";
import { bytesFromText, type LogEntry, toJson } from "./protocol/index.ts";
import { createRecent } from "./recent.ts";
import type { Store } from "./store/store.ts";

/** How far behind its head a log is read at most, in entries. */
const READ = 64;
/** What an entry takes in memory beside its text, in bytes, and the end of a log without any. */
const ENTRY_WEIGHT = 128;
const TAIL_WEIGHT = 256;
/** Frames that were made last. */
const FRAMES = 64;

interface Encoded {
  readonly text: string;
  readonly epoch: bigint;
}

/** Without gaps, the last of them at `end`. */
interface Tail {
  readonly end: number;
  readonly entries: readonly Encoded[];
  readonly weight: number;
}

/** Entries in a frame that says the log has grown to the last of them. */
export interface Run {
  readonly last: number;
  /** That the last of them is of: the others are of no later one. */
  readonly epoch: bigint;
  readonly frame: Buffer;
}

/** Groups are named by the text form of their ids. */
export interface Tails {
  /** An entry that the log has. */
  readonly add: (group: string, entry: LogEntry) => void;
  /** How far it goes, and the epoch of the newest entry that can be carried; undefined where nothing is known of the log. */
  readonly end: (
    group: string,
  ) => { readonly seq: number; readonly epoch: bigint | undefined } | undefined;
  /** Another branch of the log may have taken the place of the one that was known. */
  readonly forget: () => void;
  /** Reads what is missing up to there, unless that is much. Rejects with `StoreUnavailable`. */
  readonly read: (group: string, head: number) => Promise<void>;
  /** What follows `after` up to `head`, as far as it fits in a frame; undefined where that is not at hand. */
  readonly run: (group: string, after: number, head: number) => Run | undefined;
}

export function createTails({
  store,
  limits,
}: {
  readonly store: Pick<Store, "newest">;
  readonly limits: Pick<Limits, "frameEntryBytes" | "tailBytes" | "tailFrames">;
}): Tails {
  const { frameEntryBytes } = limits;
  const bytes = frameEntryBytes * limits.tailFrames;
  const noTails = () => createRecent<Tail>(limits.tailBytes, ({ weight }) => TAIL_WEIGHT + weight);
  let tails = noTails();
  let frames = createRecent<Run>(FRAMES);

  /** From there on, without what was before. */
  function begin(group: string, end: number): void {
    tails.set(group, { end, entries: [], weight: 0 });
  }

  function add(group: string, entry: LogEntry): void {
    const tail = tails.get(group) ?? { end: entry.seq - 1, entries: [], weight: 0 };
    // What is missing in between has to be read first.
    if (entry.seq !== tail.end + 1) return;
    const text = toJson(entry);
    if (text.length > frameEntryBytes) return begin(group, entry.seq);
    const entries = [...tail.entries, { text, epoch: entry.epoch }];
    let weight = tail.weight + text.length + ENTRY_WEIGHT;
    let first = 0;
    for (; weight > bytes && first < entries.length - 1; first++) {
      weight -= (entries[first]?.text.length ?? 0) + ENTRY_WEIGHT;
    }
    tails.set(group, { end: entry.seq, entries: entries.slice(first), weight });
  }

  return {
    add,
    end(group) {
      const tail = tails.get(group);
      return tail && { seq: tail.end, epoch: tail.entries.at(-1)?.epoch };
    },
    forget() {
      tails = noTails();
      frames = createRecent(FRAMES);
    },
    async read(group, head) {
      const before = tails;
      const endOf = (): number => tails.get(group)?.end ?? -1;
      if (endOf() >= head) return;
      const from = endOf() < 0 ? head - 1 : endOf();
      const after = Math.max(from, head - READ);
      const groupId = bytesFromText(group);
      const read = await store.newest(groupId, { after, limit: READ, bytes });
      // Of which branch this is nobody knows.
      if (tails !== before) return;
      // Others may have been put in meanwhile.
      if (endOf() < after) begin(group, after);
      for (const entry of read) if (entry.seq > endOf()) add(group, entry);
      // What is too large, or was deleted.
      if (endOf() < head) begin(group, head);
    },
    run(group, after, head) {
      const key = `${group} ${after} ${head}`;
      const made = frames.get(key);
      if (made !== undefined) return made;
      const tail = tails.get(group);
      if (tail === undefined) return undefined;
      const { end, entries } = tail;
      const first = after + 1 - (end + 1 - entries.length);
      if (first < 0) return undefined;
      const texts: string[] = [];
      let size = 0;
      let epoch: bigint | undefined;
      for (const entry of entries.slice(first, entries.length - Math.max(0, end - head))) {
        size += entry.text.length + 1;
        if (texts.length > 0 && size > frameEntryBytes) break;
        texts.push(entry.text);
        ({ epoch } = entry);
      }
      if (epoch === undefined) return undefined;
      const last = after + texts.length;
      // All in it is ASCII.
      const text = `{"type":"group","groupId":"${group}","head":${last},"entries":[${texts.join()}]}`;
      const run = { last, epoch, frame: Buffer.from(text, "latin1") };
      frames.set(key, run);
      return run;
    },
  };
}
