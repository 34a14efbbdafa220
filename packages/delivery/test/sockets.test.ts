import { once } from "node:events";
import { connect } from "node:net";
import { localDoorbell } from "@conclave/delivery";
import { bytesToText } from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { greet, type Listener, listen, listenReady } from "./listener.ts";
import {
  addAll,
  addOf,
  aKeyPackage,
  commit,
  commitLinks,
  joinByLink,
  newLink,
  newMember,
  send,
  startGroup,
} from "./member.ts";
import {
  call,
  eventually,
  newPerson,
  PAGE,
  proveSignIn,
  register,
  signList,
  signNextList,
  startWorld,
  type World,
} from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld({ limits: { socketsPerDevice: 2 } });
});
afterAll(() => world.close());

async function refusedWith(listener: Listener): Promise<number> {
  return new Promise((resolve) =>
    listener.socket.on("unexpected-response", (_, response) => resolve(response.statusCode ?? 0)),
  );
}

let count = 0;
const aToken = async (at: World = world): Promise<string> =>
  register(at, await newPerson(`Listener ${++count}`));

describe("a socket", () => {
  it("is ready once it has said hello with a token, from a page or from elsewhere", async () => {
    const token = await aToken();
    for (const options of [{ origin: PAGE }, {}]) {
      const listener = listen(world, options);
      await greet(listener, token);
      await eventually(() => listener.frames.length > 0);
      expect(listener.frames).toEqual([{ type: "ready" }]);
      listener.socket.close();
      await listener.closed;
    }
  });

  it("is refused to pages of other origins, and on other paths", async () => {
    expect(await refusedWith(listen(world, { origin: "https://evil.example" }))).toBe(403);
    expect(await refusedWith(listen(world, { path: "/v1/groups" }))).toBe(404);
  });

  it("is refused without a word to a handshake that is none", async () => {
    // It does not close its own side: the service does not wait for that.
    const at = { port: world.server.port, host: "127.0.0.1", allowHalfOpen: true };
    const socket = connect(at);
    socket.write("GET /v1/socket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n");
    socket.write("upgrade: websocket\r\nsec-websocket-key: short\r\n\r\n");
    let answer = "";
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString();
    });
    await once(socket, "end");
    socket.on("error", () => undefined);
    await eventually(() => {
      if (!socket.destroyed) socket.write("more");
      return socket.destroyed;
    });
    expect(answer).toBe("HTTP/1.1 400 Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  });

  it("is closed for a wrong token, and for what is no hello", async () => {
    const wrong = listen(world);
    await greet(wrong, "wrong");
    expect(await wrong.closed).toBe(4401);
    for (const frame of ["{", JSON.stringify({ type: "bye" }), Buffer.from([1])]) {
      const listener = listen(world);
      await new Promise((resolve) => listener.socket.once("open", resolve));
      listener.socket.send(frame);
      expect(await listener.closed).toBe(1008);
    }
  });

  it("is closed for a frame that is too large, and for too many", async () => {
    const large = await listenReady(world, await aToken());
    large.socket.send("A".repeat(2000));
    expect(await large.closed).toBe(1009);
    const many = await listenReady(world, await aToken());
    for (let i = 0; i < 30; i++) many.socket.send("{}");
    expect(await many.closed).toBe(1008);
  });

  it("is closed when no hello comes in time", async () => {
    const hasty = await startWorld({ limits: { hello: 20 } });
    expect(await listen(hasty).closed).toBe(4408);
    await hasty.close();
  });

  it("is one of few that a device has", async () => {
    const token = await aToken();
    await listenReady(world, token);
    const second = await listenReady(world, token);
    const third = listen(world);
    await greet(third, token);
    expect(await third.closed).toBe(4429);
    second.socket.close();
    await second.closed;
    await listenReady(world, token);
  });

  it("is one of so many in all", async () => {
    const small = await startWorld({ limits: { sockets: 1 } });
    await listenReady(small, await aToken(small));
    expect(await listen(small).closed).toBe(4429);
    await small.close();
  });

  it("keeps nobody out before it has said hello", async () => {
    const small = await startWorld({ limits: { sockets: 2 } });
    const silent = [listen(small), listen(small)];
    for (const { socket } of silent) await once(socket, "open");
    const token = await aToken(small);
    const staying = [await listenReady(small, token), await listenReady(small, token)];
    expect(await Promise.all(silent.map(({ closed }) => closed))).toEqual([4408, 4408]);
    expect(await listen(small).closed).toBe(4429);
    expect(staying.map(({ socket }) => socket.readyState)).toEqual([1, 1]);
    await small.close();
  });

  it("is opened so often by a device", async () => {
    const fresh = await startWorld({ limits: { socket: { burst: 3, perSecond: 0.5 } } });
    const token = await aToken(fresh);
    const codes = [];
    for (let i = 0; i < 4; i++) {
      const listener = listen(fresh);
      await greet(listener, token);
      await eventually(() => listener.frames.length > 0 || listener.socket.readyState > 1);
      listener.socket.close();
      codes.push(await listener.closed);
    }
    expect(codes).toEqual([1005, 1005, 1005, 4429]);
    fresh.clock.now += 4000;
    await listenReady(fresh, token);
    await fresh.close();
  });

  it("is one of few from an address, where who says nothing keeps nobody out", async () => {
    const small = await startWorld({ limits: { socketsPerAddress: 2 } });
    const silent = [listen(small), listen(small)];
    for (const { socket } of silent) await once(socket, "open");
    const token = await aToken(small);
    const staying = [await listenReady(small, token), await listenReady(small, token)];
    expect(await Promise.all(silent.map(({ closed }) => closed))).toEqual([4408, 4408]);
    expect(await listen(small).closed).toBe(4429);
    expect(staying.map(({ socket }) => socket.readyState)).toEqual([1, 1]);
    await small.close();
  });

  it("is refused safely: what it sends meanwhile ends that connection alone", async () => {
    const small = await startWorld({ limits: { sockets: 1 } });
    const staying = await listenReady(small, await aToken(small));
    // A frame that no client may send, since it is not masked; and nothing, so that nobody agrees to the end.
    for (const sent of [Buffer.from([0x81, 0x01, 0x41]), Buffer.alloc(0)]) {
      const socket = connect({ port: small.server.port, host: "127.0.0.1" });
      const closed = once(socket, "close");
      socket.write("GET /v1/socket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n");
      socket.write("upgrade: websocket\r\nsec-websocket-version: 13\r\n");
      socket.write(`sec-websocket-key: ${Buffer.alloc(16).toString("base64")}\r\n\r\n`);
      await once(socket, "data");
      socket.resume().write(sent);
      await closed;
    }
    expect(staying.socket.readyState).toBe(WebSocket.OPEN);
    await small.close();
  }, 10_000);

  it("ends with its session: at sign-out, when its time is over, when the device is revoked", async () => {
    const short = await startWorld({ limits: { heartbeat: 500 } });
    const token = await aToken(short);
    const listener = await listenReady(short, token);
    await call(short, "DELETE", "/v1/sessions", { token });
    expect(await listener.closed).toBe(4401);

    const expiring = await listenReady(short, await aToken(short));
    short.clock.now += 60 * 60 * 1000;
    expect(await expiring.closed).toBe(4401);
    short.clock.now -= 60 * 60 * 1000;

    const [person, second] = [await newPerson("With two"), await newPerson("Second")];
    const deviceList = await signList(person, { devices: [person.device, second.device] });
    const body = { deviceList, signIn: await proveSignIn(person) };
    const mine = (await call(short, "POST", "/v1/accounts", { body })).body.token;
    const signIn = await proveSignIn({ ...second, accountId: person.accountId });
    const theirs = (await call(short, "POST", "/v1/sessions", { body: { signIn } })).body.token;
    const revoked = await listenReady(short, theirs);
    const devices = [person.device, { ...second.device, revokedAt: 1n }];
    await call(short, "PUT", `/v1/accounts/${bytesToText(person.accountId)}/device-list`, {
      token: mine,
      body: { deviceList: await signNextList(person, deviceList, { devices }) },
    });
    expect(await revoked.closed).toBe(4401);
    await short.close();
  });

  it("ends with its session although nobody rang: the store is asked", async () => {
    // Another process, whose rings are lost.
    const other = await startWorld({ store: world.store, keepStore: true });
    const short = await startWorld({
      store: world.store,
      keepStore: true,
      limits: { heartbeat: 500 },
    });
    const token = await aToken(other);
    const listener = await listenReady(short, token);
    const staying = await listenReady(short, await aToken(other));
    await call(other, "DELETE", "/v1/sessions", { token });
    expect(await listener.closed).toBe(4401);
    expect(staying.socket.readyState).toBe(WebSocket.OPEN);
    await short.close();
    await other.close();
  });

  it("ends with its session as soon as it hears of it, and no other does", async () => {
    const calm = await startWorld({ limits: { heartbeat: 3_600_000 } });
    const person = await newPerson("Twice");
    const first = await register(calm, person);
    const body = { signIn: await proveSignIn(person) };
    const second = (await call(calm, "POST", "/v1/sessions", { body })).body.token;
    const ending = await listenReady(calm, first);
    const staying = await listenReady(calm, second);
    await call(calm, "DELETE", "/v1/sessions", { token: first });
    expect(await ending.closed).toBe(4401);
    expect(staying.socket.readyState).toBe(WebSocket.OPEN);
    await calm.close();
  });

  it("ends with its session also where the word of that comes while all are looked at", async () => {
    const doorbell = localDoorbell();
    const looked = await startWorld({ doorbell, limits: { heartbeat: 3_600_000 } });
    const { store } = looked;
    const token = await aToken(looked);
    const listener = await listenReady(looked, token);
    const sessionsLive = store.sessionsLive.bind(store);
    const [answered, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    store.sessionsLive = async (...given) => {
      const live = await sessionsLive(...given);
      answered.resolve();
      await told.promise;
      return live;
    };
    doorbell.ring({ type: "all" });
    await answered.promise;
    // By another process, which rings for everything.
    const other = await startWorld({ store, keepStore: true });
    await call(other, "DELETE", "/v1/sessions", { token });
    doorbell.ring({ type: "all" });
    told.resolve();
    expect(await listener.closed).toBe(4401);
    await other.close();
    await looked.close();
  });

  it("is given up when it does not answer pings", async () => {
    const short = await startWorld({ limits: { heartbeat: 20 } });
    const url = short.url.replace("http", "ws");
    const silent = new WebSocket(`${url}/v1/socket`, { autoPong: false });
    const closed = new Promise((resolve) => silent.on("close", resolve));
    await new Promise((resolve) => silent.once("open", resolve));
    silent.send(JSON.stringify({ type: "hello", token: await aToken(short) }));
    expect(await closed).toBe(1006);
    await short.close();
  });

  it("is closed when the service shuts down", async () => {
    const ending = await startWorld();
    const listener = await listenReady(ending, await aToken(ending));
    await ending.close();
    expect(await listener.closed).toBe(1012);
  });
});

describe("doorbells", () => {
  const headOf = (listener: Listener): number =>
    Math.max(0, ...listener.frames.map((frame) => (frame.type === "group" ? frame.head : 0)));
  /** Waits until it has heard of this head; answers with the last it has heard of. */
  async function hears(listener: Listener, head: number): Promise<number> {
    await eventually(() => headOf(listener) >= head);
    return headOf(listener);
  }

  it("ring for members with each message, and from when on they are in", async () => {
    const [ada, ben] = [await newMember(world, "Ada"), await newMember(world, "Ben")];
    const group = await startGroup(world, ada);
    const adas = await listenReady(world, ada.token);
    const bens = await listenReady(world, ben.token);
    await send(world, ada, group, "one");
    await hears(adas, 1);
    expect(adas.frames.at(-1)).toEqual({ type: "group", groupId: group.groupId, head: 1 });
    await commit(world, ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
    await eventually(() => bens.frames.some((frame) => frame.type === "inbox"));
    await send(world, ada, group, "two");
    await hears(bens, 3);
  });

  it("ring for a group that was made while the socket was open", async () => {
    const ada = await newMember(world, "Maker");
    const adas = await listenReady(world, ada.token);
    const group = await startGroup(world, ada);
    await send(world, ada, group, "one");
    expect(await hears(adas, 1)).toBe(1);
  });

  it("ring for who joins by a link, and for all who were there", async () => {
    const [ada, ben] = [await newMember(world, "Host"), await newMember(world, "Guest")];
    const group = await startGroup(world, ada);
    const link = await newLink();
    await commitLinks(world, ada, group, [link]);
    const [adas, bens] = [await listenReady(world, ada.token), await listenReady(world, ben.token)];
    await joinByLink(world, ben, link);
    expect(await hears(adas, 2)).toBe(2);
    expect(await hears(bens, 2)).toBe(2);
  });

  it("ring for the removed with their removal, and never again", async () => {
    const [ada, ben] = [await newMember(world, "Stays"), await newMember(world, "Goes")];
    const group = await startGroup(world, ada);
    const [joined] = await addAll(world, { member: ada, group }, [ben]);
    const bens = await listenReady(world, ben.token);
    const adas = await listenReady(world, ada.token);
    const removed = joined?.ownLeafIndex ?? 0;
    await commit(world, ada, group, { proposals: [{ proposalType: "remove", removed }] });
    await hears(bens, 2);
    await send(world, ada, group, "without Ben");
    await hears(adas, 3);
    // Something that is said later has arrived, so what was to be said before has too.
    const other = await startGroup(world, ben);
    await send(world, ben, other, "alone");
    await eventually(() => bens.frames.some((frame) => frame.type === "group" && frame.head === 1));
    expect(headOf(bens)).toBe(2);
    const again = await listenReady(world, ben.token);
    await send(world, ada, group, "still without Ben");
    await hears(adas, 4);
    await send(world, ben, other, "alone");
    await hears(again, 2);
    expect(again.frames.filter((frame) => frame.type === "group")).toEqual([
      { type: "group", groupId: other.groupId, head: 2 },
    ]);
  });

  it("ring no more for the removed whose joining is heard of after the removal", async () => {
    const doorbell = localDoorbell();
    const swapped = await startWorld({ doorbell });
    const [ada, ben] = [await newMember(swapped, "Ada"), await newMember(swapped, "Ben")];
    const { groupId } = await startGroup(swapped, ada);
    const bens = await listenReady(swapped, ben.token);
    const [device] = await swapped.store.devicesOf(ben.person.accountId);
    const numbers = [device?.device ?? -1];
    doorbell.ring({ type: "group", groupId, head: 6, joined: [], left: numbers });
    doorbell.ring({ type: "group", groupId, head: 5, joined: numbers, left: [] });
    doorbell.ring({ type: "group", groupId, head: 7, joined: [], left: [] });
    await new Promise((resolve) => setImmediate(resolve));
    // Once it is in again it hears of that.
    doorbell.ring({ type: "group", groupId, head: 8, joined: numbers, left: [] });
    expect(await hears(bens, 8)).toBe(8);
    expect(bens.frames.filter(({ type }) => type === "group")).toEqual([
      { type: "group", groupId, head: 8 },
    ]);
    await swapped.close();
  });

  it("ring on for who is back, although the removal is heard of late", async () => {
    const doorbell = localDoorbell();
    const swapped = await startWorld({ doorbell });
    const ada = await newMember(swapped, "Back");
    const group = await startGroup(swapped, ada);
    const { groupId } = group;
    const adas = await listenReady(swapped, ada.token);
    const [device] = await swapped.store.devicesOf(ada.person.accountId);
    await send(swapped, ada, group, "one");
    await hears(adas, 1);
    doorbell.ring({ type: "group", groupId, head: 0, joined: [], left: [device?.device ?? -1] });
    await eventually(() => adas.frames.some(({ type }) => type === "inbox"));
    await send(swapped, ada, group, "two");
    expect(await hears(adas, 2)).toBe(2);
    await swapped.close();
  });

  it("come as one for what happened while a frame was under way", async () => {
    const doorbell = localDoorbell();
    const busy = await startWorld({ doorbell });
    const ada = await newMember(busy, "Busy");
    const { groupId } = await startGroup(busy, ada);
    const adas = await listenReady(busy, ada.token);
    for (let head = 1; head <= 1000; head++) {
      doorbell.ring({ type: "group", groupId, head, joined: [], left: [] });
    }
    expect(await hears(adas, 1000)).toBe(1000);
    expect(adas.frames.length).toBeLessThan(10);
    await busy.close();
  });
});
