/**
 * Trusted Types: which sinks demand them, which policies may be made.
 * Trusted Types, "does sink type require trusted types?", "should sink type mismatch violation be blocked",
 * "should Trusted Type policy creation be blocked", "get Trusted Type compliant string", "get Trusted Type data for
 * attribute".
 * @module
 */
import { isPolicyName } from "../policy/directives.ts";
import { type CspList, getDirective, type Policy } from "../policy/policy.ts";
import { allowed, blocked, type Decision, decide, type Outcome } from "./decision.ts";
import { ungoverned } from "./fetch-directives.ts";
import { type Profile, specification } from "./profile.ts";
import type { Client } from "./request.ts";
import { createViolationForGlobal, sampleOf, type Violation } from "./violation.ts";

export type TrustedTypeName = "TrustedHTML" | "TrustedScript" | "TrustedScriptURL";

/** What a page's policy makes of a string; nothing where it refuses. */
export type TrustedValue = string | null | undefined;

/** "Does sink type require trusted types?" */
export function doesSinkTypeRequireTrustedTypes(
  cspList: CspList,
  sinkGroup: "'script'",
  includeReportOnlyPolicies: boolean,
): boolean {
  return cspList.policies.some(
    (policy) =>
      requiresTypesFor(policy, sinkGroup) &&
      (includeReportOnlyPolicies || policy.disposition === "enforce"),
  );
}

/** Whether a policy requires types for the sinks of a group, whose name is compared as written. */
export function requiresTypesFor(policy: Policy, sinkGroup: "'script'"): boolean {
  const directive = getDirective(policy, "require-trusted-types-for");
  return (
    directive?.value.some(({ type, text }) => type === "script" && text === sinkGroup) ?? false
  );
}

const functionPrefixes = [
  "function anonymous",
  "async function anonymous",
  "function* anonymous",
  "async function* anonymous",
] as const;

/** "Should sink type mismatch violation be blocked by Content Security Policy?" A sink is `Element innerHTML` and the like. */
export function shouldSinkTypeMismatchViolationBeBlocked(
  source: string,
  sink: string,
  client: Client,
  profile: Profile = specification,
): Decision {
  const prefix =
    sink === "Function" ? functionPrefixes.find((start) => source.startsWith(start)) : "";
  const closing = sink === "Function" && profile.has("function-parenthesized") ? ")" : "";
  const written = source.slice(prefix?.length ?? 0) + closing;
  const shown = profile.has("sample-stripped") ? written.trim() : written;
  const sample = `${sink}|${sampleOf(shown)}`;
  const effectiveDirective = "require-trusted-types-for";
  const violations: Violation[] = [];
  const outcomes = client.cspList.policies.map((policy): Outcome => {
    const directive = getDirective(policy, effectiveDirective);
    if (!directive || !requiresTypesFor(policy, "'script'")) {
      return ungoverned(policy, effectiveDirective);
    }
    const more = { resource: "trusted-types-sink", sample } as const;
    violations.push(createViolationForGlobal(client, policy, effectiveDirective, more));
    const check = blocked({ step: "value", value: "'script'" });
    return { policy, directive, effectiveDirective, ...check };
  });
  return decide(outcomes, violations);
}

/** "Should Trusted Type policy creation be blocked by Content Security Policy?" */
export function shouldTrustedTypePolicyCreationBeBlocked(
  policyName: string,
  createdPolicyNames: readonly string[],
  client: Client,
  profile: Profile = specification,
): Decision {
  const effectiveDirective = "trusted-types";
  const isNameable = isPolicyName(policyName) || !profile.has("wildcard-takes-grammar");
  const violations: Violation[] = [];
  const outcomes = client.cspList.policies.map((policy): Outcome => {
    const directive = getDirective(policy, effectiveDirective);
    if (!directive) return ungoverned(policy, effectiveDirective);
    const { value } = directive;
    const has = (type: (typeof value)[number]["type"]) =>
      value.some((token) => token.type === type);
    const named = value.some(({ type, text }) => type === "policy-name" && text === policyName);
    const isDuplicate = createdPolicyNames.includes(policyName) && !has("allow-duplicates");
    const check =
      (named || (has("wildcard") && isNameable)) && !isDuplicate
        ? allowed({ step: "value", value: named ? policyName : "*" })
        : blocked({ step: "value", value: value.map(({ text }) => text).join(" ") });
    if (check.result === "Blocked") {
      const more = { resource: "trusted-types-policy", sample: sampleOf(policyName) } as const;
      violations.push(createViolationForGlobal(client, policy, effectiveDirective, more));
    }
    return { policy, directive, effectiveDirective, ...check };
  });
  return decide(outcomes, violations);
}

/** A string on its way into a sink. */
export interface SinkInput {
  readonly expectedType: TrustedTypeName;
  readonly input: string;
  /** Whether `input` is of the expected type already. */
  readonly isTrusted?: boolean;
  readonly sink: string;
  /** What the page's default policy makes of a string of that type; it may throw, as the page's own code may. */
  readonly defaultPolicy?:
    | ((value: string, type: "TrustedScript", sink: string) => TrustedValue)
    | ((value: string, type: TrustedTypeName, sink: string) => TrustedValue)
    | undefined;
}

/**
 * "Get Trusted Type compliant string". `value` is what reaches the sink; with the result `Blocked` nothing does, and
 * the page gets a `TypeError`.
 */
export function getTrustedTypeCompliantString(
  { expectedType, input, isTrusted = false, sink, defaultPolicy }: SinkInput,
  client: Client,
  profile: Profile = specification,
): { readonly value: string; readonly decision: Decision } {
  const none = decide([], []);
  if (isTrusted || !doesSinkTypeRequireTrustedTypes(client.cspList, "'script'", true)) {
    return { value: input, decision: none };
  }
  const convert = defaultPolicy as
    | ((value: string, type: TrustedTypeName, sink: string) => TrustedValue)
    | undefined;
  const converted = convert?.(input, expectedType, sink);
  if (converted !== null && converted !== undefined) return { value: converted, decision: none };
  const decision = shouldSinkTypeMismatchViolationBeBlocked(input, sink, client, profile);
  return { value: input, decision };
}

const htmlNamespace = "http://www.w3.org/1999/xhtml";
const svgNamespace = "http://www.w3.org/2000/svg";
const mathmlNamespace = "http://www.w3.org/1998/Math/MathML";
const xlinkNamespace = "http://www.w3.org/1999/xlink";

const attributeRows: readonly (readonly [
  namespace: string,
  element: string,
  attributeNamespace: string | null,
  attribute: string,
  type: TrustedTypeName,
  sink: string,
])[] = [
  [htmlNamespace, "iframe", null, "srcdoc", "TrustedHTML", "HTMLIFrameElement srcdoc"],
  [htmlNamespace, "script", null, "src", "TrustedScriptURL", "HTMLScriptElement src"],
  [svgNamespace, "script", null, "href", "TrustedScriptURL", "SVGScriptElement href"],
  [svgNamespace, "script", xlinkNamespace, "href", "TrustedScriptURL", "SVGScriptElement href"],
];

/**
 * "Get Trusted Type data for attribute": the type that the attribute demands, and the sink's name; `null` where a
 * string will do. Whether a name is an event handler's is told by its beginning, `on`.
 */
export function getTrustedTypeDataForAttribute(
  element: { readonly localName: string; readonly namespace?: string },
  attribute: string,
  attributeNamespace: string | null = null,
): { readonly expectedType: TrustedTypeName; readonly sink: string } | null {
  const namespace = element.namespace ?? htmlNamespace;
  const known = [htmlNamespace, svgNamespace, mathmlNamespace].includes(namespace);
  if (attributeNamespace === null && known && /^on[a-z]/.test(attribute)) {
    return { expectedType: "TrustedScript", sink: `Element ${attribute}` };
  }
  for (const [rowNamespace, name, ns, local, expectedType, sink] of attributeRows) {
    const isElement = rowNamespace === namespace && name === element.localName;
    if (isElement && ns === attributeNamespace && local === attribute)
      return { expectedType, sink };
  }
  return null;
}
