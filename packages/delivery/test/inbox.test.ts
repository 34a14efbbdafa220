import { afterAll, beforeAll, expect, it } from "vitest";
import { addOf, aKeyPackage, commit, newMember, readInbox, startGroup } from "./member.ts";
import { type Answer, call, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

it("an inbox holds what its device has not acknowledged, and no more can be acknowledged", async () => {
  const [ada, ben] = [await newMember(world, "Ada"), await newMember(world, "Ben")];
  for (let i = 0; i < 3; i++) {
    const group = await startGroup(world, ada);
    await commit(world, ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
  }
  const acknowledge = (upTo: number, token = ben.token): Promise<Answer> =>
    call(world, "POST", "/v1/inbox/ack", { token, body: { upTo } });
  expect((await readInbox(world, ben)).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  for (const upTo of [4, -1, 1e9]) {
    const code = upTo < 0 ? "bad-request" : "beyond-end";
    expect((await acknowledge(upTo)).problem.code).toBe(code);
  }
  // Another's acknowledgement is of another's inbox.
  expect((await acknowledge(1, ada.token)).problem.code).toBe("beyond-end");
  expect((await acknowledge(2)).status).toBe(204);
  expect((await readInbox(world, ben)).map(({ seq }) => seq)).toEqual([3]);
  const after = await call(world, "GET", "/v1/inbox?after=3", { token: ben.token });
  expect(after.body).toEqual({ entries: [] });
});
