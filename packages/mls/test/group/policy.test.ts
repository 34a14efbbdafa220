/** §12.4: what an application allows beyond the rules of the standard. */

import type { CommitSummary, ProposalPolicy } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { forgeProposal, inside } from "../forge.ts";
import { addProposal, expectRefused, hex, person, persons, reload, room, utf8 } from "../people.ts";

describe("a policy for commits", () => {
  it("sees each proposal and who made it, after a reload too", async () => {
    const seen: CommitSummary[] = [];
    const policy = async (summary: CommitSummary) => void seen.push(summary);
    const where = await room(await persons(["alice", "bob", "carol"], { policy }));
    const { group, person: alice } = where.at(0);
    const update = await where.at(1).group.proposeUpdate();
    for (const leafIndex of [0, 2]) await where.at(leafIndex).group.receive(update);
    seen.length = 0;
    const add = await addProposal(await person("dave"));
    const { commit } = await group.commit({ proposals: [add] });
    const [ref] = group.pendingProposals;
    const again = await reload(alice, group);
    const own = await again.receive(commit);
    await where.at(1).group.receive(commit);
    await where.observer.process(update).then(({ group: followed }) => followed.process(commit));
    const summaries = [...seen, ...(own.type === "commit" ? [own.summary] : [])];
    expect(summaries).toHaveLength(4);
    for (const summary of summaries) {
      expect(summary.proposals).toEqual([
        {
          proposal: ref?.proposal,
          sender: { senderType: "member", leafIndex: 1 },
          ref: ref?.ref,
        },
        { proposal: add, sender: { senderType: "member", leafIndex: 0 }, ref: undefined },
      ]);
    }
  });
});

describe("a policy for proposals", () => {
  const onlyLeaving: ProposalPolicy = async ({ proposal, sender }) => {
    const leaves =
      proposal.proposalType === "remove" &&
      sender.senderType === "member" &&
      sender.leafIndex === proposal.removed;
    if (!leaves) throw new Error("propose to leave, or nothing");
  };

  it("refuses them as they come, whoever made them, and as we make them", async () => {
    const context = { proposalPolicy: onlyLeaving };
    const where = await room(await persons(["alice", "bob", "carol"], { context }));
    const { group, person: alice } = where.at(0);
    const before = await alice.storage.list("");
    const remove = { proposalType: "remove", removed: 2 } as const;
    await expect(group.propose(remove)).rejects.toMatchObject({ code: "policy", section: "12.4" });
    await expect(group.proposeUpdate()).rejects.toMatchObject({ code: "policy" });
    const forged = await forgeProposal(await inside(where.at(1).person), remove);
    await expectRefused(where, 1, forged, "policy");
    expect(await alice.storage.list("")).toEqual(before);
    const leaving = await where.at(2).group.propose(remove);
    await group.receive(leaving);
    await where.at(1).group.receive(leaving);
    const { commit } = await group.commit();
    for (const one of where.groups) await one.receive(commit);
    expect(where.at(2).group.status).toBe("removed");
    expect(hex(group.epochAuthenticator)).toBe(hex(where.at(1).group.epochAuthenticator));
    expect((await group.send(utf8("on"))).length).toBeGreaterThan(0);
  });
});
