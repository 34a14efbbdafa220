import { join } from "node:path";
import { createDeliveryClient } from "@conclave/delivery/client";
import { createKeyPackage, signerOf } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { ACCOUNT_RECORD, Account } from "../src/account.ts";
import { mlsContext } from "../src/environment.ts";
import type { Client, Fetch } from "../src/index.ts";
import { openProfile } from "../src/node/index.ts";
import { keepAccount } from "../src/registration.ts";
import { read } from "../src/storage.ts";
import { sharedWorld } from "./shared-world.ts";
import { conversation, say, until, untilMembers, untilTexts } from "./world.ts";

const world = sharedWorld();

/** Asks the service what a device could, with the token that it used last: another sign-in would end its session. */
function besideDevice() {
  const seen = { authorization: "", uploads: 0 };
  const through: Fetch = async (input, init) => {
    seen.authorization = new Headers(init.headers).get("authorization") ?? seen.authorization;
    const response = await fetch(input, init);
    if (init.method === "POST" && input.endsWith("/v1/key-packages")) seen.uploads++;
    return response;
  };
  const service = createDeliveryClient({
    origin: world.origin,
    fetch: async (input, init) => {
      if (input.endsWith("/v1/sessions")) {
        return Response.json({ token: "another's", expiresAt: Date.now() + 3_600_000 });
      }
      const headers = new Headers(init.headers);
      headers.set("authorization", seen.authorization);
      return fetch(input, { ...init, headers });
    },
  });
  const key = { publicKey: new Uint8Array(32), sign: async () => new Uint8Array(64) };
  service.signInAs({ accountId: new Uint8Array(32), deviceId: new Uint8Array(16), key });
  return { seen, fetch: through, service };
}

/** Somebody who brought key packages and went away; by their account. */
async function leaveFilled(
  name: string,
  seen: { readonly uploads: number },
  through: Fetch,
): Promise<Uint8Array<ArrayBuffer>> {
  const who = await world.person(name, { fetch: through });
  await until(who, async () => seen.uploads > 0);
  const { accountId = "" } = (await who.snapshot()).account ?? {};
  await who.close();
  return Uint8Array.from(Buffer.from(accountId, "hex"));
}

it("a device keeps twenty and a last resort with the service, and makes up for those that were used", async () => {
  const ada = await world.person("Ada");
  const { seen, fetch: through, service } = besideDevice();
  const id = await leaveFilled("Ben", seen, through);
  expect(await service.countKeyPackages()).toEqual({
    pools: [{ suite: 3, available: 40, lastResort: true }],
  });

  for (let i = 0; i < 22; i++)
    await service.claimKeyPackages({ body: { accountId: id, suites: [3] } });
  expect(await service.countKeyPackages()).toEqual({
    pools: [{ suite: 3, available: 18, lastResort: true }],
  });
  const again = await world.device("Ben", { fetch: through });
  await expect
    .poll(() => service.countKeyPackages())
    .toEqual({ pools: [{ suite: 3, available: 40, lastResort: true }] });

  // A last resort that was served gives way to another, as soon as the device hears of it.
  const claim = async () =>
    (await service.claimKeyPackages({ body: { accountId: id, suites: [3] } })).keyPackages[0];
  let served = await claim();
  while (served?.lastResort === false) served = await claim();
  expect(served?.lastResort).toBe(true);
  await expect
    .poll(async () => (await service.countKeyPackages()).pools[0])
    .not.toHaveProperty("lastResortServedAt");

  // One that was made is one that can be used.
  const conversationId = await ada.createConversation("Welcome");
  await ada.addByName(conversationId, "Ben");
  await untilMembers(again, conversationId, ["Ada", "Ben"]);
});

it("a device that came by its last resort gets fresh keys in the group soon", async () => {
  const zoe = await world.person("Zoe");
  const { seen, fetch: through, service: asYan } = besideDevice();
  const id = await leaveFilled("Yan", seen, through);
  for (let i = 0; i < 40; i++) {
    await asYan.claimKeyPackages({ body: { accountId: id, suites: [3] } });
  }
  const room = await zoe.createConversation("Last resort");
  await zoe.addByName(room, "Yan");
  const back = await world.device("Yan", { fetch: through });
  await untilMembers(back, room, ["Yan", "Zoe"]);
  // One commit brought it in, and one of its own followed.
  await expect
    .poll(async () => (await asYan.groups()).groups.map(({ epoch }) => epoch))
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

it("a device forgets the private halves of key packages that are long over, and no others", async () => {
  const { seen, fetch: through, service } = besideDevice();
  const id = await leaveFilled("Ivo", seen, through);
  const held = async (): Promise<readonly string[]> => {
    const { storage } = openProfile(join(world.folder, "Ivo.db"));
    const records = await storage.list("key-package/");
    await storage.close();
    return [...records.keys()];
  };
  const before = await held();
  const { storage } = openProfile(join(world.folder, "Ivo.db"));
  const keyPair = await nodeCrypto.generateSignatureKeyPair("ed25519");
  const DAY = 24 * 3600;
  for (const ago of [91, 89]) {
    const notAfter = BigInt(Math.floor(Date.now() / 1000) - ago * DAY);
    await createKeyPackage(
      {
        crypto: nodeCrypto,
        storage,
        authentication: { validate: async () => undefined, isSuccessor: async () => true },
        now: () => Date.now() - ago * DAY * 1000 - 1000,
      },
      {
        suite: 3,
        credential: { credentialType: "basic", identity: id },
        signer: signerOf(nodeCrypto, "ed25519", keyPair),
        lifetime: { notBefore: notAfter - 9n, notAfter },
      },
    );
  }
  await storage.close();
  expect(await held()).toHaveLength(before.length + 2);

  for (let i = 0; i < 22; i++)
    await service.claimKeyPackages({ body: { accountId: id, suites: [3] } });
  seen.uploads = 0;
  const again = await world.device("Ivo", { fetch: through });
  await until(again, async () => seen.uploads > 0);
  await again.close();
  // Twenty-two were made anew.
  expect(await held()).toHaveLength(before.length + 22 + 1);
});

describe("a device whose clock is wrong", () => {
  const HOUR = 3_600_000;
  const isAdded = (by: Client, id: string, name: string): Promise<boolean> =>
    by.addByName(id, name).then(
      () => true,
      () => false,
    );

  it.each([
    ["two hours", 2 * HOUR],
    ["most of a year", 300 * 24 * HOUR],
  ])(
    "has key packages by the service's: it is added, and makes them once (%s before)",
    async (_, ahead) => {
      const { seen, fetch: through } = besideDevice();
      const [name, other] = [`Una ${ahead}`, `Tea ${ahead}`];
      const una = await world.person(name, { now: () => Date.now() + ahead, fetch: through });
      const tea = await world.person(other);
      await until(una, async () => seen.uploads > 0);
      const id = await tea.createConversation("Clocks");
      expect(await isAdded(tea, id, name)).toBe(true);
      await untilMembers(una, id, [other, name]);
      expect(seen.uploads).toBe(1);
      expect(await una.createConversation("Ours")).toBeTruthy();
    },
  );

  it("takes those of others by the service's: it adds them as soon as they are there", async () => {
    const { seen, fetch: through } = besideDevice();
    const sol = await world.person("Sol", { fetch: through });
    await until(sol, async () => seen.uploads > 0);
    const rex = await world.person("Rex", { now: () => Date.now() - 2 * HOUR });
    const id = await rex.createConversation("Clocks");
    expect(await isAdded(rex, id, "Sol")).toBe(true);
    await untilMembers(sol, id, ["Rex", "Sol"]);
  });

  it("does not follow a service's that is days behind: key packages that are long over stay so", () => {
    const [ours, day] = [1_800_000_000_000, 24 * HOUR];
    const judging = (theirs: number): number => {
      const environment = { now: () => ours, service: { now: () => theirs } };
      const directory = { authentication: () => ({}) };
      return mlsContext({ ...environment, directory } as never, () => ours).now();
    };
    expect(judging(ours + 9 * day)).toBe(ours + 9 * day);
    expect(judging(ours - 2 * HOUR)).toBe(ours - 2 * HOUR);
    expect(judging(ours - 9 * day)).toBe(ours - day);
  });
});
