import { describe, expect, it } from "vitest";
import type { Client, Fetch } from "../src/index.ts";
import { accountIdOf, operatedWorld } from "./operated-world.ts";
import { gather, say, until, untilState, untilTexts } from "./world.ts";

const { world, operator } = operatedWorld();

const connectionOf = async (client: Client) => (await client.snapshot()).connection;

describe("an account that the operator has disabled", () => {
  it("is told so; what it writes waits, and is sent when it is enabled again", async () => {
    const ben = await world.person("Ben");
    /** How often the service answered that it doesn't let her. */
    let refusals = 0;
    const fetch: Fetch = async (url, init) => {
      const response = await globalThis.fetch(url, init);
      if (response.status === 403) refusals++;
      return response;
    };
    let ada = await world.person("Ada", { fetch, WebSocket });
    const id = await gather(ada, [ben]);
    const accountId = await accountIdOf(ada);
    await operator.disable(accountId, "quietly");
    const isWaiting = async (): Promise<boolean> =>
      (await ada.messages(id, { limit: 10 })).slice(-1).every(({ state }) => state === "waiting");
    // Her session is gone, which she finds out with the first thing that she sends.
    await say(ada, id, "while I was out");
    await expect.poll(() => refusals).toBeGreaterThan(0);
    expect(await isWaiting()).toBe(true);
    await ada.close();

    ada = await world.device("Ada");
    await until(ada, async () => (await ada.snapshot()).connection === "disabled");
    await expect(ada.addByName(id, "Cleo")).rejects.toMatchObject({ code: "account-disabled" });
    await expect(ada.contacts()).rejects.toMatchObject({ code: "account-disabled" });
    expect(await isWaiting()).toBe(true);

    await operator.enable(accountId);
    await until(ada, async () => (await ada.snapshot()).connection === "online");
    await untilTexts(ben, id, ["while I was out"]);
  });

  it("is told so while it runs, and may do nothing that takes the service", async () => {
    const [eva, fay] = [await world.person("Eva"), await world.person("Fay")];
    const id = await gather(eva, [fay]);
    const accountId = await accountIdOf(eva);
    await operator.disable(accountId);
    await until(eva, async () => (await connectionOf(eva)) === "disabled");
    await say(eva, id, "meanwhile");
    await untilState(eva, id, "meanwhile", "waiting");
    const terms = { expiresInSeconds: 60, maxUses: 1 };
    const refused = { code: "account-disabled" };
    await expect(eva.createInvitation(id, terms)).rejects.toMatchObject(refused);
    await operator.enable(accountId);
    await untilTexts(fay, id, ["meanwhile"]);
    await until(eva, async () => (await connectionOf(eva)) === "online");
  });

  it("doesn't come back by its phrase, and does when it is enabled again", async () => {
    const first = await world.device("first");
    const { recoveryPhrase } = await first.signUp("Gus");
    const accountId = await accountIdOf(first);
    await first.close();
    await operator.disable(accountId);
    const fresh = await world.device("fresh");
    await expect(fresh.recover(recoveryPhrase)).rejects.toMatchObject({ code: "account-disabled" });
    await operator.enable(accountId);
    await fresh.recover(recoveryPhrase);
    expect((await fresh.snapshot()).account).toMatchObject({ accountId, name: "Gus" });
  });
});
