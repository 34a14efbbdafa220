import { describe, expect, test } from "vitest";
import {
  doesElementMatchSourceList,
  doesSourceListAllowAllInlineBehavior,
  inlineElement,
  inlineSource,
  isElementNonceable,
} from "../../src/decide/match-element.ts";
import { doesIntegrityMetadataMatchSourceList } from "../../src/decide/match-request.ts";
import { chromium, type Profile, specification } from "../../src/decide/profile.ts";
import { judgePolicies } from "../../src/judge/judge-policies.ts";
import { getDirective, parsePolicy } from "../../src/policy/policy.ts";

describe("#is-element-nonceable", () => {
  test("an element with a nonce is", () =>
    expect(isElementNonceable(inlineElement({ nonce: "abc" }))).toBe(true));
  test("one without is not", () => expect(isElementNonceable(inlineElement())).toBe(false));
  test.each([
    ["a", "<script"],
    ["a", "x<STYLE>"],
    ["<script", ""],
  ])("a script with the attribute %j=%j is not", (name, value) => {
    const attributes = [[name, value]] as const;
    expect(isElementNonceable(inlineElement({ nonce: "abc", attributes }))).toBe(false);
    // Only scripts are looked at.
    expect(isElementNonceable(inlineElement({ name: "style", nonce: "abc", attributes }))).toBe(
      true,
    );
  });
  test("a tag that repeats an attribute is not", () =>
    expect(isElementNonceable(inlineElement({ nonce: "abc", duplicateAttribute: true }))).toBe(
      false,
    ));
});

describe("#allow-all-inline", () => {
  const allows = (list: string, type: "script" | "style") => {
    const directive = getDirective(parsePolicy(`script-src ${list}`), "script-src");
    return doesSourceListAllowAllInlineBehavior(directive?.value ?? [], type) !== null;
  };
  test("'unsafe-inline' does", () =>
    expect(allows("a.example 'Unsafe-Inline'", "script")).toBe(true));
  test.each(["", "'self'", "'unsafe-inline' 'nonce-abc'", "'unsafe-inline' 'sha256-abc='"])(
    "%j does not",
    (list) => expect(allows(list, "script")).toBe(false),
  );
  // As Chromium 156 answers for each number of characters and each padding.
  test.each(["A", "AAAAA", "A=", "AAA==", "AAAA=", "AAAA==", `${"A".repeat(43)}==`])(
    "in Chromium a hash %j, which is no base64, leaves it in force",
    (hash) => {
      const text = `script-src 'unsafe-inline' 'sha256-${hash}'`;
      const list = getDirective(parsePolicy(text), "script-src")?.value ?? [];
      expect(doesSourceListAllowAllInlineBehavior(list, "script", chromium)).not.toBeNull();
      expect(doesSourceListAllowAllInlineBehavior(list, "script")).toBeNull();
      expect(judgePolicies([parsePolicy(text)]).map(({ type }) => type)).toContain(
        "script-unsafe-inline",
      );
    },
  );
  test.each(["AA", "AA=", "AA==", "AAA", "AAA=", "AAAA", "A-_"])("and %j does not", (hash) => {
    const text = `script-src 'unsafe-inline' 'sha256-${hash}'`;
    const list = getDirective(parsePolicy(text), "script-src")?.value ?? [];
    expect(doesSourceListAllowAllInlineBehavior(list, "script", chromium)).toBeNull();
  });
  // As Chromium 156 answers.
  test.each([
    ["'sha-256-AAAA'", true],
    ["'SHA-384-AAAA'", true],
    ["'sha-512-AAAA'", true],
    ["'sha-256-A'", false],
    ["'sha--256-AAAA'", false],
    ["'sha-1-AAAA'", false],
  ])("in Chromium %s is a hash: %s", (text, isHash) => {
    const list = getDirective(parsePolicy(`script-src 'unsafe-inline' ${text}`), "script-src");
    const asked = (profile: Profile) =>
      doesSourceListAllowAllInlineBehavior(list?.value ?? [], "script", profile) === null;
    expect(asked(chromium)).toBe(isHash);
    expect(asked(specification)).toBe(false);
  });
  test("'strict-dynamic' switches it off for scripts alone", () => {
    expect(allows("'unsafe-inline' 'strict-dynamic'", "script")).toBe(false);
    expect(allows("'unsafe-inline' 'strict-dynamic'", "style")).toBe(true);
  });
});

describe("a hash whose algorithm has a hyphen", () => {
  const digest = "kg/yIXDzLg6QI87Y3hU+rLPz5cPH0oMHB5R3jnQCw6o=";
  const expression = `'sha-256-${digest}'`;
  const policy = parsePolicy(`script-src ${expression}`);
  const list = getDirective(policy, "script-src")?.value ?? [];

  test("matches inline code in Chromium, and keeps its place and words", async () => {
    const source = {
      ...(await inlineSource("")),
      digests: { sha256: digest, sha384: "", sha512: "" },
    };
    const match = (profile: Profile) =>
      doesElementMatchSourceList(inlineElement(), list, "script", source, profile);
    expect(match(chromium)).toMatchObject({
      step: "hash",
      expression: { text: expression, offset: 11, length: expression.length },
    });
    expect(match(specification)).toBeNull();
  });

  test("matches integrity metadata in Chromium", () => {
    const match = (profile: Profile) =>
      doesIntegrityMetadataMatchSourceList(`sha256-${digest}`, list, profile);
    expect(match(chromium)).toMatchObject([{ text: expression }]);
    expect(match(specification)).toBeNull();
  });
});
