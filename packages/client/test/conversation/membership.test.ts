import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { loadGroup, MlsError } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { fromHex } from "../../src/bytes.ts";
import type { Client } from "../../src/index.ts";
import { nodeCrypto, openProfile } from "../../src/node/index.ts";
import { sharedWorld } from "../shared-world.ts";
import {
  addWhenReady,
  codeOf,
  conversation,
  gather,
  say,
  texts,
  until,
  untilMembers,
  untilState,
  untilTexts,
} from "../world.ts";

const world = sharedWorld();
let people = 0;

async function persons(count: number): Promise<{ names: string[]; clients: Client[] }> {
  const names = Array.from({ length: count }, () => `Person ${people++}`);
  const clients = await Promise.all(names.map((name) => world.person(name)));
  return { names, clients };
}

describe("joining", () => {
  it("by a Welcome names the one who did it, to who is added and to the others", async () => {
    const { names, clients } = await persons(3);
    const [ada, ben, cleo] = clients as [Client, Client, Client];
    const id = await gather(ada, [ben]);
    await addWhenReady(ben, id, names[2] ?? "");
    for (const client of [cleo, ada]) {
      await until(client, async () => {
        const { conversations } = await client.snapshot();
        return conversations.some((one) => one.id === id && one.members.length === 3);
      });
      const told = await client.messages(id, { limit: 10 });
      expect(told.map(({ body }) => body)).toContainEqual(
        expect.objectContaining({ change: "added", name: names[2], by: names[1] }),
      );
    }
  });

  it("again by a Welcome, for who was removed and added while away", async () => {
    const { names, clients } = await persons(2);
    const [ada, ben] = clients as [Client, Client];
    const id = await gather(ada, [ben]);
    // Once it can be added by name, its key packages are at the service.
    await addWhenReady(ada, await ada.createConversation("Another"), names[1] ?? "");
    await ben.close();
    const [self] = (await conversation(ada, id)).members.filter(({ name }) => name === names[1]);
    await ada.removeMember(id, self?.accountId ?? "");
    await say(ada, id, "without Ben");
    await addWhenReady(ada, id, names[1] ?? "");
    await say(ada, id, "with Ben again");
    const back = await world.device(names[1] ?? "");
    await untilTexts(back, id, ["with Ben again"]);
    expect((await conversation(back, id)).status).toBe("active");
    await say(back, id, "here I am");
    await untilTexts(ada, id, ["without Ben", "with Ben again", "here I am"]);
  });

  it("by a Welcome that comes again, its receipt being lost: nothing changes", async () => {
    const { names, clients } = await persons(1);
    const [ada] = clients as [Client];
    let acknowledged = 0;
    const name = `Person ${people++}`;
    const ben = await world.person(name, {
      fetch: (url, init) => {
        if (!url.endsWith("/inbox/ack") || ++acknowledged > 1) return fetch(url, init);
        throw new TypeError("no network");
      },
    });
    const id = await ada.createConversation("Twice");
    await until(ben, async () => (await ben.snapshot()).connection === "online");
    await addWhenReady(ada, id, name);
    await untilMembers(ben, id, [...names, name]);
    await say(ben, id, "once");
    await until(ben, async () => acknowledged > 1);
    await untilTexts(ada, id, ["once"]);
    await untilState(ben, id, "once", "delivered");
    const messages = await ben.messages(id, { limit: 10 });
    expect(messages.map(({ body }) => body.type)).toEqual(["membership", "text"]);
    expect((await conversation(ben, id)).warnings).toEqual([]);
    expect((await ben.snapshot()).warnings).toEqual([]);
  });

  it("by a Welcome with a clock that is ahead: who joins later is judged by the log's time alone", async () => {
    const { names, clients } = await persons(2);
    const [ada, cy] = clients as [Client, Client];
    let ahead = 0;
    const name = `Person ${people++}`;
    const ben = await world.person(name, { now: () => Date.now() + ahead });
    const id = await ada.createConversation("Clocks");
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 });
    // By then its key packages are there, of the right time.
    await addWhenReady(ada, await ada.createConversation("First"), name);
    ahead = 24 * 3600 * 1000;
    await addWhenReady(ada, id, name);
    await untilMembers(ben, id, [names[0] ?? "", name]);
    await cy.acceptInvitation(fragment);
    await untilMembers(ben, id, [...names, name]);
    expect((await conversation(ben, id)).warnings).toEqual([]);
  });

  it("by a link that has expired by our clock is refused, and not tried for ever", async () => {
    const { clients } = await persons(1);
    const [ada] = clients as [Client];
    let ahead = 0;
    const ben = await world.person(`Person ${people++}`, { now: () => Date.now() + ahead });
    const id = await ada.createConversation("Clocks");
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 });
    // Too little for the service to tell that the clocks differ.
    ahead = 120 * 1000;
    expect(await codeOf(ben.acceptInvitation(fragment))).toBe("link-closed");
    ahead = 0;
    expect(await ben.acceptInvitation(fragment)).toBe(id);
  });

  it("by a link: who joins can't read what came before", async () => {
    const { names, clients } = await persons(3);
    const [ada, ben, cy] = clients as [Client, Client, Client];
    const id = await gather(ada, [ben]);
    await say(ada, id, "before");
    await untilTexts(ben, id, ["before"]);
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 5 });
    await cy.acceptInvitation(fragment);
    await say(ada, id, "after");
    await untilTexts(cy, id, ["after"]);
    await untilTexts(ben, id, ["before", "after"]);
    await untilMembers(cy, id, names);
    // The log itself does not give it out either, nor do the warnings speak of it.
    expect((await conversation(cy, id)).warnings).toEqual([]);
  });

  it("by name: the Welcome comes with title and members", async () => {
    const { names, clients } = await persons(2);
    const [ada, ben] = clients as [Client, Client];
    const id = await ada.createConversation("By name");
    await until(ben, async () => (await ben.snapshot()).connection === "online");
    await addWhenReady(ada, id, names[1] ?? "");
    await untilMembers(ben, id, names);
    expect((await conversation(ben, id)).title).toBe("By name");
    await say(ben, id, "hello");
    await untilTexts(ada, id, ["hello"]);
    await untilState(ben, id, "hello", "delivered");
    expect(await codeOf(ada.addByName(id, names[1] ?? ""))).toBe("already-member");
    expect(await codeOf(ada.addByName(id, "Nobody at all"))).toBe("name-unknown");
  });

  it("is refused when the link was revoked, used up, or is no link", async () => {
    const { clients } = await persons(3);
    const [ada, ben, cy] = clients as [Client, Client, Client];
    const id = await ada.createConversation("Links");
    const once = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 });
    await ben.acceptInvitation(once.fragment);
    expect(await codeOf(cy.acceptInvitation(once.fragment))).toBe("link-closed");
    const revoked = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 9 });
    await ada.revokeInvitations(id);
    await until(ada, async () => (await conversation(ada, id)).links === 0);
    expect(await codeOf(cy.acceptInvitation(revoked.fragment))).toMatch(/^link-(closed|invalid)$/u);
    expect(await codeOf(cy.previewInvitation("nonsense"))).toBe("link-invalid");
    expect((await cy.snapshot()).conversations).toEqual([]);
  });

  it("by many at once: each gets in, by racing for the epochs", async () => {
    const { names, clients } = await persons(6);
    const [ada, ...others] = clients as [Client, ...Client[]];
    const id = await ada.createConversation("Rush");
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 50 });
    await Promise.all(others.map((other) => other.acceptInvitation(fragment)));
    for (const one of clients) await untilMembers(one, id, names);
    await say(ada, id, "welcome all");
    for (const one of others) await untilTexts(one, id, ["welcome all"]);
    for (const one of clients) expect((await conversation(one, id)).warnings).toEqual([]);
  });
});

describe("removing", () => {
  it("a removed client reads nothing that follows, also with the service's database in hand", async () => {
    const { names, clients } = await persons(3);
    const [ada, ben, cy] = clients as [Client, Client, Client];
    const id = await gather(ada, [ben, cy]);
    await say(cy, id, "I am here");
    await untilTexts(ada, id, ["I am here"]);
    // What a device keeps that means to read on: all its secrets, from before it was removed.
    await cy.close();
    const profile = join(world.folder, `${names[2]}.db`);
    const kept = join(world.folder, "kept.db");
    copyFileSync(profile, kept);
    const again = await world.device(names[2] ?? "");
    const cyId = (await again.snapshot()).account?.accountId ?? "";

    await ada.removeMember(id, cyId);
    await untilMembers(ben, id, names.slice(0, 2));
    await say(ada, id, "without Cy");
    await untilTexts(ben, id, ["I am here", "without Cy"]);
    await until(again, async () => (await conversation(again, id)).status === "left");
    expect(await texts(again, id)).toEqual(["I am here"]);
    expect(await codeOf(say(again, id, "still?"))).toBe("not-member");
    expect((await conversation(ada, id)).links).toBe(0);

    const read = await readAll(kept, id);
    expect(read.plaintexts.filter((text) => text.includes("without Cy"))).toEqual([]);
    expect(read.refused).toContain("removed");
  });

  /** Feeds the whole log, as the service's database has it, to the group that a profile holds. */
  async function readAll(file: string, id: string) {
    const { storage, vault } = openProfile(file);
    const signer = await vault.open("leaf");
    if (!signer) throw new Error("no key");
    const accept = { validate: async () => {}, isSuccessor: async () => true };
    const context = { crypto: nodeCrypto, storage, authentication: accept, now: Date.now };
    const groupId = fromHex(id);
    const group = await loadGroup(context, { groupId, signer });
    const database = new DatabaseSync(join(world.folder, "service.db"), { readOnly: true });
    const log = database.prepare(`SELECT message FROM log JOIN groups ON number = group_number
      WHERE group_id = ? ORDER BY seq`);
    const plaintexts: string[] = [];
    const refused: string[] = [];
    for (const { message } of log.all(groupId)) {
      try {
        const received = await group?.receive(message as Uint8Array<ArrayBuffer>);
        if (received?.type === "application")
          plaintexts.push(new TextDecoder().decode(received.data));
      } catch (error) {
        if (error instanceof MlsError) refused.push(error.code);
      }
    }
    database.close();
    await storage.close();
    return { plaintexts, refused };
  }

  it("what is in the outbox of a removed client fails, and can be discarded", async () => {
    const { clients } = await persons(2);
    const [ada, ben] = clients as [Client, Client];
    const id = await gather(ada, [ben]);
    const benId = (await ben.snapshot()).account?.accountId ?? "";
    await Promise.all([ada.removeMember(id, benId), say(ben, id, "too late?").catch(() => {})]);
    await until(ben, async () => (await conversation(ben, id)).status === "left");
    const shown = await until(ben, async () => {
      const messages = await ben.messages(id, { limit: 10 });
      const mine = messages.filter(({ body }) => body.type === "text");
      return mine.every(({ state }) => state !== "waiting") && { mine };
    });
    for (const { id: messageId, state } of shown.mine) {
      if (state === "failed") await ben.discardFailed(id, messageId);
    }
    const after = await ben.messages(id, { limit: 10 });
    expect(after.filter(({ state }) => state === "failed")).toEqual([]);
  });
});

describe("leaving", () => {
  it("is committed by another, also while messages are written", async () => {
    const { names, clients } = await persons(3);
    const [ada, ben, cy] = clients as [Client, Client, Client];
    const id = await gather(ada, [ben, cy]);
    await cy.leave(id);
    expect((await conversation(cy, id)).status).toBe("left");
    expect(await codeOf(say(cy, id, "no more"))).toBe("not-member");
    await Promise.all([say(ada, id, "one"), say(ben, id, "two")]);
    for (const one of [ada, ben]) await untilMembers(one, id, names.slice(0, 2));
    await until(ada, async () => (await texts(ada, id)).length === 2);
    const messages = await ada.messages(id, { limit: 50 });
    const left = messages.filter(
      ({ body }) => body.type === "membership" && body.change === "left",
    );
    expect(left).toHaveLength(1);
  });

  it("that the service lets nobody commit is tried once for each entry of the log", async () => {
    const { clients } = await persons(2);
    const [ben, cy] = clients as [Client, Client];
    const refusing = { now: false, commits: 0, looks: 0 };
    const ada = await world.person(`Person ${people++}`, {
      poll: 50,
      fetch: async (url, init) => {
        if (new URL(url).pathname.endsWith("/log")) refusing.looks++;
        if (!refusing.now || !url.endsWith("/commits")) return fetch(url, init);
        refusing.commits++;
        const problem = { type: "about:blank", title: "no", status: 403, code: "not-allowed" };
        const headers = { "content-type": "application/problem+json" };
        return new Response(JSON.stringify(problem), { status: 403, headers });
      },
    });
    const id = await gather(ada, [ben, cy]);
    const [, benName] = (await conversation(ada, id)).members.map(({ name }) => name);
    await ben.close();
    refusing.now = true;
    await cy.leave(id);
    await until(ada, async () =>
      (await conversation(ada, id)).warnings.some(({ code }) => code === "message-refused"),
    );
    await say(ada, id, "waits for the commit");
    const { looks } = refusing;
    await expect.poll(() => refusing.looks).toBeGreaterThan(looks + 5);
    expect(refusing.commits).toBe(1);
    await untilState(ada, id, "waits for the commit", "waiting");

    const again = await world.device(benName ?? "");
    await untilTexts(again, id, ["waits for the commit"]);
    expect((await conversation(ada, id)).members).toHaveLength(2);
  });

  it("outlives a joiner's commit, which makes the proposal void, though who left is away", async () => {
    const { clients } = await persons(2);
    const [cy, dora] = clients as [Client, Client];
    const held = { now: false, commits: 0 };
    const ada = await world.person(`Person ${people++}`, {
      poll: 50,
      fetch: async (url, init) => {
        if (!held.now || !url.endsWith("/commits")) return fetch(url, init);
        held.commits++;
        throw new TypeError("no way through");
      },
    });
    const id = await gather(ada, [cy]);
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 });
    await until(cy, async () => (await conversation(cy, id)).links === 1);
    held.now = true;
    await cy.leave(id);
    // She has the proposal by then, and would commit it.
    await expect.poll(() => held.commits).toBeGreaterThan(0);
    await cy.close();
    await dora.acceptInvitation(fragment);
    await until(ada, async () => (await conversation(ada, id)).members.length === 3);
    held.now = false;
    for (const one of [ada, dora]) {
      await until(one, async () => (await conversation(one, id)).members.length === 2);
    }
    const messages = await ada.messages(id, { limit: 50 });
    const gone = messages.filter(
      ({ body }) =>
        body.type === "membership" && (body.change === "left" || body.change === "removed"),
    );
    expect(gone).toMatchObject([{ body: { change: "left" } }]);
  });

  it("alone ends the conversation on this device", async () => {
    const { clients } = await persons(1);
    const [ada] = clients as [Client];
    const id = await ada.createConversation("Alone");
    await ada.leave(id);
    await until(ada, async () => (await conversation(ada, id)).members.length === 0);
    expect((await conversation(ada, id)).status).toBe("left");
  });
});

describe("racing for an epoch", () => {
  it("who loses composes again on the winner: nothing that was wanted is lost", async () => {
    const { clients } = await persons(3);
    const [ada, ben, cy] = clients as [Client, Client, Client];
    const id = await gather(ada, [ben, cy]);
    const terms = { expiresInSeconds: 60, maxUses: 1 };
    for (const one of [ada, ben, cy]) {
      await until(one, async () => (await conversation(one, id)).members.length === 3);
    }
    await Promise.all(
      [ada, ben, cy].flatMap((one) => [
        one.createInvitation(id, terms),
        one.createInvitation(id, terms),
      ]),
    );
    for (const one of [ada, ben, cy]) {
      await until(one, async () => (await conversation(one, id)).links === 7);
    }
    await Promise.all([say(ada, id, "a"), say(ben, id, "b"), say(cy, id, "c")]);
    await until(ada, async () => (await texts(ada, id)).length === 3);
    const order = await texts(ada, id);
    await untilTexts(ben, id, order);
    await untilTexts(cy, id, order);
    for (const one of clients) expect((await conversation(one, id)).warnings).toEqual([]);
  });
});
