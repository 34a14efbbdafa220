/** The service lacks what it had once: deleted for its age, or since it is a copy from before. */

import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { openSqliteStore, type Store } from "@conclave/delivery";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Client } from "../../src/index.ts";
import {
  conversation,
  createWorld,
  texts,
  until,
  untilMembers,
  untilTexts,
  type World,
} from "../world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const file = () => join(world.folder, "service.db");

/** What is done to the service's store while it doesn't run. */
async function onStore(work: (store: Store) => Promise<void>): Promise<void> {
  const store = openSqliteStore(file());
  try {
    await work(store);
  } finally {
    await store.close();
  }
}

async function pair(): Promise<{
  readonly ada: Client;
  readonly ben: Client;
  readonly id: string;
}> {
  const ada = await world.person("ada");
  const ben = await world.person("ben");
  const id = await ada.createConversation("Harbour");
  const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 3600, maxUses: 9 });
  await ben.acceptInvitation(fragment);
  await untilMembers(ada, id, ["ada", "ben"]);
  return { ada, ben, id };
}

async function isOutOfStep(client: Client, id: string): Promise<boolean> {
  const { warnings } = await conversation(client, id);
  return warnings.some(({ code }) => code === "out-of-step");
}

it("scenario 49: who was away for longer than messages are kept is told so, and joins anew", async () => {
  const { ada, ben, id } = await pair();
  await ben.close();
  for (const text of ["one", "two", "three"]) await ada.sendText(id, text, text);
  await until(ada, async () => {
    const messages = await ada.messages(id, { limit: 10 });
    return messages.filter(({ state }) => state === "sent").length === 3;
  });
  await world.stopService();
  await onStore(async (store) => {
    const [groupId] = await store.groupIds(undefined, 1);
    if (groupId === undefined) throw new Error("there is no group");
    await store.trimLog(groupId, { keep: 1, limit: 1000 });
  });
  await world.startService();
  const again = await world.device("ben");
  await until(again, () => isOutOfStep(again, id));
  await expect(again.sendText(id, "me too", "x")).rejects.toMatchObject({ code: "refused" });
  await until(ada, async () => (await ada.snapshot()).connection === "online");
  const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 3600, maxUses: 9 });
  await again.acceptInvitation(fragment);
  await ada.sendText(id, "four", "four");
  await untilTexts(again, id, ["four"]);
  expect(await texts(ada, id)).toEqual(["one", "two", "three", "four"]);
});

it("a copy from before that is marked goes on behind a gap, of which members are told", async () => {
  const { ada, ben, id } = await pair();
  await ada.sendText(id, "kept", "kept");
  await untilTexts(ben, id, ["kept"]);
  await world.stopService();
  const copy = join(world.folder, "copy.db");
  await copyFile(file(), copy);
  await world.startService();
  await ada.sendText(id, "lost", "lost");
  await untilTexts(ben, id, ["kept", "lost"]);
  await world.stopService();
  await copyFile(copy, file());
  await onStore((store) => store.markRestored(Date.now()));
  await world.startService();
  await ben.sendText(id, "after", "after");
  await untilTexts(ada, id, ["kept", "lost", "after"]);
  await until(ada, async () => {
    const { warnings } = await conversation(ada, id);
    return warnings.some(({ code }) => code === "message-missing");
  });
  expect(await isOutOfStep(ada, id)).toBe(false);
});

it("a copy from before that lacks what was read, and isn't marked, is noticed", async () => {
  const { ada, ben, id } = await pair();
  await world.stopService();
  const copy = join(world.folder, "copy.db");
  await copyFile(file(), copy);
  await world.startService();
  await ada.sendText(id, "lost", "lost");
  await untilTexts(ben, id, ["lost"]);
  await ben.close();
  await world.stopService();
  await copyFile(copy, file());
  await world.startService();
  const again = await world.device("ben");
  await until(again, () => isOutOfStep(again, id));
});
