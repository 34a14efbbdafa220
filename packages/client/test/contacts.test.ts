import { describe, expect, it } from "vitest";
import type { Client } from "../src/index.ts";
import { sharedWorld } from "./shared-world.ts";
import { conversation, eventsOf, gather, until, untilMembers } from "./world.ts";

const world = sharedWorld();

/** Adds somebody, whose key packages may still be on their way. */
async function added(by: Client, id: string, name: string): Promise<void> {
  await until(by, () =>
    by.addByName(id, name).then(
      () => true,
      () => false,
    ),
  );
}

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
    await added(kay, id, "Lou");
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

  it("is waited for until the answer, also over a restart; once they are added nobody waits", async () => {
    const [uma, vic] = [await world.person("Uma"), await world.person("Vic")];
    await vic.setContactRule("ask");
    const id = await uma.createConversation("Waiting");
    await uma.askContact(" Vic ");
    await uma.askContact("Nobody at all");
    const waiting = [
      { name: "Vic", allowed: false },
      { name: "Nobody at all", allowed: false },
    ];
    expect((await uma.snapshot()).asked).toMatchObject(waiting);
    const umaId = (await uma.snapshot()).account?.accountId ?? "";
    await uma.close();
    await vic.answerContact(umaId, "allowed");
    // It was away when it was allowed.
    const again = await world.device("Uma");
    await until(again, async () => (await again.snapshot()).asked.at(0)?.allowed);
    expect((await again.snapshot()).asked).toMatchObject([
      { name: "Vic", allowed: true },
      { name: "Nobody at all", allowed: false },
    ]);
    await added(again, id, "Vic");
    expect((await again.snapshot()).asked).toMatchObject([{ name: "Nobody at all" }]);
    await again.withdrawContact("Nobody at all");
    expect((await again.snapshot()).asked).toEqual([]);
  });

  it("hears nothing any more of what was taken back, and the page is told", async () => {
    const [wes, xia] = [await world.person("Wes"), await world.person("Xia")];
    await xia.setContactRule("ask");
    const events = eventsOf(wes);
    await wes.askContact("Xia");
    await until(xia, async () => (await xia.contactRequests()).length === 1);
    const heard = eventsOf(xia);
    await wes.withdrawContact("Xia");
    await until(xia, async () =>
      heard.some((event) => event.type === "contact-requests" && event.requests.length === 0),
    );
    expect(events.filter(({ type }) => type === "asked-contacts")).toMatchObject([
      { asked: [{ name: "Xia", allowed: false }] },
      { asked: [] },
    ]);
  });

  it("remembers no more than twenty whom one asked, the newest", async () => {
    const yan = await world.person("Yan");
    for (let i = 1; i <= 20; i++) await yan.askContact(`Name ${i}`);
    await yan.askContact("Name 1");
    await yan.askContact("Name 21");
    const names = (await yan.snapshot()).asked.map(({ name }) => name);
    expect(names).toHaveLength(20);
    expect([names.at(0), names.at(-2), names.at(-1)]).toEqual(["Name 3", "Name 1", "Name 21"]);
  });

  it("is asked by those who have an account alone", async () => {
    const nobody = await world.device("Nobody yet");
    await expect(nobody.askContact("Kay")).rejects.toMatchObject({ code: "no-account" });
    await expect(nobody.withdrawContact("Kay")).rejects.toMatchObject({ code: "no-account" });
    await expect(nobody.contacts()).rejects.toMatchObject({ code: "no-account" });
    await expect(nobody.contactRequests()).rejects.toMatchObject({ code: "no-account" });
    const [ola, pia] = [await world.person("Ola"), await world.person("Pia")];
    await gather(ola, [pia]);
    expect(await ola.contactRequests()).toEqual([]);
  });
});

describe("the book of contacts", () => {
  it("has the rule, and what was said to whom, by name, until it is taken back", async () => {
    const [zoe, abe, bea] = [
      await world.person("Zoe"),
      await world.person("Abe"),
      await world.person("Bea"),
    ];
    expect(await zoe.contacts()).toEqual({ rule: "default", unlessSet: "open", contacts: [] });
    await zoe.setContactRule("ask");
    const idOf = async (one: typeof abe) => (await one.snapshot()).account?.accountId ?? "";
    const [abeId, beaId] = [await idOf(abe), await idOf(bea)];
    await zoe.answerContact(abeId, "blocked");
    await zoe.answerContact(beaId, "allowed");
    // Nobody has this id, or has it any more.
    await zoe.answerContact("ab".repeat(32), "blocked");
    const { rule, contacts } = await zoe.contacts();
    expect(rule).toBe("ask");
    expect(contacts.map(({ name, answer }) => [name, answer])).toEqual([
      [undefined, "blocked"],
      ["Bea", "allowed"],
      ["Abe", "blocked"],
    ]);
    const id = await abe.createConversation("By the blocked");
    await expect(abe.addByName(id, "Zoe")).rejects.toMatchObject({ code: "name-unknown" });
    await zoe.forgetContact(abeId);
    await zoe.setContactRule("open");
    await added(abe, id, "Zoe");
    await untilMembers(zoe, id, ["Abe", "Zoe"]);
    expect((await zoe.contacts()).contacts.map(({ name }) => name)).toEqual([undefined, "Bea"]);
    await expect(zoe.forgetContact("no id")).rejects.toMatchObject({ code: "refused" });
  });
});
