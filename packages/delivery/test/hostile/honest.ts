/**
 * Members who talk throughout, and lose nothing.
 * @module
 */

import type { Group } from "@conclave/mls";
import { addAll, commit, type Member, newMember, readLog, send, startGroup } from "../member.ts";
import type { Place } from "./run.ts";

export interface Talk {
  readonly members: readonly Member[];
  readonly groupId: Uint8Array<ArrayBuffer>;
  /** Ends the talk, and answers with what was wrong with it. */
  readonly end: () => Promise<{
    readonly sent: number;
    /** Of sending one message, in milliseconds: the median, and the longest. */
    readonly median: number;
    readonly longest: number;
    readonly wrong: readonly string[];
  }>;
}

interface Seat {
  readonly member: Member;
  readonly group: Group;
  after: number;
  readonly heard: string[];
  /** The places in the log of what it said itself, which it can't decrypt. */
  readonly own: Set<number>;
}

export async function talk(place: Place, names: readonly string[]): Promise<Talk> {
  const members: Member[] = [];
  for (const name of names) members.push(await newMember(place, name));
  const [first, ...others] = members;
  if (first === undefined) throw new TypeError("somebody has to talk");
  const group = await startGroup(place, first);
  const joined = await addAll(place, { member: first, group }, others);
  const groups = [group, ...joined];
  const seats: Seat[] = members.map((member, i) => ({
    member,
    group: groups[i] ?? group,
    after: 1,
    heard: [],
    own: new Set(),
  }));
  const wrong: string[] = [];
  const times: number[] = [];
  const said: { readonly by: number; readonly text: string }[] = [];

  async function read(seat: Seat): Promise<void> {
    for (;;) {
      const page = await readLog(place, seat.member, group.groupId, seat.after);
      for (const { seq, message } of page.entries) {
        if (seq !== seat.after + 1) wrong.push(`a gap before ${seq}`);
        seat.after = seq;
        if (seat.own.has(seq)) continue;
        const event = await seat.group.receive(message);
        if (event.type === "application") seat.heard.push(Buffer.from(event.data).toString());
      }
      if (seat.after >= page.head) return;
    }
  }

  async function turn(seat: Seat, by: number, count: number): Promise<void> {
    await read(seat);
    if (count % 25 === 24) {
      const { status } = await commit(place, seat.member, seat.group);
      if (status === 201) seat.after += 1;
      else wrong.push(`a commit was answered with ${status}`);
      return;
    }
    const text = `${count} from ${by}`;
    const began = performance.now();
    const { answer } = await send(place, seat.member, seat.group, text);
    times.push(performance.now() - began);
    if (answer.status === 201) {
      said.push({ by, text });
      seat.own.add(answer.body.seq);
    } else wrong.push(`a message was answered with ${answer.status}`);
  }

  let ending = false;
  const talking = (async () => {
    for (let count = 0; !ending; count++) {
      const by = count % seats.length;
      const seat = seats[by];
      if (seat === undefined) return;
      try {
        await turn(seat, by, count);
      } catch (error) {
        wrong.push(`a member failed: ${error instanceof Error ? error.message : String(error)}`);
        if (wrong.length > 20) return;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();

  return {
    members,
    groupId: group.groupId,
    async end() {
      ending = true;
      await talking;
      for (const [i, seat] of seats.entries()) {
        await read(seat);
        const expected = said.filter(({ by }) => by !== i).map(({ text }) => text);
        if (JSON.stringify(seat.heard) !== JSON.stringify(expected)) {
          wrong.push(`member ${i} heard ${seat.heard.length} of ${expected.length}`);
        }
      }
      const sorted = times.toSorted((a, b) => a - b);
      return {
        sent: said.length,
        median: sorted[Math.floor(sorted.length / 2)] ?? 0,
        longest: sorted.at(-1) ?? 0,
        wrong,
      };
    },
  };
}
