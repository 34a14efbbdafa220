/**
 * What may be said again and again, said now and then: at once, and what comes soon after is said in one at the end of the pause.
 * @module
 */

/** `pause`: milliseconds between two of one key. Whatever waits when the process ends is not said. */
export function createPacer<T>(
  pause: number,
  say: (what: T) => void,
): (key: string, what: T) => void {
  /** Those that were said within the pause, and whether they are to be said again. */
  const said = new Map<string, { again: T | undefined }>();

  function begin(key: string, what: T): void {
    const held: { again: T | undefined } = { again: undefined };
    said.set(key, held);
    say(what);
    setTimeout(() => {
      said.delete(key);
      if (held.again !== undefined) begin(key, held.again);
    }, pause).unref();
  }

  return (key, what) => {
    const held = said.get(key);
    if (held === undefined) begin(key, what);
    else held.again = what;
  };
}
