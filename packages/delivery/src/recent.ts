/**
 * A map of bounded size: what was set longest ago goes first, but never the newest.
 * @module
 */

export interface Recent<V> {
  readonly get: (key: string) => V | undefined;
  readonly set: (key: string, value: V) => void;
  readonly size: () => number;
}

/** `limit`: of all values together, by what each weighs; one unless told otherwise. */
export function createRecent<V>(limit: number, weigh: (value: V) => number = () => 1): Recent<V> {
  // A Map keeps the order in which keys were put in.
  const values = new Map<string, V>();
  let weight = 0;

  function remove(key: string): void {
    const value = values.get(key);
    if (value !== undefined && values.delete(key)) weight -= weigh(value);
  }

  return {
    get: (key) => values.get(key),
    set(key, value) {
      remove(key);
      values.set(key, value);
      weight += weigh(value);
      for (const oldest of values.keys()) {
        if (weight <= limit || oldest === key) break;
        remove(oldest);
      }
    },
    size: () => values.size,
  };
}
