/**
 * Many who come by one link at once, through the service.
 * @module
 */

import { expect, it } from "vitest";
import {
  commitLinks,
  composeJoin,
  type Member,
  newLink,
  newMember,
  type OwnLink,
  postCommit,
  readLink,
  readLog,
  startGroup,
} from "../member.ts";
import type { World } from "../world.ts";
import { catchUp, type Seat } from "./seats.ts";
import type { Start } from "./worlds.ts";

/** All of them come from one address, and a world's clock stands still. */
const MUCH = { burst: 1_000_000, perSecond: 1 };
const OPEN = { address: MUCH, groupMessage: MUCH, registration: MUCH, join: MUCH };
const USES = 5;

async function people(world: World, count: number): Promise<readonly Member[]> {
  const members = Array.from({ length: count }, (_, i) => newMember(world, `Joiner ${i}`));
  return Promise.all(members);
}

/** What becomes of one attempt: its status, or the code with which it was refused. */
async function attempt(world: World, member: Member, link: OwnLink): Promise<number | string> {
  const there = await readLink(world, member, link);
  if (there.status !== 200) return there.problem.code;
  let join: Awaited<ReturnType<typeof composeJoin>>;
  try {
    join = await composeJoin(world, member, link);
  } catch {
    // The group went on while its tree was read, or the link closed: the next attempt is told.
    return "raced";
  }
  const answer = await postCommit(world, member, join.group.groupId, join.body);
  if (answer.status === 201) return 201;
  await join.group.remove();
  return answer.problem.code;
}

/** Tries until it is in, or the link is closed; whoever loses an epoch waits a little. */
async function joinSoon(
  world: World,
  member: Member,
  link: OwnLink,
  codes: Set<number | string>,
): Promise<boolean> {
  for (;;) {
    const outcome = await attempt(world, member, link);
    codes.add(outcome);
    if (outcome === 201) return true;
    if (outcome === "link-closed") return false;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 2000));
  }
}

/** What a refused joiner is told: that it was not the first, that there is much to do, or that the link is closed. */
const CLEAR = new Set([201, "raced", "wrong-epoch", "too-many-requests", "link-closed"]);

/** The tests, with so many. */
export function linkTests(start: Start, joiners: number): void {
  it("lets in as many of a crowd as it is for, and tells all others that it is closed", async () => {
    const world = await start({ limits: OPEN });
    const [ada] = await people(world, 1);
    if (ada === undefined) throw new Error("nobody");
    const group = await startGroup(world, ada);
    const link = await newLink({ maxUses: USES });
    await commitLinks(world, ada, group, [link]);
    const codes = new Set<number | string>();
    const guests = await Promise.all(
      Array.from({ length: joiners }, (_, i) => newMember(world, `Guest ${i}`)),
    );
    const joined = await Promise.all(guests.map((one) => joinSoon(world, one, link, codes)));
    expect(joined.filter((is) => is)).toHaveLength(USES);
    expect(codes.difference(CLEAR)).toEqual(new Set());
    // Those, and no others, are in the log and in the group that Ada follows it to.
    const seat: Seat = { member: ada, group, read: 1 };
    await catchUp(world, seat);
    expect(seat.read).toBe(1 + USES);
    expect(group.members()).toHaveLength(1 + USES);
    expect((await readLink(world, ada, link)).problem.code).toBe("link-closed");
    await world.close();
  });

  it("that is revoked while a crowd comes lets in nobody after that was acknowledged", async () => {
    const world = await start({ limits: OPEN });
    const [ada, late] = await people(world, 2);
    if (ada === undefined || late === undefined) throw new Error("nobody");
    const group = await startGroup(world, ada);
    const link = await newLink({ maxUses: 1000 });
    await commitLinks(world, ada, group, [link]);
    const codes = new Set<number | string>();
    const guests = await Promise.all(
      Array.from({ length: joiners }, (_, i) => newMember(world, `Guest ${i}`)),
    );
    const joining = guests.map((one) => joinSoon(world, one, link, codes));
    const seat: Seat = { member: ada, group, read: 1 };
    while (seat.read < 4) await catchUp(world, seat);
    // One that was composed before, and comes after.
    let prepared = await composeJoin(world, late, link).catch(() => undefined);
    while (prepared === undefined)
      prepared = await composeJoin(world, late, link).catch(() => undefined);
    let revoked = await commitLinks(world, ada, group, []);
    while (revoked.status !== 201) {
      expect(revoked.problem.code).toBe("wrong-epoch");
      await catchUp(world, seat);
      revoked = await commitLinks(world, ada, group, []);
    }
    const after = await postCommit(world, late, group.groupId, prepared.body);
    expect(after.problem.code).toBe("link-closed");
    const joined = (await Promise.all(joining)).filter((is) => is).length;
    expect(codes.difference(CLEAR)).toEqual(new Set());
    // All that came in stand before the revocation, which is the last entry.
    const { entries } = await readLog(world, ada, group.groupId);
    expect(entries.at(-1)?.seq).toBe(revoked.body.seq);
    expect(entries).toHaveLength(1 + joined + 1);
    expect(joined).toBeGreaterThanOrEqual(3);
    expect(group.members()).toHaveLength(1 + joined);
    await world.close();
  });
}
