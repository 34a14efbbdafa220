/**
 * Why a request came to nothing.
 * @module
 */

import type { Problem, ProblemCode } from "../protocol/index.ts";

/** `offline`: no answer. `bad-answer`: one that is not what the protocol says. */
export type ServiceErrorCode = ProblemCode | "offline" | "bad-answer";

export class ServiceError extends Error {
  override readonly name = "ServiceError";
  /** One of `ServiceErrorCode`, or a code that a newer service knows. */
  readonly code: ServiceErrorCode | (string & {});
  /** The same request may succeed later. */
  readonly transient: boolean;
  /** Milliseconds, where the service said how long to wait. */
  readonly retryAfter: number | undefined;
  readonly problem: Problem | undefined;

  constructor(
    code: string,
    message: string,
    options: ErrorOptions & {
      readonly transient?: boolean;
      readonly retryAfter?: number | undefined;
      readonly problem?: Problem;
    } = {},
  ) {
    super(message, options);
    this.code = code;
    this.transient = options.transient ?? false;
    this.retryAfter = options.retryAfter;
    this.problem = options.problem;
  }
}
