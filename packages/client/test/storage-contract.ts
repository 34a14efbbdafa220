/**
 * What every `ClientStorage` must do; the same cases run against SQLite in Node and IndexedDB in Chromium.
 * A case throws where the store is wrong.
 */

import { ClientError, type ClientStorage } from "../src/index.ts";

export interface Subject {
  /** Another engine on the same profile. */
  readonly open: () => Promise<ClientStorage>;
}

const bytes = (...values: number[]) => Uint8Array.from(values);
const record = (key: string, ...values: number[]) => new Map([[key, bytes(...values)]]);

function same(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${a} instead of ${b}`);
}

const shown = (value: Uint8Array | undefined) => value && [...value];

export const CASES: Readonly<Record<string, (subject: Subject) => Promise<void>>> = {
  "what was applied is there after opening again": async ({ open }) => {
    const first = await open();
    await first.apply({ put: record("a", 1, 2) });
    await first.close();
    const again = await open();
    same(shown(await again.get("a")), [1, 2]);
    same(shown(await again.get("b")), undefined);
    await again.close();
  },
  "a batch deletes and puts; a key in both is put": async ({ open }) => {
    const store = await open();
    await store.apply({ put: new Map([...record("a", 1), ...record("b", 2)]) });
    await store.apply({ delete: ["a", "b", "never"], put: record("b", 3) });
    same(shown(await store.get("a")), undefined);
    same(shown(await store.get("b")), [3]);
    await store.close();
  },
  "list gives the records of a prefix in order, and no others": async ({ open }) => {
    const store = await open();
    const keys = ["p/b", "p/a", "p0", "p", "o/z", "p/a/1", "q/a"];
    await store.apply({ put: new Map(keys.map((key, i) => [key, bytes(i)])) });
    same([...(await store.list("p/")).keys()], ["p/a", "p/a/1", "p/b"]);
    await store.close();
  },
  "range gives the first or the last of a stretch": async ({ open }) => {
    const store = await open();
    const keys = ["m/1", "m/2", "m/3", "m/4"];
    await store.apply({ put: new Map(keys.map((key, i) => [key, bytes(i)])) });
    const ask = async (range: Parameters<ClientStorage["range"]>[0]) =>
      (await store.range(range)).map(([key]) => key);
    same(await ask({ from: "m/2", to: "m/4", limit: 9 }), ["m/2", "m/3"]);
    same(await ask({ from: "m/", to: "m0", limit: 2 }), ["m/1", "m/2"]);
    same(await ask({ from: "m/", to: "m/4", limit: 2, reverse: true }), ["m/3", "m/2"]);
    same(await ask({ from: "m/2", to: "m/2", limit: 9 }), []);
    same(await ask({ from: "m/3", to: "m/2", limit: 9 }), []);
    await store.close();
  },
  "an engine that was succeeded writes nothing": async ({ open }) => {
    const frozen = await open();
    await frozen.apply({ put: record("a", 1) });
    const successor = await open();
    await successor.apply({ put: record("a", 2) });
    let refused: unknown;
    await frozen.apply({ put: record("a", 3), delete: ["b"] }).catch((error: unknown) => {
      refused = error;
    });
    same(refused instanceof ClientError && refused.code, "fenced");
    same(shown(await successor.get("a")), [2]);
    await frozen.close();
    await successor.close();
  },
};
