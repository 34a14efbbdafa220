/** Where each algorithm of the specification is: the page that says so, and that it is true. */
import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";

const fetchDirectives = [
  "child-src",
  "connect-src",
  "default-src",
  "font-src",
  "frame-src",
  "img-src",
  "manifest-src",
  "media-src",
  "object-src",
  "script-src",
  "script-src-elem",
  "style-src",
  "style-src-elem",
  "worker-src",
] as const;
const inlineDirectives = [
  "default-src",
  "script-src",
  "script-src-elem",
  "script-src-attr",
  "style-src",
  "style-src-elem",
  "style-src-attr",
] as const;

type Place = readonly [name: string, file: string];

/** The checks of fetch directives differ in little; one function runs them all. */
const directiveChecks: readonly (readonly [string, Place])[] = [
  ...fetchDirectives.flatMap((name) =>
    ["pre-request", "post-request"].map(
      (check) => [`${name}-${check}`, ["checkFetch", "decide/fetch-directives.ts"]] as const,
    ),
  ),
  ...inlineDirectives.map(
    (name) => [`${name}-inline`, ["checkInline", "decide/fetch-directives.ts"]] as const,
  ),
  ["webrtc-pre-connect", ["shouldRtcConnectionsBeBlocked", "decide/should-block.ts"]],
  ["sandbox-init", ["runGlobalObjectCspInitialization", "decide/sandbox.ts"]],
  ["form-action-pre-navigate", ["checkFormAction", "decide/navigation.ts"]],
  [
    "frame-ancestors-navigation-response",
    ["shouldNavigationResponseBeBlocked", "decide/navigation.ts"],
  ],
];

const shared: readonly (readonly [string, Place])[] = [
  ["parse-serialized-policy", ["parsePolicy", "policy/policy.ts"]],
  ["parse-response-csp", ["parseResponsePolicies", "policy/policy.ts"]],
  ["create-violation-for-global", ["createViolationForGlobal", "decide/violation.ts"]],
  ["create-violation-for-request", ["createViolationForRequest", "decide/violation.ts"]],
  ["report-for-request", ["shouldRequestBeBlocked", "decide/should-block.ts"]],
  ["should-block-request", ["shouldRequestBeBlocked", "decide/should-block.ts"]],
  ["does-request-violate-policy", ["doesRequestViolatePolicy", "decide/fetch-directives.ts"]],
  [
    "does-resource-hint-violate-policy",
    ["doesResourceHintViolatePolicy", "decide/fetch-directives.ts"],
  ],
  ["should-block-response", ["shouldResponseBeBlocked", "decide/should-block.ts"]],
  ["potentially-report-hash", ["potentiallyReportHash", "report/violation-report.ts"]],
  ["should-block-inline", ["shouldInlineBehaviorBeBlocked", "decide/should-block.ts"]],
  ["match-element-to-source-list", ["doesElementMatchSourceList", "decide/match-element.ts"]],
  ["allow-all-inline", ["doesSourceListAllowAllInlineBehavior", "decide/match-element.ts"]],
  ["is-element-nonceable", ["isElementNonceable", "decide/match-element.ts"]],
  ["should-block-navigation-request", ["shouldNavigationRequestBeBlocked", "decide/navigation.ts"]],
  [
    "should-block-navigation-response",
    ["shouldNavigationResponseBeBlocked", "decide/navigation.ts"],
  ],
  ["can-compile-strings", ["ensureCspDoesNotBlockStringCompilation", "decide/should-block.ts"]],
  [
    "can-compile-wasm-bytes",
    ["ensureCspDoesNotBlockWasmByteCompilation", "decide/should-block.ts"],
  ],
  ["should-block-rtc-connection", ["shouldRtcConnectionsBeBlocked", "decide/should-block.ts"]],
  ["allow-base-for-document", ["isBaseAllowedForDocument", "decide/should-block.ts"]],
  ["run-document-csp-initialization", ["getCspDerivedSandboxingFlags", "decide/sandbox.ts"]],
  [
    "run-global-object-csp-initialization",
    ["runGlobalObjectCspInitialization", "decide/sandbox.ts"],
  ],
  ["get-csp-of-object", ["Client", "decide/request.ts"]],
  ["match-nonce-to-source-list", ["doesNonceMatchSourceList", "decide/match-request.ts"]],
  [
    "match-integrity-metadata-to-source-list",
    ["doesIntegrityMetadataMatchSourceList", "decide/match-request.ts"],
  ],
  ["match-request-to-source-list", ["doesRequestMatchSourceList", "decide/match-request.ts"]],
  ["match-response-to-source-list", ["doesResponseMatchSourceList", "decide/match-request.ts"]],
  ["match-url-to-source-list", ["doesUrlMatchSourceList", "decide/match-url.ts"]],
  ["match-url-to-source-expression", ["doesUrlMatchExpression", "decide/match-url.ts"]],
  ["match-schemes", ["schemePartMatches", "decide/match-url.ts"]],
  ["match-hosts", ["hostPartMatches", "decide/match-url.ts"]],
  ["match-ports", ["portPartMatches", "decide/match-url.ts"]],
  ["match-paths", ["pathPartMatches", "decide/match-url.ts"]],
  ["script-pre-request", ["checkScript", "decide/fetch-directives.ts"]],
  ["script-post-request", ["checkScript", "decide/fetch-directives.ts"]],
  [
    "effective-directive-for-a-request",
    ["getEffectiveDirectiveForRequest", "policy/fetch-directive.ts"],
  ],
  [
    "effective-directive-for-inline-check",
    ["getEffectiveDirectiveForInlineChecks", "policy/fetch-directive.ts"],
  ],
  ["directive-fallback-list", ["fetchDirectiveFallbackLists", "policy/fetch-directive.ts"]],
  ["should-directive-execute", ["getExecutingDirective", "policy/fetch-directive.ts"]],
  ["obtain-violation-blocked-uri", ["obtainBlockedUri", "decide/violation.ts"]],
  [
    "deprecated-serialize-violation",
    ["obtainDeprecatedSerialization", "report/violation-report.ts"],
  ],
  ["strip-url-for-use-in-reports", ["stripUrlForUseInReports", "decide/violation.ts"]],
  ["report-violation", ["violationReportBody", "report/violation-report.ts"]],
];

const head = `# The algorithms of the specification, and where each is

39 checks of directives and 43 that they share. A test makes this page and looks whether the functions are there.

| algorithm | function | file |
| --- | --- | --- |
`;
const docs = new URL("../../../../docs/csp-algorithms.md", import.meta.url);
const source = (file: string): URL => new URL(`../../src/${file}`, import.meta.url);

test("docs/csp-algorithms.md is this table", async () => {
  const all = [...directiveChecks, ...shared];
  expect([directiveChecks.length, shared.length]).toEqual([39, 43]);
  expect(new Set(all.map(([anchor]) => anchor)).size).toBe(82);
  const rows = all.map(
    ([anchor, [name, file]]) =>
      `| [#${anchor}](https://w3c.github.io/webappsec-csp/#${anchor}) | \`${name}\` | [${file}](../packages/csp/src/${file}) |\n`,
  );
  const page = head + rows.join("");
  // `UPDATE=1` writes it anew.
  if (process.env["UPDATE"]) await writeFile(docs, page);
  expect(await readFile(docs, "utf8")).toBe(page);
});

test.each([...directiveChecks, ...shared])(
  "#%s is where the table says",
  async (_, [name, file]) => {
    const text = await readFile(source(file), "utf8");
    expect(text).toMatch(new RegExp(`(function|const|interface) ${name}\\b`));
  },
);

test.each(shared)("#%s is cited by the code", async (anchor, [, file]) => {
  expect(await readFile(source(file), "utf8")).toContain(`#${anchor}`);
});
