import { bytesToText, ContactRequestsResponse, openDeviceList } from "@conclave/delivery/protocol";
import { validateKeyPackage } from "@conclave/mls/public-group";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sameBytes } from "../src/bytes.ts";
import { listenReady } from "./listener.ts";
import {
  addAll,
  addOf,
  aKeyPackage,
  commit,
  type Member,
  newMember,
  readInbox,
  startGroup,
} from "./member.ts";
import { type Answer, call, eventually, random, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld({ contact: "ask" });
});
afterAll(() => world.close());

let count = 0;
const aMember = (at: World = world): Promise<Member> => newMember(at, `Contact ${++count}`);

const lookUp = (by: Member, name: string, at: World = world): Promise<Answer> =>
  call(at, "POST", "/v1/directory/lookup", { token: by.token, body: { name } });
const claim = (by: Member, accountId: Uint8Array, at: World = world): Promise<Answer> =>
  call(at, "POST", "/v1/key-packages/claim", { token: by.token, body: { accountId, suites: [1] } });
const ask = (by: Member, body: object, at: World = world): Promise<Answer> =>
  call(at, "POST", "/v1/contacts/requests", { token: by.token, body });
const say = (by: Member, about: Member, state: string): Promise<Answer> =>
  call(world, "PUT", `/v1/contacts/${bytesToText(about.person.accountId)}`, {
    token: by.token,
    body: { state },
  });

/** Whether the first may look up and claim the second; both are answered alike. */
async function reaches(by: Member, other: Member): Promise<boolean> {
  const found = await lookUp(by, other.person.name);
  const claimed = await claim(by, other.person.accountId);
  expect(claimed.status).toBe(found.status);
  return found.status === 200;
}

async function requestsTo(member: Member): Promise<readonly string[]> {
  const answer = await call(world, "GET", "/v1/contacts/requests", { token: member.token });
  const { requests } = ContactRequestsResponse.parse(answer.body);
  return Promise.all(requests.map(async (one) => (await openDeviceList(one.deviceList)).name));
}

describe("who is blocked", () => {
  it("can't add the account by key packages from before, and is told as of one that is full", async () => {
    const [ada, ben, cem] = [await aMember(), await aMember(), await aMember()];
    const keyPackage = await aKeyPackage(ben);
    const shared = await startGroup(world, ada);
    await addAll(world, { member: ada, group: shared }, [ben, cem]);
    await say(ben, ada, "blocked");
    const group = await startGroup(world, ada);
    const bens = await commit(world, ada, group, { proposals: [addOf(keyPackage)] });
    const { ref } = await validateKeyPackage(ada.context, keyPackage);
    expect(bens.problem).toMatchObject({ code: "device-full", keyPackages: [bytesToText(ref)] });
    expect(await readInbox(world, ben)).toEqual([]);
    // Of a group in which both are the devices change as ever.
    const leaf = shared
      .members()
      .find(({ leafNode }) => sameBytes(leafNode.signatureKey, ben.person.signatureKey.publicKey));
    const remove = { proposalType: "remove", removed: leaf?.leafIndex ?? 0 } as const;
    const back = await commit(world, ada, shared, {
      proposals: [remove, addOf(await aKeyPackage(ben))],
    });
    expect(back.status).toBe(201);
    await call(world, "DELETE", `/v1/contacts/${bytesToText(ada.person.accountId)}`, ben);
    expect((await commit(world, ada, group, { proposals: [addOf(keyPackage)] })).status).toBe(201);
  });
});

describe("who does not know an account", () => {
  it("is told the same of it as of one there is none of: to look-ups, claims and requests", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const [unwilling, unknown] = [
      await lookUp(ada, ben.person.name),
      await lookUp(ada, "Nobody at all"),
    ];
    expect(unwilling.status).toBe(404);
    expect(unwilling.body).toEqual(unknown.body);
    const claims = [await claim(ada, ben.person.accountId), await claim(ada, random(32))];
    expect(claims[0]?.status).toBe(404);
    expect(claims[0]?.body).toEqual(claims[1]?.body);
    expect(claims[0]?.body).toEqual(unknown.body);
    const headers = (answer: Answer): string[] => [...answer.headers.keys()];
    expect(headers(unwilling)).toEqual(headers(unknown));
    await say(ben, await aMember(), "blocked");
    const asked = [
      await ask(ada, { name: ben.person.name }),
      await ask(ada, { name: "Nobody at all" }),
      await ask(ada, { accountId: random(32) }),
      await ask(ada, { accountId: ada.person.accountId }),
    ];
    expect(asked.map(({ status, body }) => [status, body.length])).toEqual(
      asked.map(() => [202, 0]),
    );
  });

  it("asks, and reaches it once it is allowed, until that is taken back", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const [adas, bens] = [await listenReady(world, ada.token), await listenReady(world, ben.token)];
    await ask(ada, { name: ben.person.name });
    await eventually(() => bens.frames.some(({ type }) => type === "contacts"));
    expect(await requestsTo(ben)).toEqual([ada.person.name]);
    expect(await reaches(ada, ben)).toBe(false);
    // Who asks may be answered.
    expect(await reaches(ben, ada)).toBe(true);
    expect((await say(ben, ada, "allowed")).status).toBe(204);
    await eventually(() => adas.frames.some(({ type }) => type === "contacts"));
    expect(await requestsTo(ben)).toEqual([]);
    expect(await reaches(ada, ben)).toBe(true);
    const contacts = await call(world, "GET", "/v1/contacts", { token: ben.token });
    const { accountId } = ada.person;
    expect(contacts.body).toEqual({
      contact: "default",
      unlessSet: "ask",
      contacts: [
        { accountId: bytesToText(accountId), state: "allowed", changedAt: world.clock.now },
      ],
    });
    const path = `/v1/contacts/${bytesToText(accountId)}`;
    expect((await call(world, "DELETE", path, { token: ben.token })).status).toBe(204);
    expect(await reaches(ada, ben)).toBe(false);
  });

  it("takes back what it asked, where it waits; whoever else asked stays, and a refusal too", async () => {
    const [ada, ben, cleo] = [await aMember(), await aMember(), await aMember()];
    const withdraw = (by: Member, body: object): Promise<Answer> =>
      call(world, "POST", "/v1/contacts/requests/withdraw", { token: by.token, body });
    const { name, accountId } = ben.person;
    await ask(ada, { name });
    await ask(cleo, { name });
    const bens = await listenReady(world, ben.token);
    const withdrawn = [
      await withdraw(ada, { name }),
      await withdraw(ada, { name }),
      await withdraw(ada, { name: "Nobody at all" }),
    ];
    expect(withdrawn.map(({ status }) => status)).toEqual([204, 204, 204]);
    await eventually(() => bens.frames.some(({ type }) => type === "contacts"));
    expect(await requestsTo(ben)).toEqual([cleo.person.name]);
    // Who asks may be answered; who took it back may not.
    expect(await reaches(ben, ada)).toBe(false);
    await ask(ada, { accountId });
    await say(ben, ada, "refused");
    await withdraw(ada, { accountId });
    await ask(ada, { accountId });
    expect(await requestsTo(ben)).toEqual([cleo.person.name]);
  });

  it("learns nothing of a refusal or a block", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    await ask(ada, { name: ben.person.name });
    await say(ben, ada, "refused");
    expect((await ask(ada, { name: ben.person.name })).status).toBe(202);
    expect(await requestsTo(ben)).toEqual([]);
    expect(await reaches(ada, ben)).toBe(false);
    await say(ben, ada, "blocked");
    expect((await ask(ada, { accountId: ben.person.accountId })).status).toBe(202);
    expect(await requestsTo(ben)).toEqual([]);
    const contacts = await call(world, "GET", "/v1/contacts", { token: ada.token });
    expect(contacts.body.contacts).toEqual([]);
  });

  it("reaches it while both are in a group, unless it is blocked", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    await addAll(world, { member: ada, group }, [ben]);
    expect(await reaches(ada, ben)).toBe(true);
    await say(ben, ada, "blocked");
    expect(await reaches(ada, ben)).toBe(false);
    expect(await reaches(ben, ada)).toBe(true);
  });

  it("finds by the exact name alone", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    await say(ben, ada, "allowed");
    const { name } = ben.person;
    expect((await lookUp(ada, name)).status).toBe(200);
    for (const other of [name.toUpperCase(), name.slice(0, -1), `${name}%`, "%", "Contact _"]) {
      expect((await lookUp(ada, other)).status).toBe(404);
    }
  });

  it("asks so often, and no more", async () => {
    const few = await startWorld({
      contact: "ask",
      limits: { ask: { burst: 2, perSecond: 0.01 } },
    });
    const ada = await aMember(few);
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await ask(ada, { name: `N ${i}` }, few)).status);
    expect(statuses).toEqual([202, 202, 429]);
    await few.close();
  });

  it("asks so often with all accounts from one address, however many those are", async () => {
    const few = await startWorld({
      contact: "ask",
      limits: { asksPerAddress: { burst: 2, perSecond: 0.01 } },
    });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) {
      statuses.push((await ask(await aMember(few), { name: "Somebody" }, few)).status);
    }
    expect(statuses).toEqual([202, 202, 429]);
    await few.close();
  });
});

describe("an account", () => {
  it("decides for itself whether it is open, whatever the service's rule is", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const set = (contact: string): Promise<Answer> =>
      call(world, "PUT", "/v1/account/contact", { token: ben.token, body: { contact } });
    await set("open");
    expect(await reaches(ada, ben)).toBe(true);
    await set("default");
    expect(await reaches(ada, ben)).toBe(false);
    const open = await startWorld({ contact: "open" });
    const [cleo, dora] = [await aMember(open), await aMember(open)];
    expect((await lookUp(cleo, dora.person.name, open)).status).toBe(200);
    await call(open, "PUT", "/v1/account/contact", { token: dora.token, body: { contact: "ask" } });
    expect((await lookUp(cleo, dora.person.name, open)).status).toBe(404);
    await open.close();
  });

  it("refuses what is no answer, and takes an answer about anybody", async () => {
    const ada = await aMember();
    const set = (id: string, body: unknown): Promise<Answer> =>
      call(world, "PUT", `/v1/contacts/${id}`, { token: ada.token, body });
    expect((await set(bytesToText(random(32)), { state: "asked" })).status).toBe(400);
    expect((await set(bytesToText(random(31)), { state: "allowed" })).status).toBe(404);
    expect((await set(bytesToText(random(32)), { state: "allowed" })).status).toBe(204);
    expect((await ask(ada, { name: "A", accountId: random(32) })).status).toBe(400);
    expect((await ask(ada, {})).status).toBe(400);
  });
});

describe("strangers that claim key packages", () => {
  it("leave a reserve and get the last resort; the owner is told, and who is known gets the rest", async () => {
    const open = await startWorld({
      contact: "open",
      limits: {
        reserve: 2,
        strangerClaim: { burst: 3, perSecond: 0.001 },
        strangerClaimed: { burst: 5, perSecond: 0.001 },
      },
    });
    const [ben, known] = [await aMember(open), await aMember(open)];
    const keyPackages = await Promise.all(Array.from({ length: 12 }, () => aKeyPackage(ben)));
    const lastResort = await aKeyPackage(ben);
    const upload = { keyPackages, lastResort };
    await call(open, "POST", "/v1/key-packages", { token: ben.token, body: upload });
    await call(open, "PUT", `/v1/contacts/${bytesToText(known.person.accountId)}`, {
      token: ben.token,
      body: { state: "allowed" },
    });
    const bens = await listenReady(open, ben.token);
    const served: string[] = [];
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) {
      const stranger = await aMember(open);
      for (let j = 0; j < 4; j++) {
        const answer = await claim(stranger, ben.person.accountId, open);
        statuses.push(answer.status);
        if (answer.status === 200) served.push(answer.body.keyPackages[0].keyPackage);
      }
    }
    // Three of four for each of them; five of all of these from the pool.
    expect(statuses).toEqual([200, 200, 200, 429, 200, 200, 200, 429, 200, 200, 200, 429]);
    const last = bytesToText(lastResort);
    expect(served.filter((one) => one !== last)).toHaveLength(5);
    await eventually(() => bens.frames.some(({ type }) => type === "key-packages"));
    const pool = await call(open, "GET", "/v1/key-packages", { token: ben.token });
    expect(pool.body.pools).toMatchObject([{ suite: 1, available: 7, lastResort: true }]);
    const answer = await claim(known, ben.person.accountId, open);
    expect(answer.body.keyPackages[0].keyPackage).not.toBe(last);
    await open.close();
  });
});
