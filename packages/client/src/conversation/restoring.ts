/**
 * Messages that a backup brings into a conversation.
 * @module
 */

import { count, put } from "../storage.ts";
import { messagesBetween } from "./history.ts";
import { KEYS, StoredMessage } from "./records.ts";
import type { ConversationState } from "./state.ts";

/**
 * Stores those of entries of which nothing is here; what is here stays as it is. Of the messages' entries all is given, in order, so an entry
 * is here whole or not at all. Answers how many were stored.
 */
export async function restoreMessages(
  state: ConversationState,
  messages: readonly StoredMessage[],
): Promise<number> {
  const [first, last] = [messages[0], messages.at(-1)];
  if (!first || !last) return 0;
  const here = await messagesBetween(state, first.seq - 1, last.seq);
  const seqs = new Set(here.map(({ seq }) => seq));
  const added = messages.filter(({ seq }) => !seqs.has(seq));
  if (added.length === 0) return 0;
  const step = state.step();
  let index = 0;
  let before: number | undefined;
  for (const message of added) {
    index = message.seq === before ? index + 1 : 0;
    before = message.seq;
    put(step.batch, KEYS.message(state.id, message.seq, index), StoredMessage, message);
    // Somebody who sends it again is found out.
    if (message.body.type === "text")
      put(step.batch, KEYS.seen(state.id, message.id), count, message.seq);
  }
  const newest = added.at(-1);
  step.afterwards(() => {
    if (newest && newest.seq >= (state.last?.seq ?? 0)) state.last = newest;
  });
  await state.storage.apply(step.finish());
  step.done();
  return added.length;
}
