import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Client, ClientError, type ClientStorage, createClient } from "../src/index.ts";
import { nodeCrypto, openProfile } from "../src/node/index.ts";
import {
  conversation,
  createWorld,
  gather,
  texts,
  until,
  untilTexts,
  type World,
} from "./world.ts";

vi.setConfig({ testTimeout: 300_000 });

let world: World;
let ada: Client;
let id: string;
beforeAll(async () => {
  world = await createWorld();
  ada = await world.person("Ada");
  const ben = await world.person("Ben");
  id = await gather(ada, [ben]);
  await ben.close();
});
afterAll(() => world.close());

/**
 * Opens a device whose process ends, as far as anybody can see, at the given step: one step before and one
 * behind each write to storage and each request. What was written stays; nothing is written afterwards.
 */
async function openUntil(name: string, step: number) {
  const { promise: over, resolve: end } = Promise.withResolvers<"over">();
  const never = new Promise<never>(() => {});
  let count = 0;
  let armed = false;
  const pass = (): Promise<void> => {
    if (armed && count++ >= step) {
      end("over");
      return never;
    }
    return Promise.resolve();
  };
  const { storage, vault } = openProfile(join(world.folder, `${name}.db`));
  const cut: ClientStorage = {
    ...storage,
    apply: async (batch) => {
      await pass();
      await storage.apply(batch);
      await pass();
    },
  };
  const client = await createClient({
    storage: cut,
    vault,
    crypto: nodeCrypto,
    service: {
      origin: world.origin,
      fetch: async (input, init) => {
        await pass();
        const response = await fetch(input, init);
        await pass();
        return response;
      },
    },
    timing: { receipt: 10, retry: [10, 100], proposals: 20 },
  });
  await until(client, async () => (await client.snapshot()).connection === "online");
  return {
    client,
    over,
    arm: () => {
      armed = true;
    },
  };
}

/** Tries an action that is cut off after 0, 1, 2 … steps, until one comes to its end. */
async function cutEverywhere(
  name: string,
  action: (client: Client, attempt: number) => Promise<unknown>,
  check: (client: Client, attempt: number, ended: boolean) => Promise<void>,
): Promise<number> {
  for (let step = 0; ; step++) {
    const { client, over, arm } = await openUntil(name, step);
    arm();
    const ended = (await Promise.race([action(client, step), over])) !== "over";
    // Let what runs behind the answer run as far as it may.
    if (ended) await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 100))]);
    void client.close();
    const again = await world.device(name);
    await check(again, step, ended);
    await again.close();
    if (ended && (await Promise.race([over, Promise.resolve("no")])) === "no") return step;
  }
}

describe("a device that dies at any step", () => {
  it("of sending: what was accepted arrives once, in order", async () => {
    const sent: string[] = [];
    const steps = await cutEverywhere(
      "Ben",
      (client, step) => client.sendText(id, `text ${step}`, `key ${step}`),
      async (client, step) => {
        // As a view does that got no answer.
        await client.sendText(id, `text ${step}`, `key ${step}`);
        sent.push(`text ${step}`);
        await untilTexts(ada, id, sent);
        await untilTexts(client, id, sent);
      },
    );
    expect(steps).toBeGreaterThan(5);
    expect((await conversation(ada, id)).warnings).toEqual([]);
  });

  it("of a commit: it is made or not, and the group goes on", async () => {
    const before = (await texts(ada, id)).length;
    const terms = { expiresInSeconds: 600, maxUses: 1 };
    let said = 0;
    const steps = await cutEverywhere(
      "Ben",
      (client) => client.createInvitation(id, terms),
      async (client) => {
        await client.revokeInvitations(id);
        await client.sendText(id, `still here ${said}`, `still ${said++}`);
        await until(ada, async () => (await texts(ada, id)).length === before + said);
        await until(ada, async () => (await conversation(ada, id)).links === 0);
      },
    );
    expect(steps).toBeGreaterThan(5);
    expect((await conversation(ada, id)).warnings).toEqual([]);
  });

  it("of joining: it is in, with one leaf, or can try again", async () => {
    const terms = { expiresInSeconds: 600, maxUses: 50 };
    let { fragment } = await ada.createInvitation(id, terms);
    const name = "Cy";
    await (await world.person(name)).close();
    const steps = await cutEverywhere(
      name,
      (client) => client.acceptInvitation(fragment),
      async (client) => {
        expect(await client.acceptInvitation(fragment)).toBe(id);
        await until(ada, async () => {
          const { members } = await conversation(ada, id);
          return members.find((member) => member.name === name)?.devices === 1;
        });
        await ada.removeMember(id, (await client.snapshot()).account?.accountId ?? "");
        await until(client, async () => (await conversation(client, id)).status === "left");
        // The removal closed the link.
        ({ fragment } = await ada.createInvitation(id, terms));
      },
    );
    expect(steps).toBeGreaterThan(5);
    expect((await conversation(ada, id)).warnings).toEqual([]);
  });
});

describe("a disk that is full", () => {
  it("stops the engine; what was taken before is sent after the next start", async () => {
    const dee = await world.person("Dee");
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 600, maxUses: 1 });
    await dee.acceptInvitation(fragment);
    await dee.close();
    const { storage, vault } = openProfile(join(world.folder, "Dee.db"));
    let full = false;
    const client = await createClient({
      storage: {
        ...storage,
        apply: async (batch) => {
          if (full) throw new ClientError("storage", "no room");
          await storage.apply(batch);
          // The text that is written takes the last of the room.
          full = [...(batch.put?.keys() ?? [])].some((key) => key.startsWith("written/"));
        },
      },
      vault,
      crypto: nodeCrypto,
      service: { origin: world.origin },
    });
    await until(client, async () => (await client.snapshot()).connection === "online");
    const before = await texts(ada, id);
    await client.sendText(id, "taken", "taken");
    await client.closed;
    await expect(client.sendText(id, "not taken", "not taken")).rejects.toMatchObject({
      code: "fenced",
    });
    await client.close();
    const again = await world.device("Dee");
    await untilTexts(ada, id, [...before, "taken"]);
    await until(again, async () => (await texts(again, id)).includes("taken"));
  });
});
