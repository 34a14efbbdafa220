/** The package's one error. @module */

/** What was refused. The codes are stable; messages are for people and may change. */
export type CspErrorCode =
  // Building a policy.
  | "unknown-directive"
  | "missing-value"
  | "unexpected-value"
  | "separator-in-value"
  | "invalid-value"
  | "none-not-alone"
  | "hash-length"
  // Deciding.
  | "invalid-url"
  // Building the headers beside it.
  | "invalid-header"
  | "unknown-endpoint"
  // Reading reports.
  | "report-too-large"
  | "report-media-type"
  | "report-syntax"
  | "report-shape";

/** Says what cannot be in a policy, a header or a report. Reports come from strangers, so their content is never in `message`. */
export class CspError extends Error {
  override readonly name = "CspError";
  readonly code: CspErrorCode;

  constructor(code: CspErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
