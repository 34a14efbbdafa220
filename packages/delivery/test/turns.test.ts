import { describe, expect, it } from "vitest";
import { createTurns } from "../src/turns.ts";

describe("turns", () => {
  it("come one after another under a key, also after a failure, and at once under others", async () => {
    const { alone: inTurn, waiting } = createTurns({ waiting: 10, waitingPerDevice: 10 });
    expect(waiting()).toBe(0);
    const said: string[] = [];
    const gate = Promise.withResolvers<undefined>();
    const first = inTurn("a", 1, async () => {
      said.push("first begins");
      await gate.promise;
      said.push("first ends");
      throw new Error("failed");
    });
    const second = inTurn("a", 1, async () => said.push("second"));
    await inTurn("b", 1, async () => said.push("other"));
    expect(said).toEqual(["first begins", "other"]);
    expect(waiting()).toBe(1);
    gate.resolve(undefined);
    await expect(first).rejects.toThrow("failed");
    await second;
    expect(waiting()).toBe(0);
    expect(said).toEqual(["first begins", "other", "first ends", "second"]);
  });

  it("run together, but not beside what wants to be alone, in the order they came", async () => {
    const { alone, together } = createTurns({ waiting: 10, waitingPerDevice: 10 });
    const said: string[] = [];
    const gate = Promise.withResolvers<undefined>();
    const work =
      (name: string, until: Promise<unknown> = Promise.resolve()) =>
      async () => {
        said.push(`${name} begins`);
        await until;
        said.push(`${name} ends`);
      };
    const all = [
      together("a", 1, work("first", gate.promise)),
      together("a", 1, work("second")),
      alone("a", 1, work("alone")),
      together("a", 1, work("third")),
      together("a", 1, work("fourth")),
    ];
    await all[1];
    await together("b", 1, async () => undefined);
    expect(said).toEqual(["first begins", "second begins", "second ends"]);
    gate.resolve(undefined);
    await Promise.all(all);
    expect(said.slice(3, 8)).toEqual([
      "first ends",
      "alone begins",
      "alone ends",
      "third begins",
      "fourth begins",
    ]);
  });

  it("are few under one key, and fewer of one device", async () => {
    const { alone: inTurn } = createTurns({ waiting: 3, waitingPerDevice: 2 });
    const gate = Promise.withResolvers<number>();
    const waiting = [1, 1].map((device) => inTurn("a", device, () => gate.promise));
    await expect(inTurn("a", 1, async () => 0)).rejects.toThrow("too many changes at once");
    const other = inTurn("a", 2, async () => 5);
    for (const device of [2, 3]) {
      await expect(inTurn("a", device, async () => 0)).rejects.toThrow("too many changes at once");
    }
    expect(await inTurn("b", 1, async () => 0)).toBe(0);
    gate.resolve(7);
    expect(await Promise.all([...waiting, other])).toEqual([7, 7, 5]);
    for (const device of [1, 1, 1]) expect(await inTurn("a", device, async () => 0)).toBe(0);
  });
});
