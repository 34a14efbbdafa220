import { bytesToText } from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { aKeyPackage, type Member, newMember } from "./member.ts";
import { type Answer, call, newKey, random, startWorld, type World } from "./world.ts";

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
    expect(uploaded.body).toEqual({ available: 2, lastResort: true });
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
    expect(left.body).toEqual({ available: 0, lastResort: true });
  });

  it("come in the suites that are asked for; of accounts there are none there are none", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    await upload(ben, { keyPackages: [await aKeyPackage(ben)] });
    expect((await claim(ada, ben, [2, 3])).body).toEqual({ keyPackages: [] });
    expect((await claim(ada, ben, [3, 1])).body.keyPackages).toHaveLength(1);
    const nobody = { ...ben, person: { ...ben.person, accountId: random(32) } };
    expect((await claim(ada, nobody)).problem.code).toBe("not-found");
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
    expect(left.body).toEqual({ available: 0, lastResort: false });
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
    expect((await post(-1n)).problem.code).toBe("invalid-message");
    expect((await post(7200n)).problem.code).toBe("bad-request");
    expect((await post(1800n)).body.available).toBe(1);
    short.clock.now += 1801_000;
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

  it("are claimed so often by a device, and so often of an account", async () => {
    const limited = await startWorld({
      limits: { claim: { burst: 2, perSecond: 0.01 }, claimed: { burst: 3, perSecond: 0.01 } },
    });
    const members = [await newMember(limited, "Ada"), await newMember(limited, "Ben")];
    const [ada, ben] = members;
    if (!ada || !ben) throw new Error("two members");
    const ask = async (by: Member): Promise<number> =>
      (
        await call(limited, "POST", "/v1/key-packages/claim", {
          token: by.token,
          body: { accountId: ada.person.accountId, suites: [1] },
        })
      ).status;
    await allow(limited, ada, ben);
    expect([await ask(ada), await ask(ada), await ask(ada)]).toEqual([200, 200, 429]);
    expect([await ask(ben), await ask(ben)]).toEqual([200, 429]);
    await limited.close();
  });
});
