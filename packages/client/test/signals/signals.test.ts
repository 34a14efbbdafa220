import { describe, expect, it } from "vitest";
import type { Client, ClientEvent, Fetch } from "../../src/index.ts";
import { quietAccount } from "../quiet-account.ts";
import { sharedWorld } from "../shared-world.ts";
import { conversation, eventsOf, gather, say, until, untilTexts } from "../world.ts";

const world = sharedWorld();

const BOTH = { typing: true, receipts: true };
const accountId = async (client: Client): Promise<string> =>
  (await client.snapshot()).account?.accountId ?? "";
/** Who was told to be writing, one event after the other. */
const typingOf = (events: readonly ClientEvent[]): (readonly string[])[] =>
  events.flatMap((event) => (event.type === "typing" ? [event.accountIds] : []));
const readUpTo = async (client: Client, id: string, of: string): Promise<number> =>
  (await conversation(client, id)).members.find((member) => member.accountId === of)?.readUpTo ?? 0;
const seqOf = async (client: Client, id: string, text: string): Promise<number> => {
  const messages = await client.messages(id, { limit: 100 });
  return messages.find(({ body }) => body.type === "text" && body.text === text)?.seq ?? -1;
};

/** Counts the signals that go out. */
function counting(): { readonly fetch: Fetch; sent: number } {
  const counted = {
    sent: 0,
    fetch: (url: string, init: RequestInit) => {
      if (url.endsWith("/signals")) counted.sent++;
      return fetch(url, init);
    },
  };
  return counted;
}

/** Keeps the signals that come by the socket, to be brought again. */
function recording(frames: string[] = []) {
  const sockets: WebSocket[] = [];
  class Recording extends WebSocket {
    constructor(url: string | URL) {
      super(url);
      sockets.push(this);
      this.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
        if (typeof data !== "string" || !data.includes('"signal"')) return;
        if (!frames.includes(data)) frames.push(data);
      });
    }
  }
  const again = () => {
    for (const data of frames.slice())
      sockets.at(-1)?.dispatchEvent(new MessageEvent("message", { data }));
  };
  return { WebSocket: Recording, frames, again };
}

/** `gather`, where all listen by now: what is said for the moment is told to nobody later. */
async function together(first: Client, others: readonly Client[]): Promise<string> {
  const id = await gather(first, others);
  for (const one of [first, ...others]) {
    await until(one, async () => (await one.snapshot()).connection === "online");
  }
  return id;
}

describe("that somebody is writing", () => {
  it("is told to those who are there, as often as is useful, and over after a while", async () => {
    const out = counting();
    const ada = await world.person("Ada", { ...out, typing: [60_000, 60_000] });
    const ben = await world.person("Ben", { typing: [60_000, 300] });
    const cleo = await world.person("Cleo", { typing: [60_000, 60_000] });
    const id = await together(ada, [ben, cleo]);
    const [toBen, toCleo, toAda] = [eventsOf(ben), eventsOf(cleo), eventsOf(ada)];
    const ada1 = await accountId(ada);
    for (let i = 0; i < 5; i++) await ada.tellTyping(id);
    await until(cleo, async () => typingOf(toCleo).length > 0);
    await until(ben, async () => typingOf(toBen).length > 1);
    expect(out.sent).toBe(1);
    expect(typingOf(toBen)).toEqual([[ada1], []]);
    expect(typingOf(toCleo)).toEqual([[ada1]]);
    expect(typingOf(toAda)).toEqual([]);
    // What was being written is there.
    await say(ada, id, "at last");
    await untilTexts(cleo, id, ["at last"]);
    expect(typingOf(toCleo)).toEqual([[ada1], []]);
  });

  it("is heard once: who brings it again changes nothing", async () => {
    const socket = recording();
    const dora = await world.person("Dora");
    const eli = await world.person("Eli", { WebSocket: socket.WebSocket, typing: [0, 200] });
    const id = await together(dora, [eli]);
    const heard = eventsOf(eli);
    await dora.tellTyping(id);
    await until(eli, async () => typingOf(heard).length === 2);
    socket.again();
    await say(dora, id, "done");
    await untilTexts(eli, id, ["done"]);
    expect(typingOf(heard)).toHaveLength(2);
    // After a restart the numbers are forgotten; the message tells that it is over.
    await eli.close();
    const back = recording(socket.frames);
    const later = await world.device("Eli", { WebSocket: back.WebSocket });
    const heardLater = eventsOf(later);
    await until(later, async () => (await later.snapshot()).connection === "online");
    back.again();
    await say(dora, id, "and over");
    await untilTexts(later, id, ["done", "and over"]);
    expect(back.frames).toHaveLength(1);
    expect(typingOf(heardLater)).toEqual([]);
  });

  it("is neither told nor heard by who doesn't want that", async () => {
    const out = counting();
    const fay = await world.person("Fay", out);
    const gus = await world.person("Gus", { typing: [0, 60_000] });
    const id = await together(fay, [gus]);
    expect((await fay.snapshot()).signalSettings).toEqual({ typing: true, receipts: false });
    const heard = eventsOf(fay);
    await gus.tellTyping(id);
    await until(fay, async () => typingOf(heard).length === 1);
    await fay.setSignalSettings({ typing: false, receipts: false });
    // Whom it was told of is over at once.
    await until(fay, async () => typingOf(heard).length > 1);
    const before = out.sent;
    await fay.tellTyping(id);
    await gus.tellTyping(id);
    await say(gus, id, "unseen");
    await untilTexts(fay, id, ["unseen"]);
    expect(out.sent).toBe(before);
    expect(typingOf(heard).slice(1)).toEqual([[]]);
    await fay.close();
    const again = await world.device("Fay");
    expect((await again.snapshot()).signalSettings).toEqual({ typing: false, receipts: false });
  });
});

it("where there are more than twenty devices nothing is told of who writes or reads", async () => {
  const out = counting();
  const [pat, quinn] = [await world.person("Pat", out), await world.person("Quinn")];
  await pat.setSignalSettings(BOTH);
  const id = await together(pat, [quinn]);
  await quietAccount(world, "Rae", 18);
  await quietAccount(world, "Sam", 1);
  const devices = async (of: Client): Promise<number> =>
    (await conversation(of, id)).members.reduce((sum, member) => sum + member.devices, 0);
  await pat.addByName(id, "Rae");
  // Who isn't in the epoch yet can't read what is told in it.
  for (const one of [pat, quinn]) await until(one, async () => (await devices(one)) === 20);
  const heard = eventsOf(quinn);
  await pat.tellTyping(id);
  await until(quinn, async () => typingOf(heard).length > 0);
  expect(out.sent).toBe(1);
  await say(quinn, id, "twenty");
  await untilTexts(pat, id, ["twenty"]);
  await pat.markRead(id);
  await until(pat, async () => out.sent === 2);

  await pat.addByName(id, "Sam");
  await until(pat, async () => (await devices(pat)) === 21);
  await say(quinn, id, "one more");
  await untilTexts(pat, id, ["twenty", "one more"]);
  await pat.tellTyping(id);
  await pat.markRead(id);
  await pat.askReaders(id);
  // It is long enough for what is told after a while.
  await say(pat, id, "said");
  await untilTexts(quinn, id, ["twenty", "one more", "said"]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(out.sent).toBe(2);
});

describe("what was read", () => {
  it("is told by nobody until they choose to", async () => {
    const out = counting();
    const hal = await world.person("Hal");
    const ida = await world.person("Ida", out);
    await hal.setSignalSettings(BOTH);
    const id = await together(hal, [ida]);
    await say(hal, id, "read this");
    await untilTexts(ida, id, ["read this"]);
    await ida.markRead(id);
    await hal.askReaders(id);
    await ida.tellTyping(id);
    await until(ida, async () => out.sent > 0);
    expect(out.sent).toBe(1);
    expect(await readUpTo(hal, id, await accountId(ida))).toBe(0);
    expect((await conversation(hal, id)).readByAll).toBe(0);
  });

  it("shows who has read how far, and up to where all have; it stays, until one wants it no more", async () => {
    const people = [
      await world.person("Jim"),
      await world.person("Kim"),
      await world.person("Lea"),
    ] as const;
    const [jim, kim, lea] = people;
    for (const person of people) await person.setSignalSettings(BOTH);
    const id = await together(jim, [kim, lea]);
    await say(jim, id, "one");
    await untilTexts(kim, id, ["one"]);
    await kim.markRead(id);
    const one = await seqOf(kim, id, "one");
    const kimId = await accountId(kim);
    await until(jim, async () => (await readUpTo(jim, id, kimId)) === one);
    expect((await conversation(jim, id)).readByAll).toBe(0);
    await untilTexts(lea, id, ["one"]);
    await lea.markRead(id);
    await until(jim, async () => (await conversation(jim, id)).readByAll === one);
    // Somebody new has not read it, and that changes nothing.
    const max = await world.person("Max");
    const { fragment } = await jim.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 });
    await max.acceptInvitation(fragment);
    await until(jim, async () => (await conversation(jim, id)).members.length === 4);
    expect((await conversation(jim, id)).readByAll).toBe(one);

    await jim.close();
    const again = await world.device("Jim");
    expect((await conversation(again, id)).readByAll).toBe(one);
    expect(await readUpTo(again, id, kimId)).toBe(one);
    await again.setSignalSettings({ typing: true, receipts: false });
    expect((await conversation(again, id)).readByAll).toBe(0);
    expect(await readUpTo(again, id, kimId)).toBe(0);
    await again.close();
    const later = await world.device("Jim");
    expect(await readUpTo(later, id, kimId)).toBe(0);
  });

  it("is told anew to who was away and asks, but not to who asks all the time", async () => {
    const out = counting();
    const ned = await world.person("Ned");
    const ola = await world.person("Ola", out);
    await ned.setSignalSettings(BOTH);
    await ola.setSignalSettings(BOTH);
    const id = await together(ned, [ola]);
    await say(ned, id, "while I'm away");
    await untilTexts(ola, id, ["while I'm away"]);
    await ned.close();
    await ola.markRead(id);
    await until(ola, async () => out.sent === 1);
    // Read already: nothing more is told.
    await ola.markRead(id);
    let asker = await world.device("Ned");
    const olaId = await accountId(ola);
    expect(await readUpTo(asker, id, olaId)).toBe(0);
    await until(asker, async () => (await asker.snapshot()).connection === "online");
    await asker.askReaders(id);
    await until(asker, async () => (await readUpTo(asker, id, olaId)) > 0);
    expect(await readUpTo(asker, id, olaId)).toBe(await seqOf(ola, id, "while I'm away"));
    expect(out.sent).toBe(2);
    await asker.close();
    asker = await world.device("Ned");
    await until(asker, async () => (await asker.snapshot()).connection === "online");
    await asker.askReaders(id);
    await asker.askReaders(id);
    await say(asker, id, "over");
    await untilTexts(ola, id, ["while I'm away", "over"]);
    expect(out.sent).toBe(2);
  });
});
