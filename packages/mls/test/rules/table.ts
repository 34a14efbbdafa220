/**
 * The table in docs/mls-rules.md, made from the tests: `npm run rules` runs them and writes it, `-- --check` compares.
 * Where a rule is refused is known only when its tests have run, so that column is the command's alone to compare.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { orUsage } from "../../conformance/command-line.ts";
import { ADVISORIES } from "./advisories.ts";
import { FAMILIES, RULES, type RuleId } from "./list.ts";
import type { RuleCase } from "./rule.ts";

export const TABLE: string = fileURLToPath(
  new URL("../../../../docs/mls-rules.md", import.meta.url),
);

function introduction(cases: readonly RuleCase[]): string {
  return `# The rules of RFC 9420, and where each is kept

Each rule has tests that accept the good and tests that refuse the bad, with an error whose code and section say which rule it
was. Rules of deletion and of constant time have no error: their tests look into the state, the storage or the source.
${counts(cases)}.

The columns *accepts*, *refuses* and *looks* say how many tests of a kind a rule has; the last leads to the lines that refuse the bad. \`npm run rules\`
makes this page from the tests. \`npm run rules:deletion\` asks the other way round: it deletes each check of the source in turn to see
a test fail ([how](../CONTRIBUTING.md#tests)).
`;
}

function counts(cases: readonly RuleCase[]): string {
  const count = (kind: RuleCase["kind"]): number => cases.filter((one) => one.kind === kind).length;
  return `${testedRules().length} rules: ${count("accepts")} tests accept, ${count("refuses")} refuse, ${count("holds")} look`;
}

/** The rules that are tested so far, family by family. */
export function testedRules(): readonly RuleId[] {
  return (Object.keys(RULES) as RuleId[]).filter((id) => FAMILIES[id.charAt(0)]?.[1]);
}

export function casesOf(cases: readonly RuleCase[], id: RuleId): readonly RuleCase[] {
  return cases.filter(({ rule }) => rule === id);
}

export function markdown(cases: readonly RuleCase[]): string {
  const tested = testedRules();
  const lines = [introduction(cases)];
  for (const [letter, [subject, file]] of Object.entries(FAMILIES)) {
    if (!file) continue;
    lines.push(
      `\n## ${subject}\n\nTests: [${file}](../packages/mls/test/rules/${file})\n`,
      "| rule | § | what it says | accepts | refuses | looks | kept at |",
      "| --- | --- | --- | --- | --- | --- | --- |",
    );
    for (const id of tested.filter((one) => one.startsWith(letter))) lines.push(row(cases, id));
  }
  lines.push(
    "\n## Faults of others\n\nWhat other implementations got wrong, and the rules whose tests would find it here.\n",
    "| reported as | fault | rules |",
    "| --- | --- | --- |",
    ...ADVISORIES.map(
      ({ name, fault, rules }) =>
        `| ${name} | ${fault} | ${rules.join(", ") || "[a test of its own](../packages/mls/test/rules/advisories.test.ts)"} |`,
    ),
  );
  return `${lines.join("\n")}\n`;
}

function row(cases: readonly RuleCase[], id: RuleId): string {
  const [section, title] = RULES[id];
  const own = casesOf(cases, id);
  const count = (kind: RuleCase["kind"]): string =>
    `${own.filter((one) => one.kind === kind).length || ""}`;
  const sources = [...new Set(own.flatMap(({ source }) => source ?? []))].sort();
  const links = sources.map((source) => {
    const [file, line] = source.split(":");
    return `[${source}](../packages/mls/src/${file}#L${line})`;
  });
  return `| ${id} | ${section} | ${title} | ${count("accepts")} | ${count("refuses")} | ${count("holds")} | ${links.join(", ")} |`;
}

/** A table without its last column. */
export function withoutSources(table: string): string {
  return table.replace(/(^\| [A-Z]\d\d .* \|)[^|]*\|$/gm, "$1");
}

export function readTable(): string {
  return readFileSync(TABLE, "utf8");
}

async function main(check: boolean): Promise<void> {
  const { startVitest } = await import("vitest/node");
  const vitest = await startVitest("test", ["packages/mls/test/rules/"], {
    watch: false,
    exclude: ["**/complete.test.ts"],
    reporters: ["dot"],
  });
  const tests = vitest.state.getTestModules().flatMap((module) => [...module.children.allTests()]);
  const cases = tests.flatMap((one) => one.meta().ruleCase ?? []);
  await vitest.close();
  if (!tests.every((one) => one.ok())) {
    process.exitCode = 1;
    return;
  }
  process.stdout.write(`${counts(cases)}\n`);
  const table = markdown(cases);
  if (!check) writeFileSync(TABLE, table);
  else if (readTable() !== table) {
    process.stderr.write("docs/mls-rules.md is old: npm run rules\n");
    process.exitCode = 1;
  }
}

if (import.meta.main) {
  const { values } = orUsage("npm run rules [-- --check]", () =>
    parseArgs({ options: { check: { type: "boolean", default: false } } }),
  );
  await main(values.check);
}
