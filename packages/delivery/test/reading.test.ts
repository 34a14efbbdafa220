import { request } from "node:http";
import { expect, it } from "vitest";
import { createReading } from "../src/reading.ts";
import { newMember, pathOf, send, startGroup } from "./member.ts";
import { call, eventually, random, startWorld } from "./world.ts";

it("bodies have room as far as there is some, for each caller and in all, until they are dealt with", () => {
  // Each as 4 KiB more than it has.
  const reserve = createReading({ bodyBytes: 16_010, bodyBytesPerCaller: 8_200 });
  const full = expect.objectContaining({ code: "too-many-requests" });
  expect(() => reserve(["a"], 4_105)).toThrow(full);
  // What is said to come and hasn't come takes no room.
  const [first, second] = [reserve(["a", "here"], 4_000), reserve(["a", "here"], 0)];
  expect(() => reserve(["a"], 0)).toThrow(full);
  expect(() => reserve(["b", "here"], 0)).toThrow(full);
  first.grow(8);
  expect(() => first.grow(1)).toThrow(full);
  const other = reserve(["b", "there"], 3_700);
  expect(() => other.grow(4_105)).toThrow(full);
  other.grow(3_700);
  expect(() => reserve(["c"], 0)).toThrow(full);
  for (const room of [first, second, other, other]) room.release();
  reserve(["a", "here"], 4_000).grow(4_000);
  reserve(["c", "there"], 3_800).grow(3_800);
});

it("an account whose bodies are under way waits with the next, of whatever device", async () => {
  const world = await startWorld({
    limits: { bodyBytesPerCaller: 68 * 1024 },
    trustedProxies: 1,
  });
  const [ada, ben] = [await newMember(world, "Ada"), await newMember(world, "Ben")];
  const path = pathOf(random(16), "messages");
  let address = 0;
  const elsewhere = () => ({ "x-forwarded-for": `192.0.2.${++address}` });
  const post = ({ token }: { token: string }) =>
    call(world, "POST", path, { token, body: random(1000), headers: elsewhere() });
  const slow = request(world.url + path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${ada.token}`,
      "content-type": "message/mls",
      "content-length": 64 * 1024,
    },
  });
  slow.on("error", () => undefined);
  slow.write(random(10));
  // It says much and sends little.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect((await post(ada)).status).not.toBe(429);
  slow.write(random(63 * 1024));
  await eventually(async () => (await post(ada)).status === 429);
  expect((await post(ada)).headers.get("retry-after")).toBe("1");
  expect((await post(ben)).status).not.toBe(429);
  slow.destroy();
  await eventually(async () => (await post(ada)).status !== 429);
  await world.close();
});

it("a body that was read has its room until it is dealt with, however long that takes", async () => {
  const world = await startWorld({
    limits: { bodyBytesPerCaller: 8_000 },
    trustedProxies: 1,
  });
  const [ada, ben] = [await newMember(world, "Ada"), await newMember(world, "Ben")];
  const group = await startGroup(world, ada);
  const gate = Promise.withResolvers<undefined>();
  const append = world.store.appendApplication.bind(world.store);
  let asked = 0;
  world.store.appendApplication = async (message) => {
    asked++;
    await gate.promise;
    return append(message);
  };
  const first = send(world, ada, group, "one");
  await eventually(() => asked === 1);
  expect((await send(world, ada, group, "two")).answer.status).toBe(429);
  const bens = call(world, "POST", pathOf(group.groupId, "messages"), {
    token: ben.token,
    body: await group.send(random(10)),
    headers: { "x-forwarded-for": "192.0.2.7" },
  });
  await eventually(() => asked === 2);
  gate.resolve(undefined);
  expect((await first).answer.status).toBe(201);
  expect((await bens).status).toBe(404);
  expect((await send(world, ada, group, "three")).answer.status).toBe(201);
  await world.close();
});
