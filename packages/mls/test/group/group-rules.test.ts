/** The application's rules on a group as it is or is about to be: wherever it may become one that they refuse. */

import { type MlsContext, MlsError } from "@conclave/mls";
import { PublicGroup } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { addProposal, observe, person, persons, room } from "../people.ts";

const FULL = { code: "policy", section: "12.4" };

function atMost(count: number): Partial<MlsContext> {
  return {
    rules: {
      checkGroup: ({ members }) => {
        if (members().length > count) throw new MlsError("policy", "12.4", "too many");
      },
    },
  };
}

describe("a rule on groups", () => {
  it("refuses a commit of somebody else, for who is in the group and who follows it", async () => {
    const alice = await person("alice");
    const bob = await person("bob", { context: atMost(2) });
    const where = await room([alice, bob]);
    const observer = await observe(bob, where.at(0).group);
    const proposals = [await addProposal(await person("carol"))];
    const { commit } = await where.at(0).group.commit({ proposals });
    await expect(where.at(1).group.receive(commit)).rejects.toMatchObject(FULL);
    await expect(observer.process(commit)).rejects.toMatchObject(FULL);
    expect(where.at(1).group.epoch).toBe(1n);
    const lone = await where
      .at(0)
      .group.discardPendingCommit()
      .then(() => where.at(0).group.commit());
    await where.at(1).group.receive(lone.commit);
    await observer.process(lone.commit);
  });

  it("refuses a group that is shown by a GroupInfo", async () => {
    const where = await room(await persons(["alice", "bob", "carol"]));
    const { group } = where.at(0);
    const groupInfo = await group.groupInfo({ externalPub: false, ratchetTree: "inside" });
    const open = async (count: number) => {
      const { context } = await person("dave", { context: atMost(count) });
      return PublicGroup.open(context, { groupInfo });
    };
    await expect(open(2)).rejects.toMatchObject(FULL);
    expect((await open(3)).members()).toHaveLength(3);
  });

  it("is told of by a dry run", async () => {
    const where = await room(await persons(["alice", "bob"], { context: atMost(3) }));
    const [carol, dave] = await persons(["carol", "dave"]);
    if (!carol || !dave) throw new Error("two");
    const { group } = where.at(0);
    const one = [await addProposal(carol)];
    expect(await group.inspectProposals(one)).toEqual([]);
    const two = [...one, await addProposal(dave)];
    expect(await group.inspectProposals(two)).toEqual([expect.objectContaining(FULL)]);
  });
});
