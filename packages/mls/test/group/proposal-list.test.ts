/** §12.1 to §12.4: what a commit may carry. Mallory, at leaf 3, has all the keys of a member and keeps to no rule. */

import { describe, expect, it } from "vitest";
import { forgeProposal, inside } from "../forge.ts";
import { expectAccepted, expectRefused, person, utf8 } from "../people.ts";
import { add, custom, extensions, psk, reinit, remove, stage } from "../proposal-stage.ts";

describe("§12.1 a proposal by itself is refused for", () => {
  it.each([
    ["an older version", reinit(0), "proposal-invalid"],
    ["a leaf that is blank", remove(5), "blank-leaf"],
    ["a short PSK nonce", psk(1, { pskNonce: new Uint8Array(1) }), "psk-nonce"],
    [
      "an ExternalInit",
      { proposalType: "external_init", kemOutput: utf8("") },
      "sender-not-allowed",
    ],
    ["an extension twice", extensions(custom, custom), "duplicate-extension"],
  ] as const)("%s", async (_, proposal, code) => {
    const { where } = await stage();
    const mallory = await inside(where.at(3).person);
    await expectRefused(where, 3, await forgeProposal(mallory, proposal), code);
    await expect(where.at(0).group.propose(proposal)).rejects.toMatchObject({ code });
    await expectAccepted(where, 3, await forgeProposal(mallory, extensions(custom)));
  });
});

describe("the committer's own choice of proposals (§12.4)", () => {
  it("prefers Removes to Updates, and leaves out what touches itself", async () => {
    const on = await stage();
    await on.proposed(2, "update");
    await on.proposed(1, "update");
    await on.proposed(0, "remove-bob");
    const { where } = on;
    await expectAccepted(where, -1, (await where.at(2).group.commit()).commit);
    expect(where.at(1).group.status).toBe("removed");
    expect(
      where
        .at(0)
        .group.members()
        .map(({ leafIndex }) => leafIndex),
    ).toEqual([0, 2, 3]);
  });

  it("takes given proposals instead of pending ones of the same leaf", async () => {
    const on = await stage();
    await on.proposed(0, "remove-bob");
    const { where } = on;
    const { commit } = await where.at(2).group.commit({ proposals: [remove(1)] });
    await expectAccepted(where, -1, commit);
    expect(where.at(1).group.status).toBe("removed");
  });

  it("takes one of two Adds of a client, and a ReInit only by itself", async () => {
    const { where } = await stage();
    const eve = await person("eve");
    const messages = [
      await where.at(1).group.propose(await add(eve)),
      await where.at(2).group.propose(await add(eve)),
      await where.at(3).group.propose(reinit()),
    ];
    for (const message of messages) for (const one of where.groups) await one.receive(message);
    const { commit } = await where.at(0).group.commit();
    for (const one of where.groups) await one.receive(commit);
    expect(where.at(0).group.members()).toHaveLength(5);
    expect(where.groups.map(({ status }) => status)).toEqual(where.groups.map(() => "active"));
    const last = await where.at(3).group.propose(reinit());
    for (const one of where.groups) await one.receive(last);
    const end = await where.at(0).group.commit();
    for (const one of where.groups) await one.receive(end.commit);
    expect(where.groups.map(({ status }) => status)).toEqual(where.groups.map(() => "closed"));
  });
});
