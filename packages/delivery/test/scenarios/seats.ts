/**
 * Members of one group, each with a view of it of its own.
 * @module
 */

import { bytesToText } from "@conclave/delivery/protocol";
import type { Group } from "@conclave/mls";
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
export async function storm(
  place: Place,
  seats: readonly Seat[],
): Promise<{
  /** How often somebody tried at most. */
  readonly most: number;
  /** Where they are in the end: one place, if they agree. */
  readonly views: readonly { readonly epoch: bigint; readonly authenticator: string }[];
}> {
  const attempts = await Promise.all(
    seats.map(async (seat) => {
      for (let attempt = 1; ; attempt++) {
        await catchUp(place, seat);
        const bundle = await seat.group.commit();
        const body = await bundleBody(seat.group, bundle);
        const answer = await postCommit(place, seat.member, seat.group.groupId, body);
        if (answer.status === 201) return attempt;
        if (answer.problem.code !== "wrong-epoch") throw new Error(answer.problem.code);
        await seat.group.discardPendingCommit();
        // Not all at once again: the more there are, the longer.
        const pause = Math.random() * 50 * seats.length;
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }),
  );
  for (const seat of seats) await catchUp(place, seat);
  const views = new Map(
    seats.map(({ group: { epoch, epochAuthenticator } }) => {
      const authenticator = bytesToText(epochAuthenticator);
      return [authenticator, { epoch, authenticator }];
    }),
  );
  return { most: Math.max(...attempts), views: [...views.values()] };
}
