/**
 * Who listens to which group, and of whom it is known that it may be told what the log says. The members of an epoch never change, and
 * an entry is for those of its epoch; so what is known of an epoch holds, whichever rings are lost or late.
 * @module
 */

import { bytesFromText } from "./protocol/index.ts";
import type { Store } from "./store/store.ts";

/** Whoever may listen to groups. */
export interface Listener {
  readonly session: { readonly device: number } | undefined;
  /** The groups that it listens to, by the text form of their ids, and up to where it has been told of each. */
  readonly groups: Map<string, number>;
  /** Whether it wants entries, and not only to hear of them. */
  readonly carries: boolean;
}

export interface Room<L extends Listener> {
  readonly listeners: ReadonlySet<L>;
}

interface OpenRoom<L extends Listener> extends Room<L> {
  readonly listeners: Set<L>;
  /** How many of them want entries. */
  carrying: number;
  /** An epoch of which all who want entries are known to be members, from behind where they were told on, but those in `unsure`. */
  epoch: bigint | undefined;
  unsure: Set<L> | undefined;
}

/** Groups are named by the text form of their ids. */
export interface Rooms<L extends Listener> {
  readonly get: (group: string) => Room<L> | undefined;
  /** Who listens is told of what comes behind `told`. `epoch`: one in which it is known to be a member, and was when it was told. */
  readonly enter: (listener: L, group: string, told: number, epoch?: bigint) => void;
  readonly leave: (listener: L, group: string) => void;
  /** Another branch of the log may have taken the place of the one that was known: with other members in an epoch of the same number. */
  readonly forget: () => void;
  /** A commit has ended this epoch, and who left with it is told to leave. */
  readonly moveOn: (group: string, epoch: bigint) => void;
  /** Whether this one may get entries of an epoch, or of earlier ones, behind where it has been told. */
  readonly mayGet: (listener: L, group: string, epoch: bigint) => boolean;
  /** Whether of all who want entries it is known who may get those of the epoch, or nobody wants any. */
  readonly isKnown: (group: string, epoch: bigint) => boolean;
  readonly anyCarries: (group: string) => boolean;
  /** Asks the store who is a member now. Answers with those who want entries and are none. Rejects with `StoreUnavailable`. */
  readonly ask: (group: string) => Promise<ReadonlySet<L>>;
}

export function createRooms<L extends Listener>(store: Pick<Store, "membersAmong">): Rooms<L> {
  const rooms = new Map<string, OpenRoom<L>>();

  return {
    get: (group) => rooms.get(group),
    enter(listener, group, told, epoch) {
      listener.groups.set(group, told);
      let room = rooms.get(group);
      if (room === undefined) {
        room = { listeners: new Set(), carrying: 0, epoch, unsure: undefined };
        rooms.set(group, room);
      }
      room.listeners.add(listener);
      if (!listener.carries) return;
      room.carrying += 1;
      // A later epoch does as well: it has been told up to there.
      const sure = epoch !== undefined && room.epoch !== undefined && epoch >= room.epoch;
      if (!sure) (room.unsure ??= new Set()).add(listener);
    },
    leave(listener, group) {
      listener.groups.delete(group);
      const room = rooms.get(group);
      if (room?.listeners.delete(listener) !== true) return;
      if (listener.carries) room.carrying -= 1;
      room.unsure?.delete(listener);
      if (room.listeners.size === 0) rooms.delete(group);
    },
    forget() {
      for (const [group, { listeners, carrying }] of rooms) {
        rooms.set(group, { listeners, carrying, epoch: undefined, unsure: undefined });
      }
    },
    moveOn(group, epoch) {
      const room = rooms.get(group);
      if (room?.epoch === epoch) room.epoch = epoch + 1n;
    },
    mayGet(listener, group, epoch) {
      const room = rooms.get(group);
      if (room?.epoch === undefined || epoch > room.epoch) return false;
      return room.listeners.has(listener) && room.unsure?.has(listener) !== true;
    },
    isKnown(group, epoch) {
      const room = rooms.get(group);
      if (room === undefined || room.carrying === 0) return true;
      return room.epoch !== undefined && epoch <= room.epoch && (room.unsure?.size ?? 0) === 0;
    },
    anyCarries: (group) => (rooms.get(group)?.carrying ?? 0) > 0,
    async ask(group) {
      const room = rooms.get(group);
      const outsiders = new Set<L>();
      if (room === undefined) return outsiders;
      const carrying = [...room.listeners].filter(({ carries }) => carries);
      const devices = new Set(carrying.map(deviceOf));
      const answer = await store.membersAmong(bytesFromText(group), [...devices]);
      // It is closed by now, or of which branch the answer is nobody knows.
      if (rooms.get(group) !== room) return outsiders;
      // A commit may have been faster: then its word is newer.
      if (answer === undefined || (room.epoch !== undefined && answer.epoch < room.epoch)) {
        return outsiders;
      }
      room.epoch = answer.epoch;
      const asked = new Set(carrying);
      room.unsure = undefined;
      for (const listener of room.listeners) {
        if (!listener.carries) continue;
        const fromSeq = asked.has(listener) ? answer.fromSeq.get(deviceOf(listener)) : undefined;
        if (fromSeq === undefined) (room.unsure ??= new Set()).add(listener);
        // Before it came, last, it may not have been in.
        else listener.groups.set(group, Math.max(listener.groups.get(group) ?? 0, fromSeq - 1));
        if (fromSeq === undefined && asked.has(listener)) outsiders.add(listener);
      }
      return outsiders;
    },
  };
}

function deviceOf({ session }: Listener): number {
  return session?.device ?? -1;
}
