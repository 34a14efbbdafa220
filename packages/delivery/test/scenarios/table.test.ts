import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { markdown, missing, PAGE, SCENARIOS } from "./table.ts";

const DOCS = new URL("../../../../docs/", import.meta.url);
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

it("the page on RFC 9750 answers its 78 points, and what both pages lead to is there", () => {
  const points = readFileSync(new URL("rfc9750.md", DOCS), "utf8");
  const numbers = Array.from(points.matchAll(/^\| (\d+) \|/gm), ([, number]) => Number(number));
  expect(numbers).toEqual(Array.from({ length: 78 }, (_, i) => i + 1));
  const links = Array.from(
    (points + markdown()).matchAll(/\]\(([^)#:]+)[)#]/g),
    ([, to = ""]) => to,
  );
  expect(links.filter((to) => !existsSync(new URL(to, DOCS)))).toEqual([]);
});
