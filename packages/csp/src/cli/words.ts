/**
 * What a policy does, directive by directive, in words.
 * @module
 */
import type { Directive, DirectiveName } from "../policy/directives.ts";
import {
  type EffectiveDirective,
  fetchDirectiveFallbackLists,
  getExecutingDirective,
} from "../policy/fetch-directive.ts";
import { getDirective, type Policy } from "../policy/policy.ts";
import type { AncestorSource, Keyword, SourceExpression } from "../policy/source-list.ts";

/** A directive and what it does. */
export interface DirectiveInWords {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  readonly text: string;
}

const topics: Readonly<Record<DirectiveName, string>> = {
  "default-src": "What has no directive of its own",
  "script-src": "Scripts",
  "script-src-elem": "Script elements",
  "script-src-attr": "Event handler attributes",
  "style-src": "Styles",
  "style-src-elem": "Style sheets and style elements",
  "style-src-attr": "Style attributes",
  "img-src": "Images",
  "font-src": "Fonts",
  "media-src": "Sound, video and their tracks",
  "connect-src": "Connections by fetch, XMLHttpRequest, WebSocket, EventSource and beacons",
  "frame-src": "Frames",
  "child-src": "Frames and workers",
  "worker-src": "Workers",
  "manifest-src": "Manifests",
  "object-src": "Plugin content (object, embed)",
  "fenced-frame-src": "Fenced frames",
  "base-uri": "The page's base element",
  "form-action": "Where forms are sent to",
  "frame-ancestors": "Who may embed the page",
  sandbox: "The page is put into a sandbox",
  "report-uri": "Violations are reported to (old form)",
  "report-to": "Violations are reported to the endpoint",
  "require-trusted-types-for": "Sinks that run script take Trusted Types alone, no strings",
  "trusted-types": "Trusted Types policies that may be created",
  "upgrade-insecure-requests": "http URLs are fetched over https",
  "block-all-mixed-content": "http content on https pages is blocked (obsolete: browsers do that)",
  webrtc: "Connections by WebRTC",
};

const keywordWords: Readonly<Record<Keyword, string>> = {
  "'self'": "the page's own origin",
  "'unsafe-inline'": "any inline code",
  "'unsafe-eval'": "strings that become code (eval)",
  "'strict-dynamic'": "whatever a trusted script loads, hosts and schemes not counting",
  "'unsafe-hashes'": "attributes and javascript: URLs by hash",
  "'report-sample'": "(reports quote the beginning of the code)",
  "'unsafe-allow-redirects'": "(a keyword without effect)",
  "'wasm-unsafe-eval'": "WebAssembly",
  "'trusted-types-eval'": "eval of what Trusted Types have made",
  "'report-sha256'": "(hashes of scripts are reported)",
  "'report-sha384'": "(hashes of scripts are reported)",
  "'report-sha512'": "(hashes of scripts are reported)",
  "'unsafe-webtransport-hashes'": "WebTransport servers by certificate hash",
  "'inline-speculation-rules'": "inline speculation rules",
};

/** Each directive in the order written. */
export function describePolicy(policy: Policy): DirectiveInWords[] {
  return policy.directiveSet.map((directive) => ({
    name: directive.name,
    offset: directive.offset,
    length: directive.length,
    text: describeDirective(directive),
  }));
}

function describeDirective(directive: Directive): string {
  if (directive.type === "unknown") return "No specification has this directive; it does nothing";
  const topic = topics[directive.name];
  switch (directive.type) {
    case "source-list":
      return describeList(topic, directive.value, isOfCode(directive.name));
    case "ancestor-source-list":
      return describeList(topic, directive.value, false);
    case "sandbox":
      return directive.value.length === 0
        ? `${topic} that allows nothing, scripts neither`
        : `${topic} with ${directive.value.map(({ text }) => text).join(", ")}`;
    case "no-value":
    case "sink-groups":
      return topic;
    case "uri-references":
    case "endpoint":
    case "trusted-types":
    case "webrtc":
      return `${topic}: ${directive.value.map(({ text }) => text).join(", ") || "none"}`;
  }
}

function isOfCode(name: string): boolean {
  return /^(?:script|style|default|worker)-src/.test(name);
}

function describeList(
  topic: string,
  list: readonly (SourceExpression | AncestorSource)[],
  isCode: boolean,
): string {
  const allowed = list.flatMap((source) => describeSource(source, list, isCode));
  const notes = allowed.filter((word) => word.startsWith("("));
  const sources = allowed.filter((word) => !word.startsWith("("));
  const text = sources.length === 0 ? "nothing" : sources.join("; ");
  return [`${topic}: ${text}`, ...new Set(notes)].join(" ");
}

function describeSource(
  source: SourceExpression | AncestorSource,
  list: readonly (SourceExpression | AncestorSource)[],
  isCode: boolean,
): string[] {
  const isDynamic = has(list, "'strict-dynamic'");
  switch (source.type) {
    case "none":
      return list.length > 1 ? ["('none' has no effect beside others)"] : [];
    case "invalid":
      return [`(${source.text} is no source and is skipped)`];
    case "scheme-source":
      return isDynamic ? [] : [`every ${source.schemePart}: URL`];
    case "host-source":
      return isDynamic ? [] : [describeHost(source)];
    case "nonce-source":
      return [`elements with the nonce ${source.base64Value}`];
    case "hash-source":
      return [`code with the hash ${source.text.slice(1, 16)}…`];
    case "keyword-source": {
      if (isDynamic && source.keyword === "'self'") return [];
      const isOff =
        source.keyword === "'unsafe-inline'" &&
        list.some(({ type }) => type === "nonce-source" || type === "hash-source");
      if (isOff) return ["('unsafe-inline' counts for old browsers only)"];
      if (source.keyword === "'unsafe-inline'" && !isCode) return [];
      return [keywordWords[source.keyword]];
    }
  }
}

function describeHost({
  hostPart,
  schemePart,
  portPart,
  pathPart,
  text,
}: Extract<SourceExpression, { type: "host-source" }>): string {
  if (text === "*") return "every http, https, ws and wss URL";
  const host = hostPart === "*" ? "any host" : hostPart.replace(/^\*\./, "any host below ");
  const scheme = schemePart === null ? "" : ` over ${schemePart}`;
  const port = portPart === null ? "" : portPart === "*" ? ", any port" : `, port ${portPart}`;
  const path =
    pathPart === "" || pathPart === "/"
      ? ""
      : pathPart.endsWith("/")
        ? `, below ${pathPart}`
        : `, ${pathPart} alone`;
  return `${host}${scheme}${port}${path}`;
}

function has(list: readonly (SourceExpression | AncestorSource)[], keyword: Keyword): boolean {
  return list.some((source) => source.type === "keyword-source" && source.keyword === keyword);
}

/** What none of the policies limits. */
export function describeUngoverned(policies: readonly Policy[]): string[] {
  const enforced = policies.filter(({ disposition }) => disposition === "enforce");
  const names = Object.keys(fetchDirectiveFallbackLists) as EffectiveDirective[];
  const free: DirectiveName[] = names.filter(
    (name) => !enforced.some((policy) => getExecutingDirective(policy, name)),
  );
  for (const name of ["base-uri", "form-action", "frame-ancestors"] as const) {
    if (!enforced.some((policy) => getDirective(policy, name))) free.push(name);
  }
  return free.map((name) => `${name}: ${topics[name]}`);
}
