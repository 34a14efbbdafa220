/**
 * The one error this package throws on purpose.
 * @module
 */

/** What went wrong, one word for each rule or family of rules. Stable: an application may switch on it. */
export type MlsErrorCode =
  | "decode"
  | "unsupported-suite"
  | "unsupported-version"
  | "crypto"
  | "hpke-open"
  | "aead-open"
  | "exhausted"
  // Messages and framing (§6)
  | "wrong-group"
  | "wrong-epoch"
  | "wrong-wire-format"
  | "unknown-sender"
  | "sender-not-allowed"
  | "content-type-not-allowed"
  | "signature"
  | "membership-tag"
  | "confirmation-tag"
  | "padding"
  | "generation-used"
  | "generation-too-far"
  | "own-message"
  | "state-old"
  // Leaf nodes and key packages (§7, §10)
  | "leaf-signature"
  | "leaf-source"
  | "leaf-capabilities"
  | "leaf-lifetime"
  | "leaf-extensions"
  | "leaf-key-reused"
  | "leaf-encryption-key"
  | "key-package-version"
  | "key-package-suite"
  | "key-package-signature"
  | "key-package-init-key"
  | "key-package-unknown"
  // The tree (§7)
  | "tree-shape"
  | "tree-hash"
  | "parent-hash"
  | "unmerged-leaves"
  | "blank-leaf"
  | "update-path"
  | "path-secret"
  // Proposals and commits (§12)
  | "proposal-unknown"
  | "proposal-invalid"
  | "proposal-unsupported"
  | "proposal-list"
  | "path-required"
  | "duplicate-extension"
  | "extension-unsupported"
  | "psk-unknown"
  | "psk-nonce"
  | "psk-usage"
  | "reinit"
  | "branch"
  | "external-commit"
  | "authentication"
  | "policy"
  | "pending-commit"
  | "pending-proposals"
  | "too-many-proposals"
  | "no-pending-commit"
  | "report"
  // Welcome and GroupInfo (§12.4.3)
  | "welcome"
  | "group-info-signature"
  | "group-exists"
  | "group-closed"
  | "removed"
  // What the application has and gives
  | "signer-unknown"
  | "storage";

/** A rule of RFC 9420 was broken, or what was asked cannot be done. Nothing secret is in its message. */
export class MlsError extends Error {
  override readonly name = "MlsError";
  readonly code: MlsErrorCode;
  /** The section of RFC 9420 whose rule was broken, such as `"7.3"`. */
  readonly section: string;

  constructor(code: MlsErrorCode, section: string, message: string, options?: ErrorOptions) {
    super(`${message} (RFC 9420 §${section})`, options);
    this.code = code;
    this.section = section;
  }
}

/**
 * Where a check takes a broken rule: it is thrown at once, or noted, and the check goes on to the next rule.
 * `proposal`: its position in the list that is checked.
 */
export type Refuse = (error: MlsError, proposal?: number) => void;

export function refuseAtOnce(error: MlsError): never {
  throw error;
}

/** Runs a check that throws, so that what it throws goes where all broken rules go. */
export async function attempt(refuse: Refuse, check: () => void | Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (!(error instanceof MlsError)) throw error;
    refuse(error);
  }
}
