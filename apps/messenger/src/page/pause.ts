/**
 * What couldn't be loaded is tried again: the server may just be starting anew.
 * @module
 */

/** Milliseconds to wait before the next try: each time twice as long as the last, up to half a minute. */
export function pauseAfter(last: number = 500): number {
  return Math.min(2 * last, 30_000);
}
