import { bytesFromText, bytesToText } from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Fetch } from "../../src/index.ts";
import { conversation, createWorld, gather, say, until, untilTexts, type World } from "../world.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

/** Breaks the membership tag of each commit on its way: the service can't see that, members can (RFC 9420 §6.2). */
function breaking(on: { now: boolean }): Fetch {
  return async (input, init) => {
    const { body: sent } = init;
    const isCommit = new URL(input).pathname.endsWith("/commits") && typeof sent === "string";
    if (!on.now || !isCommit) return fetch(input, init);
    const body = JSON.parse(sent) as { commit: string };
    const commit = bytesFromText(body.commit);
    commit[commit.length - 1] = (commit.at(-1) ?? 0) ^ 1;
    return fetch(input, {
      ...init,
      body: JSON.stringify({ ...body, commit: bytesToText(commit) }),
    });
  };
}

/** Counts what is posted to groups, or lets nothing of it through. */
function counting(posts: { count: number; blocked: boolean }): Fetch {
  return async (input, init) => {
    if (init.method === "POST" && new URL(input).pathname.startsWith("/v1/groups/")) {
      posts.count++;
      if (posts.blocked) throw new TypeError("the network is down");
    }
    return fetch(input, init);
  };
}

describe("a commit that the service took and members refuse", () => {
  it("is told; nothing is sent or tried again, and what waits stays", async () => {
    const on = { now: false };
    const posts = { count: 0, blocked: false };
    const ada = await world.person("Ada", { fetch: breaking(on) });
    const ben = await world.person("Ben", { fetch: counting(posts), poll: 50 });
    const id = await gather(ada, [ben]);
    await say(ada, id, "before");
    await untilTexts(ben, id, ["before"]);

    posts.blocked = true;
    await ben.sendText(id, "into the void", "key");
    on.now = true;
    void ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 }).catch(() => {});
    await until(ben, async () =>
      (await conversation(ben, id)).warnings.some(({ code }) => code === "message-refused"),
    );
    posts.blocked = false;
    await until(ben, async () =>
      (await conversation(ben, id)).warnings.some(({ code }) => code === "out-of-step"),
    );
    const { count } = posts;
    await expect(ben.sendText(id, "more", "other")).rejects.toMatchObject({ code: "refused" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(posts.count).toBe(count);
    const waiting = (await ben.messages(id, { limit: 10 })).at(-1);
    expect(waiting).toMatchObject({ state: "waiting", body: { text: "into the void" } });
  });
});
