import { bytesFromText, bytesToText } from "@conclave/delivery/protocol";
import { describe, expect, it } from "vitest";
import type { Fetch } from "../../src/index.ts";
import { sharedWorld } from "../shared-world.ts";
import { conversation, gather, say, texts, until, untilMembers, untilTexts } from "../world.ts";

const world = sharedWorld();
let people = 0;

/**
 * Breaks the membership tag of each commit on its way: the service can't see that, members can (RFC 9420 §6.2).
 * Who sent it sees it in the log as it was.
 */
function breaking(on: { now: boolean }): Fetch {
  const sent = new Map<string, string>();
  return async (input, init) => {
    const { pathname } = new URL(input);
    if (on.now && pathname.endsWith("/commits") && typeof init.body === "string") {
      const body = JSON.parse(init.body) as { commit: string };
      const commit = bytesFromText(body.commit);
      commit[commit.length - 1] = (commit.at(-1) ?? 0) ^ 1;
      sent.set(bytesToText(commit), body.commit);
      const broken = { ...body, commit: bytesToText(commit) };
      return fetch(input, { ...init, body: JSON.stringify(broken) });
    }
    const response = await fetch(input, init);
    if (!pathname.endsWith("/log")) return response;
    let log = await response.text();
    for (const [broken, whole] of sent) log = log.replaceAll(broken, whole);
    return new Response(log, response);
  };
}

/** Counts what is posted to groups, or lets nothing of it through; and how often the log is looked at. */
function counting(posts: { count: number; looks: number; blocked: boolean }): Fetch {
  return async (input, init) => {
    if (new URL(input).pathname.endsWith("/log")) posts.looks++;
    if (init.method === "POST" && new URL(input).pathname.startsWith("/v1/groups/")) {
      posts.count++;
      if (posts.blocked) throw new TypeError("the network is down");
    }
    return fetch(input, init);
  };
}

/** Ada, whose commits can be broken on their way; Ben, who has something to send; Cy, who hasn't. */
async function threesome() {
  const on = { now: false };
  const posts = { count: 0, looks: 0, blocked: false };
  const names = ["Ada", "Ben", "Cy"].map((name) => `${name} ${++people}`);
  const [first = "", second = "", third = ""] = names;
  const ada = await world.person(first, { fetch: breaking(on) });
  const ben = await world.person(second, { fetch: counting(posts), poll: 50 });
  const cy = await world.person(third);
  const id = await gather(ada, [ben, cy]);
  await say(ada, id, "before");
  for (const one of [ben, cy]) await untilTexts(one, id, ["before"]);
  posts.blocked = true;
  await say(ben, id, "waiting");
  on.now = true;
  const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 9 });
  on.now = false;
  for (const one of [ben, cy]) {
    await until(one, async () =>
      (await conversation(one, id)).warnings.some(({ code }) => code === "out-of-step"),
    );
  }
  posts.blocked = false;
  return { ada, ben, cy, id, posts, names, fragment };
}

describe("a commit that the service took and members refuse", () => {
  it("is told to all of them; nothing is sent or tried again, and what waits stays", async () => {
    const { ada, ben, cy, id, posts } = await threesome();
    for (const one of [ben, cy]) {
      const codes = (await conversation(one, id)).warnings.map(({ code }) => code);
      expect(codes).toEqual(["message-refused", "out-of-step"]);
      await expect(say(one, id, "more")).rejects.toMatchObject({ code: "refused" });
    }
    expect((await conversation(ada, id)).warnings).toEqual([]);
    const { count, looks } = posts;
    await expect.poll(() => posts.looks).toBeGreaterThan(looks + 5);
    expect(posts.count).toBe(count);
    const waiting = (await ben.messages(id, { limit: 10 })).at(-1);
    expect(waiting).toMatchObject({ state: "waiting", body: { text: "waiting" } });
  });

  it("is healed by joining again by a link: what waits is sent", async () => {
    const { ada, ben, cy, id, names, fragment } = await threesome();
    for (const one of [ben, cy]) expect(await one.acceptInvitation(fragment)).toBe(id);
    await untilTexts(ada, id, ["before", "waiting"]);
    await say(ada, id, "welcome back");
    for (const one of [ben, cy]) {
      await until(one, async () => (await texts(one, id)).includes("welcome back"));
      await untilMembers(one, id, names);
    }
    expect((await conversation(ada, id)).members.map(({ devices }) => devices)).toEqual([1, 1, 1]);
  });

  it("is healed by being removed and added again: what waits is sent", async () => {
    const { ada, ben, id, names } = await threesome();
    const name = names[1] ?? "";
    const benId = (await ben.snapshot()).account?.accountId ?? "";
    await ada.removeMember(id, benId);
    await ada.addByName(id, name);
    await untilTexts(ada, id, ["before", "waiting"]);
    await say(ada, id, "welcome back");
    await until(ben, async () => (await texts(ben, id)).includes("welcome back"));
    await untilMembers(ben, id, names);
  });
});

describe("a commit that can't be judged now", () => {
  it("is judged later, whatever answers in the service's place: nobody is out of step", async () => {
    let refusals = 0;
    let between = false;
    const walled: Fetch = async (input, init) => {
      if (!between || !input.endsWith("/device-list")) return fetch(input, init);
      refusals++;
      return new Response("<h1>Forbidden</h1>", { status: 403 });
    };
    const names = ["Ada", "Ben", "Cy"].map((name) => `${name} ${++people}`);
    const [first = "", second = "", third = ""] = names;
    const ada = await world.person(first);
    const ben = await world.person(second, { fetch: walled });
    const cy = await world.person(third);
    const id = await gather(ada, [ben]);
    between = true;
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 9 });
    await cy.acceptInvitation(fragment);
    await say(cy, id, "here I am");
    await expect.poll(() => refusals).toBeGreaterThan(2);
    between = false;
    await untilTexts(ben, id, ["here I am"]);
    await untilMembers(ben, id, names);
    expect((await conversation(ben, id)).warnings).toEqual([]);
  });
});

describe("a commit whose answer was replaced on its way", () => {
  it.each([201, 403])("by one of status %i is found in the log", async (status) => {
    let replaced = false;
    const filtered: Fetch = async (input, init) => {
      const response = await fetch(input, init);
      if (!replaced || !input.endsWith("/commits")) return response;
      replaced = false;
      return new Response("<h1>Something else</h1>", { status });
    };
    const ada = await world.person(`Ada ${++people}`, { fetch: filtered });
    const ben = await world.person(`Ben ${people}`);
    const id = await gather(ada, [ben]);
    replaced = true;
    await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 9 });
    await say(ada, id, "still here");
    await untilTexts(ben, id, ["still here"]);
    expect((await conversation(ada, id)).warnings).toEqual([]);
  });
});
