/**
 * Numbers with names. RFC 9420 §17.
 * @module
 */

/** §17.2 and §6: the one version there is. */
export const MLS10 = 1;

/** §17.3. */
export const EXTENSION = {
  applicationId: 1,
  ratchetTree: 2,
  requiredCapabilities: 3,
  externalPub: 4,
  externalSenders: 5,
} as const;

/** §17.4. */
export const PROPOSAL = {
  add: 1,
  update: 2,
  remove: 3,
  psk: 4,
  reinit: 5,
  externalInit: 6,
  groupContextExtensions: 7,
} as const;

/** draft-ietf-mls-extensions, suggested numbers: known to this package, and supported by those who list them. */
export const DRAFT_PROPOSAL = { appDataUpdate: 8, appEphemeral: 9, selfRemove: 10 } as const;

/** §17.5. */
export const CREDENTIAL = { basic: 1, x509: 2 } as const;

/** §13.5: values of suites, extensions, proposals and credentials that will never mean anything. */
export const GREASE: ReadonlySet<number> = new Set(
  Array.from({ length: 15 }, (_, i) => 0x0a0a + i * 0x1010),
);

/** Those that every member supports without saying so (§7.2): they are not listed in capabilities. */
export const DEFAULT_EXTENSIONS: ReadonlySet<number> = new Set(Object.values(EXTENSION));
export const DEFAULT_PROPOSALS: ReadonlySet<number> = new Set(Object.values(PROPOSAL));
