/**
 * Members of one group, each with a view of it of its own.
 * @module
 */

import type { Group } from "@conclave/mls";
import { expect } from "vitest";
import { addAll, bundleBody, type Member, postCommit, readLog, startGroup } from "../member.ts";

type Place = { readonly url: string };

export interface Seat {
  readonly member: Member;
  readonly group: Group;
  /** How far it has read. */
  read: number;
}

/** A group that the first of them begins, and the others are added to. */
export async function takeSeats(
  place: Place,
  members: readonly Member[],
): Promise<readonly Seat[]> {
  const [first, ...others] = members;
  if (first === undefined) throw new Error("nobody is there");
  const group = await startGroup(place, first);
  const joined = await addAll(place, { member: first, group }, others);
  return members.map((member, i) => ({ member, group: [group, ...joined][i] ?? group, read: 1 }));
}

/** Receives what the log has that this one has not seen. */
export async function catchUp(place: Place, seat: Seat): Promise<void> {
  const { entries } = await readLog(place, seat.member, seat.group.groupId, seat.read);
  for (const { seq, message } of entries) {
    await seat.group.receive(message);
    seat.read = seq;
  }
}

/** Each of them commits once, all beginning at once; whoever loses an epoch waits a little and tries again. */
export async function storm(place: Place, seats: readonly Seat[]): Promise<void> {
  const attempts = await Promise.all(
    seats.map(async (seat) => {
      for (let attempt = 1; ; attempt++) {
        await catchUp(place, seat);
        const bundle = await seat.group.commit();
        const body = await bundleBody(seat.group, bundle);
        const answer = await postCommit(place, seat.member, seat.group.groupId, body);
        if (answer.status === 201) return attempt;
        expect(answer.problem.code).toBe("wrong-epoch");
        await seat.group.discardPendingCommit();
        // Not all at once again: the more there are, the longer.
        const pause = Math.random() * 50 * seats.length;
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }),
  );
  for (const seat of seats) await catchUp(place, seat);
  // An attempt is in vain only where another's was not: nobody tries more often than there are others.
  expect(Math.max(...attempts)).toBeLessThanOrEqual(seats.length);
  const [first] = seats;
  expect(seats.map(({ group }) => group.epochAuthenticator)).toEqual(
    seats.map(() => first?.group.epochAuthenticator),
  );
  expect(first?.group.epoch).toBe(BigInt(1 + seats.length));
}
