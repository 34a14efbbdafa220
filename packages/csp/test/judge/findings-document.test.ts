/** `docs/csp-findings.md` is made of the tables in the code; `npx vitest run packages/csp/test/judge -u` writes it. */
import { bypassHosts, findingTypes, gadgets } from "@conclave/csp/judge";
import { expect, test } from "vitest";
import { differences } from "./csp-evaluator-differences.ts";

const subjects = Map.groupBy(Object.entries(findingTypes), ([, { subject }]) => subject);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("<", "&lt;")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

const heading = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
const classes = Map.groupBy(bypassHosts, (known) => known.class);
const known: Readonly<Record<string, string>> = {
  jsonp: "an endpoint that starts its answer with any text of the request",
  "jsonp-method": "one that takes the name of a function only",
  gadget: "AngularJS, or a file that holds it",
  eval: "a container that anybody can fill, which needs `'unsafe-eval'`",
  uploads: "packages and files that anybody publishes",
  names: "anybody gets a name below it",
  folders: "anybody gets a folder on it",
  redirect: "an address that redirects anywhere",
};

test("the document says what the code says", async () => {
  const text = `# Findings about policies

What \`judgePolicies\` of [\`@conclave/csp/judge\`](../packages/csp/README.md#judge-a-policy) can find, ${Object.keys(findingTypes).length} types. This text is made from the code.

*High*: injected HTML runs script in the page. *Medium*: it takes one more condition, or the harm is less than script.
*Low*: a defence that is missing or weak. *Info*: it has no effect, or is only worth knowing. A finding can be less
severe than its type, never more. Weaknesses are decided as Chromium does, by the same engine that decides requests, and
each payload of a finding of high severity runs in a Chromium in the tests, and no longer runs under the mended policy.

An attack has to pass every enforced policy. What another policy closes is reported as *info*, with the policy that
closes it; findings of a report-only policy are marked, and count for nothing in the grade.

${[...subjects]
  .map(
    ([subject, types]) =>
      `## ${heading(subject)}\n\n${table(
        ["Type", "Severity", "What", "Why", "Mend"],
        types.map(([id, { severity, title, why, mend }]) => [
          `\`${id}\``,
          severity,
          title,
          why,
          mend,
        ]),
      )}`,
  )
  .join("\n\n")}

## Known hosts

Facts, each with the year of its evidence: an endpoint may be gone since, and a host that is not here may have one.
\`bypassHosts\` has them all. The lists of \`csp_evaluator\` (Apache-2.0) are taken over as hosts and paths; lists under the
GNU GPL are not.

${table(
  ["Class", "What there is", "Hosts", "Sources"],
  [...classes].map(([name, hosts]) => [
    `\`${name}\``,
    known[name] ?? "",
    String(new Set(hosts.map(({ host }) => host)).size),
    [...new Set(hosts.map(({ source, seen }) => `${source} (${seen})`))].join(", "),
  ]),
)}

## Script gadgets

Libraries that turn injected HTML into script, as \`findGadgets\` finds them by the URLs of a page's scripts.

${table(
  ["Library", "Versions", "Needs", "Attack", "Evidence"],
  gadgets.map(({ library, from, below, needs, attack, source, seen }) => [
    library,
    below === null ? `from ${from}` : `${from} to before ${below}`,
    needs === "any" ? "nothing" : `\`'${needs}'\``,
    attack,
    `${source}, ${seen}`,
  ]),
)}

## Beside csp_evaluator

Google's evaluator and this one judge the same policies in one run of the tests. Each finding of theirs has one of ours,
but for these:

${table(
  ["Difference", "Why ours does not say it"],
  Object.entries(differences).map(([name, { reason }]) => [`\`${name}\``, reason]),
)}

What old browsers lack (\`unsafe-inline-fallback\`, \`allowlist-fallback\`) is said when \`oldBrowsers\` asks for it.
`;
  await expect(text).toMatchFileSnapshot("../../../../docs/csp-findings.md");
});
