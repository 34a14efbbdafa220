/**
 * What rings about groups mean to the sockets of a process: who is to listen to a group from here on and who no more, and how far its
 * log has grown. Whoever wants entries is told once they are at hand, and once it is known who may have them.
 * @module
 */

import type { Ring } from "./doorbell.ts";
import { newestOf, type Outgoing, type Speaking } from "./outgoing.ts";
import { bytesFromText, bytesToText } from "./protocol/index.ts";
import { createRecent } from "./recent.ts";
import type { Rooms } from "./rooms.ts";
import type { Tails } from "./tails.ts";

/** Removals that are remembered, of whatever device: rings of other processes may come in another order than they were rung. */
const REMOVALS = 10_000;

export type GroupRing = Extract<Ring, { readonly type: "group" }>;

export interface Hearing extends Outgoing {
  /** The rings that came while its groups were read; undefined where they aren't. */
  missed: GroupRing[] | undefined;
}

export interface GroupRings<C extends Hearing> {
  readonly hear: (ring: GroupRing) => void;
  /** Its groups are read: what came meanwhile is heard now. */
  readonly hearMissed: (connection: C) => void;
  /**
   * What is known here the store may not have: where another took a primary's place it can lack what was told last, and go on with
   * something else under the same numbers. What was said is said; from here on the store's word holds.
   */
  readonly forget: (connections: Iterable<C>) => void;
  /** Another after each `forget`: what the store was asked before may be of another branch. */
  readonly branch: () => number;
}

export function createGroupRings<C extends Hearing>({
  rooms,
  tails,
  speaking,
  byDevice,
  lookAgainAt,
}: {
  readonly rooms: Rooms<C>;
  readonly tails: Tails;
  readonly speaking: Speaking<C>;
  readonly byDevice: ReadonlyMap<number, Iterable<C>>;
  /** To compare these with the store. */
  readonly lookAgainAt: (some: Iterable<C>) => void;
}): GroupRings<C> {
  const { flush, tell, tellOfHead } = speaking;
  /** The newest head with which a device left a group. */
  let removals = createRecent<number>(REMOVALS);
  /** Groups whose logs grew in this turn of the event loop, and to where: what was written together is told together. */
  const grown = new Map<string, number>();
  /** Those of which it is to be told, once what is to be carried is at hand. */
  const awaited = new Map<string, number>();
  /** How often the store may have become another branch of what it was. */
  let branch = 0;

  function removedAt(device: number, group: string): number {
    return removals.get(`${device} ${group}`) ?? -1;
  }

  /** What a ring means to one connection that has its groups. `epoch`: that the joining began, where that is known. */
  function enter(connection: C, ring: GroupRing, epoch?: bigint): void {
    const group = bytesToText(ring.groupId);
    const device = connection.session?.device ?? 0;
    const joins = ring.joined.includes(device) && ring.head > removedAt(device, group);
    if (joins && !connection.groups.has(group)) {
      rooms.enter(connection, group, ring.head, epoch);
      tellOfHead(connection, group, newestOf(connection, group));
    } else if (connection.groups.has(group)) tell(connection, group, ring.head);
  }

  /** Its device is out with this ring: it hears of nothing later. */
  function leave(connection: C, ring: GroupRing): void {
    const device = connection.session?.device ?? 0;
    if (!ring.left.includes(device) || ring.joined.includes(device)) return;
    const group = bytesToText(ring.groupId);
    // It heard of something later, which may be that it came back: the store knows.
    if (newestOf(connection, group) > ring.head) lookAgainAt([connection]);
    // What is still to be said of the group is its head at the removal.
    rooms.leave(connection, group);
  }

  /** Who comes and goes is told at once: it matters to what is told next. */
  function tellMovers(ring: GroupRing): void {
    const group = bytesToText(ring.groupId);
    const { entry, ...later } = ring;
    const epoch = entry?.kind === "commit" ? entry.epoch + 1n : undefined;
    for (const device of ring.left) {
      if (ring.joined.includes(device)) continue;
      removals.set(`${device} ${group}`, Math.max(ring.head, removedAt(device, group)));
    }
    for (const device of new Set([...ring.joined, ...ring.left])) {
      for (const connection of byDevice.get(device) ?? []) {
        if (connection.missed !== undefined) {
          connection.missed.push(later);
          continue;
        }
        enter(connection, ring, epoch);
        leave(connection, ring);
      }
    }
  }

  function tellAll(group: string, head: number, outsiders?: ReadonlySet<C>): void {
    const groupId = bytesFromText(group);
    const ring: GroupRing = { type: "group", groupId, head, joined: [], left: [] };
    for (const connection of rooms.get(group)?.listeners ?? []) {
      if (connection.missed !== undefined) connection.missed.push(ring);
      // The store is asked what they are to be told.
      else if (outsiders?.has(connection) !== true) tell(connection, group, head);
    }
  }

  function tellOfGrown(): void {
    const heads = [...grown];
    grown.clear();
    for (const [group, head] of heads) {
      if (isAtHand(group, head)) {
        tellAll(group, head);
        continue;
      }
      const begun = awaited.get(group);
      awaited.set(group, Math.max(head, begun ?? 0));
      if (begun === undefined) void tellWhenAtHand(group);
    }
  }

  /** Whether it is in memory what a group's log has up to there, and who may have it. */
  function isAtHand(group: string, head: number): boolean {
    if (!rooms.anyCarries(group)) return true;
    const end = tails.end(group);
    if (end === undefined || end.seq < head) return false;
    return end.epoch === undefined || rooms.isKnown(group, end.epoch);
  }

  async function tellWhenAtHand(group: string): Promise<void> {
    const begun = branch;
    for (let told = 0, head = awaited.get(group) ?? 0; told < head; ) {
      const outsiders = await fetchFor(group, head);
      if (branch !== begun) return;
      tellAll(group, head, outsiders);
      told = head;
      head = awaited.get(group) ?? 0;
    }
    awaited.delete(group);
  }

  /** Gets what is not at hand from the store: once for all who listen. Answers with those who turned out to be no members. */
  async function fetchFor(group: string, head: number): Promise<ReadonlySet<C> | undefined> {
    try {
      await tails.read(group, head);
      if (isAtHand(group, head)) return undefined;
      const outsiders = await rooms.ask(group);
      if (outsiders.size > 0) lookAgainAt(outsiders);
      return outsiders;
    } catch {
      // The store does not answer: whoever is told of the head may find it does.
      return undefined;
    }
  }

  return {
    hear(ring) {
      const { head, entry, joined, left } = ring;
      const group = bytesToText(ring.groupId);
      if (entry !== undefined && rooms.anyCarries(group)) tails.add(group, entry);
      if (entry?.kind === "commit") rooms.moveOn(group, entry.epoch);
      if (joined.length > 0 || left.length > 0) tellMovers(ring);
      if (rooms.get(group) === undefined) return;
      if (grown.size === 0) setImmediate(tellOfGrown);
      grown.set(group, Math.max(head, grown.get(group) ?? 0));
    },
    hearMissed(connection) {
      const { missed = [] } = connection;
      connection.missed = undefined;
      for (const ring of missed) {
        enter(connection, ring);
        leave(connection, ring);
      }
      flush(connection);
    },
    forget(connections) {
      branch += 1;
      tails.forget();
      rooms.forget();
      removals = createRecent(REMOVALS);
      grown.clear();
      awaited.clear();
      for (const { missed } of connections) missed?.splice(0);
    },
    branch: () => branch,
  };
}
