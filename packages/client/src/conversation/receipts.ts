/**
 * Receipts: in a small conversation a device says, now and then, how far it has read. A receipt answers
 * texts, never receipts.
 * @module
 */

import { hex, randomBytes } from "../bytes.ts";
import { type Content, DISPOSITION } from "../content/content.ts";
import type { Peer } from "./records.ts";
import type { ConversationState } from "./state.ts";

/** In the content of a receipt: the last entry of the log that the device has. */
export const SEEN_EXTENSION = "conclave.seen";

/** In larger conversations the receipts would outnumber the messages. */
const MAX_DEVICES = 20;

export function receiptContent(seen: number): Content {
  return {
    salt: randomBytes(16),
    topicId: new Uint8Array(0),
    extensions: new Map([[SEEN_EXTENSION, seen]]),
    part: { type: "null", disposition: DISPOSITION.unspecified, language: "" },
  };
}

/** Whether the devices are few enough to tell each other what they have, and for the moment what they do. */
export function isSmall(state: ConversationState): boolean {
  return state.roster.length <= MAX_DEVICES;
}

/** Whether there is something to report. */
export function receiptDue(state: ConversationState): boolean {
  const { lastReceived, reported } = state.position;
  return lastReceived > reported && isSmall(state);
}

/** The entry up to which every other device has everything. */
export function deliveredUpTo(state: ConversationState, peers: ReadonlyMap<string, Peer>): number {
  const own = hex(state.self.leafSigner.publicKey);
  const others = state.roster.filter(({ signatureKey }) => signatureKey !== own);
  if (others.length === 0) return 0;
  return Math.min(...others.map(({ signatureKey }) => peers.get(signatureKey)?.reported ?? 0));
}
