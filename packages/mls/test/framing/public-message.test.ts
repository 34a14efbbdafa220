/** §6.1, §6.2: who may say what, and how a PublicMessage is proven. Mallory, at leaf 3, has a member's keys. */

import { EXTENSION, type Proposal, webCrypto } from "@conclave/mls";
import { type Bytes, encode, opaque, vector } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import type { PublicMessage } from "../../src/framing/public-message.ts";
import { Credential } from "../../src/key/credential.ts";
import {
  forgeCommit,
  forgeKeyPackage,
  forgeProposal,
  forgePublic,
  forgeUpdate,
  type Inside,
  inside,
} from "../forge.ts";
import {
  expectAccepted,
  expectRefused,
  type Person,
  person,
  persons,
  type Room,
  room,
  utf8,
} from "../people.ts";

const removeBob = { proposalType: "remove", removed: 1 } as const;

interface Stage {
  readonly where: Room;
  readonly mallory: Inside;
  /** A key that stands in the group's external_senders, first. */
  readonly outsider: Person;
}

async function stage(): Promise<Stage> {
  const outsider = await person("the outsider");
  const senders = encode(
    vector({
      write: (w, who: Person) => {
        opaque.write(w, who.signer.publicKey);
        Credential.write(w, who.credential);
      },
      read: () => {
        throw new Error("only written");
      },
    }),
    [outsider],
  );
  const extension = { extensionType: EXTENSION.externalSenders, extensionData: senders };
  const people = await persons(["alice", "bob", "carol", "mallory"]);
  const where = await room(people, { extensions: [extension] });
  return { where, mallory: await inside(where.at(3).person), outsider };
}

function changed(message: Bytes, change: (message: PublicMessage) => PublicMessage): Bytes {
  const { publicMessage } = decodeMessageOf(message, "mls_public_message");
  return encodeMessage({ wireFormat: "mls_public_message", publicMessage: change(publicMessage) });
}

const proposal: Proposal = removeBob;
const content = { contentType: "proposal", proposal } as const;

describe("§6.2 the membership tag", () => {
  it.each([
    ["empty", () => new Uint8Array(0)],
    ["shorter", (tag: Bytes) => tag.slice(0, -1)],
    ["longer", (tag: Bytes) => Uint8Array.of(...tag, 0)],
    ["different in its last bit", (tag: Bytes) => tag.with(-1, (tag.at(-1) ?? 0) ^ 1) as Bytes],
    ["of another key", (tag: Bytes) => new Uint8Array(tag.length)],
  ])("that is %s is refused", async (_, change) => {
    const { where, mallory } = await stage();
    const good = await forgeProposal(mallory, proposal);
    const bad = changed(good, (message) => ({
      ...message,
      membershipTag: change(message.membershipTag ?? new Uint8Array(0)),
    }));
    await expectRefused(where, 3, bad, "membership-tag", { membersOnly: true });
    await expectAccepted(where, 3, good);
  });
});

describe("§6.1 the signature", () => {
  it("that is not the sender's is refused", async () => {
    const { where, mallory } = await stage();
    const stranger = await person("stranger");
    const bad = await forgeProposal(mallory, proposal, { signer: stranger.signer });
    await expectRefused(where, 3, bad, "signature");
    await expectAccepted(where, 3, await forgeProposal(mallory, proposal));
  });

  it("of one member does not speak for another", async () => {
    const { where, mallory } = await stage();
    const sender = { senderType: "member", leafIndex: 0 } as const;
    const bad = await forgeProposal(mallory, proposal, { sender });
    for (const leafIndex of [1, 2]) {
      const { group } = where.at(leafIndex);
      await expect(group.receive(bad)).rejects.toMatchObject({ code: "signature" });
    }
    await expect(where.observer.process(bad)).rejects.toMatchObject({ code: "signature" });
  });

  it.each([
    ["wire format", { signedAs: "mls_private_message" }],
    ["group context", {}],
  ] as const)("covers the %s", async (what, framing) => {
    const { where, mallory } = await stage();
    const { groupContext } = mallory.state;
    const other = { ...groupContext, treeHash: new Uint8Array(32) };
    const bad = await forgePublic(mallory, content, {
      ...framing,
      ...(what === "group context" && { context: other }),
    });
    // The tag that was made over the other context goes first.
    const code = what === "group context" ? "membership-tag" : "signature";
    await expectRefused(where, 3, bad, code, { membersOnly: true });
    await expect(where.observer.process(bad)).rejects.toMatchObject({ code: "signature" });
  });

  it("covers the authenticated data and the content", async () => {
    const { where, mallory } = await stage();
    const good = await forgeProposal(mallory, proposal, { authenticatedData: utf8("data") });
    const bad = changed(good, (message) => ({
      ...message,
      content: { ...message.content, authenticatedData: utf8("other") },
    }));
    await expect(where.observer.process(bad)).rejects.toMatchObject({ code: "signature" });
    await expectRefused(where, 3, bad, "membership-tag", { membersOnly: true });
    await expectAccepted(where, 3, good);
  });
});

describe("§6.1 a message", () => {
  it("of another group is refused, also where its signer is a member of both", async () => {
    const { where, mallory } = await stage();
    const groupId = utf8("another room");
    const context = { ...mallory.state.groupContext, groupId };
    const bad = await forgeProposal(mallory, proposal, { groupId, context });
    await expectRefused(where, 3, bad, "wrong-group");
  });

  it.each([-1n, 1n])("of an epoch %i off is refused", async (by) => {
    const { where, mallory } = await stage();
    const epoch = mallory.state.groupContext.epoch + by;
    await expectRefused(where, 3, await forgeProposal(mallory, proposal, { epoch }), "wrong-epoch");
    const commit = { contentType: "commit", commit: { proposals: [], path: undefined } } as const;
    await expectRefused(where, 3, await forgePublic(mallory, commit, { epoch }), "wrong-epoch");
  });

  it.each([4, 6, 8, 2 ** 32 - 1])(
    "from leaf %i, where nobody is, is refused",
    async (leafIndex) => {
      const { where, mallory } = await stage();
      const sender = { senderType: "member", leafIndex } as const;
      await expectRefused(
        where,
        3,
        await forgeProposal(mallory, proposal, { sender }),
        "unknown-sender",
      );
    },
  );

  it("with application data is never public (§6)", async () => {
    const { where, mallory } = await stage();
    const application = { contentType: "application", applicationData: utf8("open") } as const;
    await expect(forgePublic(mallory, application)).rejects.toMatchObject({
      code: "wrong-wire-format",
    });
    const bad = changed(await forgeProposal(mallory, proposal), (message) => ({
      ...message,
      content: { ...message.content, content: application },
    }));
    await expectRefused(where, 3, bad, "wrong-wire-format");
  });

  it("of a wire format that is not said in a group is refused (§6)", async () => {
    const { where } = await stage();
    const keyPackage = await forgeKeyPackage(where.at(0).person);
    const bad = encodeMessage({ wireFormat: "mls_key_package", keyPackage });
    await expectRefused(where, 3, bad, "wrong-wire-format");
  });

  it("with bytes after its end is refused", async () => {
    const { where, mallory } = await stage();
    const good = await forgeProposal(mallory, proposal);
    await expectRefused(where, 3, Uint8Array.of(...good, 0), "decode");
    await expectAccepted(where, 3, good);
  });

  it("that comes twice counts once", async () => {
    const { where } = await stage();
    const message = await where.at(2).group.propose(proposal);
    const { group } = where.at(0);
    await group.receive(message);
    await group.receive(message);
    expect(group.pendingProposals).toHaveLength(1);
  });
});

describe("§12.1.8 an external sender", () => {
  const external = (senderIndex: number) => ({ senderType: "external", senderIndex }) as const;

  it("may propose what the table allows", async () => {
    const { where, mallory, outsider } = await stage();
    const framing = { sender: external(0), signer: outsider.signer };
    const keyPackage = await forgeKeyPackage(await person("eve"));
    const add = { proposalType: "add", keyPackage } as const;
    let now = where;
    for (const allowed of [removeBob, add]) {
      now = await expectAccepted(now, -1, await forgeProposal(mallory, allowed, framing));
    }
    const { commit } = await now.at(0).group.commit();
    await expectAccepted(now, -1, commit);
    expect(now.at(1).group.status).toBe("removed");
  });

  it("may not propose an Update or an ExternalInit", async () => {
    const { where, mallory, outsider } = await stage();
    const framing = { sender: external(0), signer: outsider.signer };
    const externalInit = { proposalType: "external_init", kemOutput: utf8("") } as const;
    for (const refused of [await forgeUpdate(mallory), externalInit]) {
      const bad = await forgeProposal(mallory, refused, framing);
      await expectRefused(where, 3, bad, "sender-not-allowed");
    }
  });

  it("may not commit (§6.1)", async () => {
    const { where, mallory, outsider } = await stage();
    const commit = { contentType: "commit", commit: { proposals: [], path: undefined } } as const;
    const bad = await forgePublic(mallory, commit, {
      sender: external(0),
      signer: outsider.signer,
    });
    await expectRefused(where, 3, bad, "sender-not-allowed");
  });

  it.each([1, 2 ** 32 - 1])("by index %i is nobody", async (senderIndex) => {
    const { where, mallory, outsider } = await stage();
    const framing = { sender: external(senderIndex), signer: outsider.signer };
    await expectRefused(
      where,
      3,
      await forgeProposal(mallory, proposal, framing),
      "unknown-sender",
    );
  });

  it("signs with the key that the group knows", async () => {
    const { where, mallory } = await stage();
    const framing = { sender: external(0), signer: mallory.person.signer };
    await expectRefused(where, 3, await forgeProposal(mallory, proposal, framing), "signature");
  });
});

describe("§12.1.8 someone who is no member", () => {
  const sender = { senderType: "new_member_proposal" } as const;

  it("may propose to be added, and nothing else", async () => {
    const { where, mallory } = await stage();
    const eve = await person("eve");
    const framing = { sender, signer: eve.signer };
    const bad = await forgeProposal(mallory, removeBob, framing);
    await expectRefused(where, 3, bad, "sender-not-allowed");
    const add = { proposalType: "add", keyPackage: await forgeKeyPackage(eve) } as const;
    const stolen = await forgeProposal(mallory, add, { sender, signer: mallory.person.signer });
    await expectRefused(where, 3, stolen, "signature");
    await expectAccepted(where, 3, await forgeProposal(mallory, add, framing));
  });

  it("may not commit without a path (§6.1)", async () => {
    const { where, mallory } = await stage();
    const eve = await person("eve");
    const commit = { contentType: "commit", commit: { proposals: [], path: undefined } } as const;
    const framing = { sender: { senderType: "new_member_commit" }, signer: eve.signer } as const;
    await expectRefused(
      where,
      3,
      await forgePublic(mallory, commit, framing),
      "sender-not-allowed",
    );
    const good = await forgeCommit(mallory, { external: { person: eve } });
    await expectAccepted(where, 3, good);
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
