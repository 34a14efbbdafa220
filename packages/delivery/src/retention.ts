/**
 * What goes by itself: in portions, so that nobody waits long for the database; group by group, so that no statement
 * touches more than one. Several processes may sweep one store: what one deleted the other doesn't find.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Store } from "./store/store.ts";

export interface Retention {
  /** Messages older than that are deleted; none where it isn't given. */
  readonly days?: number | undefined;
  /** How many of its newest messages a group keeps; all where it isn't given. */
  readonly entries?: number | undefined;
}

const DAY = 24 * 60 * 60 * 1000;

/** How many of which were deleted. */
export type Swept = Readonly<Record<string, number>>;

/**
 * One sweep: what has expired, then messages past their time. `stopped` ends it after the portion under way.
 * Rejects where the store fails; what was deleted until then stays so.
 */
export async function sweep(
  store: Store,
  retention: Retention,
  options: {
    readonly now: () => number;
    readonly stopped?: () => boolean;
    /** Rows in one transaction. */
    readonly portion?: number;
    /** Groups whose ids are read at a time. */
    readonly groups?: number;
  },
): Promise<Swept> {
  const { now, stopped = () => false, portion = 500, groups = 200 } = options;
  const counts: Record<string, number> = {};
  const count = (kind: string, more: number): void => {
    counts[kind] = (counts[kind] ?? 0) + more;
  };

  for (let full = true; full && !stopped(); ) {
    full = false;
    for (const [kind, gone] of Object.entries(await store.sweep(now(), portion))) {
      count(kind, gone);
      full ||= gone === portion;
    }
  }

  const { days, entries: keep } = retention;
  if (days !== undefined || keep !== undefined) {
    count("messages", 0);
    const before = days === undefined ? undefined : now() - days * DAY;
    for (let after: Bytes | undefined, more = true; more && !stopped(); ) {
      const ids = await store.groupIds(after, groups);
      for (const groupId of ids) {
        for (let gone = portion; gone === portion && !stopped(); ) {
          gone = await store.trimLog(groupId, { before, keep, limit: portion });
          count("messages", gone);
        }
      }
      after = ids.at(-1);
      more = ids.length === groups;
    }
  }
  if (!stopped()) await store.note("swept", now());
  return counts;
}

export interface Sweeper {
  /** Resolves when the portion under way is done. */
  readonly stop: () => Promise<void>;
}

/** Sweeps now and then: `interval` milliseconds after the last sweep ended, the first soon. */
export function startSweeper(options: {
  readonly store: Store;
  /** What else is to be swept, such as blobs. */
  readonly also?: () => Promise<void>;
  readonly retention: Retention;
  readonly interval: number;
  readonly now: () => number;
  readonly onSwept: (counts: Swept) => void;
  readonly onError: (error: unknown) => void;
}): Sweeper {
  const { store, retention, interval, now } = options;
  let stopped = false;
  let under: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout;

  async function run(): Promise<void> {
    // Neither waits for the other, nor for its end.
    const parts = [
      options.also,
      async () => options.onSwept(await sweep(store, retention, { now, stopped: () => stopped })),
    ];
    await Promise.all(
      parts.map(async (part) => {
        try {
          await part?.();
        } catch (error) {
          options.onError(error);
        }
      }),
    );
    if (!stopped) wait(interval);
  }

  function wait(pause: number): void {
    timer = setTimeout(() => {
      under = run();
    }, pause);
    timer.unref();
  }

  // Of several processes that start together, not all sweep together.
  wait(interval * 0.1 * Math.random());
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await under;
    },
  };
}
