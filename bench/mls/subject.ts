/**
 * What is measured, and the steps of the measurement: the same for this package, for its floor and for its peers.
 * @module
 */

/** Milliseconds that a step took, and how much it made, in bytes. */
export interface Timed {
  readonly ms: number;
  /** Of processors, all together: what others do on the machine changes it less. */
  readonly cpuMs: number;
  readonly bytes?: number;
  /** Milliseconds in storage, beside those. */
  readonly storageMs?: number;
}

/**
 * One that takes part. Steps come in the order of this interface, each several times; what a step needs and is not part of it
 * (key packages, members who commit to fill the tree) is made outside of the time it gives.
 */
export interface Subject {
  readonly suite: number;
  /** What a reader of the figures has to know. */
  readonly note?: string;
  /** How many commits a group of 24 bears, where each costs it a member. */
  readonly mostCommits?: number;
  /** Key packages for a group of `n`, `joiners` of whom will come alive. */
  readonly setup: (n: number, joiners: number) => Promise<void>;
  /** A new group, and one commit that adds everybody else, applied by its maker. */
  readonly addAll: () => Promise<Timed>;
  /** One more of the added, from the last place on, enters by the Welcome with the tree beside it. */
  readonly join: () => Promise<Timed>;
  /** The founder makes a commit that only brings a new path. It stays open; a later one takes its place. */
  readonly commit: () => Promise<Timed>;
  /** One more of those who joined processes the last commit; with the last of them everybody else does. */
  readonly process: () => Promise<Timed>;
  /** Those at `places` enter as well, to commit later; before the first commit, and after all others joined. */
  readonly enlist: (places: readonly number[]) => Promise<void>;
  /** Each of the enlisted commits in turn, and all who are alive process that. */
  readonly populate: () => Promise<void>;
  /** The whole tree is populated at once: no parent above a member is blank; gives the number of committers. */
  readonly populateAll?: () => Promise<number>;
  /** The founder sends 100 bytes; one who joined receives them. Per message, over a few. */
  readonly send?: () => Promise<Timed>;
  readonly receive?: () => Promise<Timed>;
  /** Bytes that one more member's group takes in memory, where that can be told. */
  readonly memory?: () => Promise<number>;
  /** Seconds for what isn't a step and still should be sensible, by name. */
  readonly others?: () => Promise<Readonly<Record<string, Timed>>>;
}

/** Messages a time, for `send` and `receive`. */
export const MESSAGES = 100;
export const DATA: Uint8Array<ArrayBuffer> = new Uint8Array(100).fill(7);

/** How long `operation` takes. */
export async function timed<T>(
  operation: () => T | Promise<T>,
): Promise<{ ms: number; cpuMs: number; value: T }> {
  const before = process.cpuUsage();
  const started = performance.now();
  const value = await operation();
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(before);
  return { ms, cpuMs: (user + system) / 1000, value };
}

/** The time of one of `MESSAGES`. */
export function perMessage(all: Timed, bytes: number): Timed {
  const storageMs = (all.storageMs ?? 0) / MESSAGES;
  return { ms: all.ms / MESSAGES, cpuMs: all.cpuMs / MESSAGES, storageMs, bytes };
}

/** At most `count` even places after the founder's, spread evenly over n: with the founder, one in each subtree that big. */
export function spread(n: number, count: number): number[] {
  const pairs = Math.ceil(n / 2) - 1;
  const places = Math.min(count, pairs);
  return Array.from({ length: places }, (_, i) => 2 * (1 + Math.floor((i * pairs) / places)));
}
