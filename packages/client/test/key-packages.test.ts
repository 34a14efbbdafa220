import { join } from "node:path";
import { createDeliveryClient, type DeliveryClient } from "@conclave/delivery/client";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { ACCOUNT_RECORD, Account } from "../src/account.ts";
import { openProfile } from "../src/node/index.ts";
import { keepAccount } from "../src/registration.ts";
import { read } from "../src/storage.ts";
import {
  conversation,
  createWorld,
  say,
  until,
  untilMembers,
  untilTexts,
  type World,
} from "./world.ts";

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

it("a device that came by its last resort gets fresh keys in the group soon", async () => {
  const zoe = await world.person("Zoe");
  let uploads = 0;
  const yan = await world.person("Yan", {
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      if (init.method === "POST" && input.endsWith("/v1/key-packages")) uploads++;
      return response;
    },
  });
  await until(yan, async () => uploads > 0);
  const { accountId = "" } = (await yan.snapshot()).account ?? {};
  const id = Uint8Array.from(Buffer.from(accountId, "hex"));
  await yan.close();
  const asYan = await serviceAs("Yan");
  for (let i = 0; i < 40; i++) {
    await asYan.claimKeyPackages({ body: { accountId: id, suites: [3] } });
  }
  const room = await zoe.createConversation("Last resort");
  await zoe.addByName(room, "Yan");
  const back = await world.device("Yan");
  await untilMembers(back, room, ["Yan", "Zoe"]);
  // One commit brought it in, and one of its own followed.
  await expect
    .poll(async () => (await asYan.groups()).groups.map(({ epoch }) => epoch), { timeout: 10_000 })
    .toEqual([2n]);
  await say(back, room, "with fresh keys");
  await untilTexts(zoe, room, ["with fresh keys"]);
});

it("a device that had no key package is told of, and added when it has one", async () => {
  const xia = await world.person("Xia", { poll: 200 });
  const wim = await world.device("Wim");
  const { recoveryPhrase } = await wim.signUp("Wim");
  const second = openProfile(join(world.folder, "Wim's second.db"));
  const [leaf, signIn] = [await second.vault.create("leaf"), await second.vault.create("sign-in")];
  const deviceId = Uint8Array.from({ length: 16 }, (_, i) => i);
  const keys = { signatureKey: leaf.publicKey, signInKey: signIn.publicKey };
  await wim.replaceDeviceList(recoveryPhrase, (devices) => [
    ...devices,
    { deviceId, ...keys, revokedAt: 0n },
  ]);
  const room = await xia.createConversation("Two devices");
  await until(xia, () =>
    xia.addByName(room, "Wim").then(
      () => true,
      () => false,
    ),
  );
  const wimIn = async () =>
    (await conversation(xia, room)).members.find(({ name }) => name === "Wim")?.devices;
  expect(await wimIn()).toBe(1);
  expect((await conversation(xia, room)).warnings.map(({ code }) => code)).toEqual([
    "device-left-out",
  ]);

  await wim.close();
  const first = openProfile(join(world.folder, "Wim.db"));
  const account = await read(first.storage, Account, ACCOUNT_RECORD);
  if (!account) throw new Error("no account");
  await keepAccount(second.storage, { ...account, deviceId });
  const there = await world.device("Wim's second");
  await until(there, async () => (await there.snapshot()).conversations.length > 0);
  await until(xia, async () => (await wimIn()) === 2);
  await say(there, room, "from the second");
  await untilTexts(xia, room, ["from the second"]);
});
