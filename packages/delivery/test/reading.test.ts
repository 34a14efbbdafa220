import { request } from "node:http";
import { expect, it } from "vitest";
import { createReading } from "../src/reading.ts";
import { newMember, pathOf } from "./member.ts";
import { call, eventually, random, startWorld } from "./world.ts";

it("bodies are read as far as there is room, for each caller and in all", () => {
  const reserve = createReading({ bodyBytes: 10, bodyBytesPerDevice: 6 });
  const release = reserve("a", 6);
  expect(() => reserve("a", 1)).toThrow(expect.objectContaining({ code: "too-many-requests" }));
  reserve("b", 4);
  expect(() => reserve("c", 1)).toThrow(expect.objectContaining({ code: "too-many-requests" }));
  release();
  reserve("a", 6)();
  reserve("c", 6);
});

it("a device whose bodies are under way waits with the next", async () => {
  const world = await startWorld({ limits: { bodyBytesPerDevice: 64 * 1024 } });
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
