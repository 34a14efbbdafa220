import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { CryptoProvider } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import type { Client } from "../../src/index.ts";
import { sharedWorld } from "../shared-world.ts";
import {
  conversation,
  eventsOf,
  gather,
  say,
  texts,
  until,
  untilState,
  untilTexts,
} from "../world.ts";

const world = sharedWorld();
let people = 0;

async function pair(): Promise<{ ada: Client; ben: Client; id: string; names: string[] }> {
  const names = [`Ada ${++people}`, `Ben ${people}`];
  const [ada, ben] = await Promise.all(names.map((name) => world.person(name)));
  if (!ada || !ben) throw new Error("nobody");
  return { ada, ben, id: await gather(ada, [ben]), names };
}

describe("the outbox", () => {
  it("survives loss of network and a restart: all arrives, once and in order", async () => {
    const { ada, ben, id, names } = await pair();
    await say(ada, id, "before");
    await untilTexts(ben, id, ["before"]);
    await world.stopService();
    await until(ada, async () => (await ada.snapshot()).connection === "offline");
    await ada.sendText(id, "one", "key one");
    await ada.sendText(id, "two", "key two");
    await untilState(ada, id, "two", "waiting");
    const terms = { expiresInSeconds: 60, maxUses: 1 };
    await expect(ada.createInvitation(id, terms)).rejects.toMatchObject({ code: "offline" });
    await ada.close();

    const again = await world.device(names[0] ?? "");
    await again.sendText(id, "three", "key three");
    await again.sendText(id, "two", "key two");
    expect(await texts(again, id)).toEqual(["before", "one", "two", "three"]);
    await world.startService();
    await untilTexts(ben, id, ["before", "one", "two", "three"]);
    await untilState(again, id, "three", "delivered");
    await untilTexts(again, id, ["before", "one", "two", "three"]);
    expect((await conversation(ben, id)).warnings).toEqual([]);
  });

  it("encrypts anew what lost its epoch, under the same id", async () => {
    const { ada, ben, id } = await pair();
    const terms = { expiresInSeconds: 60, maxUses: 1 };
    await Promise.all([
      ...["a", "b", "c", "d"].map((text) => say(ada, id, text)),
      ben.createInvitation(id, terms),
      ...["e", "f"].map((text) => say(ben, id, text)),
      ben.createInvitation(id, terms),
    ]);
    await until(ada, async () => (await texts(ada, id)).length === 6);
    const order = await texts(ada, id);
    await untilTexts(ben, id, order);
    for (const one of [ada, ben]) {
      await until(one, async () => {
        const messages = await one.messages(id, { limit: 100 });
        return messages.every(({ state }) => state !== "waiting");
      });
    }
    const idsOf = async (client: Client) =>
      (await client.messages(id, { limit: 100 })).flatMap((message) =>
        message.body.type === "text" ? [message.id] : [],
      );
    expect(await idsOf(ben)).toEqual(await idsOf(ada));
    for (const one of [ada, ben]) expect((await conversation(one, id)).warnings).toEqual([]);
  });

  it("shows what the service refuses as failed, until it is discarded: all views are told", async () => {
    const refusing = { now: false };
    const ada = await world.person("Refused", {
      fetch: async (url, init) => {
        if (!refusing.now || !url.endsWith("/messages")) return fetch(url, init);
        const problem = { type: "about:blank", title: "no", status: 403, code: "not-allowed" };
        const headers = { "content-type": "application/problem+json" };
        return new Response(JSON.stringify(problem), { status: 403, headers });
      },
    });
    const id = await ada.createConversation("Refusals");
    await say(ada, id, "kept");
    await untilState(ada, id, "kept", "sent");
    refusing.now = true;
    await say(ada, id, "refused");
    const failed = await untilState(ada, id, "refused", "failed");
    const events = eventsOf(ada);
    for (const { id: messageId } of await ada.messages(id, { limit: 10 })) {
      await ada.discardFailed(id, messageId);
    }
    expect(events.filter(({ type }) => type === "discarded")).toEqual([
      { type: "discarded", conversationId: id, messageId: failed.id },
    ]);
    expect(await texts(ada, id)).toEqual(["kept"]);
  });

  /** Something before the service that answers so many messages itself, once it is told to. */
  function behindWall(times: number) {
    const wall = { stands: false, answered: 0 };
    const throughWall = async (url: string, init: RequestInit) => {
      if (!wall.stands || !url.endsWith("/messages") || wall.answered >= times) {
        return fetch(url, init);
      }
      wall.answered++;
      return new Response("<h1>not from here</h1>", { status: 403 });
    };
    return { wall, throughWall };
  }

  it("tries again what something before the service answered, and holds up nothing for ever", async () => {
    const { wall, throughWall } = behindWall(3);
    const ada = await world.person("Ada behind a wall", { fetch: throughWall });
    const ben = await world.person("Ben beyond it");
    const id = await gather(ada, [ben]);
    wall.stands = true;
    for (const text of ["first", "second"]) await say(ada, id, text);
    await untilTexts(ben, id, ["first", "second"]);
    expect(wall.answered).toBe(3);
    expect((await conversation(ben, id)).warnings).toEqual([]);
  });

  it("shows as failed what something before the service never lets through", async () => {
    const { wall, throughWall } = behindWall(Number.POSITIVE_INFINITY);
    const ada = await world.person("Ada behind a high wall", { fetch: throughWall });
    const id = await ada.createConversation("Walled in");
    wall.stands = true;
    await say(ada, id, "never through");
    const failed = await untilState(ada, id, "never through", "failed");
    expect(failed.failure).toBe("bad-answer");
    expect(wall.answered).toBeGreaterThan(1);
  });

  it("asks ever more seldom while something before the service answers, though the log can be read", async () => {
    const { wall, throughWall } = behindWall(Number.POSITIVE_INFINITY);
    const answeredAt: number[] = [];
    const ada = await world.person("Ada who asks less", {
      retry: [20, 2000],
      fetch: async (url, init) => {
        const before = wall.answered;
        const response = await throughWall(url, init);
        if (wall.answered > before) answeredAt.push(performance.now());
        return response;
      },
    });
    const id = await ada.createConversation("Patience");
    await say(ada, id, "before");
    await untilState(ada, id, "before", "sent");
    wall.stands = true;
    await say(ada, id, "waits");
    await expect.poll(() => answeredAt.length, { timeout: 20_000 }).toBe(9);
    // At least half of 20, 40, 80 … 1280, 2000 ms; one of them may be cut short by what arrives. Pauses that don't grow make 160 ms.
    expect((answeredAt[8] ?? 0) - (answeredAt[0] ?? 0)).toBeGreaterThan(1200);
  });

  it("shows nothing as failed that the service took at the last try", async () => {
    let [tries, ahead] = [0, 0];
    const ada = await world.person("Ada at last", {
      now: () => Date.now() + ahead,
      fetch: async (url, init) => {
        if (!url.endsWith("/messages") || ++tries > 6) return fetch(url, init);
        if (tries === 6) {
          ahead = 10_000;
          await fetch(url, init);
        }
        return new Response("<h1>not from here</h1>", { status: 403 });
      },
    });
    const id = await ada.createConversation("At last");
    const events = eventsOf(ada);
    await say(ada, id, "taken");
    await untilState(ada, id, "taken", "sent");
    expect(tries).toBe(6);
    const states = events.flatMap((event) =>
      event.type === "messages" ? event.messages.map(({ state }) => state) : [],
    );
    expect(states).not.toContain("failed");
  });

  it("asks to leave until the service has heard it", async () => {
    let [tries, ahead] = [0, 0];
    const ada = await world.person("Ada on her way out", {
      now: () => Date.now() + ahead,
      fetch: async (url, init) => {
        if (!ahead || !url.endsWith("/messages") || ++tries > 8) return fetch(url, init);
        ahead += 10_000;
        return new Response("<h1>not from here</h1>", { status: 403 });
      },
    });
    const ben = await world.person("Ben who stays");
    const id = await gather(ada, [ben]);
    ahead = 1;
    await ada.leave(id);
    await until(ben, async () => (await conversation(ben, id)).members.length === 1);
    expect(tries).toBeGreaterThan(8);
  });

  /** Cryptography that fails at what has this text in it, so many times. */
  function failingAt(text: string, times: number): CryptoProvider {
    const needle = Buffer.from(text);
    let failed = 0;
    const seal: CryptoProvider["seal"] = async (...given) => {
      if (given.some((one) => one instanceof Uint8Array && Buffer.from(one).includes(needle))) {
        if (failed++ < times) throw new Error("it doesn't work");
      }
      return nodeCrypto.seal(...given);
    };
    return { ...nodeCrypto, seal };
  }

  it("holds up nothing behind what can't be encrypted, which is shown as failed and not lost", async () => {
    const crypto = failingAt("never", Number.POSITIVE_INFINITY);
    const ada = await world.person("Ada of the failures", { crypto });
    const ben = await world.person("Ben behind them");
    const id = await gather(ada, [ben]);
    for (const text of ["before", "never", "after"]) await say(ada, id, text);
    await untilTexts(ben, id, ["before", "after"]);
    const failed = await untilState(ada, id, "never", "failed");
    expect(failed.failure).toBe("internal");
    await untilState(ada, id, "after", "delivered");
    expect((await conversation(ben, id)).warnings).toEqual([]);
    await ada.close();
    const again = await world.device("Ada of the failures");
    expect(await texts(again, id)).toContain("never");
    await again.discardFailed(id, failed.id);
    expect(await texts(again, id)).toEqual(["before", "after"]);
  });

  it("waits for what can't be encrypted now and can be soon, in the order of writing", async () => {
    const ada = await world.person("Ada who waits", { crypto: failingAt("later", 3) });
    const ben = await world.person("Ben who waits");
    const id = await gather(ada, [ben]);
    for (const text of ["before", "later", "after"]) await say(ada, id, text);
    await untilTexts(ben, id, ["before", "later", "after"]);
    await untilState(ada, id, "after", "delivered");
    expect((await conversation(ben, id)).warnings).toEqual([]);
  });

  it("refuses what is empty or too long", async () => {
    const { ada, id } = await pair();
    const tooLong = { code: "text-too-long" };
    await expect(say(ada, id, "")).rejects.toMatchObject(tooLong);
    await expect(say(ada, id, "ü".repeat(20_000))).rejects.toMatchObject(tooLong);
    await say(ada, id, "x".repeat(32 * 1024));
    await until(ada, async () => (await texts(ada, id)).length === 1);
  });
});

describe("a restored copy", () => {
  /** What a device does after a copy of its profile was made is forgotten. */
  async function forgetting(
    what: (later: Client, id: string) => Promise<unknown>,
  ): ReturnType<typeof pair> {
    const { ada, ben, id, names } = await pair();
    await say(ben, id, "before the copy");
    await untilState(ben, id, "before the copy", "delivered");
    await ben.close();
    const profile = join(world.folder, `${names[1]}.db`);
    copyFileSync(profile, join(world.folder, "copy.db"));

    const later = await world.device(names[1] ?? "");
    await what(later, id);
    await later.close();
    for (const suffix of ["-wal", "-shm"]) rmSync(profile + suffix, { force: true });
    copyFileSync(join(world.folder, "copy.db"), profile);
    return { ada, ben, id, names };
  }

  it.each<readonly [what: string, act: (later: Client, id: string) => Promise<unknown>]>([
    [
      "messages",
      async (later, id) => {
        await say(later, id, "after the copy");
        await untilState(later, id, "after the copy", "delivered");
      },
    ],
    ["commits", (later, id) => later.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 })],
  ])("finds its own later %s in the log, says so, and sends nothing", async (_, act) => {
    const { ada, id, names } = await forgetting(act);
    const restored = await world.device(names[1] ?? "");
    // The service has another copy since. Whoever goes on with this one all the same is told what comes of it.
    await untilElsewhere(restored);
    await expect(say(restored, id, "too early")).rejects.toMatchObject({ code: "elsewhere" });
    await restored.takeOver();
    await until(restored, async () =>
      (await conversation(restored, id)).warnings.some(({ code }) => code === "state-restored"),
    );
    await expect(say(restored, id, "with a used key")).rejects.toMatchObject({ code: "refused" });
    await say(ada, id, "can you read me?");
    await untilState(ada, id, "can you read me?", "sent");
    expect(await texts(ada, id)).not.toContain("with a used key");

    // By a link it gets a fresh leaf in the place of its own.
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 });
    await restored.acceptInvitation(fragment);
    await say(restored, id, "with fresh keys");
    await until(ada, async () => (await texts(ada, id)).includes("with fresh keys"));
    expect((await conversation(ada, id)).members.map(({ devices }) => devices)).toEqual([1, 1]);
  });

  it("that runs beside the first gives way, and the first goes on; or takes over, and the first gives way", async () => {
    const { ada, ben, id, names } = await pair();
    await ben.close();
    const copy = `${names[1]} copied`;
    copyFileSync(join(world.folder, `${names[1]}.db`), join(world.folder, `${copy}.db`));
    const first = await world.device(names[1] ?? "");
    await say(first, id, "the first goes on");
    await untilState(first, id, "the first goes on", "delivered");

    const second = await world.device(copy);
    await untilElsewhere(second);
    expect((await second.snapshot()).conversations).toEqual([]);
    await say(first, id, "undisturbed");
    await untilTexts(ada, id, ["the first goes on", "undisturbed"]);
    expect((await first.snapshot()).connection).toBe("online");

    const wish = first.createInvitation.bind(first);
    await second.takeOver();
    await untilElsewhere(first);
    const terms = { expiresInSeconds: 60, maxUses: 1 };
    await expect(wish(id, terms)).rejects.toMatchObject({ code: "elsewhere" });
    await until(second, async () =>
      (await conversation(second, id)).warnings.some(({ code }) => code === "state-restored"),
    );
    // Started again, each is where the person put it.
    await first.close();
    await untilElsewhere(await world.device(names[1] ?? ""));
    await second.close();
    const again = await world.device(copy);
    await until(again, async () => (await again.snapshot()).connection === "online");
    await untilTexts(ada, id, ["the first goes on", "undisturbed"]);
  });

  it("that was made of a running one takes its place, and it is told", async () => {
    const { ada, ben, id, names } = await pair();
    await say(ben, id, "before the copy");
    await untilState(ben, id, "before the copy", "delivered");
    const path = join(world.folder, `${names[1]}.db`);
    const whole = new DatabaseSync(path);
    whole.exec(`VACUUM INTO '${join(world.folder, "taken.db")}'`);
    whole.close();
    const second = await world.device("taken");
    await untilElsewhere(ben);
    await expect(say(ben, id, "with the same key")).rejects.toMatchObject({ code: "elsewhere" });
    await say(second, id, "from the copy");
    await untilTexts(ada, id, ["before the copy", "from the copy"]);
  });

  it("is no engine that comes after another: after a crash, or sign-ins whose answers were lost", async () => {
    await world.person("Often");
    for (let start = 0; start < 20; start++) {
      let lost = 0;
      const next = await world.device("Often", {
        fetch: async (url, init) => {
          if (!url.endsWith("/v1/sessions") || start >= 16) return fetch(url, init);
          // On its way there, or on its way back.
          if (start % 4 !== 0) await fetch(url, init);
          lost += 1;
          throw new TypeError("lost");
        },
      });
      const connection = async () => (await next.snapshot()).connection;
      await until(next, async () => lost > 0 || (await connection()) === "online");
      expect(await connection()).not.toBe("elsewhere");
      // The others are not closed: the next takes the profile over, as after a crash.
      if (start % 2 === 0) await next.close();
    }
  });
});

async function untilElsewhere(client: Client): Promise<void> {
  await until(client, async () => (await client.snapshot()).connection === "elsewhere");
}
