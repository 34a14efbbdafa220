/**
 * Content Security Policy Level 3. Start with `buildPolicy` to write a policy, `parsePolicy` to read one,
 * `shouldFetchBeBlocked` and `shouldInlineBehaviorBeBlocked` to ask what a browser does with one, and
 * `@conclave/csp/fetch` or `@conclave/csp/node` to send one.
 * @module
 */

// Decisions: who asks, for what, and as whom
export {
  type Check,
  type Decision,
  type Outcome,
  type Reason,
  type Result,
} from "./decide/decision.ts";
export { type Explanation, explain, type Remedy } from "./decide/explain.ts";
// Decisions: the questions
export {
  determineNavigationCspList,
  determineWorkerCspList,
  type NavigationSources,
} from "./decide/inheritance.ts";
export {
  type IntegrityDecision,
  type IntegrityPolicyHeader,
  processIntegrityPolicy,
  shouldRequestBeBlockedByIntegrityPolicy,
} from "./decide/integrity-policy.ts";
export {
  type InlineElement,
  type InlineMatch,
  type InlineSource,
  type InlineType,
  inlineElement,
  inlineSource,
} from "./decide/match-element.ts";
// Decisions: matching, for those who compare and judge policies
export {
  doesUrlMatchExpression,
  doesUrlMatchSourceList,
  type Matching,
} from "./decide/match-url.ts";
export {
  type CreateScript,
  doesResponseAdhereToXFrameOptions,
  type NavigationResponse,
  type NavigationType,
  shouldNavigationRequestBeBlocked,
  shouldNavigationResponseBeBlocked,
} from "./decide/navigation.ts";
export {
  chromium,
  type Difference,
  type DifferenceName,
  differences,
  type Profile,
  specification,
} from "./decide/profile.ts";
export {
  type Client,
  createRequest,
  type Destination,
  type Request,
  type RequestInit,
  redirect,
  type SourcePosition,
} from "./decide/request.ts";
export {
  getCspDerivedSandboxingFlags,
  parseSandboxingDirective,
  runGlobalObjectCspInitialization,
  type SandboxingFlag,
} from "./decide/sandbox.ts";
export {
  ensureCspDoesNotBlockStringCompilation,
  ensureCspDoesNotBlockWasmByteCompilation,
  type FetchInit,
  isBaseAllowedForDocument,
  type StringCompilation,
  shouldFetchBeBlocked,
  shouldInlineBehaviorBeBlocked,
  shouldRequestBeBlocked,
  shouldResponseBeBlocked,
  shouldRtcConnectionsBeBlocked,
} from "./decide/should-block.ts";
export {
  doesSinkTypeRequireTrustedTypes,
  getTrustedTypeCompliantString,
  getTrustedTypeDataForAttribute,
  type SinkInput,
  shouldSinkTypeMismatchViolationBeBlocked,
  shouldTrustedTypePolicyCreationBeBlocked,
  type TrustedTypeName,
  type TrustedValue,
} from "./decide/trusted-types.ts";
export {
  type UpgradableRequest,
  upgradeRequest,
  upgradesInsecureRequests,
} from "./decide/upgrade.ts";
// Violations and what browsers send of them
export {
  obtainBlockedUri,
  stripUrlForUseInReports,
  type Violation,
  type ViolationResource,
} from "./decide/violation.ts";
export { CspError, type CspErrorCode } from "./errors.ts";
// For authors
export {
  allowSources,
  buildPolicy,
  createNonce,
  type HashExpression,
  hashSource,
  integrityOf,
  type NonceExpression,
  type PolicyDirectives,
  type SourceText,
} from "./make/build.ts";
// Directives and source expressions
export {
  type Directive,
  type DirectiveName,
  type DirectiveNamed,
  directiveGrammars,
  type EndpointName,
  isDirectiveName,
  type SandboxKeyword,
  type SandboxToken,
  type SinkGroup,
  sandboxKeywords,
  type TrustedTypesExpression,
  type UriReference,
  type WebrtcValue,
} from "./policy/directives.ts";
export {
  type EffectiveDirective,
  type FetchDirective,
  type FetchDirectiveName,
  fetchDirectiveFallbackLists,
  getEffectiveDirectiveForRequest,
  getExecutingDirective,
} from "./policy/fetch-directive.ts";
// Policies as other browsers read them
export {
  type LegacyBrowser,
  type LegacyNote,
  type LegacyView,
  parseLegacyHeaders,
} from "./policy/legacy.ts";
export {
  type Level,
  type LevelNote,
  type LevelView,
  policyAtLevel,
  type UnsafeInline,
} from "./policy/levels.ts";
// Policies
export {
  type CspList,
  type Disposition,
  getDirective,
  type IgnoredDirective,
  type Policy,
  type PolicySource,
  parseMetaPolicy,
  parsePolicy,
  parsePolicyList,
  parseResponsePolicies,
  serializePolicy,
  serializePolicyList,
} from "./policy/policy.ts";
export {
  type AncestorSource,
  type HashAlgorithm,
  type HashSource,
  type HostSource,
  hashAlgorithms,
  type InvalidToken,
  type Keyword,
  type KeywordSource,
  keywords,
  type NonceSource,
  type NoneSource,
  type SchemeSource,
  type SourceExpression,
  type Span,
  type Token,
} from "./policy/source-list.ts";
// Reports
export {
  type CspHashReport,
  type CspHashReportBody,
  type CspViolationReport,
  type CspViolationReportBody,
  type IntegrityViolationReport,
  type IntegrityViolationReportBody,
  parseReports,
  type Report,
  type ReportLimits,
} from "./report/parse-reports.ts";
export {
  isReportPossible,
  type Plausibility,
  type PlausibilityReason,
  type ReportedViolation,
} from "./report/plausibility.ts";
export {
  type DeprecatedReport,
  type HashedResponse,
  type HashReport,
  obtainDeprecatedSerialization,
  potentiallyReportHash,
  type ReportDestination,
  reportDestination,
  violationReportBody,
} from "./report/violation-report.ts";
export {
  deniedFeatures,
  type Header,
  type IntegrityPolicy,
  type PolicyOption,
  type PolicyValue,
  type SecurityHeadersOptions,
  type StrictTransportSecurity,
  securityHeaders,
} from "./serve/security-headers.ts";
