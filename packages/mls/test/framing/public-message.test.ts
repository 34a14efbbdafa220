/** §6.2: messages that are signed and not encrypted. Mallory, at leaf 3, has a member's keys. */

import { webCrypto } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { encodeMessage } from "../../src/framing/message.ts";
import { forgeCommit, forgeKeyPackage, inside } from "../forge.ts";
import { expectAccepted, expectRefused, persons, room } from "../people.ts";

const removeBob = { proposalType: "remove", removed: 1 } as const;

describe("a message", () => {
  it("of a wire format that is not said in a group is refused (§6)", async () => {
    const where = await room(await persons(["alice", "bob", "carol", "mallory"]));
    const keyPackage = await forgeKeyPackage(where.at(0).person);
    const bad = encodeMessage({ wireFormat: "mls_key_package", keyPackage });
    await expectRefused(where, 3, bad, "wrong-wire-format");
  });

  it("that comes twice counts once", async () => {
    const where = await room(await persons(["alice", "bob", "carol", "mallory"]));
    const message = await where.at(2).group.propose(removeBob);
    const { group } = where.at(0);
    await group.receive(message);
    await group.receive(message);
    expect(group.pendingProposals).toHaveLength(1);
  });
});

describe("a provider", () => {
  it("of either kind takes what the other made", async () => {
    const people = [
      ...(await persons(["alice", "bob"])),
      ...(await persons(["carol", "mallory"], { crypto: webCrypto })),
    ];
    const where = await room(people);
    const mallory = await inside(where.at(3).person);
    await expectAccepted(where, 3, await forgeCommit(mallory, { proposals: [removeBob] }));
  });
});
