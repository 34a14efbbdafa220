/**
 * Credentials made of several, each bound to the leaf's signature key by a signature of its own.
 * draft-ietf-mls-extensions, "Multi-Credentials".
 * @module
 */

import { concat } from "../bytes.ts";
import { type Bytes, type Codec, encode, opaque, Reader, struct, uint16 } from "../codec.ts";
import { type Signer, signWithLabel, verifyWithLabel } from "../crypto/signature.ts";
import { type CryptoProvider, suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import type { GroupRules } from "../group/group-rules.ts";
import {
  type AuthenticationService,
  Credential,
  type Credentialed,
  credentialTypeOf,
} from "../key/credential.ts";
import type { Member } from "../tree/ratchet-tree.ts";

/** The suggested numbers of the two types. */
export const MULTI_CREDENTIAL = { multi: 3, weakMulti: 4 } as const;

/** A credential whose holder signs that a leaf's signature key is its own too. */
export interface CredentialBinding {
  readonly cipherSuite: number;
  readonly credential: Credential;
  readonly credentialKey: Bytes;
  readonly signature: Bytes;
}
const FIELDS = { cipherSuite: uint16, credential: Credential, credentialKey: opaque } as const;
const CredentialBinding: Codec<CredentialBinding> = struct({ ...FIELDS, signature: opaque });
const CredentialBindingTBS: Codec<
  Omit<CredentialBinding, "signature"> & { readonly signatureKey: Bytes }
> = struct({ ...FIELDS, signatureKey: opaque });

const LABEL = "CredentialBindingTBS";

/** Binds a credential, by the signer of its own key, to the signature key of a leaf. */
export async function bindCredential(
  binding: { readonly cipherSuite: number; readonly credential: Credential },
  signer: Signer,
  signatureKey: Bytes,
): Promise<CredentialBinding> {
  const bound = { ...binding, credentialKey: signer.publicKey };
  const content = encode(CredentialBindingTBS, { ...bound, signatureKey });
  return { ...bound, signature: await signWithLabel(signer, LABEL, content) };
}

/** A credential of several: `multi`, all of which everybody must support, or `weakMulti`, one of which. */
export function multiCredential(
  kind: keyof typeof MULTI_CREDENTIAL,
  bindings: readonly CredentialBinding[],
): Credential {
  const data = concat(...bindings.map((binding) => encode(CredentialBinding, binding)));
  return { credentialType: "other", number: MULTI_CREDENTIAL[kind], data };
}

/** The bindings of a credential of either type; undefined for one of another. Throws `MlsError` with `decode`. */
export function bindingsOf(credential: Credential): readonly CredentialBinding[] | undefined {
  if (credential.credentialType !== "other") return undefined;
  const { multi, weakMulti } = MULTI_CREDENTIAL;
  if (credential.number !== multi && credential.number !== weakMulti) return undefined;
  const bindings: CredentialBinding[] = [];
  const reader = new Reader(credential.data);
  while (!reader.done) bindings.push(CredentialBinding.read(reader));
  if (bindings.length === 0) {
    throw new MlsError("authentication", "5.3", "a credential without bindings");
  }
  return bindings;
}

function isWeak(credential: Credential): boolean {
  return credentialTypeOf(credential) === MULTI_CREDENTIAL.weakMulti;
}

/**
 * An authentication service for credentials of several, on one that judges each by itself. `credentialTypes`: those that this
 * client supports. The first binding that it supports tells who a leaf is.
 */
export function multiAuthentication(
  crypto: CryptoProvider,
  each: AuthenticationService,
  credentialTypes: readonly number[],
): AuthenticationService {
  const supports = ({ cipherSuite, credential }: CredentialBinding): boolean =>
    crypto.suites.has(cipherSuite) && credentialTypes.includes(credentialTypeOf(credential));

  /** What a leaf's credential comes to: each binding as if it stood in a leaf of its own. */
  const judged = async (leaf: Credentialed): Promise<readonly Credentialed[]> => {
    const bindings = bindingsOf(leaf.credential);
    if (!bindings) return [leaf];
    const supported = bindings.filter(supports);
    const enough = isWeak(leaf.credential) ? 1 : bindings.length;
    if (supported.length < enough) {
      throw new MlsError("authentication", "5.3.1", "a binding that is not supported here");
    }
    const { signatureKey } = leaf;
    for (const { signature, ...bound } of supported) {
      const content = encode(CredentialBindingTBS, { ...bound, signatureKey });
      const suite = suiteOf(crypto, bound.cipherSuite);
      if (!(await verifyWithLabel(suite, bound.credentialKey, LABEL, content, signature))) {
        throw new MlsError("authentication", "5.3.1", "a binding whose signature does not verify");
      }
    }
    return supported.map(speaker);
  };

  const first = (leaf: Credentialed): Credentialed => {
    const bindings = bindingsOf(leaf.credential);
    if (!bindings) return leaf;
    const [binding] = bindings.filter(supports);
    if (binding) return speaker(binding);
    throw new MlsError("authentication", "5.3.1", "no binding that is supported here");
  };

  const { clientOf } = each;
  return {
    validate: async (leaves, standing) => {
      const all = await Promise.all(leaves.map(judged));
      await each.validate(all.flat(), standing);
    },
    isSuccessor: (previous, next) => each.isSuccessor(first(previous), first(next)),
    ...(clientOf && { clientOf: (leaf: Credentialed) => clientOf(first(leaf)) }),
  };
}

function speaker({ credential, credentialKey }: CredentialBinding): Credentialed {
  return { credential, signatureKey: credentialKey };
}

/**
 * Whether every member supports what credentials of several need of it: for `rules.checkGroup`. Throws `MlsError`. Members who offer the
 * same, and credentials that need the same, are compared once: in a large group most do.
 */
export const checkMultiCredentials: NonNullable<GroupRules["checkGroup"]> = ({ members }) => {
  const all = members();
  const needs = new Map<string, { readonly need: Need; readonly leafIndex: number }>();
  for (const { leafIndex, leafNode } of all) {
    const need = needOf(leafNode.credential);
    if (need && !needs.has(need.key)) needs.set(need.key, { need, leafIndex });
  }
  if (needs.size === 0) return;
  const offers = new Map<string, Member>();
  for (const member of all) {
    const key = offerKey(member);
    if (!offers.has(key)) offers.set(key, member);
  }
  for (const { need, leafIndex } of needs.values()) {
    for (const member of offers.values()) {
      const supported = need.bindings.filter((binding) => memberSupports(member, binding)).length;
      if (supported >= need.enough) continue;
      const why = `leaf ${member.leafIndex} does not support the bindings of leaf ${leafIndex}`;
      throw new MlsError("leaf-capabilities", "7.3", why);
    }
  }
};

/** What a credential of several needs of every member: to support so many of its kinds of bindings. */
interface Need {
  readonly key: string;
  readonly enough: number;
  readonly bindings: readonly CredentialBinding[];
}

function needOf(credential: Credential): Need | undefined {
  const kinds = new Map<string, CredentialBinding>();
  for (const binding of bindingsOf(credential) ?? []) {
    kinds.set(`${binding.cipherSuite}/${credentialTypeOf(binding.credential)}`, binding);
  }
  if (kinds.size === 0) return undefined;
  const enough = isWeak(credential) ? 1 : kinds.size;
  return {
    key: `${enough} of ${[...kinds.keys()].sort().join(" ")}`,
    enough,
    bindings: [...kinds.values()],
  };
}

/** The same for members who support the same. GREASE makes a few hundred kinds of it, however many members there are. */
function offerKey({ leafNode }: Member): string {
  const { cipherSuites, credentials } = leafNode.capabilities;
  return `${cipherSuites.join(",")}/${credentials.join(",")}`;
}

function memberSupports({ leafNode }: Member, binding: CredentialBinding): boolean {
  const { cipherSuites, credentials } = leafNode.capabilities;
  const type = credentialTypeOf(binding.credential);
  return cipherSuites.includes(binding.cipherSuite) && credentials.includes(type);
}
