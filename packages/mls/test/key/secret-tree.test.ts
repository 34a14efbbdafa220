/** §9: one key for one message, and what is deleted when. */

import { type Bytes, memoryStorage, type Storage } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Suite, suiteOf } from "../../src/crypto/suite.ts";
import { SecretTree, type TakenKey } from "../../src/key/secret-tree.ts";
import { ledgerOf } from "../ledger.ts";
import { hex } from "../people.ts";

const ROOT = new Uint8Array(32).fill(9);

function countingSuite(): { readonly suite: Suite; readonly count: () => number } {
  let calls = 0;
  const provider = {
    ...nodeCrypto,
    hmac: (...args: Parameters<typeof nodeCrypto.hmac>) => {
      calls++;
      return nodeCrypto.hmac(...args);
    },
  };
  return { suite: suiteOf(provider, 3), count: () => calls };
}

const suite = suiteOf(nodeCrypto, 3);

function tree(leafCount: number, by: Suite = suite): SecretTree {
  return SecretTree.create(by, leafCount, "t/", ROOT.slice());
}

async function use(taken: TakenKey, storage: Storage): Promise<string> {
  await storage.apply(taken.batch);
  const key = hex(taken.key) + hex(taken.nonce);
  taken.settle();
  return key;
}

describe("§9.1 a ratchet", () => {
  it("gives each generation one key, whatever the order", () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(
          Array.from({ length: 12 }, (_, i) => i),
          { minLength: 1 },
        ),
        fc.integer({ min: 0, max: 4 }),
        (order, leaf) => {
          const inOrder = tree(8);
          const expected = Array.from({ length: 12 }, () => {
            const taken = inOrder.next(leaf, "application");
            const key = hex(taken.key);
            taken.settle();
            return key;
          });
          const shuffled = tree(8);
          for (const generation of order) {
            const taken = shuffled.at(leaf, "application", generation);
            expect(hex(taken.key)).toBe(expected[generation]);
            taken.settle();
            expect(() => shuffled.at(leaf, "application", generation)).toThrow(
              expect.objectContaining({ code: "generation-used" }),
            );
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it("for handshakes is another than for applications, and each leaf has its own", () => {
    const keys = new Set<string>();
    const shared = tree(4);
    for (let leaf = 0; leaf < 4; leaf++) {
      for (const type of ["handshake", "application"] as const) {
        const taken = shared.next(leaf, type);
        keys.add(hex(taken.key));
        taken.settle();
      }
    }
    expect(keys.size).toBe(8);
  });

  it("refuses what is too far ahead at once, and goes on", () => {
    const { suite: counting, count } = countingSuite();
    const shared = tree(2, counting);
    shared.next(0, "application").settle();
    for (const generation of [1026, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1]) {
      const before = count();
      expect(() => shared.at(0, "application", generation)).toThrow(
        expect.objectContaining({ code: "generation-too-far" }),
      );
      expect(count() - before).toBe(0);
    }
    shared.at(0, "application", 1025).settle();
  });

  it("leaves nothing in memory of what it opened for a generation that it refuses", () => {
    const ledger = ledgerOf(nodeCrypto);
    const shared = tree(4, suiteOf(ledger.crypto, 3));
    expect(() => shared.at(0, "application", 5000)).toThrow(
      expect.objectContaining({ code: "generation-too-far" }),
    );
    expect(ledger.left(shared.records().put?.values() ?? [])).toEqual([]);
  });

  it("keeps a bounded number of keys that were passed over, and drops the oldest", () => {
    const shared = tree(1);
    for (const generation of [1024, 2049]) shared.at(0, "application", generation).settle();
    expect(shared.keys().filter((key) => key.includes("/k/"))).toHaveLength(1024);
    expect(() => shared.at(0, "application", 0)).toThrow(
      expect.objectContaining({ code: "generation-used" }),
    );
    expect(shared.at(0, "application", 2048).key).toHaveLength(32);
  });

  it("keeps to the window that the application gave", () => {
    const window = { forward: 20, kept: 3 };
    const shared = SecretTree.create(suite, 1, "t/", ROOT.slice(), { window });
    expect(() => shared.at(0, "application", 21)).toThrow(
      expect.objectContaining({ code: "generation-too-far" }),
    );
    for (const generation of [20, 22]) {
      shared.at(0, "application", generation).settle();
      expect(shared.keys().filter((key) => key.includes("/k/"))).toHaveLength(3);
    }
    for (const generation of [18, 19, 21]) shared.at(0, "application", generation).settle();
    expect(() => shared.at(0, "application", 17)).toThrow(
      expect.objectContaining({ code: "generation-used" }),
    );
  });

  it.each([2, 3, 4, -1, 0.5, 2 ** 32 - 1, Number.NaN])(
    "of leaf %d, which is not there, is refused",
    (leaf) => {
      expect(() => tree(2).next(leaf, "application")).toThrow(
        expect.objectContaining({ code: "unknown-sender" }),
      );
    },
  );

  it("gives a key back that was not used after all", () => {
    const shared = tree(4);
    const first = shared.next(1, "application");
    const key = hex(first.key);
    first.discard();
    expect(hex(first.key)).toBe("00".repeat(32));
    expect(hex(shared.next(1, "application").key)).toBe(key);
    shared.at(1, "application", 3).settle();
    const skipped = shared.at(1, "application", 2);
    const skippedKey = hex(skipped.key);
    skipped.discard();
    expect(hex(shared.at(1, "application", 2).key)).toBe(skippedKey);
  });
});

describe("§9.2 deletion", () => {
  async function stored(leafCount: number): Promise<{ shared: SecretTree; storage: Storage }> {
    const storage = memoryStorage();
    const shared = tree(leafCount);
    await storage.apply(shared.records());
    return { shared, storage };
  }

  it("takes the encryption secret with the first key, and every node that is passed", async () => {
    const { shared, storage } = await stored(8);
    expect([...(await storage.list("")).values()]).toEqual([ROOT]);
    await use(shared.next(5, "application"), storage);
    const records = await storage.list("");
    // Root 7, then 11 and 9 on the way to leaf 5 (node 10): their siblings 3, 13 and 8 are left.
    expect([...records.keys()].sort()).toEqual(
      ["n/13", "n/3", "n/8", "r/5/application", "r/5/handshake"].map((key) => `t/${key}`),
    );
    for (const value of records.values()) expect(hex(value)).not.toContain(hex(ROOT));
    expect([...records.keys()].sort()).toEqual(shared.keys().sort());
  });

  it("takes a key with its message, and the secret before it", async () => {
    const { shared, storage } = await stored(2);
    await use(shared.next(0, "application"), storage);
    const before = (await storage.list("")).get("t/r/0/application");
    const taken = shared.at(0, "application", 3);
    const { key, nonce } = taken;
    await use(taken, storage);
    expect([...key, ...nonce].every((byte) => byte === 0)).toBe(true);
    const after = await storage.list("");
    expect(after.get("t/r/0/application")).not.toEqual(before);
    expect([...after.keys()].filter((name) => name.includes("/k/"))).toHaveLength(2);
    await use(shared.at(0, "application", 1), storage);
    expect((await storage.list("")).has("t/k/0/application/1")).toBe(false);
  });

  it("leaves no way back: what is stored gives no used key", async () => {
    const { shared, storage } = await stored(4);
    for (let i = 0; i < 5; i++) await use(shared.next(2, "application"), storage);
    const loaded = SecretTree.load(suite, 4, "t/", await storage.list("t/"));
    for (let generation = 0; generation < 5; generation++) {
      expect(() => loaded.at(2, "application", generation)).toThrow(
        expect.objectContaining({ code: "generation-used" }),
      );
    }
    expect(hex(loaded.next(2, "application").key)).toBe(hex(shared.next(2, "application").key));
  });

  it("of everything overwrites everything", async () => {
    const { shared } = await stored(4);
    shared.next(0, "application").settle();
    const values: Bytes[] = [...(shared.records().put?.values() ?? [])];
    shared.wipe();
    expect(values.every((value) => value.every((byte) => byte === 0))).toBe(true);
    expect(() => shared.next(0, "application")).toThrow(
      expect.objectContaining({ code: "generation-used" }),
    );
  });

  it("writes one record for each key but the first, and log n more for that", async () => {
    for (const [leafCount, levels] of [
      [2, 1],
      [1024, 10],
      [65_536, 16],
    ] as const) {
      const shared = tree(leafCount);
      const first = shared.next(1, "application");
      expect(first.batch.put?.size).toBe(levels + 2);
      expect(first.batch.delete).toHaveLength(1);
      first.settle();
      for (let i = 0; i < 3; i++) {
        const next = shared.next(1, "application");
        expect([next.batch.put?.size, next.batch.delete?.length]).toEqual([1, 0]);
        next.settle();
      }
    }
  });
});

describe("a tree from storage", () => {
  it("overwrites any number of records: many keys may be left", () => {
    const secret = Uint8Array.of(7);
    const records = new Map<string, Bytes>();
    for (let i = 0; i < 140_000; i++) records.set(`n/${i}`, secret);
    const loaded = SecretTree.load(suite, 256, "", records);
    loaded.wipe();
    expect(loaded.keys()).toEqual([]);
    expect(secret).toEqual(Uint8Array.of(0));
  });

  it("refuses a ratchet that was cut short", () => {
    const records = new Map([["r/0/application", Uint8Array.of(0, 0)]]);
    const loaded = SecretTree.load(suite, 2, "", records);
    const refused = expect.objectContaining({ name: "MlsError", code: "decode" });
    expect(() => loaded.next(0, "application")).toThrow(refused);
    expect(() => loaded.hasPassed(0, "application", 1)).toThrow(refused);
  });

  it("drops the oldest kept keys, as it does when it was not loaded", async () => {
    const window = { forward: 8, kept: 4 };
    const storage = memoryStorage();
    const made = SecretTree.create(suite, 2, "t/", ROOT.slice(), { window });
    await storage.apply(made.records());
    await use(made.at(0, "application", 3), storage);
    const stored = await storage.list("t/");
    const loaded = SecretTree.load(suite, 2, "t/", stored, { window });
    await use(loaded.at(0, "application", 6), storage);
    const kept = [...(await storage.list("t/k/")).keys()];
    expect(kept).toEqual([1, 2, 4, 5].map((at) => `t/k/0/application/${at}`));
    await use(loaded.at(0, "application", 1), storage);
    await use(loaded.at(0, "application", 8), storage);
    expect([...(await storage.list("t/k/")).keys()]).toEqual(
      [2, 4, 5, 7].map((at) => `t/k/0/application/${at}`),
    );
  });
});

describe("a tree from storage that gives Buffers", () => {
  const stored = async (storage: Storage) =>
    new Map([...(await storage.list("t/"))].map(([key, value]) => [key, Buffer.from(value)]));

  it("has a key that was given back still, and not one of a secret that is zero", async () => {
    const storage = memoryStorage();
    const original = tree(4);
    await storage.apply(original.records());
    await use(original.next(0, "application"), storage);
    const loaded = SecretTree.load(suite, 4, "t/", await stored(storage));
    loaded.next(0, "application").discard();
    expect(await use(loaded.next(0, "application"), memoryStorage())).toBe(
      await use(original.next(0, "application"), storage),
    );
  });

  it("has the key of a late message after a message that was no good", async () => {
    const storage = memoryStorage();
    const original = tree(4);
    await storage.apply(original.records());
    await use(original.at(0, "application", 2), storage);
    const loaded = SecretTree.load(suite, 4, "t/", await stored(storage));
    loaded.at(0, "application", 1).discard();
    expect(await use(loaded.at(0, "application", 1), memoryStorage())).toBe(
      await use(original.at(0, "application", 1), storage),
    );
  });
});
