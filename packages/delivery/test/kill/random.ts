/**
 * Choices out of a seed: which group, what to do, whom to kill and when. What the machine makes of them differs from run to run.
 * @module
 */

export interface Random {
  /** At least 0, below 1. */
  readonly next: () => number;
  /** A whole number at least `from`, below `to`. */
  readonly between: (from: number, to: number) => number;
  /** One of them, which are not none. */
  readonly of: <T>(choices: readonly T[]) => T;
}

/** Mulberry32. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }
  const between = (from: number, to: number) => from + Math.floor(next() * (to - from));
  return {
    next,
    between,
    of(choices) {
      const chosen = choices[between(0, choices.length)];
      if (chosen === undefined) throw new RangeError("there is nothing to choose from");
      return chosen;
    },
  };
}
