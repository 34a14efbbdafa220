import type { Store } from "@conclave/delivery";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { fromHex } from "../src/bytes.ts";
import type { Fetch } from "../src/index.ts";
import { createWorld, gather, say, until, untilTexts, type World } from "./world.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: World;
let store: Store | undefined;
beforeAll(async () => {
  world = await createWorld({
    service: (own) => {
      store = own;
      return {};
    },
  });
});
afterAll(() => world.close());

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
});
