import { expect, it } from "vitest";
import type { Fetch } from "../src/index.ts";
import { sharedWorld } from "./shared-world.ts";
import { addWhenReady, say, until, untilMembers, untilTexts } from "./world.ts";

const world = sharedWorld();

it("keeps a Welcome that something before the service lets nobody use, and those behind it come in", async () => {
  const wall = { shuts: "", asked: 0 };
  const walled: Fetch = async (input, init) => {
    if (wall.shuts === "" || !input.includes(`${wall.shuts}/tree`)) return fetch(input, init);
    wall.asked++;
    return new Response("<h1>Please sign in to this network</h1>", { status: 403 });
  };
  const ada = await world.person("Ada");
  const ben = await world.person("Ben", { fetch: walled, WebSocket });
  const add = async (title: string): Promise<string> => {
    const id = await ada.createConversation(title);
    wall.shuts ||= Buffer.from(id, "hex").toString("base64url");
    await addWhenReady(ada, id, "Ben");
    await untilMembers(ada, id, ["Ada", "Ben"]);
    return id;
  };
  const id = await add("Behind a wall");
  await until(ben, async () => wall.asked > 0 || undefined);
  const next = await add("Behind that");
  await untilMembers(ben, next, ["Ada", "Ben"]);
  expect((await ben.snapshot()).conversations.map((one) => one.id)).toEqual([next]);
  wall.shuts = "none";
  await untilMembers(ben, id, ["Ada", "Ben"]);
  await say(ada, id, "there you are");
  await untilTexts(ben, id, ["there you are"]);
});
