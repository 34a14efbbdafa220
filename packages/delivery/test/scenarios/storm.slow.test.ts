import { expect, it } from "vitest";
import { type Member, newMember } from "../member.ts";
import { startWorld } from "../world.ts";
import { storm, takeSeats } from "./seats.ts";

it("fifty members commit at once: each is done in the end", { timeout: 300_000 }, async () => {
  // All of them come from one address, and the world's clock stands still.
  const much = { burst: 10_000, perSecond: 1 };
  const world = await startWorld({ limits: { groupMessage: much, address: much } });
  const members: Member[] = [];
  for (let i = 0; i < 50; i++) members.push(await newMember(world, `Committer ${i}`));
  const { most, views } = await storm(world, await takeSeats(world, members));
  expect(most).toBeLessThanOrEqual(50);
  expect(views).toHaveLength(1);
  expect(views[0]?.epoch).toBe(51n);
  expect(world.lines.filter(({ status }) => status >= 500)).toEqual([]);
  await world.close();
});
