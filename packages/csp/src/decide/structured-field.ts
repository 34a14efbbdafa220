/**
 * As much of Structured Fields as `Integrity-Policy` needs.
 * RFC 9651 §4.2.
 * @module
 */

/**
 * A dictionary whose members are inner lists of tokens (§4.2.2, §4.2.1.2). A member that is something else
 * has nothing in it, a key that comes again wins. `null` where the text is none; parameters are read over.
 */
export function parseDictionaryOfInnerLists(text: string): Map<string, readonly string[]> | null {
  const members = new Map<string, readonly string[]>();
  const rest = new Cursor(withoutSpaces(text));
  while (!rest.done) {
    const key = rest.take(/[a-z*][a-z0-9_.*-]*/y);
    if (key === null) return null;
    const isTrue = rest.take(/=/y) === null;
    if (rest.at(/\(/y)) {
      const list = innerList(rest);
      if (isTrue || list === null) return null;
      members.set(key, list);
    } else {
      if (!isTrue && item(rest) === null) return null;
      members.set(key, []);
    }
    if (!parameters(rest)) return null;
    rest.take(/[ \t]+/y);
    if (rest.done) return members;
    if (rest.take(/,[ \t]*/y) === null || rest.done) return null;
  }
  return members;
}

/** By index: a pattern anchored at the end would be quadratic. */
function withoutSpaces(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text[start] === " ") start++;
  while (end > start && text[end - 1] === " ") end--;
  return text.slice(start, end);
}

function innerList(rest: Cursor): readonly string[] | null {
  if (rest.take(/\(/y) === null) return null;
  const items: string[] = [];
  for (;;) {
    rest.take(/ +/y);
    if (rest.take(/\)/y) !== null) return items;
    const value = item(rest);
    if (value === null || !parameters(rest)) return null;
    items.push(...value);
    if (!rest.at(/[ )]/y)) return null;
  }
}

/** A token; a string, number, boolean or byte sequence is read and given as none. */
function item(rest: Cursor): readonly string[] | null {
  const token = rest.take(/[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*/y);
  if (token !== null) return [token];
  const other = rest.take(
    /"(?:[ !#-[\]-~]|\\["\\])*"|-?[0-9]{1,15}(?:\.[0-9]{1,3})?|\?[01]|:[A-Za-z0-9+/=]*:/y,
  );
  return other === null ? null : [];
}

function parameters(rest: Cursor): boolean {
  while (rest.take(/; */y) !== null) {
    if (rest.take(/[a-z*][a-z0-9_.*-]*/y) === null) return false;
    if (rest.take(/=/y) !== null && item(rest) === null) return false;
  }
  return true;
}

/** A place in a text. Patterns are sticky: they match where the cursor stands. */
class Cursor {
  readonly #text: string;
  #index = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#index >= this.#text.length;
  }

  at(pattern: RegExp): boolean {
    pattern.lastIndex = this.#index;
    return pattern.test(this.#text);
  }

  take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#index;
    const found = pattern.exec(this.#text)?.[0] ?? null;
    this.#index += found?.length ?? 0;
    return found;
  }
}
