import { bytesToText, type LogEntry, SocketFrame } from "@conclave/delivery/protocol";
import { expect, it } from "vitest";
import { createTails, type Tails } from "../src/tails.ts";
import { random } from "./world.ts";

const LIMITS = { frameEntryBytes: 1000, tailFrames: 3, tailBytes: 20_000 };

function entryAt(seq: number, length = 100): LogEntry {
  return {
    seq,
    epoch: BigInt(Math.floor(seq / 10)),
    kind: "application",
    message: random(length),
    acceptedAt: 1_700_000_000_000,
  };
}

const aGroup = (): string => bytesToText(random(16));

/** Tails of a store that has these entries, and how it was asked for them. */
function tailsOver(entries: readonly LogEntry[]) {
  const asked: number[] = [];
  const tails = createTails({
    limits: LIMITS,
    store: {
      async newest(_, { after, limit }) {
        asked.push(after);
        return entries.filter(({ seq }) => seq > after).slice(0, limit);
      },
    },
  });
  return { tails, asked };
}

function framed(tails: Tails, group: string, after: number, head: number): SocketFrame | undefined {
  const run = tails.run(group, after, head);
  return run && SocketFrame.parse(JSON.parse(run.frame.toString()));
}

it("are carried from where somebody was told, to where the doorbell rings, in frames of bounded size", () => {
  const { tails } = tailsOver([]);
  const group = aGroup();
  const entries = [5, 6, 7].map((seq) => entryAt(seq));
  for (const entry of entries) tails.add(group, entry);
  expect(framed(tails, group, 4, 7)).toMatchObject({ head: 7, entries });
  expect(framed(tails, group, 4, 6)).toMatchObject({ head: 6, entries: entries.slice(0, 2) });
  expect(framed(tails, group, 6, 9)).toMatchObject({ head: 7, entries: entries.slice(2) });
  expect([3, 7].map((after) => tails.run(group, after, 9))).toEqual([undefined, undefined]);
  expect(tails.run(group, 4, 7)).toBe(tails.run(group, 4, 7));
  expect(tails.run(aGroup(), 4, 7)).toBeUndefined();
  for (let seq = 8; seq < 20; seq++) tails.add(group, entryAt(seq));
  const run = tails.run(group, 12, 19);
  expect(run).toMatchObject({ last: 16, epoch: 1n });
  expect(run?.frame.length).toBeLessThan(LIMITS.frameEntryBytes + 100);
});

it("take each entry once, and none behind a gap before what is missing was read", async () => {
  const entries = [1, 2, 3, 4].map((seq) => entryAt(seq));
  const { tails, asked } = tailsOver(entries);
  const group = aGroup();
  for (const seq of [1, 2, 1, 2, 4]) tails.add(group, entries[seq - 1] as LogEntry);
  expect(tails.end(group)).toEqual({ seq: 2, epoch: 0n });
  await tails.read(group, 4);
  await tails.read(group, 4);
  expect(asked).toEqual([2]);
  expect(framed(tails, group, 0, 4)).toMatchObject({ head: 4, entries });
});

it("begin with what is rung for, and anew where much is missing, or is too large, or was deleted", async () => {
  const entries = [90, 91, 92, 94].map((seq) => entryAt(seq));
  const { tails, asked } = tailsOver(entries);
  const group = aGroup();
  await tails.read(group, 90);
  expect(framed(tails, group, 89, 90)).toMatchObject({ head: 90 });
  // With what came since, but for the entry at 93, which is gone.
  await tails.read(group, 94);
  expect(tails.end(group)).toEqual({ seq: 94, epoch: undefined });
  expect(tails.run(group, 92, 94)).toBeUndefined();
  await tails.read(group, 1000);
  expect(asked).toEqual([89, 92, 936]);
  tails.add(group, entryAt(1001, 1000));
  expect(tails.end(group)).toEqual({ seq: 1001, epoch: undefined });
  tails.add(group, entryAt(1002));
  expect(framed(tails, group, 1001, 1002)).toMatchObject({ head: 1002 });
  expect(tails.run(group, 1000, 1002)).toBeUndefined();
});

it("are forgotten where another branch of the log may have taken its place, also what is being read", async () => {
  const lost = [1, 2, 3].map((seq) => entryAt(seq));
  const kept = [1, 2, 3].map((seq) => entryAt(seq));
  const held = [...lost];
  const { tails } = tailsOver(held);
  const [group, other] = [aGroup(), aGroup()];
  await tails.read(group, 3);
  expect(framed(tails, group, 2, 3)).toMatchObject({ entries: lost.slice(2) });
  const reading = tails.read(other, 3);
  tails.forget();
  await reading;
  expect([group, other].map((one) => tails.end(one))).toEqual([undefined, undefined]);
  held.splice(0, 3, ...kept);
  for (const one of [group, other]) {
    await tails.read(one, 3);
    expect(framed(tails, one, 2, 3)).toMatchObject({ entries: kept.slice(2) });
  }
});

it("are kept within bounds: the newest of a log, and those that were added to last", () => {
  const { tails } = tailsOver([]);
  const first = aGroup();
  for (let seq = 1; seq <= 100; seq++) tails.add(first, entryAt(seq));
  const kept = Array.from({ length: 100 }, (_, after) => tails.run(first, after, 100)).filter(
    Boolean,
  );
  expect(kept.length).toBeGreaterThan(5);
  expect(kept.length).toBeLessThan(15);
  expect(tails.run(first, 99, 100)).toBeDefined();
  const groups = Array.from({ length: 100 }, aGroup);
  for (const group of groups) tails.add(group, entryAt(1));
  const left = groups.filter((group) => tails.end(group) !== undefined);
  expect(left.length).toBeLessThan(50);
  expect(left).toEqual(groups.slice(-left.length));
  expect(tails.end(first)).toBeUndefined();
});
