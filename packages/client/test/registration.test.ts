import { join } from "node:path";
import { type DeviceList, openDeviceList } from "@conclave/delivery/protocol";
import { describe, expect, it } from "vitest";
import { ACCOUNT_RECORD, Account } from "../src/account.ts";
import { createClient, type Fetch } from "../src/index.ts";
import { nodeCrypto, openProfile } from "../src/node/index.ts";
import { read } from "../src/storage.ts";
import { sharedWorld } from "./shared-world.ts";
import { gather, say, until, untilTexts } from "./world.ts";

const world = sharedWorld();

/** The list in a profile whose client is closed. */
async function listOf(file: string): Promise<DeviceList> {
  const { storage } = openProfile(join(world.folder, `${file}.db`));
  const account = await read(storage, Account, ACCOUNT_RECORD);
  await storage.close();
  if (!account) throw new Error("no account");
  return openDeviceList(account.deviceList);
}

/** Loses the answer of so many recoveries: the account's list is the new one by then. */
function losing(times: number) {
  let lost = 0;
  const through: Fetch = async (url, init) => {
    const response = await fetch(url, init);
    if (/\/accounts\/.*\/recovery$/u.test(url) && lost++ < times) throw new TypeError("lost");
    return response;
  };
  return through;
}

describe("a recovery whose answer is lost", () => {
  it("adds one device, however often it is tried, also after a crash", async () => {
    const first = await world.device("Ada");
    const { recoveryPhrase } = await first.signUp("Ada");
    const ben = await world.person("Ben");
    const id = await gather(ben, [first]);
    const fetch = losing(3);
    let fresh = await world.device("Ada, fresh", { fetch });
    for (let i = 0; i < 3; i++) {
      await expect(fresh.recover(recoveryPhrase)).rejects.toMatchObject({ code: "offline" });
      await fresh.close();
      fresh = await world.device("Ada, fresh", { fetch });
    }
    await fresh.recover(recoveryPhrase);
    await until(fresh, async () => (await fresh.snapshot()).conversations.length > 0);
    await say(fresh, id, "here");
    await untilTexts(ben, id, ["here"]);
    await fresh.close();
    const { version, devices } = await listOf("Ada, fresh");
    expect([version, devices.length]).toEqual([2n, 2]);
    expect(devices.map(({ revokedAt }) => revokedAt === 0n)).toEqual([false, true]);
  });

  it("is begun again where another device came back meanwhile, or the keys are others", async () => {
    const first = await world.device("Cy");
    const { recoveryPhrase } = await first.signUp("Cy");
    const slow = await world.device("Cy, slow", { fetch: losing(1) });
    await expect(slow.recover(recoveryPhrase)).rejects.toMatchObject({ code: "offline" });
    const other = await world.device("Cy, other");
    await other.recover(recoveryPhrase);
    // Its attempt to sign up puts other keys into its vault.
    await expect(slow.signUp("Ben")).rejects.toMatchObject({ code: "name-taken" });
    await slow.recover(recoveryPhrase);
    await slow.createConversation("It works");
    await slow.close();
    const { devices } = await listOf("Cy, slow");
    expect(devices.map(({ revokedAt }) => revokedAt === 0n)).toEqual([false, false, false, true]);
  });

  it("begins with what no list before had, where the first never arrived", async () => {
    const first = await world.device("Dee");
    const { recoveryPhrase } = await first.signUp("Dee");
    let down = true;
    const faulty: Fetch = async (url, init) => {
      if (down && /\/accounts\/.*\/recovery$/u.test(url)) throw new TypeError("down");
      return fetch(url, init);
    };
    const fresh = await world.device("Dee, fresh", { fetch: faulty });
    await expect(fresh.recover(recoveryPhrase)).rejects.toMatchObject({ code: "offline" });
    down = false;
    await fresh.recover(recoveryPhrase);
    await fresh.close();
    expect((await listOf("Dee, fresh")).devices).toHaveLength(2);
  });
});

describe("a device whose clock is wrong", () => {
  const HOURS = 3600 * 1000;
  it.each([-30 * 24 * HOURS, -1 * HOURS, 1 * HOURS, 300 * 24 * HOURS])(
    "by %i ms revokes others by the service's",
    async (wrong) => {
      const name = `Eve ${wrong}`;
      const first = await world.device(name);
      const { recoveryPhrase } = await first.signUp(name);
      const now = (): number => Date.now() + wrong;
      const fresh = await world.device(`${name}, fresh`, { now });
      await fresh.recover(recoveryPhrase);
      const [second] = [await world.device(`${name}, second`, { now })];
      await second.recover(recoveryPhrase);
      let deviceId = "";
      await second.replaceDeviceList(recoveryPhrase, (devices) => {
        deviceId = Buffer.from(devices.at(-1)?.deviceId ?? []).toString("hex");
        return devices;
      });
      await second.revokeDevice(recoveryPhrase, deviceId);
      await second.close();
      const { devices } = await listOf(`${name}, second`);
      expect(devices).toHaveLength(3);
      for (const { revokedAt } of devices) {
        expect(Math.abs(Number(revokedAt) * 1000 - Date.now())).toBeLessThan(60_000);
      }
    },
  );
});

describe("a clock that goes wrong while the device is signed in", () => {
  it("is noticed before a device is revoked", async () => {
    let wrong = 0;
    const gil = await world.device("Gil", { now: () => Date.now() + wrong });
    const { recoveryPhrase } = await gil.signUp("Gil");
    let deviceId = "";
    await gil.replaceDeviceList(recoveryPhrase, (devices) => {
      deviceId = Buffer.from(devices.at(-1)?.deviceId ?? []).toString("hex");
      return devices;
    });
    wrong = -3 * 24 * 3600 * 1000;
    await gil.revokeDevice(recoveryPhrase, deviceId);
    await gil.close();
    const [device] = (await listOf("Gil")).devices;
    expect(Math.abs(Number(device?.revokedAt) * 1000 - Date.now())).toBeLessThan(60_000);
  });
});

describe("one storage", () => {
  it("has one client: a second is refused until the first is closed", async () => {
    const profile = openProfile(join(world.folder, "Flo.db"));
    const options = { ...profile, crypto: nodeCrypto, service: { origin: world.origin } };
    const first = await createClient(options);
    await expect(createClient(options)).rejects.toMatchObject({ code: "busy" });
    await first.signUp("Flo");
    await first.close();
    const again = await createClient({ ...options, ...openProfile(join(world.folder, "Flo.db")) });
    expect((await again.snapshot()).account?.name).toBe("Flo");
    await again.close();
  });
});
