import { describe, expect, it, vi } from "vitest";
import { AGAIN, IDLE, ON, Worker } from "../src/worker.ts";

function worker(
  turn: () => Promise<number>,
  onError: (error: unknown) => number | "stop" = () => 0,
) {
  const made = new Worker({ turn, retry: [1, 5], onError });
  made.start();
  return made;
}

describe("a worker", () => {
  it("does one thing after the other, and sleeps until the bell rings", async () => {
    let active = 0;
    let turns = 0;
    const { promise: woken, resolve } = Promise.withResolvers<void>();
    const subject = worker(async () => {
      expect(++active).toBe(1);
      await new Promise((done) => setTimeout(done, 1));
      active--;
      turns++;
      if (turns === 4) resolve();
      return turns < 3 ? 0 : IDLE;
    });
    await expect.poll(() => turns).toBe(3);
    subject.ring();
    await woken;
    await subject.close();
    expect(turns).toBe(4);
  });

  it("sleeps where it is told to for longer than a timer can, after a turn or a failure", async () => {
    for (const fails of [false, true]) {
      let turns = 0;
      const subject = worker(
        async () => {
          turns++;
          if (fails) throw new Error("come again in years");
          return 2 ** 40;
        },
        () => 2 ** 40,
      );
      await expect.poll(() => turns).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(turns).toBe(1);
      await subject.close();
    }
  });

  it("hears a bell that rings while it works", async () => {
    let turns = 0;
    const subject: Worker = worker(async () => {
      if (++turns === 1) subject.ring();
      return IDLE;
    });
    await expect.poll(() => turns).toBe(2);
    await subject.close();
  });

  it("tries again after a failure, and after a turn that wants to", async () => {
    const errors: unknown[] = [];
    let turns = 0;
    const subject = worker(
      async () => {
        turns++;
        if (turns === 1) throw new Error("once");
        return turns < 4 ? AGAIN : IDLE;
      },
      (error) => {
        errors.push(error);
        return 0;
      },
    );
    await expect.poll(() => turns).toBe(4);
    expect(errors).toEqual([new Error("once")]);
    await subject.close();
  });

  it("waits longer after each failure, whatever goes well that says nothing of it", async () => {
    vi.useFakeTimers();
    let failures = 0;
    let ready = true;
    const subject = new Worker({
      turn: async () => {
        ready = !ready;
        if (!ready) return ON;
        failures++;
        throw new Error("always");
      },
      retry: [100, 10_000],
      onError: () => 0,
    });
    subject.start();
    await vi.advanceTimersByTimeAsync(10_000);
    vi.useRealTimers();
    await subject.close();
    // The first seven pauses are at least half of 100, 200 … 6,400 ms, and at most that.
    expect(failures).toBeGreaterThan(6);
    expect(failures).toBeLessThan(10);
  });

  it("stops where the failure says so", async () => {
    let turns = 0;
    const subject = worker(
      async () => {
        turns++;
        throw new Error("the end");
      },
      () => "stop",
    );
    await expect.poll(() => turns).toBe(1);
    subject.ring();
    await subject.close();
    expect(turns).toBe(1);
  });
});
