/**
 * What the others say to have read of one's own messages. Everybody's reading is a mark at the message; that of some is told at the
 * newest message alone that any of them has read.
 * @module
 */
import type { ConversationSummary, Message } from "@conclave/client";

/** Everybody, or the names that are told at the message; mostly none. */
export type ReadBy = "all" | readonly string[];

export function readByOf(
  { members, readByAll }: Pick<ConversationSummary, "members" | "readByAll">,
  messages: readonly Message[],
): ReadonlyMap<string, ReadBy> {
  const readBy = new Map<string, ReadBy>();
  const own = messages.filter(
    ({ own: mine, body, seq }) => mine && body.type === "text" && seq !== undefined,
  );
  let told = false;
  for (const { id, seq = 0 } of own.toReversed()) {
    if (seq <= readByAll) {
      readBy.set(id, "all");
      continue;
    }
    const names = members.filter(({ self, readUpTo }) => !self && readUpTo >= seq);
    if (told || names.length === 0) continue;
    told = true;
    readBy.set(
      id,
      names.map(({ name }) => name),
    );
  }
  return readBy;
}
