import {
  bytesFromText,
  bytesToText,
  openDeviceList,
  type SigningKey,
  signRecovery,
} from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addAll, memberOf, newMember, startGroup } from "./member.ts";
import {
  type Answer,
  type Bytes,
  call,
  newKey,
  newPerson,
  ORIGIN,
  type Person,
  proveSignIn,
  random,
  register,
  signList,
  signNextList,
  startWorld,
  type World,
} from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

let count = 0;
const aPerson = (): Promise<Person> => newPerson(`Person ${++count}`);
const listOf = (person: Person): string =>
  `/v1/accounts/${bytesToText(person.accountId)}/device-list`;

describe("registration", () => {
  const post = (body: unknown): Promise<Answer> => call(world, "POST", "/v1/accounts", { body });

  it("takes a list and a proof by a device of it, and signs that device in", async () => {
    const person = await aPerson();
    const token = await register(world, person);
    const answer = await call(world, "GET", listOf(person), { token });
    expect(answer.status).toBe(200);
  });

  it("answers the same request again, after a lost answer", async () => {
    const person = await aPerson();
    const body = { deviceList: await signList(person), signIn: await proveSignIn(person) };
    expect((await post(body)).status).toBe(201);
    const again = await post(body);
    expect(again.status).toBe(201);
    expect((await call(world, "GET", listOf(person), { token: again.body.token })).status).toBe(
      200,
    );
  });

  it("starts no session by the same request again once the device has another key", async () => {
    const person = await newPerson("Rekeyed");
    const deviceList = await signList(person);
    const body = { deviceList, signIn: await proveSignIn(person) };
    const { token } = (await post(body)).body;
    const { publicKey: signInKey } = await newKey();
    const next = await signNextList(person, deviceList, {
      devices: [{ ...person.device, signInKey }],
    });
    const replaced = { token, body: { deviceList: next } };
    expect((await call(world, "PUT", listOf(person), replaced)).status).toBe(204);
    const again = await post(body);
    expect(again.status).toBe(401);
    expect(again.problem.code).toBe("invalid-signature");
  });

  it("refuses a second registration of the account, and the reuse of its proof to sign in", async () => {
    const person = await aPerson();
    const deviceList = await signList(person);
    const signIn = await proveSignIn(person);
    await post({ deviceList, signIn });
    const other = await post({ deviceList, signIn: await proveSignIn(person) });
    expect(other.problem.code).toBe("account-exists");
    const reused = await call(world, "POST", "/v1/sessions", { body: { signIn } });
    expect(reused.problem.code).toBe("invalid-signature");
  });

  it("gives a name once", async () => {
    const [first, second] = [await newPerson("Taken"), await newPerson("Taken")];
    await register(world, first);
    const answer = await post({
      deviceList: await signList(second),
      signIn: await proveSignIn(second),
    });
    expect(answer.status).toBe(409);
    expect(answer.problem.code).toBe("name-taken");
  });

  it("gives a name once in whatever case", async () => {
    await register(world, await newPerson("alice"));
    for (const [name, code] of [
      ["Alice", "name-taken"],
      ["ALICE", "name-taken"],
      ["Alice B", undefined],
    ] as const) {
      const person = await newPerson(name);
      const body = { deviceList: await signList(person), signIn: await proveSignIn(person) };
      const answer = await post(body);
      expect(answer.problem.code).toBe(code);
    }
  });

  it.each(["alice\uFE0F", "\u3164", "\u2800", "a\u200Bb", "a  b"])(
    "refuses a name in which something can't be seen (%j)",
    async (name) => {
      const person = await newPerson(name);
      const answer = await post({
        deviceList: await signList(person),
        signIn: await proveSignIn(person),
      });
      expect(answer.status).toBe(400);
      expect(answer.problem.code).toBe("bad-request");
    },
  );

  it("refuses a proof by a device that the list revokes", async () => {
    const person = await aPerson();
    const devices = [{ ...person.device, revokedAt: 1n }];
    const answer = await post({
      deviceList: await signList(person, { devices }),
      signIn: await proveSignIn(person),
    });
    expect(answer.problem.code).toBe("invalid-signature");
  });

  it("refuses the signature key of another device", async () => {
    const [first, second] = [await aPerson(), await aPerson()];
    await register(world, first);
    const device = { ...second.device, signatureKey: first.device.signatureKey };
    const answer = await post({
      deviceList: await signList(second, { devices: [device] }),
      signIn: await proveSignIn(second),
    });
    expect(answer.problem.code).toBe("key-in-use");
  });

  it.each([
    ["expired", { expiresAt: BigInt(Math.floor(Date.now() / 1000)) - 1n }],
    ["of a later version", { version: 2n, previousHash: random(32) }],
    ["without devices", { devices: [] }],
    ["with a name that is not normalized", { name: " padded" }],
  ])("refuses a list that is %s", async (_, change) => {
    const person = await aPerson();
    const deviceList = await signList(person, change);
    const answer = await post({ deviceList, signIn: await proveSignIn(person) });
    expect(answer.status).toBe(400);
    expect(answer.problem.code).toBe("bad-request");
  });

  it("refuses a list that names a device twice, or too many", async () => {
    const person = await aPerson();
    const signIn = await proveSignIn(person);
    const twice = await signList(person, { devices: [person.device, person.device] });
    expect((await post({ deviceList: twice, signIn })).status).toBe(400);
    const many = Array.from({ length: 65 }, () => ({
      deviceId: random(16),
      signatureKey: random(32),
      signInKey: random(32),
      revokedAt: 0n,
    }));
    const tooMany = await signList(person, { devices: many });
    expect((await post({ deviceList: tooMany, signIn })).status).toBe(400);
  });

  it("refuses a list whose signature does not verify", async () => {
    const person = await aPerson();
    const deviceList = await signList(person);
    deviceList[deviceList.length - 1] = (deviceList.at(-1) ?? 0) ^ 1;
    const answer = await post({ deviceList, signIn: await proveSignIn(person) });
    expect(answer.status).toBe(400);
  });

  it("refuses a proof for another account", async () => {
    const person = await aPerson();
    const signIn = await proveSignIn(person, { accountId: random(32) });
    const answer = await post({ deviceList: await signList(person), signIn });
    expect(answer.problem.code).toBe("invalid-signature");
  });

  it("and signing in are limited for an address", async () => {
    const once = { burst: 1, perSecond: 0.01 };
    const limited = await startWorld({ limits: { registration: once, signIn: once } });
    const person = await aPerson();
    await register(limited, person);
    const body = { deviceList: await signList(person), signIn: await proveSignIn(person) };
    expect((await call(limited, "POST", "/v1/accounts", { body })).status).toBe(429);
    expect((await call(limited, "POST", "/v1/sessions", { body })).status).toBe(201);
    expect((await call(limited, "POST", "/v1/sessions", { body })).status).toBe(429);
    await limited.close();
  });

  it("refuses a proof by a device that is not in the list", async () => {
    const [person, stranger] = [await aPerson(), await aPerson()];
    const deviceList = await signList(person);
    const answer = await post({ deviceList, signIn: await proveSignIn(stranger) });
    expect(answer.problem.code).toBe("invalid-signature");
  });
});

describe("signing in", () => {
  const post = (signIn: Uint8Array): Promise<Answer> =>
    call(world, "POST", "/v1/sessions", { body: { signIn } });

  it("takes a proof once", async () => {
    const person = await aPerson();
    await register(world, person);
    const proof = await proveSignIn(person);
    expect((await post(proof)).status).toBe(201);
    const again = await post(proof);
    expect(again.status).toBe(401);
    expect(again.problem.code).toBe("invalid-signature");
  });

  it("refuses a proof for another service", async () => {
    const person = await aPerson();
    await register(world, person);
    const answer = await post(await proveSignIn(person, { service: `${ORIGIN}.evil.example` }));
    expect(answer.problem.code).toBe("invalid-signature");
  });

  it("refuses a proof by another key, also by the key of the device's leaves", async () => {
    const [person, other] = [await aPerson(), await aPerson()];
    await register(world, person);
    for (const key of [other.signInKey, person.signatureKey]) {
      const answer = await post(await proveSignIn(person, {}, key));
      expect(answer.problem.code).toBe("invalid-signature");
    }
  });

  it.each([-301n, 301n])(
    "refuses a proof that is %i seconds off, and says what time it is",
    async (off) => {
      const person = await aPerson();
      await register(world, person);
      const issuedAt = BigInt(Math.floor(world.clock.now / 1000)) + off;
      const answer = await post(await proveSignIn(person, { issuedAt }));
      expect(answer.problem.code).toBe("clock-skew");
      expect(answer.problem["now"]).toBe(world.clock.now);
    },
  );

  it("answers for an unknown device as for a wrong key", async () => {
    const answer = await post(await proveSignIn(await aPerson()));
    expect(answer.problem.code).toBe("invalid-signature");
  });

  it("refuses bytes that are no proof", async () => {
    expect((await post(random(40))).problem.code).toBe("bad-request");
  });

  it("ends a session at sign-out and after its time", async () => {
    const person = await aPerson();
    const token = await register(world, person);
    const read = async (): Promise<number> =>
      (await call(world, "GET", listOf(person), { token })).status;
    expect(await read()).toBe(200);
    world.clock.now += 60 * 60 * 1000;
    expect(await read()).toBe(401);
    world.clock.now -= 60 * 60 * 1000;
    expect(await read()).toBe(200);
    expect((await call(world, "DELETE", "/v1/sessions", { token })).status).toBe(204);
    expect(await read()).toBe(401);
  });

  it("refuses a request without a token, or with one that was never given", async () => {
    const person = await aPerson();
    await register(world, person);
    for (const token of [undefined, bytesToText(random(32)), "x"]) {
      const answer = await call(world, "GET", listOf(person), token === undefined ? {} : { token });
      expect(answer.problem.code).toBe("not-signed-in");
    }
  });
});

describe("device lists", () => {
  const put = (person: Person, token: string, deviceList: Uint8Array): Promise<Answer> =>
    call(world, "PUT", listOf(person), { token, body: { deviceList } });

  it("are replaced by the one that follows, and again without harm", async () => {
    const person = await aPerson();
    const first = await signList(person);
    const body = { deviceList: first, signIn: await proveSignIn(person) };
    const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
    const second = await aPerson();
    const next = await signNextList(person, first, { devices: [person.device, second.device] });
    expect((await put(person, token, next)).status).toBe(204);
    expect((await put(person, token, next)).status).toBe(204);
    const held = (await call(world, "GET", listOf(person), { token })).body.deviceList;
    expect(held).toBe(bytesToText(next));
    const asSecond = { ...second, accountId: person.accountId };
    const signIn = await proveSignIn(asSecond);
    expect((await call(world, "POST", "/v1/sessions", { body: { signIn } })).status).toBe(201);
  });

  it("are refused where they do not follow", async () => {
    const person = await aPerson();
    const first = await signList(person);
    const body = { deviceList: first, signIn: await proveSignIn(person) };
    const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
    for (const change of [{ version: 3n }, { previousHash: random(32) }]) {
      const answer = await put(person, token, await signNextList(person, first, change));
      expect(answer.status).toBe(409);
      expect(answer.problem.code).toBe("device-list-conflict");
      expect(answer.problem["currentVersion"]).toBe("1");
    }
  });

  it("are refused under another name or root, or for another account", async () => {
    const [person, other] = [await aPerson(), await aPerson()];
    const first = await signList(person);
    const body = { deviceList: first, signIn: await proveSignIn(person) };
    const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
    const renamed = await signNextList(person, first, { name: "Somebody else" });
    expect((await put(person, token, renamed)).problem.code).toBe("not-allowed");
    const swapped = await signNextList({ ...person, rootKey: other.rootKey }, first);
    expect((await put(person, token, swapped)).problem.code).toBe("not-allowed");
    const othersToken = await register(world, other);
    const next = await signNextList(person, first);
    expect((await put(person, othersToken, next)).problem.code).toBe("not-allowed");
  });

  it("are refused where they take back what the one before said", async () => {
    const [person, second, third] = [await aPerson(), await aPerson(), await aPerson()];
    const gone = { ...third.device, revokedAt: 1n };
    const first = await signList(person, { devices: [person.device, second.device, gone] });
    const body = { deviceList: first, signIn: await proveSignIn(person) };
    const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
    const { device: mine } = person;
    const seconds = BigInt(Math.floor(Date.now() / 1000));
    const rekeyed = { ...second.device, signatureKey: random(32) };
    for (const change of [
      { devices: [mine, gone] },
      { devices: [mine, rekeyed, gone] },
      { devices: [mine, second.device, third.device] },
      { devices: [mine, second.device, { ...gone, revokedAt: 2n }] },
      { devices: [mine, second.device, gone], expiresAt: seconds + 60n },
    ]) {
      const answer = await put(person, token, await signNextList(person, first, change));
      expect(answer.problem.code).toBe("not-allowed");
    }
    const next = await signNextList(person, first, { devices: [mine, second.device, gone] });
    expect((await put(person, token, next)).status).toBe(204);
  });

  it("revoke no device as of before it came into a group", async () => {
    const [ben, ada] = [await aPerson(), await newMember(world, `Person ${++count}`)];
    const first = await signList(ben);
    const body = { deviceList: first, signIn: await proveSignIn(ben) };
    const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
    const group = await startGroup(world, ada);
    await addAll(world, { member: ada, group }, [memberOf(ben, token)]);
    const seconds = BigInt(Math.floor(world.clock.now / 1000));
    const revoking = (revokedAt: bigint): Promise<Uint8Array> =>
      signNextList(ben, first, { devices: [{ ...ben.device, revokedAt }] });
    const early = await put(ben, token, await revoking(seconds));
    expect(early.problem.code).toBe("not-allowed");
    expect((await put(ben, token, await revoking(seconds + 1n))).status).toBe(204);
  });

  it("revoke no device as of a time to come, by more than clocks may differ", async () => {
    const [person, second] = [await aPerson(), await aPerson()];
    const { device: mine } = person;
    const first = await signList(person, { devices: [mine, second.device] });
    const soon = (): bigint => BigInt(Math.floor(world.clock.now / 1000) + 300);
    const register = async (devices: (typeof mine)[]): Promise<Answer> => {
      const deviceList = await signList(person, { devices });
      const signIn = await proveSignIn(person);
      return call(world, "POST", "/v1/accounts", { body: { deviceList, signIn } });
    };
    const late = { ...second.device, revokedAt: soon() + 1n };
    expect((await register([mine, late])).problem.code).toBe("clock-skew");
    const body = { deviceList: first, signIn: await proveSignIn(person) };
    const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
    const next = (held: Bytes, version: bigint, devices: (typeof mine)[]): Promise<Bytes> =>
      signNextList(person, held, { version, devices });
    for (const devices of [
      [mine, late],
      [mine, second.device, { ...(await aPerson()).device, revokedAt: soon() + 1n }],
    ]) {
      const answer = await put(person, token, await next(first, 2n, devices));
      expect(answer.problem).toMatchObject({ code: "clock-skew", now: world.clock.now });
    }
    const listed = { ...second.device, revokedAt: soon() };
    const revoking = await next(first, 2n, [mine, listed]);
    expect((await put(person, token, revoking)).status).toBe(204);
    // What a list said once, by whatever clock, stays.
    world.clock.now -= 600_000;
    expect((await put(person, token, await next(revoking, 3n, [mine, listed]))).status).toBe(204);
    world.clock.now += 600_000;
  });

  it("are refused with times that no clock shows", async () => {
    const person = await aPerson();
    const first = await signList(person);
    const body = { deviceList: first, signIn: await proveSignIn(person) };
    const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
    const never = 2n ** 64n - 1n;
    for (const change of [
      { expiresAt: never },
      { devices: [{ ...person.device, revokedAt: never }] },
    ]) {
      const answer = await put(person, token, await signNextList(person, first, change));
      expect(answer.problem.code).toBe("bad-request");
    }
  });

  it("end the session of a device that they revoke, for good", async () => {
    const [person, second] = [await aPerson(), await aPerson()];
    const first = await signList(person, { devices: [person.device, second.device] });
    const body = { deviceList: first, signIn: await proveSignIn(person) };
    const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
    const signIn = await proveSignIn({ ...second, accountId: person.accountId });
    const lost = (await call(world, "POST", "/v1/sessions", { body: { signIn } })).body.token;
    expect((await call(world, "GET", listOf(person), { token: lost })).status).toBe(200);
    const devices = [person.device, { ...second.device, revokedAt: 1n }];
    await put(person, token, await signNextList(person, first, { devices }));
    expect((await call(world, "GET", listOf(person), { token: lost })).status).toBe(401);
    expect((await call(world, "GET", listOf(person), { token })).status).toBe(200);
    const again = await proveSignIn({ ...second, accountId: person.accountId });
    const refused = await call(world, "POST", "/v1/sessions", { body: { signIn: again } });
    expect(refused.problem.code).toBe("invalid-signature");
  });
});

describe("the directory", () => {
  const lookUp = (token: string, name: string): Promise<Answer> =>
    call(world, "POST", "/v1/directory/lookup", { token, body: { name } });

  it("knows people by their exact name, however it is typed", async () => {
    const person = await newPerson("Ada Ångström");
    const token = await register(world, person);
    for (const name of ["Ada Ångström", " Ada  A\u030angstro\u0308m "]) {
      const answer = await lookUp(token, name);
      const list = await openDeviceList(
        new Uint8Array(Buffer.from(answer.body.deviceList, "base64url")),
      );
      expect(list.rootKey).toEqual(person.rootKey.publicKey);
    }
  });

  it("finds nothing by a part of a name, nor in another case", async () => {
    const token = await register(world, await newPerson("Grace Hopper"));
    for (const name of ["Grace", "grace hopper", "Grace%"]) {
      expect((await lookUp(token, name)).problem.code).toBe("not-found");
    }
  });

  it("is for those who are signed in, and limits how often they ask", async () => {
    const limited = await startWorld({ limits: { lookUp: { burst: 2, perSecond: 0.01 } } });
    try {
      const token = await register(limited, await aPerson());
      const ask = (): Promise<Answer> =>
        call(limited, "POST", "/v1/directory/lookup", { token, body: { name: "Nobody" } });
      expect((await ask()).status).toBe(404);
      expect((await ask()).status).toBe(404);
      const refused = await ask();
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    } finally {
      await limited.close();
    }
    expect((await lookUp("", "Grace Hopper")).problem.code).toBe("not-signed-in");
  });
});

describe("an account whose devices are lost", () => {
  const ask = async (
    root: SigningKey,
    change: { readonly service?: string; readonly issuedAt?: bigint } = {},
  ): Promise<Answer> => {
    const issuedAt = BigInt(Math.floor(world.clock.now / 1000));
    const recovery = await signRecovery({ service: ORIGIN, issuedAt, ...change }, root);
    return call(world, "POST", "/v1/recovery", { body: { recovery } });
  };

  it("is told its device list by its root key, and by nothing else", async () => {
    const person = await aPerson();
    await register(world, person);
    const answer = await ask(person.rootKey);
    expect(answer.status).toBe(200);
    const list = await openDeviceList(bytesFromText(answer.body.deviceList));
    expect(list.name).toBe(person.name);
    expect((await ask(person.signInKey)).problem.code).toBe("not-found");
    const other = { service: "https://other.example" };
    expect((await ask(person.rootKey, other)).problem.code).toBe("invalid-signature");
    expect((await ask(person.rootKey, { issuedAt: 0n })).problem.code).toBe("clock-skew");
    const forged = { publicKey: person.rootKey.publicKey, sign: person.signInKey.sign };
    expect((await ask(forged)).problem.code).toBe("invalid-signature");
  });

  it("gets a fresh device by the list that its root key signs, which revokes the others", async () => {
    const person = await aPerson();
    const token = await register(world, person);
    const held = bytesFromText((await ask(person.rootKey)).body.deviceList);
    const fresh = { ...(await aPerson()), accountId: person.accountId };
    const revokedAt = BigInt(Math.ceil(world.clock.now / 1000));
    const deviceList = await signNextList(person, held, {
      devices: [{ ...person.device, revokedAt }, fresh.device],
    });
    const path = `/v1/accounts/${bytesToText(person.accountId)}/recovery`;
    const recover = async (list: Bytes, by: Person): Promise<Answer> =>
      call(world, "POST", path, { body: { deviceList: list, signIn: await proveSignIn(by) } });
    // By the key of a device that is on the list and goes on, and of this account.
    for (const [list, by] of [
      [deviceList, person],
      [deviceList, { ...fresh, signInKey: person.signInKey }],
      [deviceList, { ...fresh, accountId: (await aPerson()).accountId }],
      [await signNextList(person, held), fresh],
    ] as const) {
      expect((await recover(list, by)).problem.code).toBe("invalid-signature");
    }
    const stranger = await aPerson();
    const foreign = await signNextList(stranger, held, { devices: [fresh.device] });
    expect((await recover(foreign, fresh)).problem.code).toBe("not-allowed");
    expect((await call(world, "GET", "/v1/groups", { token })).status).toBe(200);

    const recovered = await recover(deviceList, fresh);
    expect(recovered.status).toBe(201);
    expect((await call(world, "GET", "/v1/groups", { token })).status).toBe(401);
    const again = { token: recovered.body.token };
    expect((await call(world, "GET", "/v1/groups", again)).status).toBe(200);
    // The same after a lost answer.
    expect((await recover(deviceList, fresh)).status).toBe(201);
    const late = await signNextList(person, held, { devices: [person.device, fresh.device] });
    expect((await recover(late, fresh)).problem.code).toBe("device-list-conflict");
  });
});
