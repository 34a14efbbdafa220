/** Every rule of the list has a test that accepts and one that refuses, and the table in docs tells of all of them. */

import { describe, expect, it } from "vitest";
import { FAMILIES, RULES, type RuleId } from "./list.ts";
import { collect, type RuleCase } from "./rule.ts";
import { casesOf, markdown, readTable, testedRules, withoutSources } from "./table.ts";

const files = Object.values(FAMILIES).flatMap(([, file]) => file ?? []);
const cases = await collect(async () => {
  for (const file of files) await import(new URL(file, import.meta.url).href);
});

function kinds(id: RuleId): readonly RuleCase["kind"][] {
  return casesOf(cases, id).map(({ kind }) => kind);
}

describe("the list of rules", () => {
  it.each(testedRules())("%s is tested both ways", (id) => {
    const all = kinds(id);
    const looks = all.filter((kind) => kind === "holds").length;
    const good = all.includes("accepts") || looks > 1;
    const bad = all.includes("refuses") || looks > 0;
    expect([good, bad]).toEqual([true, true]);
  });

  it("counts each rule once, in its family's file", () => {
    for (const id of Object.keys(RULES)) expect(FAMILIES).toHaveProperty(id.charAt(0));
    const tested = testedRules();
    for (const { rule } of cases) expect(tested).toContain(rule);
    const titles = cases.map(({ rule, kind, title }) => `${rule} ${kind} ${title}`);
    expect(titles.filter((title, at) => titles.indexOf(title) !== at)).toEqual([]);
  });

  it("is the one in docs/mls-rules.md (`npm run rules` writes it)", () => {
    expect(withoutSources(readTable())).toBe(withoutSources(markdown(cases)));
  });
});
