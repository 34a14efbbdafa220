/**
 * What the service says when it refuses: problem details (RFC 9457), told apart by `code`.
 * @module
 */

import { z } from "zod";

/** Each code with its HTTP status and when it is said. */
export const PROBLEMS = {
  "bad-request": [400, "The request has not the form it should have."],
  "invalid-signature": [401, "The proof of who asks does not hold."],
  "not-signed-in": [401, "The token is missing, unknown, or its session is over."],
  "sign-in-again": [
    401,
    "The session began too long ago for this: sign in, and ask again with the new token.",
  ],
  "clock-skew": [
    401,
    "The clocks differ too much, by which was signed when, when a device is revoked, or when a backup was saved. Carries `now`, the service's, in milliseconds.",
  ],
  "not-allowed": [403, "It is understood, and not this device's to do."],
  "account-disabled": [403, "The operator has disabled the account of the device that signs in."],
  "registration-closed": [403, "The service takes no new accounts."],
  "invite-needed": [
    403,
    "A new account needs an invite code, which the operator gives, and none was sent.",
  ],
  "invite-unknown": [403, "There is no such invite code, or it was revoked."],
  "origin-not-allowed": [403, "Pages of this origin may not use the service."],
  "not-found": [404, "There is nothing by that name, or nothing that this device may know of."],
  "method-not-allowed": [
    405,
    "The path is known, the method is not. `Allow` lists those that are.",
  ],
  "name-taken": [409, "Another account has this name."],
  "account-exists": [409, "The account exists already."],
  "device-in-use": [
    409,
    "Another copy of the device's client signed in since this one did, or this one doesn't say which it is. With `takeOver` this one goes on, and that one's sessions end.",
  ],
  "key-in-use": [409, "A signature key of the list is another device's."],
  "group-exists": [409, "Another group has this id."],
  "device-full": [
    409,
    "A device that would enter the group can take in no more: as many groups as it may be in it is in, or so many Welcomes it has not read. Carries `keyPackages`, the KeyPackageRefs of those that a commit adds.",
  ],
  "wrong-epoch": [
    409,
    "The epoch is over. For members it carries `currentEpoch` and, where a commit ended it, `winner` (seq and hash).",
  ],
  "future-epoch": [
    409,
    "The group has not come to this epoch yet. Said to members alone, with `currentEpoch`; others are told `wrong-epoch`.",
  ],
  "pending-proposals": [
    409,
    "The commit leaves out proposals of its epoch that have to be in it. Carries `refs`, their ProposalRefs; the log has them.",
  ],
  "beyond-end": [409, "The inbox never had that much."],
  "device-list-conflict": [
    409,
    "The device list does not follow the one that is held. Carries `currentVersion`.",
  ],
  "over-quota": [403, "The account has as many blobs, or bytes in them, as it may have."],
  "wrong-offset": [
    409,
    "The upload is at another offset. Carries `offset`, which `Upload-Offset` says too.",
  ],
  "backup-older": [409, "The account has a newer backup than this one. Carries its `number`."],
  "link-closed": [410, "The link has expired, was used up or was revoked."],
  "invite-spent": [410, "The invite code has made another account."],
  "invite-expired": [410, "The invite code's time is over."],
  "account-deleted": [410, "The account of the device that signs in was deleted."],
  gone: [
    410,
    "What follows in the log was deleted for its age. Carries `keptFrom`, the first sequence number that is there.",
  ],
  "tree-gone": [410, "The group is in another epoch by now, and the tree of this one gone."],
  "too-large": [413, "More than is taken. Carries `limit`."],
  "unsupported-media-type": [415, "The body has another media type than this route takes."],
  "range-not-satisfiable": [
    416,
    "The blob has none of these bytes. `Content-Range` says how many it has.",
  ],
  "invalid-message": [
    422,
    "The message breaks a rule of MLS. Carries `rule`, the code of the MlsError, and `section`, that of RFC 9420.",
  ],
  "report-refused": [
    422,
    "The report on a commit does not hold. Where a rule of MLS is broken it carries `rule`, the code of the MlsError.",
  ],
  "upgrade-required": [426, "This is a WebSocket."],
  "too-many-requests": [429, "Asked too often. `Retry-After` says for how many seconds."],
  internal: [500, "The service failed at this."],
  "shutting-down": [503, "The service is about to end."],
  unavailable: [
    503,
    "The store failed: whether the change was made isn't known, and the same request again finds out. `Retry-After` says when.",
  ],
} as const satisfies Readonly<Record<string, readonly [status: number, says: string]>>;

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
