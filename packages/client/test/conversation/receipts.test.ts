import { describe, expect, it } from "vitest";
import { sharedWorld } from "../shared-world.ts";
import { say, untilState, untilTexts } from "../world.ts";

const world = sharedWorld();

describe("a message", () => {
  it("is delivered once all others have it; one that was written alone never is", async () => {
    const [ada, ben] = [await world.person("Ada"), await world.person("Ben")];
    const id = await ada.createConversation("Alone at first");
    await say(ada, id, "to myself");
    await untilState(ada, id, "to myself", "sent");
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 60, maxUses: 1 });
    await ben.acceptInvitation(fragment);
    await say(ada, id, "to Ben");
    await untilTexts(ben, id, ["to Ben"]);
    await untilState(ada, id, "to Ben", "delivered");
    const messages = await ada.messages(id, { limit: 10 });
    const own = messages.filter(({ body }) => body.type === "text");
    expect(own.map(({ state }) => state)).toEqual(["sent", "delivered"]);
  });
});
