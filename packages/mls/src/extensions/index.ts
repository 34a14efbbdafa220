/**
 * Extensions of MLS (draft-ietf-mls-extensions-10): proposals of three more types, application data in the group, and what
 * components of an application use of MLS without getting in each other's way. `draftProposals` gives their rules to a context;
 * who is to support the proposals lists them in its capabilities.
 * @module
 */

import type { ProposalRules } from "../group/group-rules.ts";
import { DRAFT_PROPOSAL } from "../registry.ts";
import { appDataUpdateRules, appEphemeralRules, type Component } from "./app-data.ts";
import { selfRemoveRules } from "./self-remove.ts";

export {
  APP_DATA_DICTIONARY,
  AppDataDictionary,
  type Component,
  type ComponentData,
  componentData,
  dictionaryExtension,
  dictionaryOf,
} from "./app-data.ts";
export {
  type ComponentOperation,
  componentOperationLabel,
  safeDecryptWithLabel,
  safeEncryptWithLabel,
  safeSignWithLabel,
  safeVerifyWithLabel,
} from "./component.ts";
export {
  bindCredential,
  bindingsOf,
  type CredentialBinding,
  checkMultiCredentials,
  MULTI_CREDENTIAL,
  multiAuthentication,
  multiCredential,
} from "./multi-credential.ts";
export {
  COMPONENT,
  checkComponents,
  checkSafeAad,
  componentsList,
  frameContent,
  type MediaType,
  mediaTypes,
  readContent,
  readSafeAad,
  type SafeAad,
  safeAad,
} from "./negotiation.ts";
export { DRAFT_PROPOSAL };

/** Rules for the draft's proposals, in the order in which they are applied: for `rules.proposals` of a context. */
export function draftProposals(
  components: ReadonlyMap<number, Component> = new Map(),
): ReadonlyMap<number, ProposalRules> {
  return new Map([
    [DRAFT_PROPOSAL.selfRemove, selfRemoveRules],
    [DRAFT_PROPOSAL.appEphemeral, appEphemeralRules(components)],
    [DRAFT_PROPOSAL.appDataUpdate, appDataUpdateRules(components)],
  ]);
}
