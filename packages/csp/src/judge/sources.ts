/**
 * Sources of whatever directive: how they are fetched, and whether their names are what they seem.
 * @module
 */
import type { Token } from "../policy/source-list.ts";
import { type Draft, type Judging, quote, withDirectives } from "./judging.ts";
import { isIpAddress, isLocalName, isLoopback, isNoTopLevel, misspelt } from "./names.ts";

export function* judgeSources({ policy }: Judging): Generator<Draft> {
  for (const { name, type, value } of policy.directiveSet) {
    const hasSources = type === "source-list" || type === "ancestor-source-list";
    if (!hasSources && type !== "uri-references" && type !== "unknown") continue;
    for (const token of value) {
      const replaced = (text: string | null) => {
        const texts = value.flatMap((other) =>
          other === token ? (text === null ? [] : [text]) : [other.text],
        );
        return withDirectives(policy, { [name]: texts.length > 0 ? texts : ["'none'"] });
      };
      const at = { directive: name, span: token } as const;
      const lower = token.text.toLowerCase();
      if (lower.startsWith("http://") || (hasSources && lower === "http:")) {
        yield {
          type: "source-http",
          ...at,
          message: `${quote(token.text)} is not encrypted.`,
          mended: () => replaced(`https${token.text.slice(4)}`),
        };
      }
      if (hasSources && lower === "javascript:") {
        const message = "javascript: allows nothing.";
        yield { type: "source-javascript", ...at, message, mended: () => replaced(null) };
      }
      const host = hostOf(token, lower);
      if (host === null) continue;
      yield* judgeHostName(host, token, at, replaced);
    }
  }
}

/** The host that a source, a URL or something like it names; `[::1]` keeps its brackets. */
function hostOf({ text }: Token, lower: string): string | null {
  if (text.startsWith("'") || text.length > 512) return null;
  const rest = lower.replace(/^[a-z][a-z0-9+.-]*:\/\//, "");
  const host = /^(?:\[[^\]]*\]|[^/:?#]*)/.exec(rest)?.[0] ?? "";
  return host === "" || host === "*" ? null : host.replace(/\.$/, "");
}

function* judgeHostName(
  host: string,
  { text }: Token,
  at: Pick<Draft, "directive" | "span">,
  replaced: (text: string | null) => string | undefined,
): Generator<Draft> {
  if (isLoopback(host)) {
    const message = `${quote(text)} is the visitor's own machine.`;
    yield { type: "localhost-source", ...at, message, mended: () => replaced(null) };
  } else if (isIpAddress(host)) {
    const message = `${quote(text)} is an address, which the specification never matches and Chromium may.`;
    yield { type: "ip-source", ...at, message, mended: () => replaced(null) };
  } else if (isLocalName(host)) {
    const message = `${quote(text)} is a name of a local network.`;
    yield { type: "localhost-source", ...at, message, mended: () => replaced(null) };
  } else if (isNoTopLevel(host)) {
    const message = `${quote(text)} ends in .${host.slice(host.lastIndexOf(".") + 1)}, which no name does.`;
    yield { type: "source-top-level", ...at, message, mended: () => replaced(null) };
  }
  const right = misspelt(host);
  if (right !== undefined) {
    const name = host.split(".").slice(-2).join(".");
    yield {
      type: "source-typo",
      ...at,
      message: `${quote(text)} looks like ${right} with a typing error.`,
      mended: () => replaced(text.toLowerCase().replace(name, right)),
    };
  }
}
