/**
 * What sockets were brought of a group's log, for the tests.
 * @module
 */

import type { LogEntry, SocketFrame } from "@conclave/delivery/protocol";
import type { Listener } from "./listener.ts";
import type { Bytes } from "./world.ts";

type GroupFrame = Extract<SocketFrame, { readonly type: "group" }>;

export function framesOf({ frames }: Listener, groupId: Bytes): readonly GroupFrame[] {
  return frames.filter(
    (frame) => frame.type === "group" && Buffer.compare(frame.groupId, groupId) === 0,
  ) as GroupFrame[];
}

/** The newest head that it was told of. */
export function headOf(listener: Listener, groupId: Bytes): number {
  return Math.max(-1, ...framesOf(listener, groupId).map(({ head }) => head));
}

export function carriedTo(listener: Listener, groupId: Bytes): readonly LogEntry[] {
  return framesOf(listener, groupId).flatMap(({ entries = [] }) => entries);
}

export function seqsOf(listener: Listener, groupId: Bytes): readonly number[] {
  return carriedTo(listener, groupId).map(({ seq }) => seq);
}
