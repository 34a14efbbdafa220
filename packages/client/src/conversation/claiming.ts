/**
 * Others' key packages: claimed from the service, and judged before they are used.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import { EXTENSION, type Group, MlsError, RequiredCapabilities } from "@conclave/mls";
import { type Bytes, decode } from "@conclave/mls/codec";
import { validateKeyPackage } from "@conclave/mls/public-group";
import { SUITE } from "../environment.ts";
import { causeOf, refusalOf } from "../refusal.ts";
import type { Addition, Renewal } from "./records.ts";
import type { ConversationState } from "./state.ts";

/** As many devices are named at a time. */
const NAMED = 64;

/**
 * Key packages for an intent, one of each of the account's devices that has any, or of each of those that are named. They are claimed
 * once, and kept with the intent until it is over. Throws `ServiceError`.
 */
export async function keyPackagesFor(
  state: ConversationState,
  group: Group,
  number: number,
  intent: Addition | Renewal,
  named?: readonly Bytes[],
): Promise<readonly Bytes[]> {
  const { accountId } = intent;
  if (intent.keyPackages.length > 0) return intent.keyPackages;
  const claimed = await state.environment.service.claimKeyPackages({
    body: {
      accountId,
      suites: [SUITE],
      requires: requirementsOf(group),
      ...(named && { devices: named.slice(0, NAMED) }),
    },
  });
  const keyPackages = claimed.keyPackages.map(({ keyPackage }) => keyPackage);
  if (keyPackages.length === 0) return [];
  const step = state.step();
  step.afterwards(state.intents.stage(step.batch, number, { ...intent, keyPackages }));
  await step.apply();
  return keyPackages;
}

/** What the group requires of its members (RFC 9420 §11.1). */
function requirementsOf(group: Group): RequiredCapabilities {
  const extension = group.extensions.find(
    ({ extensionType }) => extensionType === EXTENSION.requiredCapabilities,
  );
  if (extension) return decode(RequiredCapabilities, extension.extensionData);
  return { extensionTypes: [], proposalTypes: [], credentialTypes: [] };
}

/** A device that the account's list doesn't have is left out, and told. */
export async function acceptable(state: ConversationState, keyPackage: Bytes): Promise<boolean> {
  state.judgeNow();
  try {
    const { leafNode } = await validateKeyPackage(state.context, keyPackage);
    await state.context.authentication.validate([leafNode], "new");
    return true;
  } catch (error) {
    const refusal = refusalOf(error);
    if (!refusal && !(error instanceof MlsError)) throw error;
    if (causeOf(error, ServiceError)?.transient) throw error;
    const step = state.step();
    step.warn({ code: refusal?.code ?? "message-refused", ...refusal?.about });
    await step.apply();
    return false;
  }
}
