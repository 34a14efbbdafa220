/**
 * What the service says when it refuses: problem details (RFC 9457), told apart by `code`.
 * @module
 */

import { z } from "zod";

/** Each code with its HTTP status. */
export const PROBLEMS = {
  "bad-request": 400,
  "invalid-signature": 401,
  "not-signed-in": 401,
  /** Carries `now`, the service's, in milliseconds since the Unix epoch. */
  "clock-skew": 401,
  "not-allowed": 403,
  "origin-not-allowed": 403,
  "not-found": 404,
  "method-not-allowed": 405,
  "name-taken": 409,
  "account-exists": 409,
  /** A signature key of the list is another device's. */
  "key-in-use": 409,
  "group-exists": 409,
  /** A device that the commit adds has not read its inbox for too long. */
  "inbox-full": 409,
  /**
   * For members it carries `currentEpoch`, and `winner` (seq and hash) where a commit won that epoch; for
   * others it does not.
   */
  "wrong-epoch": 409,
  /** The device list does not follow the one that is held. Carries `currentVersion`. */
  "device-list-conflict": 409,
  "link-closed": 410,
  "too-large": 413,
  "unsupported-media-type": 415,
  /** The message breaks a rule of MLS. Carries `rule`, the code of the MlsError. */
  "invalid-message": 422,
  /** `GET /v1/socket` without an upgrade. */
  "upgrade-required": 426,
  /** With `Retry-After`, in seconds. */
  "too-many-requests": 429,
  internal: 500,
  "shutting-down": 503,
  /** The store failed: whether the change was made isn't known, and the same request again finds out. With `Retry-After`. */
  unavailable: 503,
} as const;

export type ProblemCode = keyof typeof PROBLEMS;

/** `application/problem+json`. */
export const Problem: z.ZodType<Problem> = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.string(),
});
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** One of `ProblemCode`, or one that a newer service knows. */
  readonly code: string;
  readonly [member: string]: unknown;
}
