/**
 * What the options of the measurements have in common.
 * @module
 */

/** A whole number from 1 on, as an option says it. Throws `RangeError` for what is none. */
export function wholeNumber(text: string, name: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new RangeError(`--${name} takes a whole number`);
  return Number(text);
}
