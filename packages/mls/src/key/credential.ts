/**
 * Credentials, and who judges them. RFC 9420 §5.3.
 * @module
 */

import { type Bytes, type Codec, opaque, select, struct, uint16, vector } from "../codec.ts";
import { CREDENTIAL } from "../registry.ts";

/** §5.3. Who a leaf says it belongs to. */
export type Credential =
  | { readonly credentialType: "basic"; readonly identity: Bytes }
  | { readonly credentialType: "x509"; readonly certificates: readonly Bytes[] }
  /** A type this package has no name for, kept as it came. */
  | { readonly credentialType: "other"; readonly number: number; readonly data: Bytes };

/** How a credential stands on the wire. */
export const Credential: Codec<Credential> = select<"credentialType", Credential>(
  "credentialType",
  uint16,
  {
    basic: [CREDENTIAL.basic, struct({ identity: opaque })],
    x509: [CREDENTIAL.x509, struct({ certificates: vector(opaque) })],
  },
  struct({ data: opaque }),
);

export function credentialTypeOf(credential: Credential): number {
  return credential.credentialType === "other"
    ? credential.number
    : CREDENTIAL[credential.credentialType];
}

/** What is judged: a credential, and the key that it is said to belong to. */
export interface Credentialed {
  readonly credential: Credential;
  readonly signatureKey: Bytes;
}

/** §5.3.1. The application's judgement; there is no default that accepts. */
export interface AuthenticationService {
  /**
   * Throws to refuse. `new`: they enter the group by the step that is judged, all in one call. `present`: they stand in
   * the tree of a group that is joined or opened, and were judged by its members when they came.
   * A leaf that is replaced by one with the same credential and key is not asked about again.
   */
  readonly validate: (
    leaves: readonly Credentialed[],
    standing: "new" | "present",
  ) => Promise<void>;
  /** Whether `next` may stand where `previous` stood: the same client, a valid successor. */
  readonly isSuccessor: (previous: Credentialed, next: Credentialed) => Promise<boolean>;
  /**
   * §12.2. A name for the client that a leaf represents: the same for two leaves of one client, and for no others. A
   * client is added once, and not while it is a member. Asked of leaves that were judged, and of those about to be; the
   * answer for a leaf never changes. Unless given, clients are told apart by signature key alone, as leaves always are.
   */
  readonly clientOf?: (leaf: Credentialed) => string;
}
