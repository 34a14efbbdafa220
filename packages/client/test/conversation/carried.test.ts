/** What comes of the log by the socket: taken where it goes on from our place, and read where it doesn't. */

import { expect, it } from "vitest";
import type { Fetch } from "../../src/index.ts";
import { sharedWorld } from "../shared-world.ts";
import { conversation, gather, say, until, untilTexts } from "../world.ts";

const world = sharedWorld();
let people = 0;

type Heard = (event: MessageEvent<unknown>) => void;

/** A socket whose frames go through this on their way in; `hear` may be called now or later, any number of times. */
function socketsThrough(pass: (frame: string, hear: (frame: string) => void) => void) {
  return class extends WebSocket {
    override addEventListener(type: string, listener: unknown): void {
      const hear = listener as Heard;
      super.addEventListener(type, (event) => {
        if (type !== "message") return hear(event as MessageEvent);
        pass(String((event as MessageEvent).data), (data) => {
          hear(new MessageEvent("message", { data }));
        });
      });
    }
  };
}

/** Counts how often a log is asked for. */
function counting() {
  const asked = { logs: 0 };
  const through: Fetch = async (input, init) => {
    if (new URL(input).pathname.endsWith("/log")) asked.logs++;
    return fetch(input, init);
  };
  return { asked, fetch: through };
}

it("is not asked for again: messages and commits of others are taken as they come", async () => {
  const { asked, fetch } = counting();
  const ada = await world.person(`Ada ${++people}`);
  // It says nothing itself.
  const ben = await world.person(`Ben ${people}`, { fetch, WebSocket, receipt: 60_000 });
  const id = await gather(ada, [ben]);
  await say(ada, id, "0");
  await untilTexts(ben, id, ["0"]);
  asked.logs = 0;
  const sent = ["0"];
  for (let i = 1; i <= 10; i++) {
    if (i === 5) await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 });
    await say(ada, id, `${i}`);
    sent.push(`${i}`);
    await untilTexts(ben, id, sent);
  }
  expect((await conversation(ben, id)).links).toBe(2);
  expect(asked.logs).toBe(0);
});

it("is read in the log by who is only told of it", async () => {
  const { asked, fetch } = counting();
  const ada = await world.person(`Ada ${++people}`);
  const ben = await world.person(`Ben ${people}`, { fetch });
  const id = await gather(ada, [ben]);
  asked.logs = 0;
  await say(ada, id, "one");
  await untilTexts(ben, id, ["one"]);
  expect(asked.logs).toBeGreaterThan(0);
});

it("is judged as what the log says: what was changed on its way is refused, and the rest read", async () => {
  let spoiling = false;
  const spoilt = socketsThrough((text, hear) => {
    if (!spoiling) return hear(text);
    const frame = JSON.parse(text) as { entries?: { seq: number; message: string }[] };
    for (const entry of frame.entries ?? []) {
      const at = entry.message.length - 9;
      const other = entry.message[at] === "A" ? "B" : "A";
      entry.message = entry.message.slice(0, at) + other + entry.message.slice(at + 1);
    }
    hear(JSON.stringify(frame));
  });
  const ada = await world.person(`Ada ${++people}`);
  const ben = await world.person(`Ben ${people}`, { WebSocket: spoilt });
  const id = await gather(ada, [ben]);
  spoiling = true;
  await say(ada, id, "one");
  const codes = async () => (await conversation(ben, id)).warnings.map(({ code }) => code);
  await until(ben, async () => (await codes()).includes("message-unreadable"));
  spoiling = false;
  await say(ada, id, "two");
  await untilTexts(ben, id, ["two"]);
  expect(await codes()).toContain("history-differs");
});

/** Numbers from 0 to 1 that look random and are the same each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

it.each([1, 2, 3])(
  "is shown once each and in order, whichever frames are lost, late, doubled or bare (%i)",
  async (seed) => {
    const next = numbers(seed);
    const unreliable = socketsThrough((text, hear) => {
      if (!text.includes('"type":"group"')) return hear(text);
      const kind = next();
      if (kind < 0.2) return;
      const { entries, ...bare } = JSON.parse(text) as { entries?: unknown[] };
      const cut = next() < 0.3 && entries ? { ...bare, entries: entries.slice(1) } : undefined;
      const said = kind < 0.3 ? JSON.stringify(bare) : cut ? JSON.stringify(cut) : text;
      if (kind < 0.6) hear(said);
      if (kind > 0.5) setTimeout(() => hear(said), 60 * next());
    });
    const { asked, fetch } = counting();
    const ada = await world.person(`Ada ${++people}`);
    const ben = await world.person(`Ben ${people}`, { fetch, WebSocket: unreliable, poll: 400 });
    const cy = await world.person(`Cy ${people}`);
    const id = await gather(ada, [ben, cy]);
    asked.logs = 0;
    const sent: string[] = [];
    for (let i = 0; i < 40; i++) {
      const text = `${i}`;
      await say(i % 3 === 0 ? cy : ada, id, text);
      sent.push(text);
      // Of two who write at once nobody knows who is first.
      if (i % 3 !== 1) await untilTexts(i % 3 === 0 ? ada : cy, id, sent);
      if (i % 10 === 9) await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 });
    }
    await untilTexts(ben, id, sent);
    await say(ben, id, "and I");
    await untilTexts(ada, id, [...sent, "and I"]);
    await untilTexts(ben, id, [...sent, "and I"]);
    for (const one of [ada, ben, cy]) expect((await conversation(one, id)).warnings).toEqual([]);
    expect(asked.logs).toBeGreaterThan(0);
  },
);
