/**
 * Extensions, and those that the RFC defines for the group's context.
 * RFC 9420 §13.4 (extensions), §11.1 (required_capabilities), §12.1.8.1 (external_senders), §12.4.3.3 (ratchet_tree).
 * @module
 */

import { EMPTY } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  opaque,
  struct,
  uint16,
  vector,
} from "../codec.ts";
import type { CryptoProvider } from "../crypto/suite.ts";
import { MlsError, type Refuse, refuseAtOnce } from "../errors.ts";
import { EXTENSION, GREASE } from "../registry.ts";
import { Credential } from "./credential.ts";

/** §13.4. Of a type this package knows or not: the data is kept byte for byte. */
export interface Extension {
  readonly extensionType: number;
  readonly extensionData: Bytes;
}
/** How an extension stands on the wire. */
export const Extension: Codec<Extension> = struct({ extensionType: uint16, extensionData: opaque });
export const Extensions: Codec<readonly Extension[]> = vector(Extension);

/** §11.1. */
export interface RequiredCapabilities {
  readonly extensionTypes: readonly number[];
  readonly proposalTypes: readonly number[];
  readonly credentialTypes: readonly number[];
}
/** The data of a required_capabilities extension. */
export const RequiredCapabilities: Codec<RequiredCapabilities> = struct({
  extensionTypes: vector(uint16),
  proposalTypes: vector(uint16),
  credentialTypes: vector(uint16),
});

/** §12.1.8.1. */
export interface ExternalSender {
  readonly signatureKey: Bytes;
  readonly credential: Credential;
}
const ExternalSender: Codec<ExternalSender> = struct({
  signatureKey: opaque,
  credential: Credential,
});
const ExternalSenders: Codec<readonly ExternalSender[]> = vector(ExternalSender);

/** The data of the extension of a type, or undefined. */
export function findExtension(
  extensions: readonly Extension[],
  extensionType: number,
): Bytes | undefined {
  return extensions.find((extension) => extension.extensionType === extensionType)?.extensionData;
}

/** The `required_capabilities` of a group (§11.1), for its GroupContext. */
export function requiredCapabilities(required: RequiredCapabilities): Extension {
  return {
    extensionType: EXTENSION.requiredCapabilities,
    extensionData: encode(RequiredCapabilities, required),
  };
}

/** Who may make proposals from outside (§12.1.8.1), for the GroupContext. */
export function externalSenders(senders: readonly ExternalSender[]): Extension {
  return {
    extensionType: EXTENSION.externalSenders,
    extensionData: encode(ExternalSenders, senders),
  };
}

/** What the application knows a client by (§5.3.3), for its leaf. */
export function applicationId(id: Bytes): Extension {
  return { extensionType: EXTENSION.applicationId, extensionData: encode(opaque, id) };
}

/** The `application_id` among the extensions of a leaf. Throws `MlsError` with `decode`. */
export function applicationIdOf(extensions: readonly Extension[]): Bytes | undefined {
  const data = findExtension(extensions, EXTENSION.applicationId);
  return data && decode(opaque, data);
}

/** §13.4: at most one of each type. Throws `MlsError` with `duplicate-extension`. */
export function checkNoDuplicateExtension(
  extensions: readonly Extension[],
  refuse: Refuse = refuseAtOnce,
): void {
  // Most lists are this short, and there are as many as members.
  if (extensions.length < 2) return;
  const types = new Set(extensions.map((extension) => extension.extensionType));
  if (types.size !== extensions.length) {
    refuse(new MlsError("duplicate-extension", "13.4", "an extension type stands twice in a list"));
  }
}

/** §13.5: one of the values that mean nothing, at random. */
export function randomGrease(provider: CryptoProvider): number {
  const [byte = 0] = provider.random(1);
  return [...GREASE][byte % GREASE.size] ?? 0;
}

/** An extension that every receiver must ignore, so that it is seen whether they do (§13.5). */
export function greaseExtension(extensionType: number): Extension {
  return { extensionType, extensionData: EMPTY };
}

const NOTHING_REQUIRED: RequiredCapabilities = {
  extensionTypes: [],
  proposalTypes: [],
  credentialTypes: [],
};

/** What a group requires of its members (§11.1): nothing, where its GroupContext does not say. Throws `MlsError` with `decode`. */
export function requiredCapabilitiesOf(extensions: readonly Extension[]): RequiredCapabilities {
  const data = findExtension(extensions, EXTENSION.requiredCapabilities);
  return data ? decode(RequiredCapabilities, data) : NOTHING_REQUIRED;
}

/** Who may make proposals from outside (§12.1.8.1). Throws `MlsError` with `decode`. */
export function externalSendersOf(extensions: readonly Extension[]): readonly ExternalSender[] {
  const data = findExtension(extensions, EXTENSION.externalSenders);
  return data ? decode(ExternalSenders, data) : [];
}
