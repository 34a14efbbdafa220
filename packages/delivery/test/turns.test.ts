import { describe, expect, it } from "vitest";
import { createTurns } from "../src/turns.ts";

describe("turns", () => {
  it("come one after another under a key, also after a failure, and at once under others", async () => {
    const inTurn = createTurns(10);
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
    gate.resolve(undefined);
    await expect(first).rejects.toThrow("failed");
    await second;
    expect(said).toEqual(["first begins", "other", "first ends", "second"]);
  });

  it("are few under one key", async () => {
    const inTurn = createTurns(2);
    const gate = Promise.withResolvers<number>();
    const waiting = [1, 2].map(() => inTurn("a", () => gate.promise));
    await expect(inTurn("a", async () => 0)).rejects.toThrow("too many changes at once");
    expect(await inTurn("b", async () => 0)).toBe(0);
    gate.resolve(7);
    expect(await Promise.all(waiting)).toEqual([7, 7]);
    expect(await inTurn("a", async () => 0)).toBe(0);
  });
});
