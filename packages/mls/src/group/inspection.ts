/**
 * A dry run: every rule that a key package or a list of proposals would break, where a commit would end at the first.
 * RFC 9420 §10.1 (key packages), §12.1, §12.2 (proposals), §5.3.1 (credentials).
 * @module
 */

import type { Bytes } from "../codec.ts";
import { type Suite, suiteOf } from "../crypto/suite.ts";
import { attempt, MlsError, type MlsErrorCode, type Refuse, refuseAtOnce } from "../errors.ts";
import { decodeMessageOf } from "../framing/message.ts";
import { validateKeyPackage } from "../key/key-package.ts";
import type { PreSharedKeyID } from "../key/psk.ts";
import {
  checkLifetime,
  checkSuiteListed,
  checkTotalLifetime,
  type LeafNode,
  MAX_LIFETIME,
} from "../tree/leaf-node.ts";
import { checkGroup } from "./group-rules.ts";
import { applyProposals, type ListedProposal } from "./proposal-list.ts";
import type { PublicContext, PublicState } from "./public-state.ts";
import { judge, summarize } from "./staged-commit.ts";

/** A rule that would be broken: what an `MlsError` would say. */
export interface BrokenRule {
  readonly code: MlsErrorCode;
  /** Of RFC 9420. */
  readonly section: string;
  readonly message: string;
  /** The proposal that breaks it, by its position in the list; absent where the list as a whole does. */
  readonly proposal?: number;
}

/** Runs a check to its end, and gives what it refused. */
async function brokenRules(
  check: (refuse: Refuse) => Promise<void>,
): Promise<readonly BrokenRule[]> {
  const broken: BrokenRule[] = [];
  const known = new Set<string>();
  const note: Refuse = ({ code, section, message }, proposal) => {
    // A rule may be met again when the list is applied.
    const rule = `${code} ${proposal}`;
    if (known.has(rule) && proposal !== undefined) return;
    known.add(rule);
    broken.push({ code, section, message, ...(proposal !== undefined && { proposal }) });
  };
  await attempt(note, () => check(note));
  return broken;
}

/** The application's refusal, which may be an error of any kind, as a rule. */
function byApplication(check: () => Promise<void>): () => Promise<void> {
  return async () => {
    try {
      await check();
    } catch (cause) {
      if (cause instanceof MlsError) throw cause;
      throw new MlsError("authentication", "5.3.1", "the application refuses", { cause });
    }
  };
}

/** What who adds a leaf is to check: that it lists its suite, and how long it may be used (§7.2, §7.3). */
async function checkForAdding(
  context: Pick<PublicContext, "now" | "maxLifetime">,
  suite: Suite,
  leafNode: LeafNode,
  refuse: Refuse,
): Promise<void> {
  await attempt(refuse, () => checkSuiteListed(suite, leafNode));
  const { source } = leafNode;
  if (source.leafNodeSource !== "key_package") return;
  await attempt(refuse, () => checkTotalLifetime(source, context.maxLifetime ?? MAX_LIFETIME));
  await attempt(refuse, () => checkLifetime(source.lifetime, context.now()));
}

/** Every rule that a key package (an MLSMessage) breaks by itself, the application's judgement included; none: it may be used. */
export function inspectKeyPackage(
  context: PublicContext,
  message: Bytes,
): Promise<readonly BrokenRule[]> {
  return brokenRules(async (refuse) => {
    const { keyPackage } = decodeMessageOf(message, "mls_key_package");
    const suite = suiteOf(context.crypto, keyPackage.cipherSuite);
    const { leafNode } = keyPackage;
    await validateKeyPackage(suite, keyPackage, refuse);
    await checkForAdding(context, suite, leafNode, refuse);
    const judged = byApplication(() => context.authentication.validate([leafNode], "new"));
    await attempt(refuse, judged);
  });
}

/**
 * Every rule that a commit with these proposals would break, but for those on its path. `committer`: a leaf index, or
 * undefined for an external commit. `lacks`: whether the committer has no value for a PSK; services can't know. Nothing changes.
 */
export function inspectProposals(
  context: PublicContext,
  state: PublicState,
  list: readonly ListedProposal[],
  committer: number | undefined,
  lacks?: (psk: PreSharedKeyID) => Promise<boolean>,
): Promise<readonly BrokenRule[]> {
  return brokenRules(async (refuse) => {
    await attempt(refuse, () => checkProposals(context, state, list, committer, refuse));
    for (const [position, { proposal }] of list.entries()) {
      if (proposal.proposalType === "psk" && (await lacks?.(proposal.psk))) {
        const why = "a PSK that this client does not have";
        refuse(new MlsError("psk-unknown", "8.4", why), position);
      }
    }
  });
}

/** The same, for who wants to know whether there is one. Throws the first unless `refuse` goes on. */
export async function checkProposals(
  context: PublicContext,
  state: PublicState,
  list: readonly ListedProposal[],
  committer: number | undefined,
  refuse: Refuse = refuseAtOnce,
): Promise<void> {
  const applied = await applyProposals(context, state, list, committer, refuse);
  for (const [position, { proposal }] of list.entries()) {
    if (proposal.proposalType !== "add") continue;
    const { leafNode } = proposal.keyPackage;
    await checkForAdding(context, state.suite, leafNode, (error) => refuse(error, position));
  }
  const summary = summarize(state, applied, {
    committer: committer ?? -1,
    external: committer === undefined,
    authenticatedData: new Uint8Array(0),
    pathLeaf: undefined,
    list,
  });
  await attempt(refuse, () => checkGroup(context, applied.extensions, applied.tree));
  await attempt(
    refuse,
    byApplication(() => judge(context, state, summary, applied.replaced)),
  );
}
