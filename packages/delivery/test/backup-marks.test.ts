import { AccountExport, LIMITS } from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Member, newMember } from "./member.ts";
import { type Answer, call, random, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

let count = 0;
const aMember = (): Promise<Member> => newMember(world, `Backup ${++count}`);
const PATH = "/v1/account/backup";
const read = ({ token }: Member): Promise<Answer> => call(world, "GET", PATH, { token });
const note = ({ token }: Member, number: unknown, seal: Uint8Array = random(44)): Promise<Answer> =>
  call(world, "PUT", PATH, { token, body: { number, seal } });

describe("what an account notes about its newest backup", () => {
  it("is the account's alone, is never followed by what is older, and is in what is held about it", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    expect((await read(ada)).body).toEqual({});
    const seal = random(44);
    expect((await note(ada, 3, seal)).status).toBe(204);
    // After an answer that was lost.
    expect((await note(ada, 3, seal)).status).toBe(204);
    for (const number of [3, 2]) {
      const refused = await note(ada, number);
      expect([refused.status, refused.problem.code]).toEqual([409, "backup-older"]);
      expect(refused.problem["number"]).toBe(3);
    }
    const mark = { number: 3, seal: Buffer.from(seal).toString("base64url") };
    expect((await read(ada)).body).toEqual({ mark });
    expect((await read(ben)).body).toEqual({});
    const held = await call(world, "GET", "/v1/account/export", { token: ada.token });
    expect(AccountExport.parse(held.body).backup).toEqual({ number: 3, seal });
    expect((await call(world, "GET", PATH, {})).status).toBe(401);
  });

  it("is not of a time to come: nobody can note what no later backup gets past", async () => {
    const ada = await aMember();
    const refused = await note(ada, world.clock.now + 6 * 60_000);
    expect(refused.problem.code).toBe("clock-skew");
    expect(refused.problem["now"]).toBe(world.clock.now);
    expect((await note(ada, world.clock.now + 4 * 60_000)).status).toBe(204);
  });

  it("is small, and counted from one", async () => {
    const ada = await aMember();
    expect((await note(ada, 1, random(LIMITS.backupSeal))).status).toBe(204);
    const wrong = [
      await note(ada, 2, random(LIMITS.backupSeal + 1)),
      await note(ada, 0),
      await note(ada, 2.5),
      await note(ada, 2 ** 60),
      await note(ada, "2"),
    ];
    expect(wrong.map(({ status }) => status)).toEqual([400, 400, 400, 400, 400]);
  });
});
