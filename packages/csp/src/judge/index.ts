/**
 * Judging policies: weaknesses, known bypasses, and payloads that show them. Start with `judgePolicies`.
 * @module
 */
export {
  describeFinding,
  type Finding,
  type FindingDescription,
  type FindingType,
  findingTypes,
  type Severity,
  type Standing,
  type Subject,
  severities,
} from "./finding.ts";
export {
  type FoundGadget,
  findGadgets,
  type Gadget,
  type GadgetNeed,
  gadgets,
} from "./gadgets.ts";
export { type BypassClass, type BypassHost, bypassHosts } from "./hosts.ts";
export { type Grade, judgePolicies, type Summary, summarize } from "./judge-policies.ts";
export type { JudgeContext } from "./judging.ts";
export type { Payload, StandIn } from "./payload.ts";
