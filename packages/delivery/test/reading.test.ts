import { request } from "node:http";
import { expect, it } from "vitest";
import { createReading } from "../src/reading.ts";
import { newMember, pathOf, postMessage, send, startGroup } from "./member.ts";
import { call, eventually, random, startWorld } from "./world.ts";

it("bodies have room as far as there is some, for each caller and in all, until they are dealt with", () => {
  // Each as 4 KiB more than it has.
  const reserve = createReading({ bodyBytes: 16_010, bodyBytesPerDevice: 8_200 });
  const full = expect.objectContaining({ code: "too-many-requests" });
  const large = reserve("a", 4_000);
  expect(() => reserve("a", 9)).toThrow(full);
  large.shrink(8);
  const small = reserve("a", 0);
  expect(() => reserve("a", 0)).toThrow(full);
  const other = reserve("b", 3_700);
  expect(() => reserve("c", 0)).toThrow(full);
  for (const room of [large, small, other]) room.release();
  reserve("a", 4_000);
  reserve("c", 3_800);
});

it("a device whose bodies are under way waits with the next", async () => {
  const world = await startWorld({ limits: { bodyBytesPerDevice: 68 * 1024 } });
  const [ada, ben] = [await newMember(world, "Ada"), await newMember(world, "Ben")];
  const path = pathOf(random(16), "messages");
  const post = ({ token }: { token: string }) =>
    call(world, "POST", path, { token, body: random(1000) });
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
  await eventually(async () => (await post(ada)).status === 429);
  expect((await post(ada)).headers.get("retry-after")).toBe("1");
  expect((await post(ben)).status).not.toBe(429);
  slow.destroy();
  await eventually(async () => (await post(ada)).status !== 429);
  await world.close();
});

it("a body that was read has its room until it is dealt with, however long that takes", async () => {
  const world = await startWorld({ limits: { bodyBytesPerDevice: 8_000 } });
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
  const bens = postMessage(world, ben, group.groupId, await group.send(random(10)));
  await eventually(() => asked === 2);
  gate.resolve(undefined);
  expect((await first).answer.status).toBe(201);
  expect((await bens).status).toBe(404);
  expect((await send(world, ada, group, "three")).answer.status).toBe(201);
  await world.close();
});
