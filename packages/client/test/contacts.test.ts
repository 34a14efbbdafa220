import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  conversation,
  createWorld,
  eventsOf,
  gather,
  until,
  untilMembers,
  type World,
} from "./world.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

describe("somebody who has to be asked first", () => {
  it("hears who asks, at once and after a restart; who is allowed may add them", async () => {
    const [kay, lou] = [await world.person("Kay"), await world.person("Lou")];
    await lou.setContactRule("ask");
    const id = await kay.createConversation("By consent");
    await expect(kay.addByName(id, "Lou")).rejects.toMatchObject({ code: "name-unknown" });
    const events = eventsOf(lou);
    await kay.askContact("  Lou ");
    const kayId = (await kay.snapshot()).account?.accountId ?? "";
    await until(lou, async () =>
      events.some(
        (event) =>
          event.type === "contact-requests" &&
          event.requests.some(({ accountId, name }) => accountId === kayId && name === "Kay"),
      ),
    );
    await lou.close();
    const again = await world.device("Lou");
    expect(await again.contactRequests()).toMatchObject([{ accountId: kayId, name: "Kay" }]);
    await again.answerContact(kayId, "allowed");
    expect(await again.contactRequests()).toEqual([]);
    // Its key packages may still be on their way.
    await until(kay, () =>
      kay.addByName(id, "Lou").then(
        () => true,
        () => false,
      ),
    );
    await untilMembers(again, id, ["Kay", "Lou"]);
    expect((await conversation(again, id)).warnings).toEqual([]);
  });

  it("refuses and blocks; who asks is told nothing of that, and nothing of names that nobody has", async () => {
    const [max, ned] = [await world.person("Max"), await world.person("Ned")];
    await ned.setContactRule("ask");
    const maxId = (await max.snapshot()).account?.accountId ?? "";
    await max.askContact("Ned");
    await ned.answerContact(maxId, "refused");
    await max.askContact("Ned");
    await max.askContact("Nobody of this name");
    expect(await ned.contactRequests()).toEqual([]);
    const id = await max.createConversation("Unwanted");
    const unknown = { code: "name-unknown" };
    await expect(max.addByName(id, "Ned")).rejects.toMatchObject(unknown);
    await ned.setContactRule("open");
    await ned.answerContact(maxId, "blocked");
    await expect(max.addByName(id, "Ned")).rejects.toMatchObject(unknown);
    await expect(max.askContact("")).rejects.toMatchObject({ code: "name-invalid" });
    await expect(ned.answerContact("no id", "allowed")).rejects.toMatchObject({ code: "refused" });
  });

  it("is asked by those who have an account alone", async () => {
    const nobody = await world.device("Nobody yet");
    await expect(nobody.askContact("Kay")).rejects.toMatchObject({ code: "no-account" });
    await expect(nobody.contactRequests()).rejects.toMatchObject({ code: "no-account" });
    const [ola, pia] = [await world.person("Ola"), await world.person("Pia")];
    await gather(ola, [pia]);
    expect(await ola.contactRequests()).toEqual([]);
  });
});
