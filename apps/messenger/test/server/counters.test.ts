import type { LogLine } from "@conclave/delivery";
import { expect, test } from "vitest";
import { createCounters } from "../../src/server/counters.ts";

test("lines of the log are counted by what they tell of", () => {
  const counters = createCounters();
  const count = (route: LogLine["route"], status: number) =>
    counters.count({ time: 0, route, status, duration: 1 });
  count("register", 201);
  count("register", 409);
  count("message", 201);
  count("message", 201);
  count("commit", 500);
  expect(Object.fromEntries(counters.list().map(({ name, value }) => [name, value]))).toEqual({
    "Accounts made": 1,
    "Sign-ins": 0,
    "Groups made": 0,
    Commits: 0,
    Messages: 2,
    Requests: 5,
    Refused: 1,
    Failed: 1,
  });
});
