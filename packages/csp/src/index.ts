/**
 * Content Security Policy Level 3. Start with `buildPolicy` to write a policy, `parsePolicy` to read one, and
 * `@conclave/csp/fetch` or `@conclave/csp/node` to send one.
 * @module
 */

export { CspError, type CspErrorCode } from "./errors.ts";
// For authors
export {
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
  deniedFeatures,
  type Header,
  type IntegrityPolicy,
  type PolicyOption,
  type SecurityHeadersOptions,
  type StrictTransportSecurity,
  securityHeaders,
} from "./serve/security-headers.ts";
