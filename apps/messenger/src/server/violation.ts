/**
 * What is kept of a report that a browser sends when the page's policy was violated: words from fixed lists, paths
 * of the page's own files, and the origins of others. A report also carries the first 40 characters of what was
 * inserted, and whole URLs; where a messenger's page is under attack, those are what the attack wants to carry out.
 * @module
 */

import { isDirectiveName, type Report } from "@conclave/csp";

export interface Violation {
  /** Path of the page's file in which it happened, or "elsewhere". */
  readonly document: string;
  /** A directive's name, or "integrity-policy". */
  readonly directive: string;
  /** "inline", "eval" and the like; a scheme; a path of ours; the origin of somebody else; or "other". */
  readonly blocked: string;
}

/** CSP #violation-resource. */
const RESOURCES: ReadonlySet<string> = new Set([
  "inline",
  "eval",
  "wasm-eval",
  "trusted-types-policy",
  "trusted-types-sink",
]);

const SCHEMES: ReadonlySet<string> = new Set(["about", "blob", "data", "filesystem", "javascript"]);

/** DNS allows no longer name; an address with a longer one was made up. */
const MAX_HOST_LENGTH = 253;

/**
 * The harmless part of a report, or undefined where it isn't about a page of this origin.
 * `paths`: those of the page's own files.
 */
export function violationOf(
  report: Report,
  { origin, paths }: { readonly origin: string; readonly paths: ReadonlySet<string> },
): Violation | undefined {
  if (report.type === "csp-hash") return undefined;
  const { documentURL, blockedURL } = report.body;
  const own = (url: URL) => (paths.has(url.pathname) ? url.pathname : "elsewhere");
  const document = URL.canParse(documentURL) ? new URL(documentURL) : undefined;
  if (document?.origin !== origin) return undefined;
  const directive =
    report.type === "integrity-violation" ? "integrity-policy" : report.body.effectiveDirective;
  if (directive !== "integrity-policy" && !isDirectiveName(directive)) return undefined;
  return { document: own(document), directive, blocked: resource(blockedURL) };

  function resource(text: string): string {
    if (RESOURCES.has(text) || SCHEMES.has(text)) return text;
    if (!URL.canParse(text)) return "other";
    const url = new URL(text);
    if (url.origin === origin && url.protocol !== "blob:") return own(url);
    if (SCHEMES.has(url.protocol.slice(0, -1))) return url.protocol.slice(0, -1);
    const isNetwork = /^(https?|wss?):$/.test(url.protocol);
    if (!isNetwork || url.hostname.length > MAX_HOST_LENGTH) return "other";
    return `${url.protocol}//${url.host}`;
  }
}
