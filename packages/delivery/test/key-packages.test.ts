import { bytesToText } from "@conclave/delivery/protocol";
import { defaultCapabilities } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { greet, listen } from "./listener.ts";
import { aKeyPackage, type Member, newMember } from "./member.ts";
import { type Answer, call, eventually, newKey, random, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

let count = 0;
const aMember = (): Promise<Member> => newMember(world, `Owner ${++count}`);
const upload = (member: Member, body: object): Promise<Answer> =>
  call(world, "POST", "/v1/key-packages", { token: member.token, body });
const claim = (by: Member, of: Member, suites = [1]): Promise<Answer> =>
  call(world, "POST", "/v1/key-packages/claim", {
    token: by.token,
    body: { accountId: of.person.accountId, suites },
  });

/** The first lets the second reach its account. */
async function allow(at: World, by: Member, other: Member): Promise<void> {
  const path = `/v1/contacts/${bytesToText(other.person.accountId)}`;
  await call(at, "PUT", path, { token: by.token, body: { state: "allowed" } });
}

describe("key packages", () => {
  it("are claimed once each by whoever asks at once, then the last resort", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    await allow(world, ben, ada);
    const keyPackages = [await aKeyPackage(ben), await aKeyPackage(ben)];
    const lastResort = await aKeyPackage(ben);
    const uploaded = await upload(ben, { keyPackages, lastResort });
    expect(uploaded.body).toEqual({ pools: [{ suite: 1, available: 2, lastResort: true }] });
    const answers = await Promise.all(Array.from({ length: 4 }, () => claim(ada, ben)));
    const served = answers.map(({ body }) => {
      expect(body.keyPackages).toHaveLength(1);
      return body.keyPackages[0].keyPackage;
    });
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
    const all = [...keyPackages, lastResort, lastResort].map(text);
    expect(new Set(served)).toEqual(new Set(all));
    expect(served.filter((one) => one === text(lastResort))).toHaveLength(2);
    const left = await call(world, "GET", "/v1/key-packages", { token: ben.token });
    expect(left.body).toMatchObject({ pools: [{ suite: 1, available: 0, lastResort: true }] });
  });

  it("come in the suites that are asked for; of accounts there are none there are none", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    await upload(ben, { keyPackages: [await aKeyPackage(ben)] });
    expect((await claim(ada, ben, [2, 3])).body).toMatchObject({ keyPackages: [] });
    expect((await claim(ada, ben, [3, 1])).body.keyPackages).toHaveLength(1);
    const nobody = { ...ben, person: { ...ben.person, accountId: random(32) } };
    expect((await claim(ada, nobody)).problem.code).toBe("not-found");
  });

  it("are those of a suite and of what the group requires", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const of = (extensions: number[]) => ({
      capabilities: defaultCapabilities(nodeCrypto, { extensions }),
    });
    const able = await aKeyPackage(ben, undefined, of([0xf0c1, 0xf0c2]));
    const plain = await aKeyPackage(ben, undefined, of([]));
    await upload(ben, { keyPackages: [plain, able] });
    const ask = async (requires: object): Promise<Answer> =>
      call(world, "POST", "/v1/key-packages/claim", {
        token: ada.token,
        body: { accountId: ben.person.accountId, suites: [1], requires },
      });
    for (const requires of [
      { extensionTypes: [0xf0c3] },
      { proposalTypes: [0xf0c3] },
      { credentialTypes: [0xf0c3] },
      { versions: [2] },
    ]) {
      expect((await ask(requires)).body.keyPackages).toEqual([]);
    }
    // What every client has need not be listed (RFC 9420 §7.2).
    const usual = { extensionTypes: [0xf0c2, 3], proposalTypes: [1, 7], credentialTypes: [1] };
    const served = await ask({ ...usual, versions: [1] });
    expect(served.body.keyPackages).toEqual([
      {
        deviceId: bytesToText(ben.person.device.deviceId),
        keyPackage: bytesToText(able),
        lastResort: false,
      },
    ]);
    expect((await ask(usual)).body.keyPackages).toEqual([]);
    expect((await ask({})).body.keyPackages).toMatchObject([{ keyPackage: bytesToText(plain) }]);
  });

  it("that a device has none of are told to those who know it: none at all, or none that fits", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const deviceId = bytesToText(ben.person.device.deviceId);
    // As a stranger Ada learns of what she gets alone.
    expect((await claim(ada, ben)).body).toEqual({ keyPackages: [], unserved: [] });
    await allow(world, ben, ada);
    const unserved = async (): Promise<unknown> => (await claim(ada, ben)).body.unserved;
    expect(await unserved()).toEqual([{ deviceId, reason: "exhausted" }]);
    await upload(ben, { keyPackages: [await aKeyPackage(ben, undefined, { suite: 3 })] });
    expect(await unserved()).toEqual([{ deviceId, reason: "nothing-compatible" }]);
    await upload(ben, { keyPackages: [await aKeyPackage(ben)] });
    expect(await unserved()).toEqual([]);
  });

  it("are those of the devices that are named, and no other's are spent", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    await allow(world, ben, ada);
    await upload(ben, { keyPackages: [await aKeyPackage(ben)] });
    const ask = (devices: Uint8Array[]): Promise<Answer> =>
      call(world, "POST", "/v1/key-packages/claim", {
        token: ada.token,
        body: { accountId: ben.person.accountId, suites: [1], devices },
      });
    const { deviceId } = ben.person.device;
    expect((await ask([random(16)])).body).toEqual({ keyPackages: [], unserved: [] });
    expect((await ask([])).problem.code).toBe("bad-request");
    const served = await ask([deviceId, random(16)]);
    expect(served.body.keyPackages).toMatchObject([{ deviceId: bytesToText(deviceId) }]);
    const again = { deviceId: bytesToText(deviceId), reason: "exhausted" };
    expect((await ask([deviceId])).body).toEqual({ keyPackages: [], unserved: [again] });
  });

  it("of the last resort are marked, and its owner hears of it and puts another in its place", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const listener = listen(world);
    await greet(listener, ben.token);
    await upload(ben, { keyPackages: [], lastResort: await aKeyPackage(ben) });
    expect((await claim(ada, ben)).body.keyPackages).toMatchObject([{ lastResort: true }]);
    await eventually(() => listener.frames.some(({ type }) => type === "key-packages"));
    const count = async (): Promise<Answer> =>
      call(world, "GET", "/v1/key-packages", { token: ben.token });
    const [pool] = (await count()).body.pools;
    expect(pool).toEqual({
      suite: 1,
      available: 0,
      lastResort: true,
      lastResortServedAt: expect.any(Number),
    });
    await upload(ben, { keyPackages: [], lastResort: await aKeyPackage(ben) });
    expect((await count()).body.pools).toEqual([{ suite: 1, available: 0, lastResort: true }]);
    listener.socket.close();
  });

  it("are refused where they are another device's, or name another account", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const others = await upload(ada, { keyPackages: [await aKeyPackage(ben)] });
    expect(others.problem.code).toBe("not-allowed");
    const posing = { ...ada, person: { ...ada.person, rootKey: await newKey() } };
    const posed = await upload(ada, { keyPackages: [await aKeyPackage(posing)] });
    expect(posed.problem.code).toBe("not-allowed");
    const lastResort = await aKeyPackage(ben);
    const resort = await upload(ada, { keyPackages: [], lastResort });
    expect(resort.problem.code).toBe("not-allowed");
  });

  it("are refused where they break a rule, and none of the request is kept", async () => {
    const ada = await aMember();
    const good = await aKeyPackage(ada);
    const forged = good.slice();
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    for (const bad of [forged, random(20)]) {
      const answer = await upload(ada, { keyPackages: [good, bad] });
      expect(answer.status).toBe(422);
      expect(answer.problem["rule"]).toBeTypeOf("string");
    }
    const left = await call(world, "GET", "/v1/key-packages", { token: ada.token });
    expect(left.body).toEqual({ pools: [] });
  });

  it("are refused after their time, and when it is too long; and are not served after it", async () => {
    const short = await startWorld({
      limits: { keyPackageLifetime: 3600, sessionLifetime: 7200_000 },
    });
    const ada = await newMember(short, "Ada");
    const post = async (seconds: bigint): Promise<Answer> =>
      call(short, "POST", "/v1/key-packages", {
        token: ada.token,
        body: { keyPackages: [await aKeyPackage(ada, seconds)] },
      });
    // The service's clock stands still, the members' goes on.
    expect((await post(-30n)).problem.code).toBe("invalid-message");
    expect((await post(7200n)).problem.code).toBe("bad-request");
    expect((await post(1800n)).body.pools).toMatchObject([{ available: 1 }]);
    short.clock.now = Date.now() + 1801_000;
    const late = await call(short, "POST", "/v1/key-packages/claim", {
      token: ada.token,
      body: { accountId: ada.person.accountId, suites: [1] },
    });
    expect(late.body.keyPackages).toEqual([]);
    await short.close();
  });

  it("are a hundred at most, in one request and in all", async () => {
    const ada = await aMember();
    const many = Array.from({ length: 101 }, () => random(10));
    expect((await upload(ada, { keyPackages: many })).problem.code).toBe("bad-request");
    for (let i = 0; i < 10; i++) {
      const keyPackages = await Promise.all(Array.from({ length: 10 }, () => aKeyPackage(ada)));
      expect((await upload(ada, { keyPackages })).status).toBe(200);
    }
    const more = await upload(ada, { keyPackages: [await aKeyPackage(ada)] });
    expect(more.problem.code).toBe("too-large");
  });

  it("are uploaded so many by a device, also those that are refused", async () => {
    const limited = await startWorld({ limits: { upload: { burst: 5, perSecond: 0.1 } } });
    const ada = await newMember(limited, "Ada");
    const post = async (keyPackages: Uint8Array[]): Promise<Answer> =>
      call(limited, "POST", "/v1/key-packages", { token: ada.token, body: { keyPackages } });
    expect((await post(Array.from({ length: 4 }, () => random(9)))).status).toBe(422);
    const two = [await aKeyPackage(ada), await aKeyPackage(ada)];
    const refused = await post(two);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "10"]);
    expect((await post(two.slice(1))).status).toBe(200);
    await limited.close();
  });

  it("are claimed so often by a device; past so many of an account its last resort goes to whoever asks", async () => {
    const limited = await startWorld({
      limits: { claim: { burst: 2, perSecond: 0.01 }, claimed: { burst: 3, perSecond: 0.01 } },
    });
    const [ada, ben, cem] = await Promise.all(
      ["Ada", "Ben", "Cem"].map((name) => newMember(limited, name)),
    );
    if (!ada || !ben || !cem) throw new Error("three members");
    const keyPackages = await Promise.all(Array.from({ length: 9 }, () => aKeyPackage(ada)));
    const body = { keyPackages, lastResort: await aKeyPackage(ada) };
    await call(limited, "POST", "/v1/key-packages", { token: ada.token, body });
    const ask = async (by: Member): Promise<unknown> => {
      const answer = await call(limited, "POST", "/v1/key-packages/claim", {
        token: by.token,
        body: { accountId: ada.person.accountId, suites: [1] },
      });
      return answer.status === 200 ? answer.body.keyPackages[0].lastResort : answer.status;
    };
    await allow(limited, ada, ben);
    await allow(limited, ada, cem);
    expect([await ask(ben), await ask(ben), await ask(ben)]).toEqual([false, false, 429]);
    // Nobody is kept from adding Ada by those who claim much.
    expect([await ask(cem), await ask(cem)]).toEqual([false, true]);
    expect(await ask(ada)).toBe(true);
    await limited.close();
  });
});
