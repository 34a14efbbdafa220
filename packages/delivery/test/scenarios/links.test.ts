import { expect, it } from "vitest";
import {
  addAll,
  bundleBody,
  commit,
  commitLinks,
  joinByLink,
  newLink,
  newMember,
  postCommit,
  postMessage,
  startGroup,
} from "../member.ts";
import { linkTests } from "./contract-links.ts";
import { catchUp, type Seat } from "./seats.ts";
import { onBothStores } from "./worlds.ts";

/** With `JOINERS=100` a hundred come at once. */
const JOINERS = Number(process.env["JOINERS"] ?? 24);

onBothStores("an invitation link", (start) => {
  linkTests(start, JOINERS);

  it("lets somebody in while a wish to leave waits: the wish is void with the epoch, and made again", async () => {
    const world = await start();
    const [ada, ben, cem] = [
      await newMember(world, "Ada"),
      await newMember(world, "Ben"),
      await newMember(world, "Cem"),
    ];
    const adas = await startGroup(world, ada);
    const [bens] = await addAll(world, { member: ada, group: adas }, [ben]);
    if (bens === undefined) throw new Error("Ben is in");
    const link = await newLink();
    await commitLinks(world, ada, adas, [link]);
    const [first, second]: Seat[] = [
      { member: ada, group: adas, read: 2 },
      { member: ben, group: bens, read: 1 },
    ];
    if (!first || !second) throw new Error("both");
    const allCatchUp = async () => {
      for (const seat of [first, second]) await catchUp(world, seat);
    };
    const wish = async () => {
      const leave = { proposalType: "remove", removed: bens.ownLeafIndex } as const;
      const { status, body } = await postMessage(
        world,
        ben,
        bens.groupId,
        await bens.propose(leave),
      );
      expect(status).toBe(201);
      second.read = body.seq;
    };
    await allCatchUp();
    await wish();
    await allCatchUp();
    expect(adas.pendingProposals).toHaveLength(1);
    // An external commit takes nothing along by reference (RFC 9420 §12.2): a joiner need not know of proposals.
    const { answer, group: cems } = await joinByLink(world, cem, link);
    expect(answer.status).toBe(201);
    await allCatchUp();
    expect(adas.epochAuthenticator).toEqual(cems.epochAuthenticator);
    expect([adas, bens].map((group) => group.pendingProposals)).toEqual([[], []]);
    // A member's commit may leave it out now; once it was made again, it may not.
    const next = await commit(world, ada, adas);
    expect(next.status).toBe(201);
    first.read = next.body.seq;
    await allCatchUp();
    const early = await bundleBody(adas, await adas.commit());
    await wish();
    const without = await postCommit(world, ada, adas.groupId, early);
    expect(without.problem.code).toBe("pending-proposals");
    await world.close();
  });
});
