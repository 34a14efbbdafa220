/**
 * A map of bounded size: what was set longest ago goes first.
 * @module
 */

export interface Recent<V> {
  readonly get: (key: string) => V | undefined;
  readonly set: (key: string, value: V) => void;
  readonly size: () => number;
}

export function createRecent<V>(limit: number): Recent<V> {
  // A Map keeps the order in which keys were put in.
  const values = new Map<string, V>();
  return {
    get: (key) => values.get(key),
    set(key, value) {
      values.delete(key);
      values.set(key, value);
      for (const oldest of values.keys()) {
        if (values.size <= limit) break;
        values.delete(oldest);
      }
    },
    size: () => values.size,
  };
}
