import { join } from "node:path";
import { createDeliveryClient, type DeliveryClient } from "@conclave/delivery/client";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { ACCOUNT_RECORD, Account } from "../src/account.ts";
import { openProfile } from "../src/node/index.ts";
import { read } from "../src/storage.ts";
import { createWorld, until, untilMembers, type World } from "./world.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

/** The service, signed in as the device of a profile that is not open now. */
async function serviceAs(name: string): Promise<DeliveryClient> {
  const { storage, vault } = openProfile(join(world.folder, `${name}.db`));
  const account = await read(storage, Account, ACCOUNT_RECORD);
  const key = await vault.open("sign-in");
  if (!account || !key) throw new Error("no account");
  const service = createDeliveryClient({ origin: world.origin, fetch, now: Date.now });
  service.signInAs({ ...account, key });
  return service;
}

it("a device keeps twenty and a last resort with the service, and makes up for those that were used", async () => {
  const ada = await world.person("Ada");
  let uploads = 0;
  const ben = await world.person("Ben", {
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      if (init.method === "POST" && input.endsWith("/v1/key-packages")) uploads++;
      return response;
    },
  });
  await until(ben, async () => uploads > 0);
  await ben.close();
  const service = await serviceAs("Ben");
  expect(await service.countKeyPackages()).toEqual({
    pools: [{ suite: 3, available: 40, lastResort: true }],
  });

  const { accountId } = (await (await world.device("Ben")).snapshot()).account ?? {};
  const id = Uint8Array.from(Buffer.from(accountId ?? "", "hex"));
  for (let i = 0; i < 22; i++)
    await service.claimKeyPackages({ body: { accountId: id, suites: [3] } });
  expect(await service.countKeyPackages()).toEqual({
    pools: [{ suite: 3, available: 18, lastResort: true }],
  });
  const again = await world.device("Ben");
  await expect
    .poll(() => service.countKeyPackages(), { timeout: 10_000 })
    .toEqual({ pools: [{ suite: 3, available: 40, lastResort: true }] });

  // A last resort that was served gives way to another, as soon as the device hears of it.
  const claim = async () =>
    (await service.claimKeyPackages({ body: { accountId: id, suites: [3] } })).keyPackages[0];
  let served = await claim();
  while (served?.lastResort === false) served = await claim();
  expect(served?.lastResort).toBe(true);
  await expect
    .poll(async () => (await service.countKeyPackages()).pools[0], { timeout: 10_000 })
    .not.toHaveProperty("lastResortServedAt");

  // One that was made is one that can be used.
  const conversationId = await ada.createConversation("Welcome");
  await ada.addByName(conversationId, "Ben");
  await untilMembers(again, conversationId, ["Ada", "Ben"]);
});
