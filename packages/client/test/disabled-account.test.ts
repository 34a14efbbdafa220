import { localDoorbell, type Store } from "@conclave/delivery";
import { describe, expect, it } from "vitest";
import { fromHex } from "../src/bytes.ts";
import type { Client, Fetch } from "../src/index.ts";
import { sharedWorld } from "./shared-world.ts";
import { gather, say, until, untilState, untilTexts } from "./world.ts";

const doorbell = localDoorbell();
let store: Store | undefined;
const world = sharedWorld({
  service: (own) => {
    store = own;
    return { doorbell };
  },
});

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
    const { account } = await ada.snapshot();
    const accountId = fromHex(account?.accountId ?? "");
    await store?.setDisabled(accountId, Date.now());
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

    await store?.setDisabled(accountId, undefined);
    await until(ada, async () => (await ada.snapshot()).connection === "online");
    await untilTexts(ben, id, ["while I was out"]);
  });

  it("is told so while it runs, and may do nothing that takes the service", async () => {
    const [eva, fay] = [await world.person("Eva"), await world.person("Fay")];
    const id = await gather(eva, [fay]);
    const { accountId = "" } = (await eva.snapshot()).account ?? {};
    const disabled = await store?.setDisabled(fromHex(accountId), Date.now());
    if (typeof disabled !== "object") throw new Error("there is such an account");
    doorbell.ring({ type: "revoked", devices: disabled.devices });
    await until(eva, async () => (await connectionOf(eva)) === "disabled");
    await say(eva, id, "meanwhile");
    await untilState(eva, id, "meanwhile", "waiting");
    const terms = { expiresInSeconds: 60, maxUses: 1 };
    const refused = { code: "account-disabled" };
    await expect(eva.createInvitation(id, terms)).rejects.toMatchObject(refused);
    await store?.setDisabled(fromHex(accountId), undefined);
    await untilTexts(fay, id, ["meanwhile"]);
    await until(eva, async () => (await connectionOf(eva)) === "online");
  });

  it("doesn't come back by its phrase, and does when it is enabled again", async () => {
    const first = await world.device("first");
    const { recoveryPhrase } = await first.signUp("Gus");
    const { accountId = "" } = (await first.snapshot()).account ?? {};
    await first.close();
    await store?.setDisabled(fromHex(accountId), Date.now());
    const fresh = await world.device("fresh");
    await expect(fresh.recover(recoveryPhrase)).rejects.toMatchObject({ code: "account-disabled" });
    await store?.setDisabled(fromHex(accountId), undefined);
    await fresh.recover(recoveryPhrase);
    expect((await fresh.snapshot()).account).toMatchObject({ accountId, name: "Gus" });
  });
});
