import { describe, expect, it } from "vitest";
import { createTurns } from "../src/turns.ts";

describe("turns", () => {
  it("come one after another under a key, also after a failure, and at once under others", async () => {
    const { alone: inTurn, waiting } = createTurns(10);
    expect(waiting()).toBe(0);
    const said: string[] = [];
    const gate = Promise.withResolvers<undefined>();
    const first = inTurn("a", async () => {
      said.push("first begins");
      await gate.promise;
      said.push("first ends");
      throw new Error("failed");
    });
    const second = inTurn("a", async () => said.push("second"));
    await inTurn("b", async () => said.push("other"));
    expect(said).toEqual(["first begins", "other"]);
    expect(waiting()).toBe(1);
    gate.resolve(undefined);
    await expect(first).rejects.toThrow("failed");
    await second;
    expect(waiting()).toBe(0);
    expect(said).toEqual(["first begins", "other", "first ends", "second"]);
  });

  it("run together, but not beside what wants to be alone, in the order they came", async () => {
    const { alone, together } = createTurns(10);
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
      together("a", work("first", gate.promise)),
      together("a", work("second")),
      alone("a", work("alone")),
      together("a", work("third")),
      together("a", work("fourth")),
    ];
    await all[1];
    await together("b", async () => undefined);
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

  it("are few under one key", async () => {
    const { alone: inTurn } = createTurns(2);
    const gate = Promise.withResolvers<number>();
    const waiting = [1, 2].map(() => inTurn("a", () => gate.promise));
    await expect(inTurn("a", async () => 0)).rejects.toThrow("too many changes at once");
    expect(await inTurn("b", async () => 0)).toBe(0);
    gate.resolve(7);
    expect(await Promise.all(waiting)).toEqual([7, 7]);
    expect(await inTurn("a", async () => 0)).toBe(0);
  });
});
