import { ROUTES } from "@conclave/delivery/protocol";
import { expect, test } from "vitest";
import { createCounters } from "../../src/server/counters.ts";

test("lines of the log are counted by what they tell of", () => {
  const counters = createCounters();
  const count = (route: string, status: number) =>
    counters.count({ time: 0, route, status, duration: 1 });
  count(ROUTES.register, 201);
  count(ROUTES.register, 409);
  count(ROUTES.message, 201);
  count(ROUTES.message, 201);
  count(ROUTES.commit, 500);
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
