/**
 * The `sandbox` directive.
 * CSP #directive-sandbox, #run-document-csp-initialization, #run-global-object-csp-initialization; HTML, "sandboxing".
 * @module
 */
import type { SandboxKeyword } from "../policy/directives.ts";
import { type CspList, getDirective } from "../policy/policy.ts";
import { allowed, blocked, type Decision, decide, type Outcome } from "./decision.ts";
import { ungoverned } from "./fetch-directives.ts";

/** HTML, "sandboxing flag set", each flag by its name without "sandboxed" and "browsing context flag". */
export type SandboxingFlag =
  | "navigation"
  | "auxiliary navigation"
  | "top-level navigation without user activation"
  | "top-level navigation with user activation"
  | "origin"
  | "forms"
  | "pointer lock"
  | "scripts"
  | "automatic features"
  | "document.domain"
  | "propagates to auxiliary"
  | "modals"
  | "orientation lock"
  | "presentation"
  | "downloads"
  | "custom protocols navigation";

/** Each flag with the keywords that switch it off. */
const liftedBy: Readonly<Record<SandboxingFlag, readonly SandboxKeyword[]>> = {
  navigation: [],
  "auxiliary navigation": ["allow-popups"],
  "top-level navigation without user activation": ["allow-top-navigation"],
  "top-level navigation with user activation": [
    "allow-top-navigation",
    "allow-top-navigation-by-user-activation",
  ],
  origin: ["allow-same-origin"],
  forms: ["allow-forms"],
  "pointer lock": ["allow-pointer-lock"],
  scripts: ["allow-scripts"],
  "automatic features": ["allow-scripts"],
  "document.domain": [],
  "propagates to auxiliary": ["allow-popups-to-escape-sandbox"],
  modals: ["allow-modals"],
  "orientation lock": ["allow-orientation-lock"],
  presentation: ["allow-presentation"],
  downloads: ["allow-downloads"],
  "custom protocols navigation": [
    "allow-top-navigation-to-custom-protocols",
    "allow-popups",
    "allow-top-navigation",
  ],
};

const allFlags = Object.keys(liftedBy) as readonly SandboxingFlag[];

/** HTML, "parse a sandboxing directive". */
export function parseSandboxingDirective(
  keywords: readonly SandboxKeyword[],
): ReadonlySet<SandboxingFlag> {
  return new Set(
    allFlags.filter((flag) => !liftedBy[flag].some((keyword) => keywords.includes(keyword))),
  );
}

/** HTML, "CSP-derived sandboxing flags": the enforced policies' flags together. */
export function getCspDerivedSandboxingFlags({ policies }: CspList): ReadonlySet<SandboxingFlag> {
  const flags = new Set<SandboxingFlag>();
  for (const policy of policies) {
    const directive = getDirective(policy, "sandbox");
    if (!directive || policy.disposition !== "enforce") continue;
    for (const flag of parseSandboxingDirective(keywordsOf(directive.value))) flags.add(flag);
  }
  return flags;
}

/**
 * #run-global-object-csp-initialization: whether a worker may run. A sandbox without `allow-scripts` and
 * `allow-same-origin` forbids it.
 */
export function runGlobalObjectCspInitialization(cspList: CspList): Decision {
  const effectiveDirective = "sandbox";
  const outcomes = cspList.policies.map((policy): Outcome => {
    const directive = getDirective(policy, "sandbox");
    if (!directive || policy.disposition !== "enforce") {
      return ungoverned(policy, effectiveDirective);
    }
    const flags = parseSandboxingDirective(keywordsOf(directive.value));
    const value = directive.value.map(({ text }) => text).join(" ");
    const check =
      flags.has("scripts") || flags.has("origin")
        ? blocked({ step: "value", value })
        : allowed({ step: "value", value });
    return { policy, directive, effectiveDirective, ...check };
  });
  return decide(outcomes, []);
}

function keywordsOf(
  value: readonly (
    | { readonly type: "invalid" }
    | { readonly type: "sandbox-keyword"; readonly keyword: SandboxKeyword }
  )[],
): SandboxKeyword[] {
  return value.flatMap((token) => (token.type === "sandbox-keyword" ? [token.keyword] : []));
}
