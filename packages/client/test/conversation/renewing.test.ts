import { join } from "node:path";
import { bytesToText, openDeviceList, sha256, signDeviceList } from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { ACCOUNT_RECORD, Account } from "../../src/account.ts";
import { fromHex } from "../../src/bytes.ts";
import type { Client, Fetch } from "../../src/index.ts";
import { openProfile } from "../../src/node/index.ts";
import { entropyOf, rootSeedOf, signerOfSeed } from "../../src/phrase.ts";
import { keepAccount } from "../../src/registration.ts";
import { read } from "../../src/storage.ts";
import { hostileService } from "../hostile/hostile-service.ts";
import { sharedWorld } from "../shared-world.ts";
import {
  conversation,
  gather,
  say,
  until,
  untilMembers,
  untilTexts,
  type World,
} from "../world.ts";

const world = sharedWorld();
let people = 0;

const SOON = { timeout: 30_000 };
const terms = { expiresInSeconds: 600, maxUses: 5 };

async function idOf(client: Client): Promise<string> {
  return (await client.snapshot()).account?.accountId ?? "";
}

/** Keys of another device of a person, in a profile of its own, which has not been there yet. */
async function secondDevice(name: string) {
  const file = `${name}, second`;
  const { vault, storage } = openProfile(join(world.folder, `${file}.db`));
  const [leaf, signIn] = [await vault.create("leaf"), await vault.create("sign-in")];
  const deviceId = crypto.getRandomValues(new Uint8Array(16));
  const keys = { signatureKey: leaf.publicKey, signInKey: signIn.publicKey };
  return {
    device: { deviceId, ...keys, revokedAt: 0n },
    /** It goes on with the account of the first, which is closed. */
    open: async (): Promise<Client> => {
      const first = openProfile(join(world.folder, `${name}.db`));
      const account = await read(first.storage, Account, ACCOUNT_RECORD);
      await first.storage.close();
      if (!account) throw new Error("no account");
      await keepAccount(storage, { ...account, deviceId });
      await storage.close();
      return world.device(file);
    },
  };
}

/** Ada, and Ben with his phrase, in a room. */
async function pair(options: Parameters<World["person"]>[1] = {}) {
  const names = [`Ada ${++people}`, `Ben ${people}`] as const;
  const ada = await world.person(names[0], options);
  const ben = await world.device(names[1]);
  const { recoveryPhrase } = await ben.signUp(names[1]);
  const id = await gather(ada, [ben]);
  return { ada, ben, id, names, recoveryPhrase };
}

const seconds = (time = Date.now()): bigint => BigInt(Math.floor(time / 1000));

/** Answers a request as a service that was asked too often, or that lost a race. */
function problem(status: number, code: string, headers = {}): Response {
  return new Response(JSON.stringify({ type: "about:blank", title: code, status, code }), {
    status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
}

describe("a device that is revoked while the service is asked who is to go", () => {
  it("is not overlooked: its replacement comes in", async () => {
    const [read, rang, go] = [
      Promise.withResolvers<void>(),
      Promise.withResolvers<void>(),
      Promise.withResolvers<void>(),
    ];
    /** An answer that is old by the time it comes. */
    const slow: Fetch = async (url, init) => {
      const answer = await fetch(url, init);
      if (init.method === "GET" && url.endsWith("/reports")) {
        read.resolve();
        await go.promise;
      }
      return answer;
    };
    class Listening extends WebSocket {
      constructor(url: string | URL) {
        super(url);
        this.addEventListener("message", ({ data }) => {
          if (String(data).includes('"reports"')) rang.resolve();
        });
      }
    }
    const { ada, ben, id, names, recoveryPhrase } = await pair();
    await ada.close();
    const again = await world.device(names[0], { fetch: slow, WebSocket: Listening });
    await read.promise;
    await ben.close();
    const fresh = await world.device(`${names[1]}, fresh`);
    await fresh.recover(recoveryPhrase);
    await rang.promise;
    // All who listen have heard it.
    await new Promise((resolve) => setImmediate(resolve));
    go.resolve();
    await until(fresh, async () => (await fresh.snapshot()).conversations.length > 0);
    await say(fresh, id, "here");
    await untilTexts(again, id, ["here"]);
    expect((await conversation(again, id)).members).toHaveLength(2);
  });
});

/** How often key packages were claimed through it. */
function countingClaims(): { readonly fetch: Fetch; readonly claims: number } {
  let claims = 0;
  return {
    fetch(url, init) {
      if (url.endsWith("/claim")) claims++;
      return fetch(url, init);
    },
    get claims() {
      return claims;
    },
  };
}

describe("a revoked device whose replacement has no key package", () => {
  it("holds up nothing else, goes alone after a while, and the replacement comes when it can", async () => {
    const counting = countingClaims();
    const { ada, ben, id, names, recoveryPhrase } = await pair({
      fetch: counting.fetch,
      WebSocket,
      poll: 300,
      patience: 5000,
    });
    const second = await secondDevice(names[1]);
    await ben.replaceDeviceList(recoveryPhrase, (devices) => [
      ...devices.map((device) => ({ ...device, revokedAt: seconds() + 1n })),
      second.device,
    ]);
    await ben.close();
    await expect.poll(() => counting.claims, SOON).toBeGreaterThan(0);
    await ada.createInvitation(id, terms);
    await say(ada, id, "not held up");
    await untilTexts(ada, id, ["not held up"]);
    // A removal closes all links: it came after.
    await untilMembers(ada, id, names.slice(0, 1));
    expect((await conversation(ada, id)).links).toBe(0);
    expect((await conversation(ada, id)).warnings.map(({ code }) => code)).toEqual([
      "device-left-out",
    ]);

    const back = await second.open();
    await until(back, async () => (await back.snapshot()).conversations.length > 0);
    await untilMembers(ada, id, names);
    await say(back, id, "here");
    await untilTexts(ada, id, ["not held up", "here"]);
  });

  it("is asked for again and again, also where its time comes between two looks at the clock", async () => {
    const counting = countingClaims();
    // Each look takes so long that some times come between two of them.
    let looks = 0;
    const now = (): number => Date.now() + 2 * looks++;
    const retry = [14, 14] as const;
    const { ben, names, recoveryPhrase } = await pair({
      fetch: counting.fetch,
      WebSocket,
      now,
      retry,
    });
    const second = await secondDevice(names[1]);
    await ben.replaceDeviceList(recoveryPhrase, (devices) => [
      ...devices.map((device) => ({ ...device, revokedAt: seconds() + 1n })),
      second.device,
    ]);
    await ben.close();
    await expect.poll(() => counting.claims, SOON).toBeGreaterThan(20);
  });

  it("is given up where somebody takes the account out meanwhile", async () => {
    let looks = 0;
    const looking: Fetch = (url, init) => {
      if (new URL(url).pathname.endsWith("/log")) looks++;
      return fetch(url, init);
    };
    const { ada, id, names, recoveryPhrase, ben } = await pair({
      fetch: looking,
      WebSocket,
      poll: 300,
    });
    const cy = await world.person(`Cy ${people}`);
    const { fragment } = await ada.createInvitation(id, terms);
    await cy.acceptInvitation(fragment);
    await untilMembers(ada, id, [...names, `Cy ${people}`]);
    const second = await secondDevice(names[1]);
    const benId = await idOf(ben);
    await ben.replaceDeviceList(recoveryPhrase, (devices) => [
      ...devices.map((device) => ({ ...device, revokedAt: seconds() + 1n })),
      second.device,
    ]);
    await ben.close();
    await cy.removeMember(id, benId);
    await untilMembers(ada, id, [names[0], `Cy ${people}`]);
    const back = await second.open();
    await until(back, async () => (await back.snapshot()).connection === "online");
    const then = looks;
    await expect.poll(() => looks).toBeGreaterThan(then + 4);
    expect((await conversation(ada, id)).members).toHaveLength(2);
  });
});

describe("a hostile device list", () => {
  it("that revokes a device in the year 3000 holds up nothing: the device goes", async () => {
    const service = hostileService();
    const { ada, ben, id, names, recoveryPhrase } = await pair({
      fetch: service.fetch,
      WebSocket,
      patience: 1000,
    });
    let shown: Bytes | undefined;
    const benId = await idOf(ben);
    service.answers.set(/device-list$/u, (answer) =>
      shown ? { deviceList: bytesToText(shown) } : answer,
    );
    service.answers.set(/^GET .*\/reports$/u, (answer) =>
      shown ? { reports: [], revoked: [bytesToText(fromHex(benId))] } : answer,
    );
    const account = await read(
      openProfile(join(world.folder, `${names[1]}.db`)).storage,
      Account,
      ACCOUNT_RECORD,
    );
    if (!account) throw new Error("no account");
    const list = await openDeviceList(account.deviceList);
    const second = await secondDevice(names[1]);
    shown = await signDeviceList(
      {
        ...list,
        version: list.version + 1n,
        previousHash: await sha256(account.deviceList),
        devices: [
          ...list.devices.map((device) => ({
            ...device,
            revokedAt: seconds(Date.UTC(3000, 0, 1)),
          })),
          second.device,
        ],
      },
      signerOfSeed(rootSeedOf(entropyOf(recoveryPhrase))),
    );
    await ada.close();
    const again = await world.device(names[0], {
      fetch: service.fetch,
      WebSocket,
      patience: 1000,
    });
    await until(again, async () => (await again.snapshot()).connection === "online");
    await say(again, id, "not muted");
    await again.createInvitation(id, terms);
    await untilMembers(again, id, names.slice(0, 1));
    await untilTexts(again, id, ["not muted"]);
  });
});

/** Rings for a group's reports, as often as it likes. */
function ringing() {
  let hear: ((frame: string) => void) | undefined;
  class Ringing extends WebSocket {
    override addEventListener(type: string, listener: unknown): void {
      const listen = listener as (event: Event) => void;
      if (type === "message") hear = (data) => listen(new MessageEvent("message", { data }));
      super.addEventListener(type, listen);
    }
  }
  return {
    WebSocket: Ringing,
    ring: (id: string) =>
      hear?.(JSON.stringify({ type: "reports", groupId: bytesToText(fromHex(id)) })),
  };
}

describe("a service that says of an account that its devices are revoked", () => {
  it("though its list doesn't is not asked for the list at each ring", async () => {
    const bell = ringing();
    let lists = 0;
    let reports = 0;
    let benId = "";
    const service = hostileService();
    service.answers.set(/^GET .*\/reports$/u, () => {
      reports++;
      return { reports: [], revoked: [bytesToText(fromHex(benId))] };
    });
    const counting: Fetch = (url, init) => {
      if (url.endsWith("/device-list")) lists++;
      return service.fetch(url, init);
    };
    const { ada, ben, id, names } = await pair({ fetch: counting, WebSocket: bell.WebSocket });
    benId = await idOf(ben);
    lists = 0;
    for (let i = 0; i < 10; i++) {
      const before = reports;
      bell.ring(id);
      await expect.poll(() => reports, SOON).toBeGreaterThan(before);
      await say(ada, id, `${i}`);
    }
    await until(ben, async () => (await ben.messages(id, { limit: 99 })).length > 10);
    expect(lists).toBeLessThanOrEqual(1);
    await untilMembers(ada, id, names);
  });
});

describe("what is wanted", () => {
  it("goes on while the service puts another thing off", async () => {
    let asked = 0;
    const busy: Fetch = async (url, init) => {
      if (!url.endsWith("/claim")) return fetch(url, init);
      asked++;
      return problem(429, "too-many-requests", { "retry-after": "3600" });
    };
    const { ada, id } = await pair({ fetch: busy, WebSocket });
    const name = `Cy ${people}`;
    await world.person(name);
    let over = false;
    const adding = ada.addByName(id, name).finally(() => {
      over = true;
    });
    adding.catch(() => {});
    await expect.poll(() => asked, SOON).toBe(1);
    await ada.createInvitation(id, terms);
    await say(ada, id, "not held up");
    await untilTexts(ada, id, ["not held up"]);
    expect([asked, over]).toEqual([1, false]);
  });

  it("of devices that are new claims their key packages once, however often it is composed", async () => {
    let [claims, refused] = [0, 0];
    const racing: Fetch = async (url, init) => {
      if (url.endsWith("/claim")) claims++;
      if (!url.endsWith("/commits") || claims === 0 || ++refused > 3) return fetch(url, init);
      return problem(409, "pending-proposals");
    };
    const { ada, ben, id, names, recoveryPhrase } = await pair({ fetch: racing, WebSocket });
    await ben.close();
    let uploads = 0;
    const uploading: Fetch = async (url, init) => {
      const response = await fetch(url, init);
      if (init.method === "POST" && url.endsWith("/v1/key-packages")) uploads++;
      return response;
    };
    const fresh = await world.device(`${names[1]}, fresh`, { fetch: uploading });
    // She looks only when its key packages are there.
    await ada.close();
    await fresh.recover(recoveryPhrase);
    await expect.poll(() => uploads, SOON).toBe(1);
    const again = await world.device(names[0], { fetch: racing, WebSocket });
    await until(fresh, async () => (await fresh.snapshot()).conversations.length > 0);
    await untilMembers(again, id, names);
    expect([claims, refused > 3]).toEqual([1, true]);
  });
});
