import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { markdown, missing, PAGE, SCENARIOS } from "./table.ts";

const all = Object.values(SCENARIOS).flat();

it("the page in docs is the one that the table gives", () => {
  expect(readFileSync(PAGE, "utf8")).toBe(markdown());
});

it("there are fifty, and every test that is named is there", () => {
  expect(all).toHaveLength(50);
  expect(all.flatMap(missing)).toEqual([]);
});

it("what has no test says why", () => {
  expect(all.filter(({ tests, note }) => tests.length === 0 && note === undefined)).toEqual([]);
});
