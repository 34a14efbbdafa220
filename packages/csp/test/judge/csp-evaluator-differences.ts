/** What `csp_evaluator` says and this package does not, by name, with the reason. */
import { directiveGrammars, getDirective, isDirectiveName, parsePolicy } from "@conclave/csp";
import { type Finding as TheirFinding, Type } from "csp_evaluator/dist/finding.js";

interface Difference {
  readonly reason: string;
  readonly is: (theirs: TheirFinding, text: string, list: readonly string[]) => boolean;
}
export const differences: Readonly<Record<string, Difference>> = {
  "directive-unknown-to-theirs": {
    reason: "fenced-frame-src is a directive of Fenced Frame.",
    is: ({ type, directive }) => type === Type.UNKNOWN_DIRECTIVE && isDirectiveName(directive),
  },
  "keyword-unknown-to-theirs": {
    reason: "The keyword is in the specification.",
    is: ({ type, value }) =>
      type === Type.INVALID_KEYWORD && sourceType(value) === "keyword-source",
  },
  "number-as-address": {
    reason: "A lone number is no address; a URL parser makes one of it.",
    is: ({ type, value }) => type === Type.IP_SOURCE && /^\d+$/.test(value ?? ""),
  },
  "no-source-list": {
    reason: "The directive takes no sources, so what stands in it is no source, keyword or nonce.",
    is: ({ type, directive }) =>
      ofSources.has(type) &&
      !sourceLists.has(isDirectiveName(directive) ? directiveGrammars[directive] : ""),
  },
  "no-source": {
    reason: "What no grammar has allows nothing; ours says that instead.",
    is: ({ type, value }, _, list) =>
      (allowing.has(type) && sourceType(value) === "invalid") ||
      (type === Type.STRICT_DYNAMIC && list.every((text) => !/host|scheme/.test(sourceType(text)))),
  },
  "elem-and-attr": {
    reason: "script-src-elem and script-src-attr together restrict every script.",
    is: ({ type, directive }, text) =>
      type === Type.MISSING_DIRECTIVES &&
      directive === "script-src" &&
      /script-src-elem/.test(text) &&
      /script-src-attr/.test(text),
  },
  "any-host-with-port": {
    reason: "*:8443 and the like are an allowlist for old browsers, too.",
    is: ({ type }, _, list) =>
      type === Type.ALLOWLIST_FALLBACK && list.some((text) => text.startsWith("*:")),
  },
  "empty-object-src": {
    reason: "A directive without a value allows nothing.",
    is: ({ type, directive }, text) =>
      type === Type.MISSING_DIRECTIVES &&
      directive === "object-src" &&
      /(?:object|default)-src *(?:;|$)/.test(text),
  },
  "behind-script-src-elem": {
    reason:
      "script-src-elem decides for script elements, and has no nonce that a base could retarget.",
    is: ({ type, directive }, text) =>
      type === Type.MISSING_DIRECTIVES && directive === "base-uri" && /script-src-elem/.test(text),
  },
  plugins: {
    reason:
      "No browser runs Flash any more, so ours asks for object-src 'none' and not for hosts in default-src.",
    is: ({ type, directive }) =>
      type === Type.OBJECT_ALLOWLIST_BYPASS && directive === "default-src",
  },
};

const allowing: ReadonlySet<Type> = new Set([
  Type.SCRIPT_ALLOWLIST_BYPASS,
  Type.OBJECT_ALLOWLIST_BYPASS,
  Type.IGNORED,
]);
const ofSources: ReadonlySet<Type> = new Set([
  Type.INVALID_KEYWORD,
  Type.IP_SOURCE,
  Type.SRC_HTTP,
  Type.NONCE_LENGTH,
  Type.NONCE_CHARSET,
]);
const sourceLists: ReadonlySet<string> = new Set(["source-list", "ancestor-source-list"]);

function sourceType(text = ""): string {
  const directive = getDirective(parsePolicy(`script-src ${text}`), "script-src");
  return directive?.value[0]?.type ?? "";
}
