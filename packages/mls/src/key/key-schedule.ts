/**
 * The key schedule: from one epoch's secrets to the next one's. RFC 9420 §8, §8.3, §8.5, §8.7.
 * @module
 */

import { checkBytes, wipe } from "../bytes.ts";
import { type Bytes, type Codec, opaque, struct } from "../codec.ts";
import { deriveKeyPair } from "../crypto/hpke.ts";
import { deriveSecret, expandWithLabel, extract, hash, mac } from "../crypto/kdf.ts";
import type { KeyPair, Suite } from "../crypto/suite.ts";

/** Table 4 of §8: what lives as long as the epoch, each `nh` bytes. */
export interface EpochSecrets {
  readonly senderDataSecret: Bytes;
  readonly exporterSecret: Bytes;
  readonly epochAuthenticator: Bytes;
  readonly externalSecret: Bytes;
  readonly confirmationKey: Bytes;
  readonly membershipKey: Bytes;
  readonly resumptionPsk: Bytes;
  readonly initSecret: Bytes;
}
export const EpochSecrets: Codec<EpochSecrets> = struct({
  senderDataSecret: opaque,
  exporterSecret: opaque,
  epochAuthenticator: opaque,
  externalSecret: opaque,
  confirmationKey: opaque,
  membershipKey: opaque,
  resumptionPsk: opaque,
  initSecret: opaque,
});

/** All that an epoch begins with. */
export interface DerivedSecrets {
  readonly secrets: EpochSecrets;
  /** The root of the secret tree, which uses it up (§9). */
  readonly encryptionSecret: Bytes;
  /** The root of the exporter tree, which uses it up (draft-ietf-mls-extensions, "Exported Secrets"). */
  readonly applicationExportSecret: Bytes;
}

/** `joiner_secret`: from here a joiner can go on (§8). */
export function joinerSecret(
  suite: Suite,
  initSecret: Bytes,
  commitSecret: Bytes,
  groupContext: Bytes,
): Bytes {
  const extracted = extract(suite, initSecret, commitSecret);
  const joiner = expandWithLabel(suite, extracted, "joiner", groupContext, suite.nh);
  wipe(extracted);
  return joiner;
}

/** The secret over joiner and PSKs from which `welcome_secret` and `epoch_secret` come. */
function memberSecret(suite: Suite, joiner: Bytes, psk: Bytes): Bytes {
  return extract(suite, joiner, psk);
}

export function welcomeSecret(suite: Suite, joiner: Bytes, psk: Bytes): Bytes {
  const member = memberSecret(suite, joiner, psk);
  const welcome = deriveSecret(suite, member, "welcome");
  wipe(member);
  return welcome;
}

/** All secrets of an epoch (§8). */
export function epochSecrets(
  suite: Suite,
  joiner: Bytes,
  psk: Bytes,
  groupContext: Bytes,
): DerivedSecrets {
  const member = memberSecret(suite, joiner, psk);
  const epoch = expandWithLabel(suite, member, "epoch", groupContext, suite.nh);
  wipe(member);
  const derived = secretsOfEpoch(suite, epoch);
  wipe(epoch);
  return derived;
}

/** From `epoch_secret` on; a new group draws that at random (§11). */
export function secretsOfEpoch(suite: Suite, epoch: Bytes): DerivedSecrets {
  const derive = (label: string): Bytes => deriveSecret(suite, epoch, label);
  return {
    secrets: {
      senderDataSecret: derive("sender data"),
      exporterSecret: derive("exporter"),
      epochAuthenticator: derive("authentication"),
      externalSecret: derive("external"),
      confirmationKey: derive("confirm"),
      membershipKey: derive("membership"),
      resumptionPsk: derive("resumption"),
      initSecret: derive("init"),
    },
    encryptionSecret: derive("encryption"),
    applicationExportSecret: derive("application_export"),
  };
}

export function wipeEpochSecrets(secrets: EpochSecrets): void {
  wipe(...Object.values(secrets));
}

/** Overwrites what an epoch would have begun with. */
export function wipeDerived(
  derived: Pick<DerivedSecrets, "secrets" | "encryptionSecret"> & {
    readonly applicationExportSecret: Bytes | undefined;
  },
): void {
  wipeEpochSecrets(derived.secrets);
  wipe(derived.encryptionSecret, derived.applicationExportSecret);
}

/** §8.1. */
export function confirmationTag(
  suite: Suite,
  confirmationKey: Bytes,
  confirmedTranscriptHash: Bytes,
): Bytes {
  return mac(suite, confirmationKey, confirmedTranscriptHash);
}

/** The key pair whose public half is `external_pub` (§8.3). */
export function externalKeyPair(suite: Suite, externalSecret: Bytes): Promise<KeyPair> {
  return deriveKeyPair(suite, externalSecret);
}

/** The label of the HPKE export that gives the `init_secret` of an external commit (§8.3). */
export const EXTERNAL_INIT_LABEL = "MLS 1.0 external init secret";

/** `MLS-Exporter` (§8.5), `length` bytes. Throws `TypeError` for a context that is not of bytes. */
export function mlsExporter(
  suite: Suite,
  exporterSecret: Bytes,
  label: string,
  context: Bytes,
  length: number,
): Bytes {
  // A platform may hash a text too, each in its own way.
  checkBytes(context);
  const derived = deriveSecret(suite, exporterSecret, label);
  const exported = expandWithLabel(suite, derived, "exported", hash(suite, context), length);
  wipe(derived);
  return exported;
}
