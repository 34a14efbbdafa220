/**
 * Which directive is asked about what.
 * CSP #effective-directive-for-a-request, #effective-directive-for-inline-check, #directive-fallback-list,
 * #should-directive-execute.
 * @module
 */
import type { DirectiveNamed } from "./directives.ts";
import { getDirective, type Policy } from "./policy.ts";

/** A fetch directive that something can be judged by, whether or not a policy has it. */
export type EffectiveDirective =
  | "script-src-elem"
  | "script-src-attr"
  | "style-src-elem"
  | "style-src-attr"
  | "worker-src"
  | "connect-src"
  | "manifest-src"
  | "object-src"
  | "frame-src"
  | "media-src"
  | "font-src"
  | "img-src";

/** Every fetch directive that a policy can have. */
export type FetchDirectiveName =
  | EffectiveDirective
  | "child-src"
  | "default-src"
  | "script-src"
  | "style-src";

/** A fetch directive that a policy has. */
export type FetchDirective = DirectiveNamed<FetchDirectiveName>;

/** #directive-fallback-list, the most relevant first. */
export const fetchDirectiveFallbackLists: Readonly<
  Record<EffectiveDirective, readonly FetchDirectiveName[]>
> = {
  "script-src-elem": ["script-src-elem", "script-src", "default-src"],
  "script-src-attr": ["script-src-attr", "script-src", "default-src"],
  "style-src-elem": ["style-src-elem", "style-src", "default-src"],
  "style-src-attr": ["style-src-attr", "style-src", "default-src"],
  "worker-src": ["worker-src", "child-src", "script-src", "default-src"],
  "connect-src": ["connect-src", "default-src"],
  "manifest-src": ["manifest-src", "default-src"],
  "object-src": ["object-src", "default-src"],
  "frame-src": ["frame-src", "child-src", "default-src"],
  "media-src": ["media-src", "default-src"],
  "font-src": ["font-src", "default-src"],
  "img-src": ["img-src", "default-src"],
};

const effectiveDirectives: Readonly<Record<string, EffectiveDirective>> = {
  manifest: "manifest-src",
  object: "object-src",
  embed: "object-src",
  frame: "frame-src",
  iframe: "frame-src",
  audio: "media-src",
  track: "media-src",
  video: "media-src",
  font: "font-src",
  image: "img-src",
  style: "style-src-elem",
  script: "script-src-elem",
  xslt: "script-src-elem",
  audioworklet: "script-src-elem",
  paintworklet: "script-src-elem",
  // CSS drafts' worklets run script as the others do.
  animationworklet: "script-src-elem",
  layoutworklet: "script-src-elem",
  serviceworker: "worker-src",
  sharedworker: "worker-src",
  worker: "worker-src",
};

/** #effective-directive-for-a-request. `null` for a report, which no directive governs. */
export function getEffectiveDirectiveForRequest(request: {
  readonly destination: string;
  readonly initiator: string;
}): EffectiveDirective | "default-src" | null {
  const { destination, initiator } = request;
  if (initiator === "prefetch" || initiator === "prerender") return "default-src";
  if (destination === "report") return null;
  const known = Object.hasOwn(effectiveDirectives, destination);
  return (known ? effectiveDirectives[destination] : undefined) ?? "connect-src";
}

const inlineDirectives = {
  script: "script-src-elem",
  navigation: "script-src-elem",
  "script attribute": "script-src-attr",
  style: "style-src-elem",
  "style attribute": "style-src-attr",
} as const;

/** #effective-directive-for-inline-check. */
export function getEffectiveDirectiveForInlineChecks(
  type: keyof typeof inlineDirectives,
): (typeof inlineDirectives)[typeof type] {
  return inlineDirectives[type];
}

/**
 * The one directive of the policy that executes for an effective directive: #should-directive-execute says "Yes" to
 * the first of the fallback list that the policy has, and "No" to all others.
 */
export function getExecutingDirective(
  policy: Policy,
  effectiveDirective: EffectiveDirective,
): FetchDirective | null {
  for (const name of fetchDirectiveFallbackLists[effectiveDirective]) {
    const directive = getDirective(policy, name);
    if (directive) return directive;
  }
  return null;
}
