import { describe, expect, it } from "vitest";
import { sharedWorld } from "../shared-world.ts";
import {
  conversation,
  gather,
  say,
  texts,
  untilMembers,
  untilState,
  untilTexts,
} from "../world.ts";

const world = sharedWorld();

describe("people in a conversation", () => {
  it("talk: three, by a link, in one order for all", async () => {
    const [ada, ben, cy] = await Promise.all(["Ada", "Ben", "Cy"].map((n) => world.person(n)));
    if (!ada || !ben || !cy) throw new Error("nobody");
    const id = await gather(ada, [ben, cy]);
    for (const one of [ada, ben, cy]) await untilMembers(one, id, ["Ada", "Ben", "Cy"]);
    await Promise.all([say(ada, id, "from Ada"), say(ben, id, "from Ben"), say(cy, id, "from Cy")]);
    await untilState(ada, id, "from Ada", "delivered");
    await untilState(ben, id, "from Ben", "delivered");
    await untilState(cy, id, "from Cy", "delivered");
    const order = await texts(ada, id);
    expect([...order].sort()).toEqual(["from Ada", "from Ben", "from Cy"]);
    await untilTexts(ben, id, order);
    await untilTexts(cy, id, order);
    expect((await conversation(cy, id)).title).toBe("The room");
    for (const one of [ada, ben, cy]) expect((await conversation(one, id)).warnings).toEqual([]);
  });
});
