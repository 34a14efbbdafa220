/** The engine beside a real Chromium: a few pages at random. `npm run csp:oracle` does many. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeCase, Oracle } from "./run.ts";

let oracle: Oracle;
beforeAll(async () => {
  oracle = await Oracle.start();
});
afterAll(() => oracle?.close());

test("500 probes: the engine says what Chromium does", { timeout: 240_000 }, async () => {
  const differences: unknown[] = [];
  await oracle.run({
    seed: 1,
    probes: 500,
    size: 50,
    tabs: 2,
    onDifference(page, { probe, expected, observed }) {
      differences.push({ url: page.url, policies: page.policies, probe, expected, observed });
    },
  });
  expect(differences).toEqual([]);
});

test("a case is its seed's", () => {
  expect(makeCase(7, 20)).toEqual(makeCase(7, 20));
  expect(makeCase(7, 20)).not.toEqual(makeCase(8, 20));
});
