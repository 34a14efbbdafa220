/**
 * Making a conversation: a group with this device as its one member (RFC 9420 §11).
 * @module
 */

import { createGroup, EXTENSION, RequiredCapabilities } from "@conclave/mls";
import { encode } from "@conclave/mls/codec";
import { hex, randomBytes } from "../bytes.ts";
import {
  capabilitiesOf,
  type Environment,
  leafLifetime,
  mlsContext,
  SUITE,
} from "../environment.ts";
import { withLinks } from "../invitation.ts";
import { boolean, changes, ordinal, put } from "../storage.ts";
import { putMessages } from "./history.ts";
import { ConversationRecord, KEYS } from "./records.ts";
import { ConversationState } from "./state.ts";

/** A group with this device alone, at the service and here. Throws `ServiceError`; then there is none. */
export async function createConversation(
  environment: Environment,
  title: string,
): Promise<ConversationState> {
  const { self, now, service } = environment;
  const groupId = randomBytes(16);
  const id = hex(groupId);
  const capabilities = capabilitiesOf(environment.crypto);
  const extensionTypes = capabilities.extensions;
  const required = { extensionTypes, proposalTypes: [], credentialTypes: [] };
  const requiredCapabilities = {
    extensionType: EXTENSION.requiredCapabilities,
    extensionData: encode(RequiredCapabilities, required),
  };
  const group = await createGroup(mlsContext(environment, service.now), {
    groupId,
    suite: SUITE,
    credential: self.credential,
    signer: self.leafSigner,
    capabilities,
    lifetime: leafLifetime(service.now()),
    extensions: withLinks([requiredCapabilities], []),
  });
  try {
    const groupInfo = await group.groupInfo({ externalPub: false });
    const body = { groupInfo, ratchetTree: group.ratchetTree() };
    await service.createGroup({ body });
  } catch (error) {
    await group.remove();
    throw error;
  }
  const batch = changes();
  const subject = self.accountIdBytes;
  const record: ConversationRecord = {
    title,
    status: "active",
    leaving: false,
    restored: false,
    createdAt: now(),
  };
  put(batch, KEYS.conversation(id), ConversationRecord, record);
  put(batch, KEYS.noneRemoved(id), boolean, true);
  putMessages(batch, id, [
    {
      id: `02${self.accountId}${ordinal(0)}`,
      seq: 0,
      accountId: subject,
      at: now(),
      alone: true,
      body: { type: "membership", change: "created", subject, by: undefined },
    },
  ]);
  await environment.storage.apply(batch);
  return ConversationState.load(environment, id, record);
}
