import { bytesToText, SessionsResponse } from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Answer,
  call,
  eventually,
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
const aPerson = (): Promise<Person> => newPerson(`Session ${++count}`);

async function signIn(person: Person, at: { readonly url: string } = world): Promise<string> {
  const answer = await call(at, "POST", "/v1/sessions", {
    body: { signIn: await proveSignIn(person) },
  });
  return answer.body.token;
}

async function list(token: string): Promise<SessionsResponse["sessions"]> {
  return SessionsResponse.parse((await call(world, "GET", "/v1/sessions", { token })).body)
    .sessions;
}

const holds = async (token: string, at: { readonly url: string } = world): Promise<boolean> =>
  (await call(at, "GET", "/v1/groups", { token })).status === 200;

/** An account with two devices: a token of each. */
async function withTwo(): Promise<{ person: Person; second: Person; tokens: [string, string] }> {
  const [person, other] = [await aPerson(), await aPerson()];
  const second = { ...other, accountId: person.accountId };
  const deviceList = await signList(person, { devices: [person.device, second.device] });
  const body = { deviceList, signIn: await proveSignIn(person) };
  const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
  world.clock.now += 1;
  return { person, second, tokens: [token, await signIn(second)] };
}

describe("sessions", () => {
  it("are told to their account, with the one that asks", async () => {
    const { person, second, tokens } = await withTwo();
    const sessions = await list(tokens[0]);
    expect(sessions.map(({ deviceId, current }) => [deviceId, current])).toEqual([
      [person.device.deviceId, true],
      [second.device.deviceId, false],
    ]);
    for (const { startedAt, expiresAt } of sessions) {
      expect(world.clock.now - startedAt).toBeLessThan(2);
      expect(expiresAt - startedAt).toBe(30 * 60 * 1000);
    }
    const answer = await call(world, "GET", "/v1/sessions", { token: tokens[0] });
    const text = JSON.stringify(answer.body);
    for (const token of tokens) expect(text).not.toContain(token);
  });

  it("end one by one, by any device of the account and by no other", async () => {
    const { tokens } = await withTwo();
    const stranger = await register(world, await aPerson());
    const theirs = (await list(tokens[0])).find(({ current }) => !current);
    const path = `/v1/sessions/${bytesToText(theirs?.sessionId ?? random(1))}`;
    const end = (token: string): Promise<Answer> => call(world, "DELETE", path, { token });
    // Of another's session a stranger learns nothing, not even that there is one.
    expect((await end(stranger)).status).toBe(204);
    expect(await holds(tokens[1])).toBe(true);
    expect((await end(tokens[0])).status).toBe(204);
    expect(await holds(tokens[1])).toBe(false);
    expect((await end(tokens[0])).status).toBe(204);
    expect(await holds(tokens[0])).toBe(true);
  });

  it("end for one device, and for the whole account", async () => {
    const { person, second, tokens } = await withTwo();
    const [mine, theirs] = tokens;
    const again = await signIn(second);
    const end = (token: string, body: object): Promise<Answer> =>
      call(world, "POST", "/v1/sessions/end", { token, body });
    const stranger = await register(world, await aPerson());
    await end(stranger, { deviceId: second.device.deviceId });
    expect(await holds(theirs)).toBe(true);
    expect((await end(mine, { deviceId: second.device.deviceId })).status).toBe(204);
    expect(await Promise.all([mine, theirs, again].map((one) => holds(one)))).toEqual([
      true,
      false,
      false,
    ]);
    const late = await signIn(second);
    expect((await end(late, {})).status).toBe(204);
    expect(await Promise.all([mine, late].map((one) => holds(one)))).toEqual([false, false]);
    expect(await holds(await signIn(person))).toBe(true);
  });

  it("end with the revocation of their device, in every process at once", async () => {
    const { person, second, tokens } = await withTwo();
    const other = await startWorld({ store: world.store, keepStore: true });
    expect(await holds(tokens[1], other)).toBe(true);
    const held = await call(
      world,
      "GET",
      `/v1/accounts/${bytesToText(person.accountId)}/device-list`,
      { token: tokens[0] },
    );
    const previous = new Uint8Array(Buffer.from(held.body.deviceList, "base64url"));
    const devices = [person.device, { ...second.device, revokedAt: 1n }];
    const path = `/v1/accounts/${bytesToText(person.accountId)}/device-list`;
    const body = { deviceList: await signNextList(person, previous, { devices }) };
    expect((await call(world, "PUT", path, { token: tokens[0], body })).status).toBe(204);
    expect(await holds(tokens[1], other)).toBe(false);
    expect(await holds(tokens[0], other)).toBe(true);
    const late = await call(other, "POST", "/v1/sessions", {
      body: { signIn: await proveSignIn(second) },
    });
    expect(late.problem.code).toBe("invalid-signature");
    await other.close();
  });

  it("are good at the service whose origin was signed, and at no other with the same store", async () => {
    const person = await aPerson();
    const token = await register(world, person);
    const publicOrigin = "https://elsewhere.example";
    const other = await startWorld({ store: world.store, keepStore: true, publicOrigin });
    expect(await holds(token)).toBe(true);
    expect(await holds(token, other)).toBe(false);
    const replayed = await call(other, "POST", "/v1/sessions", {
      body: { signIn: await proveSignIn(person, { service: ORIGIN }) },
    });
    expect(replayed.problem.code).toBe("invalid-signature");
    const body = { signIn: await proveSignIn(person, { service: publicOrigin }) };
    const there = (await call(other, "POST", "/v1/sessions", { body })).body.token;
    expect(await holds(there, other)).toBe(true);
    expect(await holds(there)).toBe(false);
    await other.close();
  });

  it("that end while a body comes in do nothing with it", async () => {
    const { tokens } = await withTwo();
    const [token, other] = tokens;
    const begin = (path: string, type: string, headers: object, first: string) => {
      const { promise, resolve } = Promise.withResolvers<string>();
      const request = fetch(world.url + path, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": type, ...headers },
        body: new ReadableStream<Uint8Array>({
          async start(controller) {
            controller.enqueue(new TextEncoder().encode(first));
            controller.enqueue(new TextEncoder().encode(await promise));
            controller.close();
          },
        }),
        duplex: "half",
      } as RequestInit);
      return { request, finish: resolve };
    };
    const json = begin("/v1/sessions/end", "application/json", {}, "{");
    const blobHeaders = { "upload-complete": "?1", "upload-length": "20" };
    const blob = begin("/v1/blobs", "application/octet-stream", blobHeaders, "0123456789");
    // It was let in: there is an upload.
    await eventually(() => world.service.status().requests === 2);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await call(world, "DELETE", "/v1/sessions", { token })).status).toBe(204);
    json.finish("}");
    blob.finish("0123456789");
    expect((await json.request).status).toBe(401);
    expect((await blob.request).status).toBe(401);
    expect(await holds(other)).toBe(true);
  });

  it("are those of the copy of the device's client that signed in last, unless another takes over", async () => {
    const person = await aPerson();
    await register(world, person);
    const begin = async (id: Uint8Array, succeeds: readonly Uint8Array[], takeOver = false) => {
      const instance = { id, succeeds, takeOver };
      const body = { signIn: await proveSignIn(person), instance };
      return call(world, "POST", "/v1/sessions", { body });
    };
    const [first, next, copy] = [random(16), random(16), random(16)];
    // As long as none says which it is, they are not told apart.
    expect(await holds(await signIn(person))).toBe(true);
    const { token } = (await begin(first, [])).body;
    const successor = await begin(next, [first]);
    expect(successor.status).toBe(201);
    expect(await holds(token)).toBe(false);
    for (const refused of [await begin(copy, [first]), await begin(first, [])]) {
      expect([refused.status, refused.body.code]).toEqual([409, "device-in-use"]);
    }
    expect(await holds(successor.body.token)).toBe(true);
    const taken = await begin(copy, [first], true);
    expect([await holds(successor.body.token), await holds(taken.body.token)]).toEqual([
      false,
      true,
    ]);
    const unnamed = { signIn: await proveSignIn(person) };
    const silent = await call(world, "POST", "/v1/sessions", { body: unnamed });
    expect([silent.status, silent.body.code]).toEqual([409, "device-in-use"]);
    expect(await holds(taken.body.token)).toBe(true);
    const many = Array.from({ length: 9 }, () => random(16));
    expect((await begin(random(16), many)).status).toBe(400);
    expect((await begin(random(15), [copy])).status).toBe(400);
  });

  it("last half an hour", async () => {
    const short = await startWorld();
    const token = await register(short, await aPerson());
    short.clock.now += 30 * 60 * 1000 - 1;
    expect(await holds(token, short)).toBe(true);
    short.clock.now += 1;
    expect(await holds(token, short)).toBe(false);
    await short.close();
  });
});
