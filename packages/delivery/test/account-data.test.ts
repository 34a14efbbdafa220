import {
  AccountExport,
  bytesToText,
  openDeviceList,
  sha256,
  signDeviceList,
} from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listenReady } from "./listener.ts";
import {
  addAll,
  addOf,
  aKeyPackage,
  commit,
  type Member,
  newMember,
  readLog,
  send,
  startGroup,
} from "./member.ts";
import {
  type Answer,
  type Bytes,
  call,
  eventually,
  newPerson,
  proveSignIn,
  random,
  register,
  signList,
  startWorld,
  type World,
} from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

let count = 0;
const aMember = (at: World = world): Promise<Member> => newMember(at, `Held ${++count}`);
const pathOf = (member: Member, rest = ""): string =>
  `/v1/accounts/${bytesToText(member.person.accountId)}${rest}`;

const remove = (by: Member, of: Member, body: object = {}, at: World = world): Promise<Answer> =>
  call(at, "DELETE", pathOf(of), { token: by.token, body });

/** The list after the one that the service holds; every device revoked, unless it is changed. */
async function lastList(
  { person, token }: Member,
  revokedAt = BigInt(Math.ceil(Date.now() / 1000)),
): Promise<Bytes> {
  const path = `/v1/accounts/${bytesToText(person.accountId)}/device-list`;
  const held = (await call(world, "GET", path, { token })).body.deviceList;
  const list = await openDeviceList(new Uint8Array(Buffer.from(held, "base64url")));
  return signDeviceList(
    {
      ...list,
      version: list.version + 1n,
      previousHash: await sha256(new Uint8Array(Buffer.from(held, "base64url"))),
      devices: list.devices.map((device) => ({ ...device, revokedAt })),
    },
    person.rootKey,
  );
}

describe("the end of an account", () => {
  it("takes all its sessions, closes its sockets and frees its name", async () => {
    const ada = await aMember();
    const listener = await listenReady(world, ada.token);
    expect((await remove(ada, ada)).status).toBe(204);
    expect(await listener.closed).toBe(4401);
    expect((await call(world, "GET", "/v1/groups", { token: ada.token })).status).toBe(401);
    const successor = await newPerson(ada.person.name);
    expect(await register(world, successor)).toBeTypeOf("string");
  });

  it("is told to its devices alone, and keeps its id from everybody", async () => {
    const ada = await aMember();
    await remove(ada, ada);
    const signIn = (change: object = {}, key = ada.person.signInKey) =>
      proveSignIn(ada.person, change, key).then((proof) =>
        call(world, "POST", "/v1/sessions", { body: { signIn: proof } }),
      );
    expect((await signIn()).problem.code).toBe("account-deleted");
    const forged = await signIn({}, (await newPerson("x")).signInKey);
    expect(forged.problem.code).toBe("invalid-signature");
    const body = {
      deviceList: await signList({ ...ada.person, name: "Another name" }),
      signIn: await proveSignIn(ada.person),
    };
    const again = await call(world, "POST", "/v1/accounts", { body });
    expect(again.problem.code).toBe("account-exists");
  });

  it("takes a session that has just begun, or a list by the root key that revokes all", async () => {
    const slow = await startWorld();
    const ada = await aMember(slow);
    slow.clock.now += 5 * 60 * 1000;
    const late = await remove(ada, ada, {}, slow);
    expect([late.status, late.problem.code]).toEqual([401, "sign-in-again"]);
    expect((await call(slow, "GET", "/v1/groups", { token: ada.token })).status).toBe(200);
    await slow.close();

    const ben = await aMember();
    world.clock.now += 5 * 60 * 1000;
    const refused = await remove(ben, ben, { deviceList: await lastList(ben, 0n) });
    expect(refused.problem.code).toBe("not-allowed");
    const another = await signList(ben.person, { expiresAt: 1n << 40n });
    const conflict = await remove(ben, ben, { deviceList: another });
    expect(conflict.problem.code).toBe("device-list-conflict");
    expect((await remove(ben, ben, { deviceList: await lastList(ben) })).status).toBe(204);
    world.clock.now -= 5 * 60 * 1000;
  });

  it("is not another's to ask for", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const refused = await remove(ada, ben);
    const nobody = { ...ben, person: { ...ben.person, accountId: random(32) } };
    expect(refused.body).toEqual((await remove(ada, nobody)).body);
    expect(refused.status).toBe(403);
    expect((await call(world, "GET", "/v1/groups", { token: ben.token })).status).toBe(200);
  });

  it("leaves others what they have, with the last list to judge its leaves by and remove them", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [theirs] = await addAll(world, { member: ada, group }, [ben]);
    await send(world, ada, group, "hello");
    const deviceList = await lastList(ben);
    expect((await remove(ben, ben, { deviceList })).status).toBe(204);
    const list = await call(world, "GET", pathOf(ben, "/device-list"), { token: ada.token });
    expect(list.body.deviceList).toBe(bytesToText(deviceList));
    const removed = theirs?.ownLeafIndex ?? 0;
    const answer = await commit(world, ada, group, {
      proposals: [{ proposalType: "remove", removed }],
    });
    expect(answer.status).toBe(201);
    expect((await readLog(world, ada, group.groupId)).entries).toHaveLength(3);
    const claim = await call(world, "POST", "/v1/key-packages/claim", {
      token: ada.token,
      body: { accountId: ben.person.accountId, suites: [1] },
    });
    expect(claim.status).toBe(404);
  });

  it("is told to those who share a group with it, where its last list lets them remove its leaves", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    await addAll(world, { member: ada, group }, [ben]);
    const listener = await listenReady(world, ada.token);
    expect((await remove(ben, ben, { deviceList: await lastList(ben) })).status).toBe(204);
    const last = () => listener.frames.at(-1);
    await eventually(() => last()?.type === "reports");
    expect(last()).toEqual({ type: "reports", groupId: group.groupId });
  });

  it("takes the device list with it where nobody else needs it", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    await startGroup(world, ben);
    await remove(ben, ben);
    const list = await call(world, "GET", pathOf(ben, "/device-list"), { token: ada.token });
    expect(list.status).toBe(404);
  });
});

describe("all that is held about an account", () => {
  const read = (member: Member): Promise<Answer> =>
    call(world, "GET", "/v1/account/export", { token: member.token });

  it("is one document", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    await addAll(world, { member: ada, group }, [ben]);
    const keyPackages = [await aKeyPackage(ben)];
    await call(world, "POST", "/v1/key-packages", { token: ben.token, body: { keyPackages } });
    const cleo = await aMember();
    await call(world, "POST", "/v1/contacts/requests", {
      token: cleo.token,
      body: { name: ben.person.name },
    });
    const blob = await call(world, "POST", "/v1/blobs", {
      token: ben.token,
      body: random(100),
      headers: { "content-type": "application/octet-stream", "upload-length": "100" },
    });
    expect(blob.status).toBe(201);
    // A Welcome that waits.
    const another = await startGroup(world, ada);
    await commit(world, ada, another, { proposals: [addOf(await aKeyPackage(ben))] });
    const said = `/v1/contacts/${bytesToText(ada.person.accountId)}`;
    await call(world, "PUT", said, { token: ben.token, body: { state: "blocked" } });

    const answer = await read(ben);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/json");
    const held = AccountExport.parse(answer.body);
    const { accountId, name, device } = ben.person;
    expect(held).toMatchObject({ accountId, name, contact: "default" });
    expect(held.sessions.map(({ deviceId }) => deviceId)).toEqual([device.deviceId]);
    expect(held.requests.map((one) => one.accountId)).toEqual([cleo.person.accountId]);
    expect(held.contacts.map((one) => [one.accountId, one.state])).toEqual([
      [ada.person.accountId, "blocked"],
    ]);
    expect(held.blobs.map((one) => [bytesToText(one.blobId), one.size])).toEqual([
      [blob.body.blobId, 100],
    ]);
    const [only] = held.devices;
    expect(held.devices).toHaveLength(1);
    expect(only).toMatchObject({ deviceId: device.deviceId, signInKey: device.signInKey });
    expect(only?.keyPackages.map((one) => one.keyPackage)).toEqual(keyPackages);
    expect(new Set(only?.groups.map((one) => bytesToText(one.groupId)))).toEqual(
      new Set([group, another].map(({ groupId }) => bytesToText(groupId))),
    );
    expect(only?.inbox.map((one) => one.groupId)).toEqual([another.groupId]);
  });

  it("is read page by page, and so often", async () => {
    const ben = await aMember();
    const contact = { state: "allowed", changedAt: 1, limit: 1000 } as const;
    for (let i = 0; i < 450; i++) {
      await world.store.setContact(ben.person.accountId, { ...contact, accountId: random(32) });
    }
    expect(AccountExport.parse((await read(ben)).body).contacts).toHaveLength(450);
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await read(ben)).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
  });
});
