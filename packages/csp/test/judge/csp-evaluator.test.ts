/**
 * Google's `csp_evaluator` and this package on the same policies: each finding of theirs has one of ours, but for the
 * differences that are named here.
 */
import { parsePolicy } from "@conclave/csp";
import { bypassHosts, type Finding, type FindingType, judgePolicies } from "@conclave/csp/judge";
import { CspEvaluator, DEFAULT_CHECKS, STRICTCSP_CHECKS } from "csp_evaluator";
import { checkHasConfiguredReporting } from "csp_evaluator/dist/checks/security_checks.js";
import { type Finding as TheirFinding, Type } from "csp_evaluator/dist/finding.js";
import { CspParser } from "csp_evaluator/dist/parser.js";
import { expect, test } from "vitest";
import { cases } from "./cases.ts";
import { differences } from "./csp-evaluator-differences.ts";

/** The types of ours that say what a type of theirs says; what theirs says of two things, ours tells apart. */
const counterparts: Readonly<Record<keyof typeof Type, readonly FindingType[]>> = {
  MISSING_SEMICOLON: ["missing-semicolon"],
  UNKNOWN_DIRECTIVE: ["unknown-directive", "comma-in-policy"],
  INVALID_KEYWORD: ["unquoted-keyword", "invalid-keyword", "nonce-charset"],
  NONCE_CHARSET: ["nonce-charset"],
  MISSING_DIRECTIVES: ["missing-script-src", "missing-object-src", "missing-base-uri"],
  SCRIPT_UNSAFE_INLINE: ["script-unsafe-inline"],
  SCRIPT_UNSAFE_EVAL: ["script-unsafe-eval", "without-effect"],
  PLAIN_URL_SCHEMES: ["script-scheme", "object-scheme", "base-uri-open", "without-effect"],
  PLAIN_WILDCARD: ["script-wildcard", "object-wildcard", "base-uri-open", "without-effect"],
  SCRIPT_ALLOWLIST_BYPASS: [
    "script-self",
    "script-host",
    "script-host-jsonp",
    "script-host-jsonp-method",
    "script-host-gadget",
    "script-host-eval",
    "script-host-uploads",
    "script-host-shared",
    "script-host-redirect",
    "script-path-escape",
    "script-wildcard",
    "script-wildcard-registry",
  ],
  OBJECT_ALLOWLIST_BYPASS: ["object-host", "object-wildcard", "object-scheme"],
  NONCE_LENGTH: ["nonce-short", "nonce-predictable", "nonce-charset"],
  IP_SOURCE: ["ip-source", "localhost-source"],
  DEPRECATED_DIRECTIVE: ["deprecated-directive"],
  SRC_HTTP: ["source-http"],
  SCRIPT_UNSAFE_HASHES: ["script-unsafe-hashes", "script-unsafe-hashes-alone"],
  STRICT_DYNAMIC: ["script-allowlist"],
  STRICT_DYNAMIC_NOT_STANDALONE: ["strict-dynamic-alone"],
  UNSAFE_INLINE_FALLBACK: ["unsafe-inline-fallback"],
  ALLOWLIST_FALLBACK: ["allowlist-fallback"],
  IGNORED: ["ignored-source", "without-effect"],
  REQUIRE_TRUSTED_TYPES_FOR_SCRIPTS: ["trusted-types-missing"],
  REPORTING_DESTINATION_MISSING: ["report-destination-missing"],
  REPORT_TO_ONLY: ["report-to-only"],
  // Theirs has these names and never gives them.
  SRC_NO_PROTOCOL: [],
  EXPERIMENTAL: [],
  WILDCARD_URL: [],
  X_FRAME_OPTIONS_OBSOLETED: [],
  STYLE_UNSAFE_INLINE: [],
  STATIC_NONCE: [],
  NONCE_HASH: [],
};

function theirFindings(text: string): TheirFinding[] {
  const { csp } = new CspParser(text);
  return [
    ...new CspEvaluator(csp).evaluate(STRICTCSP_CHECKS, DEFAULT_CHECKS),
    ...checkHasConfiguredReporting(csp),
  ];
}

function listOf(text: string, { directive }: TheirFinding): string[] {
  const found = parsePolicy(text).directiveSet.find(({ name }) => name === directive);
  return found ? found.value.map((token) => token.text) : [];
}

function isCounterpart(ours: Finding, theirs: TheirFinding, text: string): boolean {
  const type = Type[theirs.type] as keyof typeof Type;
  if (!counterparts[type].includes(ours.type)) return false;
  if (theirs.type === Type.MISSING_DIRECTIVES) return ours.type === `missing-${theirs.directive}`;
  if (ours.directive !== theirs.directive) return false;
  const { offset, length } = ours.span;
  const written = text.slice(offset, offset + length).toLowerCase();
  return theirs.value === undefined || written === theirs.value.toLowerCase();
}

const policies = new Set<string>();
for (const { bad, good, more } of Object.values(cases)) {
  for (const pair of [[bad, good], ...(more ?? [])]) for (const text of pair) policies.add(text);
}
for (const { host, paths, source } of bypassHosts) {
  if (!source.startsWith("csp_evaluator")) continue;
  policies.add(`script-src ${host}`);
  policies.add(`script-src https://${host}${paths[0]}; object-src 'none'`);
  policies.add(`default-src 'self' *.${host.split(".").slice(1).join(".")} 'unsafe-eval'`);
}
for (const text of random(600)) policies.add(text);

// Policies from a grammar, always the same ones.
function* random(count: number): Generator<string> {
  let state = 1;
  const below = (limit: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % limit;
  };
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const names = (
    "default-src script-src script-src script-src-elem script-src-attr object-src base-uri style-src img-src " +
    "frame-ancestors form-action report-uri report-to trusted-types require-trusted-types-for worker-src " +
    "plugin-types prefetch-src referrer foo-src script-src: sandbox upgrade-insecure-requests"
  ).split(" ");
  const values = (
    "'self' 'none' 'unsafe-inline' 'unsafe-eval' 'unsafe-hashes' 'strict-dynamic' 'report-sample' 'wasm-unsafe-eval' " +
    "https: http: data: blob: * https://* *:443 http://a.mysite.com https://b.mysite.com/js/ *.mysite.com mysite.com:8080 " +
    "'nonce-abc' 'nonce-mN9fGz0b5KqvT3Xw7Jr1Lg' 'nonce-a(b)cdefgh' 'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=' " +
    "self unsafe-inline nonce-abc sha256-abc 'slef' 'report-sha256' 127.0.0.1 192.0.2.1 [::1] localhost " +
    "ajax.googleapis.com cdnjs.cloudflare.com www.google.com *.google.com accounts.google.com/o/oauth2/revoke " +
    "www.googletagmanager.com vk.com cdn.jsdelivr.net script-src object-src 'script' /reports http://reports.mysite.com main"
  ).split(" ");
  for (let index = 0; index < count; index++) {
    const directives = Array.from({ length: 1 + below(5) }, () => {
      const list = Array.from({ length: below(5) }, () => pick(values));
      return [pick(names), ...list].join(" ");
    });
    yield directives.join("; ");
  }
}

test("each finding of csp_evaluator has one of ours, or a difference by name", () => {
  const found = { theirs: 0, matched: 0 };
  const different: Record<string, number> = {};
  const thrown: string[] = [];
  const unexplained: string[] = [];
  const seen = new Set<string>();
  for (const text of policies) {
    const ours = judgePolicies([parsePolicy(text)], { oldBrowsers: true });
    let theirs: TheirFinding[];
    try {
      theirs = theirFindings(text);
    } catch {
      thrown.push(text);
      continue;
    }
    for (const finding of theirs) {
      found.theirs++;
      const type = Type[finding.type] as keyof typeof Type;
      seen.add(type);
      if (ours.some((own) => isCounterpart(own, finding, text))) {
        found.matched++;
        continue;
      }
      const name = Object.entries(differences).find(([, { is }]) =>
        is(finding, text, listOf(text, finding)),
      )?.[0];
      if (name === undefined)
        unexplained.push(`${type} ${finding.directive} ${finding.value ?? ""} in ${text}`);
      else different[name] = (different[name] ?? 0) + 1;
    }
  }
  if (process.env["FIGURES"]) console.log(policies.size, found, different);
  expect(policies.size).toBeGreaterThan(1000);
  expect(found.matched).toBeGreaterThan(found.theirs * 0.9);
  expect(unexplained.slice(0, 40)).toEqual([]);
  // Theirs gives up on a port that is none.
  expect(thrown).toEqual(["img-src https://a.example.com:port"]);
  expect(Object.keys(different).sort()).toEqual(Object.keys(differences).sort());
  const emitted = Object.entries(counterparts).filter(([, ours]) => ours.length > 0);
  expect([...seen].sort()).toEqual(emitted.map(([type]) => type).sort());
});
