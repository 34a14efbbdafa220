import { bytesToText } from "@conclave/delivery/protocol";
import { beforeEach, describe, expect, it } from "vitest";
import { createRooms, type Listener, type Rooms } from "../src/rooms.ts";
import { random } from "./world.ts";

const GROUP = bytesToText(random(16));

let devices = 0;
const aListener = (carries = true): Listener => ({
  session: { device: ++devices },
  groups: new Map(),
  carries,
});

describe("who listens to a group", () => {
  let rooms: Rooms<Listener>;
  /** What the store will say when it is asked. */
  let answers: PromiseWithResolvers<{ epoch: bigint; fromSeq: Map<number, number> } | undefined>;
  let asked: (readonly number[])[];
  beforeEach(() => {
    answers = Promise.withResolvers();
    asked = [];
    rooms = createRooms({
      membersAmong: (_, given) => {
        asked.push(given);
        return answers.promise;
      },
    });
  });
  const answer = (epoch: bigint, ...members: (readonly [Listener, number])[]): void => {
    const fromSeq = new Map(members.map(([one, from]) => [one.session?.device ?? 0, from]));
    answers.resolve({ epoch, fromSeq });
  };

  it("may get entries of the epoch in which it is known to be a member, and of none later", () => {
    const one = aListener();
    rooms.enter(one, GROUP, 7, 3n);
    expect([2n, 3n, 4n].map((epoch) => rooms.mayGet(one, GROUP, epoch))).toEqual([
      true,
      true,
      false,
    ]);
    expect([3n, 4n].map((epoch) => rooms.isKnown(GROUP, epoch))).toEqual([true, false]);
    rooms.moveOn(GROUP, 3n);
    expect(rooms.mayGet(one, GROUP, 4n)).toBe(true);
    // A commit was missed: who went with it nobody knows.
    rooms.moveOn(GROUP, 5n);
    expect([4n, 5n, 6n].map((epoch) => rooms.mayGet(one, GROUP, epoch))).toEqual([
      true,
      false,
      false,
    ]);
    rooms.leave(one, GROUP);
    expect(rooms.mayGet(one, GROUP, 3n)).toBe(false);
    expect(rooms.get(GROUP)).toBeUndefined();
  });

  it("may get nothing while it was a member in an earlier epoch, or nobody knows when", async () => {
    const [known, earlier, unknown] = [aListener(), aListener(), aListener()];
    rooms.enter(known, GROUP, 7, 3n);
    rooms.enter(earlier, GROUP, 6, 2n);
    rooms.enter(unknown, GROUP, 7);
    expect([known, earlier, unknown].map((one) => rooms.mayGet(one, GROUP, 3n))).toEqual([
      true,
      false,
      false,
    ]);
    expect(rooms.isKnown(GROUP, 3n)).toBe(false);
    const asking = rooms.ask(GROUP);
    answer(3n, [known, 1], [earlier, 1]);
    expect(await asking).toEqual(new Set([unknown]));
    expect([known, earlier, unknown].map((one) => rooms.mayGet(one, GROUP, 3n))).toEqual([
      true,
      true,
      false,
    ]);
    expect(asked).toEqual([[known, earlier, unknown].map(({ session }) => session?.device)]);
  });

  it("may get nothing from before it came, last", async () => {
    const [back, always] = [aListener(), aListener()];
    for (const one of [back, always]) rooms.enter(one, GROUP, 4, 1n);
    const asking = rooms.ask(GROUP);
    answer(5n, [back, 9], [always, 2]);
    expect(await asking).toEqual(new Set());
    expect([back, always].map(({ groups }) => groups.get(GROUP))).toEqual([8, 4]);
  });

  it("is not what an answer says that a commit was faster than", async () => {
    const [one, other] = [aListener(), aListener()];
    for (const listener of [one, other]) rooms.enter(listener, GROUP, 4, 1n);
    const asking = rooms.ask(GROUP);
    rooms.moveOn(GROUP, 1n);
    rooms.leave(other, GROUP);
    answer(1n, [one, 1], [other, 1]);
    expect(await asking).toEqual(new Set());
    expect(rooms.mayGet(one, GROUP, 2n)).toBe(true);
    expect(rooms.mayGet(other, GROUP, 2n)).toBe(false);
  });

  it("is asked about again if it came while others were", async () => {
    const [one, late] = [aListener(), aListener()];
    rooms.enter(one, GROUP, 4, 1n);
    const asking = rooms.ask(GROUP);
    rooms.enter(late, GROUP, 4, 1n);
    answer(2n, [one, 1]);
    expect(await asking).toEqual(new Set());
    expect([one, late].map((listener) => rooms.mayGet(listener, GROUP, 2n))).toEqual([true, false]);
    expect(rooms.isKnown(GROUP, 2n)).toBe(false);
  });

  it("is asked about anew where another branch took the place of the one that was known", async () => {
    const [one, other] = [aListener(), aListener()];
    for (const listener of [one, other]) rooms.enter(listener, GROUP, 4, 7n);
    // What was asked before it is known of the other branch.
    const asking = rooms.ask(GROUP);
    rooms.forget();
    answer(8n, [one, 1], [other, 1]);
    expect(await asking).toEqual(new Set());
    expect([one, other].map((listener) => rooms.mayGet(listener, GROUP, 7n))).toEqual([
      false,
      false,
    ]);
    rooms.moveOn(GROUP, 7n);
    expect(rooms.isKnown(GROUP, 6n)).toBe(false);
    answers = Promise.withResolvers();
    const again = rooms.ask(GROUP);
    answer(6n, [one, 1]);
    expect(await again).toEqual(new Set([other]));
    expect([one, other].map((listener) => rooms.mayGet(listener, GROUP, 6n))).toEqual([
      true,
      false,
    ]);
    rooms.leave(one, GROUP);
    rooms.leave(other, GROUP);
    expect(rooms.get(GROUP)).toBeUndefined();
  });

  it("need not be known where nobody wants entries", async () => {
    const [plain, other] = [aListener(false), aListener(false)];
    rooms.enter(plain, GROUP, 4);
    expect([rooms.anyCarries(GROUP), rooms.isKnown(GROUP, 9n)]).toEqual([false, true]);
    const wanting = aListener();
    rooms.enter(wanting, GROUP, 4);
    rooms.enter(other, GROUP, 4);
    expect([rooms.anyCarries(GROUP), rooms.isKnown(GROUP, 9n)]).toEqual([true, false]);
    const asking = rooms.ask(GROUP);
    answer(9n);
    expect(await asking).toEqual(new Set([wanting]));
    rooms.leave(wanting, GROUP);
    expect([rooms.anyCarries(GROUP), rooms.isKnown(GROUP, 9n)]).toEqual([false, true]);
  });
});
