/**
 * How a writer speaks to the service: to any of its processes, again and again with the same bytes, until one answers.
 * @module
 */

import { type Answer, call } from "../world.ts";
import { pause } from "./deployment.ts";
import { count, type Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";

/** What a process that is being killed leaves behind is an attempt without an answer; this long it may take to say so, in milliseconds. */
const PATIENCE = 10_000;
/** Between two attempts, in milliseconds. */
const BREATH = { shortest: 5, longest: 200 };
/** A service that says no more than this for so long, in milliseconds, has left somebody stuck. */
const DESPAIR = 120_000;

export type Ask = (
  method: string,
  path: string,
  options?: { readonly token?: string; readonly body?: unknown },
) => Promise<Answer>;

/** Rejects when there is no answer for too long. */
export function connect(urls: readonly string[], ledger: Ledger, random: Random): Ask {
  return async (method, path, options = {}) => {
    const started = Date.now();
    for (let breath = BREATH.shortest; ; breath = Math.min(breath * 2, BREATH.longest)) {
      const again = await attempt(random.of(urls), method, path, options);
      if (typeof again !== "string") return again;
      count(ledger.retries, again);
      if (Date.now() - started > DESPAIR) throw new Error(`${method} has no answer: ${again}`);
      await pause(breath);
    }
  };
}

/** An answer that settles the matter, or why there is none. */
async function attempt(
  url: string,
  method: string,
  path: string,
  options: NonNullable<Parameters<Ask>[2]>,
): Promise<Answer | string> {
  try {
    const answer = await call({ url }, method, path, {
      ...options,
      signal: AbortSignal.timeout(PATIENCE),
    });
    return answer.status >= 500 || answer.status === 429 ? answer.problem.code : answer;
  } catch (error) {
    if (error instanceof DOMException) return "timeout";
    if (error instanceof TypeError) return "no connection";
    throw error;
  }
}
