/** The table of differences, and the page that is made of it. */
import { readFile, writeFile } from "node:fs/promises";
import { chromium, differences, specification } from "@conclave/csp";
import { expect, test } from "vitest";

const head = `# Where the text and Chromium differ

Decisions follow a profile: \`specification\`, or \`chromium\`. Each difference has a name in
[profile.ts](../packages/csp/src/decide/profile.ts), from which this page is made. They were found by asking a Chromium 156
the same as the engine, some ten thousand times: \`npm run csp:oracle\` does it again, and any difference that has no name
here makes it fail. Each has a case of its own, which a Chromium is asked about in
[shown.test.ts](../packages/csp/test/oracle/shown.test.ts).

| name | algorithm | the text | Chromium |
| --- | --- | --- | --- |
`;

const errata = `
## Where the text contradicts itself

What both profiles do is what the text evidently means.

| algorithm | what it says | what is done |
| --- | --- | --- |
| #does-resource-hint-violate-policy | It compares the result of #match-request-to-source-list with "Allowed", which that never gives, so every prefetch would violate every policy with \`default-src\`. | A prefetch is allowed when any of the lists matches. |
| #does-resource-hint-violate-policy | Without \`default-src\` no list is asked, though the lists that are there could refuse. | So it is: a policy without \`default-src\` has nothing to say to a prefetch. |
| #should-block-navigation-request | It takes the policies of what is a list of policies already. | The list's policies are asked. |
| #should-block-navigation-response | Its second loop hands on the response's self-origin with the source's policies. | No directive has a check for it; the loop is left out. |
| #should-block-rtc-connection | The violation's resource is null; #obtain-violation-blocked-uri asserts that it is not. | The blocked URI is empty. |
| #deprecated-serialize-violation | It asserts that there is no sample unless the resource is inline, and names the key \`sample\`. | Samples of eval and Trusted Types are kept, as \`script-sample\`. |
| #match-ports | §1.3 says that \`http://a.example:80\` matches \`https://a.example:443\`; the algorithm says that 80 is not 443. | The algorithm's word (see \`upgrade-of-both\` for Chromium). |
| #match-hosts | A note says that 127.0.0.1 matches; the algorithm says that a host that is no domain does not. | The algorithm's word (see \`ip-address-matches\`). |
| #allow-base-for-document | It stops at the first enforced policy that blocks, so those after it do not report. | Every policy is asked, as everywhere else. |
| #match-element-to-source-list | It reads the attribute \`nonce\`, which HTML has emptied by then. | The element's hidden nonce is compared. |
| #parse-serialized-policy | "Collect a sequence of code points" has no position to start from. | The name is the directive's first word. |
| #match-url-to-source-expression | A \`blob:\` URL has its maker's origin, so \`'self'\` would allow it; web-platform-tests expect that it does not. | The algorithm's word (see \`self-excludes-blob\`). |
| #script-pre-request | It asks whether a destination is script-like, which \`xslt\` is not in Fetch although #effective-directive-for-a-request sends it to \`script-src-elem\`. | \`xslt\` counts as script-like. |
| #match-schemes | \`ws:\` and \`wss:\` are said to match http and https, since Fetch gives a WebSocket's request such a URL; reports then name a URL that no page wrote. | The algorithm's word (see \`websocket-scheme-kept\`). |
| Subresource Integrity, "processing an integrity policy" | It asks whether a list contains \`script\`, and does not say whether a string counts as the token does. | Tokens count, strings do not. |
`;

test("docs/csp-differences.md is this table", async () => {
  const rows = Object.entries(differences).map(([name, difference]) => {
    const cells = [
      `\`${name}\``,
      `#${difference.anchor}`,
      difference.specification,
      difference.chromium,
    ];
    return `| ${cells.join(" | ")} |\n`;
  });
  const file = new URL("../../../../docs/csp-differences.md", import.meta.url);
  const page = head + rows.join("") + errata;
  // `UPDATE=1` writes it anew.
  if (process.env["UPDATE"]) await writeFile(file, page);
  expect(await readFile(file, "utf8")).toBe(page);
});

test("the specification has no difference, Chromium has all", () => {
  expect(specification.has("upgrade-of-both")).toBe(false);
  expect(chromium.has("upgrade-of-both")).toBe(true);
});
