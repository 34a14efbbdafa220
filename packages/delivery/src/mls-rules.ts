/**
 * Where a rule of MLS, or of what a conversation allows, becomes a refusal.
 * @module
 */

import { MlsError } from "@conclave/mls/public-group";
import { CommitRefusal } from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";

/** What `work` answers; a rule that it finds broken is the caller's fault. */
export async function byTheRules<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    // What our own policy threw comes as the cause of what MLS makes of it.
    const isPolicy = thrown instanceof MlsError && thrown.code === "policy";
    const error: unknown = isPolicy ? thrown.cause : thrown;
    if (error instanceof CommitRefusal) {
      const { message, leftOut } = error;
      if (leftOut.length === 0) throw new Refusal("not-allowed", message);
      throw new Refusal("pending-proposals", message, { members: { refs: leftOut } });
    }
    if (!(error instanceof MlsError)) throw error;
    throw new Refusal("invalid-message", "the message breaks a rule of MLS", {
      members: { rule: error.code, section: error.section },
    });
  }
}
