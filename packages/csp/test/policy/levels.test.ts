/** The policy as each level sees it. */
import { type Level, parsePolicy, policyAtLevel, serializePolicy } from "@conclave/csp";
import { describe, expect, test } from "vitest";

const text =
  "default-src 'self'; script-src 'nonce-a' 'unsafe-inline' 'strict-dynamic' https://a.example/x/; script-src-elem b.example; base-uri 'none'; worker-src c.example";

function seen(level: Level) {
  const { policy, notes, unsafeInline } = policyAtLevel(parsePolicy(text), level);
  const names = policy.directiveSet.map(({ name }) => name);
  const unknown = notes.map(({ reason, token }) => `${reason} ${token.text}`);
  return { names, unknown, unsafeInline };
}

describe("a policy with something of each level", () => {
  test("at Level 1 nonces and paths count for nothing, so that 'unsafe-inline' is in force", () => {
    expect(seen(1)).toEqual({
      names: ["default-src", "script-src"],
      unknown: [
        "unknown-expression 'nonce-a'",
        "unknown-expression 'strict-dynamic'",
        "path https://a.example/x/",
        "unknown-directive script-src-elem b.example",
        "unknown-directive base-uri 'none'",
        "unknown-directive worker-src c.example",
      ],
      unsafeInline: { script: "in-force", style: "absent" },
    });
  });

  test("at Level 2 a nonce switches it off, and hosts still count", () => {
    expect(seen(2)).toEqual({
      names: ["default-src", "script-src", "base-uri"],
      unknown: [
        "unknown-expression 'strict-dynamic'",
        "unknown-directive script-src-elem b.example",
        "unknown-directive worker-src c.example",
      ],
      unsafeInline: { script: "switched-off", style: "absent" },
    });
  });

  test("Level 3 has all of it", () => {
    const view = policyAtLevel(parsePolicy(text), 3);
    expect(view.notes).toEqual([]);
    expect(serializePolicy(view.policy)).toBe(text);
    expect(view.unsafeInline.script).toBe("absent");
  });
});

test("a path that Level 1 ignores matches everywhere", () => {
  const { policy } = policyAtLevel(parsePolicy("img-src https://a.example/x/"), 1);
  const [directive] = policy.directiveSet;
  expect(directive?.value[0]).toMatchObject({ pathPart: "", text: "https://a.example/x/" });
});

test("'strict-dynamic' switches 'unsafe-inline' off for scripts alone", () => {
  const { unsafeInline } = policyAtLevel(
    parsePolicy("default-src 'unsafe-inline' 'strict-dynamic'"),
    3,
  );
  expect(unsafeInline).toEqual({ script: "switched-off", style: "in-force" });
});

test("plugin-types is of Level 2 alone; what no level has is told at each", () => {
  const policy = parsePolicy("plugin-types a/b; nonsense x");
  const told = ([1, 2, 3] as const).map((level) =>
    policyAtLevel(policy, level).notes.map(({ directive }) => directive),
  );
  expect(told).toEqual([["plugin-types", "nonsense"], ["nonsense"], ["plugin-types", "nonsense"]]);
});
