/**
 * What is still to be said on each socket. At most one frame is under way; what is to be said meanwhile is kept as the newest head of
 * each group and one word of each kind, so a slow reader costs no more than that.
 * @module
 */

import type { WebSocket } from "ws";
import type { Ring } from "./doorbell.ts";
import { bytesFromText, SocketFrame, toJson } from "./protocol/index.ts";
import type { Listener, Rooms } from "./rooms.ts";
import type { Run, Tails } from "./tails.ts";

/** What a device is told without more. */
export type Notice = Extract<Ring, { readonly devices: readonly number[] }>["type"] &
  SocketFrame["type"];
export const NOTICES: readonly Notice[] = ["inbox", "contacts", "key-packages"];

type Signal = Extract<SocketFrame, { readonly type: "signal" }>;

/** Groups are named by the text form of their ids. */
export interface Outgoing extends Listener {
  readonly socket: WebSocket;
  sending: boolean;
  /** What is to be said once the frame under way has left. Undefined where there was never anything, like `notices` and `reports`. */
  heads: Map<string, number> | undefined;
  notices: Set<Notice> | undefined;
  /** The groups whose reports are to be spoken of. */
  reports: Set<string> | undefined;
  /** What members said meanwhile; undefined where it wants to hear none of that. */
  signals: Signal[] | undefined;
}

export interface Speaking<C extends Outgoing> {
  /** Says the next thing, if nothing is under way. */
  readonly flush: (connection: C) => void;
  /** The log has grown to there. */
  readonly tell: (connection: C, group: string, head: number) => void;
  /** Of the head and no more: what was before it has to read, if it may. */
  readonly tellOfHead: (connection: C, group: string, head: number) => void;
}

/** The newest head of a group that it was told of, or is about to be. */
export function newestOf({ groups, heads }: Outgoing, group: string): number {
  return Math.max(groups.get(group) ?? 0, heads?.get(group) ?? 0);
}

/** How much waits. */
export function backlogOf({ heads, notices, signals }: Outgoing): number {
  return (heads?.size ?? 0) + (notices?.size ?? 0) + (signals?.length ?? 0);
}

export function createSpeaking<C extends Outgoing>({
  rooms,
  tails,
}: {
  readonly rooms: Pick<Rooms<C>, "mayGet">;
  readonly tails: Pick<Tails, "run">;
}): Speaking<C> {
  let lastFrame:
    | { readonly group: string; readonly head: number; readonly frame: Buffer }
    | undefined;

  /** Written once for all who hear of it, one after another. */
  function frameOf(group: string, head: number): Buffer {
    if (lastFrame?.group === group && lastFrame.head === head) return lastFrame.frame;
    const said: SocketFrame = { type: "group", groupId: bytesFromText(group), head };
    const frame = Buffer.from(toJson(said));
    lastFrame = { group, head, frame };
    return frame;
  }

  /** What it may get of the log behind where it was told, up to this head. */
  function runFor(connection: C, group: string, head: number): Run | undefined {
    const told = connection.groups.get(group);
    if (!connection.carries || told === undefined || told >= head) return undefined;
    const run = tails.run(group, told, head);
    return run && rooms.mayGet(connection, group, run.epoch) ? run : undefined;
  }

  /** It is only told of the head, also of a group that it has left. */
  function plainFrame({ groups }: C, group: string, head: number): Buffer {
    const told = groups.get(group);
    if (told !== undefined) groups.set(group, Math.max(told, head));
    return frameOf(group, head);
  }

  function nextFrame(connection: C): Buffer | string | undefined {
    const { groups, notices, reports, heads, signals } = connection;
    for (const type of notices ?? []) {
      notices?.delete(type);
      return toJson({ type } satisfies SocketFrame);
    }
    for (const group of reports ?? []) {
      reports?.delete(group);
      if (!groups.has(group)) continue;
      return toJson({ type: "reports", groupId: bytesFromText(group) } satisfies SocketFrame);
    }
    for (const [group, head] of heads ?? []) {
      heads?.delete(group);
      const run = runFor(connection, group, head);
      if (run === undefined) return plainFrame(connection, group, head);
      // Behind the other groups.
      if (run.last < head) heads?.set(group, head);
      groups.set(group, run.last);
      return run.frame;
    }
    const signal = signals?.shift();
    return signal && toJson(signal);
  }

  function flush(connection: C): void {
    if (connection.sending) return;
    const frame = nextFrame(connection);
    if (frame === undefined) return;
    connection.sending = true;
    connection.socket.send(frame, { binary: false }, () => {
      connection.sending = false;
      flush(connection);
    });
  }

  function say(connection: C, group: string, head: number): void {
    (connection.heads ??= new Map()).set(group, head);
    flush(connection);
  }

  return {
    flush,
    tell(connection, group, head) {
      if (head > newestOf(connection, group)) say(connection, group, head);
    },
    tellOfHead(connection, group, head) {
      connection.groups.set(group, head);
      say(connection, group, head);
    },
  };
}
