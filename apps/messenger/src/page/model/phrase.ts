/**
 * The recovery phrase as people write it down and type it in again.
 * @module
 */

/** What it has of words. */
export const PHRASE_LENGTH = 12;

/** The words alone: without the numbers, commas and capitals that come with a list of them. */
export function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/\p{L}+/gu) ?? [];
}

/** Which words to ask back, of so many: two places, counted from 0, in their order. `random` answers from 0 up to 1. */
export function placesToAsk(length: number, random: () => number): readonly [number, number] {
  const one = Math.floor(random() * length);
  // From what is left; so the two are never the same.
  const other = (one + 1 + Math.floor(random() * (length - 1))) % length;
  return one < other ? [one, other] : [other, one];
}
