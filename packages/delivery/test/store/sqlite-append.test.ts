import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type AppendMessage, openSqliteStore, type Store } from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Bytes, random } from "../world.ts";
import { aDevice, aGroup, NOW } from "./fixtures.ts";

let folder: string;
let store: Store;
let member: number;
let groups: readonly Bytes[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "append-"));
  store = openSqliteStore(join(folder, "store.sqlite"));
  member = await aDevice(store);
  groups = [await aGroup(store, member), await aGroup(store, member), await aGroup(store, member)];
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const aMessage = (change: Partial<AppendMessage> = {}): AppendMessage => ({
  groupId: groups[0] ?? random(16),
  device: member,
  epoch: 0n,
  hash: random(32),
  message: random(9),
  now: NOW,
  ...change,
});

describe("messages that come together", () => {
  it("have their places in the order of each group, and time does not go back", async () => {
    // More than go into one batch.
    const messages = Array.from({ length: 400 }, (_, i) =>
      aMessage({ groupId: groups[i % 3] ?? random(16), now: NOW + 400 - i }),
    );
    const answers = await Promise.all(messages.map((message) => store.appendApplication(message)));
    for (const [i, answer] of answers.entries()) {
      const acceptedAt = NOW + 400 - (i % 3);
      expect(answer).toEqual({ seq: Math.floor(i / 3) + 1, acceptedAt });
    }
    const page = { after: 0, limit: 500, bytes: 1_000_000 };
    const log = await store.log(groups[1] ?? random(16), member, page);
    expect(log?.head).toBe(133);
    expect(log?.entries.map(({ seq }) => seq)).toEqual(
      Array.from({ length: 133 }, (_, i) => i + 1),
    );
  });

  it("are refused each for itself, and what is refused takes no place", async () => {
    const twice = aMessage();
    const answers = await Promise.all(
      [
        twice,
        aMessage({ device: member + 1 }),
        aMessage({ epoch: 1n }),
        aMessage({ epoch: 2n ** 64n - 1n }),
        aMessage({ groupId: random(16) }),
        twice,
        aMessage(),
      ].map((message) => store.appendApplication(message)),
    );
    expect(answers).toEqual([
      { seq: 1, acceptedAt: NOW },
      "not-member",
      { currentEpoch: 0n },
      { currentEpoch: 0n },
      "not-member",
      { seq: 1, acceptedAt: NOW },
      { seq: 2, acceptedAt: NOW },
    ]);
  });

  it("go into several batches where it takes long to judge them", async () => {
    const other = new DatabaseSync(join(folder, "store.sqlite"));
    const version = (): number =>
      Number(other.prepare("PRAGMA data_version").get()?.["data_version"]);
    const before = version();
    let time = 0;
    vi.spyOn(performance, "now").mockImplementation(() => {
      time += 5;
      return time;
    });
    const answers = await Promise.all(
      [1, 2, 3].map(async () => {
        const answer = await store.appendApplication(aMessage());
        return [answer, version() - before];
      }),
    );
    expect(answers).toMatchObject([
      [{ seq: 1 }, 1],
      [{ seq: 2 }, 2],
      [{ seq: 3 }, 3],
    ]);
    vi.restoreAllMocks();
    other.close();
  });
});
