/**
 * A policy as a browser of an earlier level reads it.
 * CSP 1.0, CSP Level 2, CSP Level 3 (#changes-from-level-2).
 *
 * What a level doesn't know has no effect there: directives are left out, expressions are `invalid` tokens. The result is a policy, to be
 * decided upon like any other. One thing in it is not of the level: at Level 2 a worker falls back from `child-src` to `default-src`, here to
 * `script-src` first.
 * @module
 */
import type { Directive, DirectiveName } from "./directives.ts";
import type { Policy } from "./policy.ts";
import type { AncestorSource, Keyword, SourceExpression, Token } from "./source-list.ts";

export type Level = 1 | 2 | 3;

/** What a level makes nothing, or less, of. */
export interface LevelNote {
  /** The name of the directive that it is, or stands in. */
  readonly directive: string;
  /** `path`: the expression counts, its path doesn't. */
  readonly reason: "unknown-directive" | "unknown-expression" | "path";
  readonly token: Token;
}

/** What `'unsafe-inline'` comes to: in force, switched off by a nonce, hash or `'strict-dynamic'`, or not there. */
export type UnsafeInline = "in-force" | "switched-off" | "absent";

export interface LevelView {
  readonly level: Level;
  /** Of the same text, and with its spans. */
  readonly policy: Policy;
  readonly notes: readonly LevelNote[];
  readonly unsafeInline: { readonly script: UnsafeInline; readonly style: UnsafeInline };
}

/** The policy as each level sees it. */
export function policyAtLevel(policy: Policy, level: Level): LevelView {
  const notes: LevelNote[] = [];
  const directiveSet: Directive[] = [];
  for (const directive of policy.directiveSet) {
    if (directive.type === "unknown" || directiveLevels[directive.name] > level) {
      const reason = "unknown-directive";
      // Neither Level 1 nor Level 3 has it.
      const isPluginTypes = level === 2 && directive.name === "plugin-types";
      if (!isPluginTypes)
        notes.push({ directive: directive.name, reason, token: whole(directive) });
      if (directive.type !== "unknown") continue;
    }
    directiveSet.push(atLevel(directive, level, notes));
  }
  const seen = { ...policy, directiveSet };
  const unsafeInline = {
    script: unsafeInlineOf(seen, "script-src"),
    style: unsafeInlineOf(seen, "style-src"),
  };
  return { level, policy: seen, notes, unsafeInline };
}

/** The first level that has it; neighbouring specifications by what browsers had them beside. */
const directiveLevels: Readonly<Record<DirectiveName, Level>> = {
  "default-src": 1,
  "script-src": 1,
  "object-src": 1,
  "style-src": 1,
  "img-src": 1,
  "media-src": 1,
  "frame-src": 1,
  "font-src": 1,
  "connect-src": 1,
  sandbox: 1,
  "report-uri": 1,
  "base-uri": 2,
  "child-src": 2,
  "form-action": 2,
  "frame-ancestors": 2,
  "block-all-mixed-content": 2,
  "upgrade-insecure-requests": 2,
  "manifest-src": 3,
  "script-src-elem": 3,
  "script-src-attr": 3,
  "style-src-elem": 3,
  "style-src-attr": 3,
  "worker-src": 3,
  "report-to": 3,
  webrtc: 3,
  "require-trusted-types-for": 3,
  "trusted-types": 3,
  "fenced-frame-src": 3,
};

const firstKeywords: ReadonlySet<Keyword> = new Set(["'self'", "'unsafe-inline'", "'unsafe-eval'"]);

function levelOf(source: SourceExpression | AncestorSource): Level {
  switch (source.type) {
    case "scheme-source":
    case "host-source":
    case "none":
    case "invalid":
      return 1;
    case "nonce-source":
    case "hash-source":
      return 2;
    case "keyword-source":
      return firstKeywords.has(source.keyword) ? 1 : 3;
  }
}

function atLevel(directive: Directive, level: Level, notes: LevelNote[]): Directive {
  if (directive.type !== "source-list" && directive.type !== "ancestor-source-list")
    return directive;
  const value = directive.value.map((source: SourceExpression | AncestorSource) => {
    const { text, offset, length } = source;
    const token: Token = { text, offset, length };
    if (levelOf(source) > level) {
      notes.push({ directive: directive.name, reason: "unknown-expression", token });
      return { ...token, type: "invalid" } as const;
    }
    // CSP 1.0 §3.2.2: a path is taken, and ignored.
    if (level > 1 || source.type !== "host-source" || source.pathPart === "") return source;
    notes.push({ directive: directive.name, reason: "path", token });
    return { ...source, pathPart: "" };
  });
  // Each expression is one that the directive's grammar has.
  return { ...directive, value } as Directive;
}

function unsafeInlineOf(policy: Policy, name: "script-src" | "style-src"): UnsafeInline {
  const names = [`${name}-elem`, name, "default-src"];
  const found = names.flatMap(
    (candidate) => policy.directiveSet.find((directive) => directive.name === candidate) ?? [],
  );
  const [directive] = found;
  const list = directive?.type === "source-list" ? directive.value : [];
  const has = (keyword: Keyword) =>
    list.some((source) => source.type === "keyword-source" && source.keyword === keyword);
  if (!has("'unsafe-inline'")) return "absent";
  const isProven = list.some(({ type }) => type === "nonce-source" || type === "hash-source");
  const isDynamic = name === "script-src" && has("'strict-dynamic'");
  return isProven || isDynamic ? "switched-off" : "in-force";
}

function whole({ name, value, offset, length }: Directive): Token {
  return { text: [name, ...value.map(({ text }) => text)].join(" "), offset, length };
}
