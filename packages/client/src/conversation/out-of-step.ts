/**
 * Out of step: the group went on by a commit that we refuse. What follows can neither be read nor sent with our
 * state, until this device joins anew, or is brought back (`readding.ts`). What waits in the outbox is sent then.
 * @module
 */

import type { GroupsResponse } from "@conclave/delivery/protocol";
import type { MlsError } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { ClientError } from "../api.ts";
import { equal } from "../bytes.ts";
import type { Environment } from "../environment.ts";
import type { ConversationState } from "./state.ts";

/** The codes of what was wrong with a commit whose public part we accepted: we were shut out, by mistake or not. */
const SHUT_OUT: ReadonlySet<MlsError["code"]> = new Set([
  "hpke-open",
  "path-secret",
  "confirmation-tag",
]);

/** Whether an error says that a commit was in order but for the part that is for us alone. */
export function shutsOut(code: MlsError["code"] | undefined): boolean {
  return code !== undefined && SHUT_OUT.has(code);
}

/**
 * After a commit that was refused, once the log was read: whether the service counts it. One that was put into the log for us
 * alone doesn't matter. Throws `ServiceError`.
 */
export async function checkStep(state: ConversationState): Promise<void> {
  const { group, groupId, position, environment } = state;
  if (!state.refusedCommit || group?.status !== "active" || state.record.restored) return;
  const there = await asListed(environment, groupId);
  // What is there to be read may explain it.
  if (there && there.head > position.cursor) return;
  state.refusedCommit = false;
  // A commit behind a gap may be a second one for an epoch of which we have another: then no epoch tells the two groups apart.
  if (there?.member && there.epoch <= group.epoch && !state.gap) return;
  await loseStep(state);
}

/** What the service has of the group among those of this device. */
async function asListed(
  { service }: Environment,
  groupId: Bytes,
): Promise<GroupsResponse["groups"][number] | undefined> {
  let after: Bytes | undefined;
  do {
    const { groups, next } = await service.groups({ after });
    const there = groups.find((one) => equal(one.groupId, groupId));
    if (there) return there;
    after = next;
  } while (after);
  return undefined;
}

export async function loseStep(state: ConversationState): Promise<void> {
  if (state.record.restored) return;
  const step = state.step();
  step.record = { ...step.record, restored: true };
  step.warn({ code: "out-of-step" });
  const gone = new ClientError("refused", "the group has gone on without this device");
  step.afterwards(state.intents.stageFailureOfAll(step.batch, gone));
  await step.apply();
}
