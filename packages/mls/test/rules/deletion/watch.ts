/** What the watched source calls; each test keeps the checks that refused something in it. */

import { afterEach } from "vitest";

declare global {
  var fired: (key: string) => void;
  var watched: (key: string, check: () => unknown) => unknown;
  var arm: (key: string, neutral: boolean, value: unknown) => unknown;
}

declare module "vitest" {
  interface TaskMeta {
    fired?: readonly string[];
  }
}

const inThisTest = new Set<string>();
let total = 0;

globalThis.fired = (key) => {
  total++;
  inThisTest.add(key);
};

/** A check refuses by throwing, or by a report that something inside it makes. */
globalThis.watched = (key, check) => {
  const before = total;
  const note = (): void => {
    if (total !== before) inThisTest.add(key);
  };
  const thrown = (error: unknown): never => {
    globalThis.fired(key);
    throw error;
  };
  let result: unknown;
  try {
    result = check();
  } catch (error) {
    return thrown(error);
  }
  if (result instanceof Promise) {
    return result.then((value: unknown) => {
      note();
      return value;
    }, thrown);
  }
  note();
  return result;
};

/** An arm of a condition counts where it is not what its absence would be. */
globalThis.arm = (key, neutral, value) => {
  if (Boolean(value) !== neutral) globalThis.fired(key);
  return value;
};

afterEach(({ task }) => {
  task.meta.fired = [...inThisTest];
  inThisTest.clear();
});
