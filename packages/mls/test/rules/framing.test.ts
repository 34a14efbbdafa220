/** §6, §9.1: what is said, by whom, and how it is proven. */

import { readdirSync, readFileSync } from "node:fs";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { expect } from "vitest";
import { constantTimeEqual } from "../../src/bytes.ts";
import { decodeMessage, decodeMessageOf } from "../../src/framing/message.ts";
import { unprotectPrivate } from "../../src/framing/private-message.ts";
import { type PublicMessage, protectPublic } from "../../src/framing/public-message.ts";
import type { PublicState } from "../../src/group/public-state.ts";
import { SecretTree } from "../../src/key/secret-tree.ts";
import { leafAt } from "../../src/tree/ratchet-tree.ts";
import {
  type Framing,
  forgeCommit,
  forgeKeyPackage,
  forgePrivate,
  forgeProposal,
  forgePublic,
  forgeUpdate,
  type Inside,
  inside,
} from "../forge.ts";
import { add, expectAccepted, person, persons, type Room, room, text, utf8 } from "../people.ts";
import { accepts, holds, refusedByAll, refuses, rule } from "./rule.ts";
import {
  changedPrivate,
  changedPublic,
  encrypting,
  flipped,
  MALLORY,
  type Stage,
  stage,
} from "./stage.ts";

const removeBob = { proposalType: "remove", removed: 1 } as const;
const proposal = { contentType: "proposal", proposal: removeBob } as const;
const commit = { contentType: "commit", commit: { proposals: [], path: undefined } } as const;
const application = { contentType: "application", applicationData: utf8("hello") } as const;
const membersOnly = { membersOnly: true } as const;

/** Mallory proposes something, framed in some way; everybody takes it. */
async function proposes(framing: Framing | ((stage: Stage) => Framing) = {}): Promise<void> {
  const at = await stage();
  const how = typeof framing === "function" ? framing(at) : framing;
  await expectAccepted(at.where, MALLORY, await forgeProposal(at.mallory, removeBob, how));
}

/** A message that everybody must refuse. */
async function refused(
  make: (stage: Stage) => Promise<Bytes>,
  options: Parameters<typeof refusedByAll>[3] = {},
): Promise<void> {
  const at = await stage();
  await refusedByAll(at.where, MALLORY, await make(at), options);
}

async function read(where: Room, leafIndex: number, message: Bytes): Promise<string> {
  const received = await where.at(leafIndex).group.receive(message);
  return received.type === "application" ? text(received.data) : received.type;
}

/** Mallory sends a PrivateMessage, which everybody reads. */
async function sends(change: (by: Inside) => Inside = (by) => by): Promise<void> {
  const { where, mallory } = await stage();
  const message = await forgePrivate(change(mallory), application);
  for (const leafIndex of [0, 1, 2]) expect(await read(where, leafIndex, message)).toBe("hello");
}

/** The next epoch, in which leaf 1 is blank. */
async function withoutBob(): Promise<Stage> {
  const at = await stage();
  const { commit: message } = await at.where.at(0).group.commit({ proposals: [removeBob] });
  const where = await expectAccepted(at.where, -1, message);
  return { ...at, where, mallory: await inside(where.at(MALLORY).person) };
}

const leafOf =
  ({ tree }: PublicState) =>
  (leafIndex: number) =>
    leafAt(tree, leafIndex);

rule("F01", () => {
  accepts("a message of this group", () => proposes());
  refuses(
    "one of another group, also where its signer is a member of both",
    "wrong-group §6.1",
    () =>
      refused(({ mallory }) => {
        const groupId = utf8("another room");
        const context = { ...mallory.state.groupContext, groupId };
        return forgeProposal(mallory, removeBob, { groupId, context });
      }),
  );
  refuses("an encrypted one of another group", "wrong-group §6.1", () =>
    refused(async ({ mallory }) => {
      const message = await forgePrivate(mallory, application);
      return changedPrivate(message, (one) => ({ ...one, groupId: utf8("another room") }));
    }, membersOnly),
  );
});

rule("F02", () => {
  accepts("a proposal and a commit of this epoch", async () => {
    const { where, mallory } = await stage();
    const now = await expectAccepted(where, MALLORY, await forgeProposal(mallory, removeBob));
    await expectAccepted(now, MALLORY, await forgeCommit(mallory));
  });
  for (const by of [-1n, 1n]) {
    const late = ({ mallory }: Stage) => ({ epoch: mallory.state.groupContext.epoch + by });
    refuses(`a proposal of an epoch ${by} off`, "wrong-epoch §6.1", () =>
      refused((at) => forgeProposal(at.mallory, removeBob, late(at))),
    );
    refuses(`a commit of an epoch ${by} off`, "wrong-epoch §6.1", () =>
      refused((at) => forgePublic(at.mallory, commit, late(at))),
    );
  }
});

rule("F03", () => {
  accepts("the sender's own signature", () => proposes());
  refuses("a stranger's", "signature §6.1", () =>
    refused(async ({ mallory }) => {
      const { signer } = await person("stranger");
      return forgeProposal(mallory, removeBob, { signer });
    }),
  );
  refuses("that of a member for another", "signature §6.1", async () => {
    const { where, mallory } = await stage();
    const sender = { senderType: "member", leafIndex: 0 } as const;
    await refusedByAll(where, 0, await forgeProposal(mallory, removeBob, { sender }));
  });
  refuses("that of a member for another, encrypted", "signature §6.1", async () => {
    const { where, mallory } = await stage();
    const bad = await forgePrivate(mallory, application, { as: 2 });
    await refusedByAll(where, 2, bad, membersOnly);
  });
  refuses("one over other authenticated data", "signature §6.1", async () => {
    const { where, mallory } = await stage();
    const good = await forgeProposal(mallory, removeBob, { authenticatedData: utf8("data") });
    const bad = changedPublic(good, (message) => ({
      ...message,
      content: { ...message.content, authenticatedData: utf8("other") },
    }));
    // Members see that the membership tag is wrong, before they look at the signature.
    await where.observer.process(bad);
  });
});

const external = (senderIndex: number) => ({ senderType: "external", senderIndex }) as const;

rule("F04", () => {
  accepts("the outsider's signature", () =>
    proposes(({ outsider }) => ({ sender: external(0), signer: outsider.signer })),
  );
  refuses("a member's in its name", "signature §6.1", () =>
    refused(({ mallory }) => forgeProposal(mallory, removeBob, { sender: external(0) })),
  );
});

rule("F05", () => {
  accepts("index 0 of one", () =>
    proposes(({ outsider }) => ({ sender: external(0), signer: outsider.signer })),
  );
  for (const index of [1, 2 ** 32 - 1]) {
    refuses(`index ${index} of one`, "unknown-sender §6.1", () =>
      refused(({ mallory, outsider }) =>
        forgeProposal(mallory, removeBob, { sender: external(index), signer: outsider.signer }),
      ),
    );
  }
  refuses("any index where the group has no external senders", "unknown-sender §6.1", async () => {
    const where = await room(await persons(["alice", "bob", "carol", "mallory"]));
    const mallory = await inside(where.at(MALLORY).person);
    const bad = await forgeProposal(mallory, removeBob, { sender: external(0) });
    await refusedByAll(where, MALLORY, bad);
  });
});

rule("F06", () => {
  accepts("a proposal", () =>
    proposes(({ outsider }) => ({ sender: external(0), signer: outsider.signer })),
  );
  refuses("a commit", "sender-not-allowed §6.1", () =>
    refused(({ mallory, outsider }) =>
      forgePublic(mallory, commit, { sender: external(0), signer: outsider.signer }),
    ),
  );
});

rule("F07", () => {
  const psk = { pskType: "external", pskId: utf8("id"), pskNonce: new Uint8Array(32) } as const;
  accepts("add, remove, psk, reinit, group_context_extensions", async () => {
    const { where, mallory, outsider } = await stage();
    const framing = { sender: external(0), signer: outsider.signer };
    const keyPackage = await forgeKeyPackage(await person("eve"));
    let now = where;
    for (const allowed of [
      { proposalType: "add", keyPackage },
      removeBob,
      { proposalType: "psk", psk },
      {
        proposalType: "reinit",
        groupId: utf8("next"),
        version: 1,
        cipherSuite: 3,
        extensions: [],
      },
      { proposalType: "group_context_extensions", extensions: [] },
    ] as const) {
      now = await expectAccepted(now, -1, await forgeProposal(mallory, allowed, framing));
    }
  });
  refuses("update", "sender-not-allowed §12.1.8", () =>
    refused(async ({ mallory, outsider }) =>
      forgeProposal(mallory, await forgeUpdate(mallory), {
        sender: external(0),
        signer: outsider.signer,
      }),
    ),
  );
  refuses("external_init", "sender-not-allowed §12.1.8", () =>
    refused(({ mallory, outsider }) =>
      forgeProposal(
        mallory,
        { proposalType: "external_init", kemOutput: utf8("") },
        { sender: external(0), signer: outsider.signer },
      ),
    ),
  );
});

rule("F08", () => {
  const sender = { senderType: "new_member_commit" } as const;
  accepts("a commit by its path's key", async () => {
    const { where, mallory } = await stage();
    const good = await forgeCommit(mallory, { external: { person: await person("eve") } });
    await expectAccepted(where, MALLORY, good);
  });
  refuses("a proposal", "sender-not-allowed §6.1", () =>
    refused(async ({ mallory }) =>
      forgeProposal(mallory, removeBob, { sender, signer: (await person("eve")).signer }),
    ),
  );
  refuses("a commit without a path", "sender-not-allowed §6.1", () =>
    refused(async ({ mallory }) =>
      forgePublic(mallory, commit, { sender, signer: (await person("eve")).signer }),
    ),
  );
  refuses("a commit signed by another key than its leaf's", "signature §6.1", () =>
    refused(async ({ mallory }) => {
      const { signer } = await person("dan");
      return forgeCommit(mallory, {
        external: { person: await person("eve") },
        leaf: () => ({ signatureKey: signer.publicKey }),
        leafSigner: signer,
      });
    }),
  );
});

rule("F09", () => {
  const sender = { senderType: "new_member_proposal" } as const;
  accepts("an Add by who is to be added", async () => {
    const { where, mallory } = await stage();
    const eve = await person("eve");
    const add = { proposalType: "add", keyPackage: await forgeKeyPackage(eve) } as const;
    const good = await forgeProposal(mallory, add, { sender, signer: eve.signer });
    await expectAccepted(where, MALLORY, good);
  });
  refuses("a Remove", "sender-not-allowed §12.1.8", () =>
    refused(async ({ mallory }) =>
      forgeProposal(mallory, removeBob, { sender, signer: (await person("eve")).signer }),
    ),
  );
  refuses("a commit", "sender-not-allowed §12.1.8", () =>
    refused(async ({ mallory }) =>
      forgePublic(mallory, commit, { sender, signer: (await person("eve")).signer }),
    ),
  );
  refuses("an Add signed by another", "signature §6.1", () =>
    refused(async ({ mallory }) => {
      const keyPackage = await forgeKeyPackage(await person("eve"));
      return forgeProposal(mallory, { proposalType: "add", keyPackage }, { sender });
    }),
  );
});

/** A proposal with a changed membership tag. */
function tagged(change: (tag: Bytes) => Bytes): (stage: Stage) => Promise<Bytes> {
  const changed = (message: PublicMessage) => ({
    ...message,
    membershipTag: change(message.membershipTag ?? new Uint8Array(0)),
  });
  return async ({ mallory }) => changedPublic(await forgeProposal(mallory, removeBob), changed);
}

rule("F10", () => {
  accepts("a member's tag", () => proposes());
  accepts("no tag from outside", () =>
    proposes(({ outsider }) => ({ sender: external(0), signer: outsider.signer })),
  );
  refuses("a tag that differs in its last bit", "membership-tag §6.2", () =>
    refused(
      tagged((tag) => flipped(tag, -1)),
      membersOnly,
    ),
  );
  refuses("a tag of zeros", "membership-tag §6.2", () =>
    refused(
      tagged((tag) => new Uint8Array(tag.length)),
      membersOnly,
    ),
  );
  refuses("a tag that was made over another GroupContext", "membership-tag §6.2", () =>
    refused(({ mallory }) => {
      const context = { ...mallory.state.groupContext, treeHash: new Uint8Array(32) };
      return forgePublic(mallory, proposal, { context });
    }, membersOnly),
  );
  refuses("a tag from outside", "decode §2.1", () =>
    refused(async ({ mallory, outsider }) => {
      const framing = { sender: external(0), signer: outsider.signer };
      return Uint8Array.of(...(await forgeProposal(mallory, removeBob, framing)), 0);
    }),
  );
  refuses("no tag from a member", "decode §2.1", () =>
    refused(async ({ mallory }) => (await forgeProposal(mallory, removeBob)).slice(0, -33)),
  );
});

rule("F11", () => {
  accepts("a whole tag", () => proposes());
  refuses("an empty tag", "membership-tag §6.2", () =>
    refused(
      tagged(() => new Uint8Array(0)),
      membersOnly,
    ),
  );
  for (const length of [1, 16, 31]) {
    refuses(`the first ${length} bytes of 32`, "membership-tag §6.2", () =>
      refused(
        tagged((tag) => tag.slice(0, length)),
        membersOnly,
      ),
    );
  }
  refuses("a byte more", "membership-tag §6.2", () =>
    refused(
      tagged((tag) => Uint8Array.of(...tag, 0)),
      membersOnly,
    ),
  );
});

rule("F12", () => {
  accepts("application data in a PrivateMessage", () => sends());
  refuses("application data in a PublicMessage", "wrong-wire-format §6", () =>
    refused(async ({ mallory }) =>
      changedPublic(await forgeProposal(mallory, removeBob), (message) => ({
        ...message,
        content: { ...message.content, content: application },
      })),
    ),
  );
  refuses("to make one", "wrong-wire-format §6", async () => {
    const { mallory } = await stage();
    const { publicMessage } = decodeMessageOf(
      await forgeProposal(mallory, removeBob),
      "mls_public_message",
    );
    const content = { ...publicMessage.content, content: application };
    const { membershipKey } = mallory.secrets;
    const { auth } = publicMessage;
    const authenticated = { wireFormat: "mls_public_message", content, auth } as const;
    protectPublic(mallory.suite, membershipKey, authenticated, utf8(""));
  });
});

/** Mallory pads as told. */
function padding(tail: Bytes): (by: Inside) => Inside {
  return (by) =>
    encrypting(by, (plaintext, of) =>
      of === "content" ? Uint8Array.of(...plaintext, ...tail) : plaintext,
    );
}

rule("F13", () => {
  accepts("a thousand zeros", () => sends(padding(new Uint8Array(1000))));
  for (const at of [0, 500, 999]) {
    refuses(`a one at ${at}`, "padding §6.3.1", () =>
      refused(
        ({ mallory }) =>
          forgePrivate(padding(new Uint8Array(1000).with(at, 1))(mallory), application),
        membersOnly,
      ),
    );
  }
});

rule("F14", () => {
  accepts("a good message after one that is badly padded, with the same key", async () => {
    const { where, mallory } = await stage();
    const [good, bad] = [await inside(mallory.person), padding(utf8("x"))(mallory)];
    await expect(read(where, 0, await forgePrivate(bad, application))).rejects.toThrow("padding");
    expect(await read(where, 0, await forgePrivate(good, application))).toBe("hello");
  });
  refuses("bad padding, before a bad signature is looked at", "padding §6.3.1", () =>
    refused(async ({ mallory }) => {
      const { signer } = await person("stranger");
      return forgePrivate(padding(utf8("x"))(mallory), application, { signer });
    }, membersOnly),
  );
});

rule("F15", () => {
  accepts("a fresh guard for each message, in the first four bytes of the nonce", async () => {
    const { mallory } = await stage();
    const guards: Bytes[] = [];
    const nonces: Bytes[] = [];
    const provider = {
      ...nodeCrypto,
      random: (length: number) => {
        const bytes = nodeCrypto.random(length);
        if (length === 4) guards.push(bytes);
        return bytes;
      },
      seal: (...args: Parameters<typeof nodeCrypto.seal>) => {
        nonces.push(args[2].slice());
        return nodeCrypto.seal(...args);
      },
    };
    const guarded = { ...mallory, suite: { ...mallory.suite, provider } };
    for (const generation of [0, 1]) {
      const { nonce } = await inside(mallory.person).then(({ secretTree }) => {
        for (let i = 0; i < generation; i++) secretTree.next(MALLORY, "application").settle();
        return secretTree.next(MALLORY, "application");
      });
      await forgePrivate(guarded, application);
      // The content's nonce, then the sender data's.
      const used = nonces[2 * generation];
      const guard = guards[generation] ?? new Uint8Array(0);
      expect(guard).toHaveLength(4);
      expect(used).toEqual(nonce.map((byte, i) => byte ^ (guard[i] ?? 0)));
    }
    expect(guards[0]).not.toEqual(guards[1]);
  });
  for (const at of [0, 3]) {
    refuses(`a message whose guard says another byte ${at}`, "aead-open §6.3.1", () =>
      refused(({ mallory }) => {
        // The guard is the last four bytes of the sender data.
        const lying = encrypting(mallory, (plaintext, of) =>
          of === "sender data" ? flipped(plaintext, 8 + at) : plaintext,
        );
        return forgePrivate(lying, application);
      }, membersOnly),
    );
  }
});

rule("F16", () => {
  const opened = async (
    change: (message: Parameters<typeof unprotectPrivate>[3]) => typeof message,
  ): Promise<void> => {
    const { where, mallory } = await stage();
    const message = await forgePrivate(mallory, application, { authenticatedData: utf8("data") });
    const { privateMessage } = decodeMessageOf(message, "mls_private_message");
    const { suite, secrets, secretTree, state } = await inside(where.at(0).person);
    const keys = { senderDataSecret: secrets.senderDataSecret, secretTree };
    // Past the check of group and epoch: what counts is what the ciphertext is bound to.
    await unprotectPrivate(suite, keys, leafOf(state), change(privateMessage), undefined);
  };
  accepts("a message as it was sent", () => opened((message) => message));
  refuses("other authenticated data", "aead-open §6.3.1", () =>
    opened((message) => ({ ...message, authenticatedData: utf8("other") })),
  );
  refuses("another content type", "aead-open §6.3.2", () =>
    opened((message) => ({ ...message, contentType: "proposal" })),
  );
  refuses("another group", "aead-open §6.3.2", () =>
    opened((message) => ({ ...message, groupId: utf8("other") })),
  );
  refuses("another epoch", "aead-open §6.3.2", () =>
    opened((message) => ({ ...message, epoch: message.epoch + 1n })),
  );
  refuses("another end of the ciphertext", "aead-open §6.3.1", () =>
    opened((message) => ({ ...message, ciphertext: flipped(message.ciphertext, -1) })),
  );
  refuses("another beginning, from which the sender data's key comes", "aead-open §6.3.2", () =>
    opened((message) => ({ ...message, ciphertext: flipped(message.ciphertext, 0) })),
  );
  refuses("a ciphertext of eight bytes", "aead-open §6.3.2", () =>
    opened((message) => ({ ...message, ciphertext: message.ciphertext.slice(0, 8) })),
  );
  refuses("an empty ciphertext", "aead-open §6.3.2", () =>
    opened((message) => ({ ...message, ciphertext: utf8("") })),
  );
  refuses("other sender data", "aead-open §6.3.2", () =>
    opened((message) => ({
      ...message,
      encryptedSenderData: flipped(message.encryptedSenderData, 0),
    })),
  );
  refuses("empty sender data", "aead-open §6.3.2", () =>
    opened((message) => ({ ...message, encryptedSenderData: utf8("") })),
  );
});

/** Mallory says to be at another leaf; the keys are its own. */
function claiming(leafIndex: number): (by: Inside) => Inside {
  const first = Uint8Array.of(
    leafIndex >>> 24,
    (leafIndex >>> 16) & 0xff,
    (leafIndex >>> 8) & 0xff,
    leafIndex & 0xff,
  );
  return (by) =>
    encrypting(by, (plaintext, of) =>
      of === "sender data" ? Uint8Array.of(...first, ...plaintext.slice(4)) : plaintext,
    );
}

rule("F17", () => {
  accepts("a leaf with a member", () => sends());
  refuses("a blank leaf", "unknown-sender §6.3.2", async () => {
    const { where, mallory } = await withoutBob();
    const bad = await forgePrivate(mallory, application, { as: 1 });
    await refusedByAll(where, MALLORY, bad, membersOnly);
  });
  refuses("a blank leaf, before a key is derived for it", "unknown-sender §6.3.2", async () => {
    const { mallory } = await withoutBob();
    const bad = await forgePrivate(mallory, application, { as: 1 });
    const { privateMessage } = decodeMessageOf(bad, "mls_private_message");
    const { suite, secrets, state } = mallory;
    const secretTree = SecretTree.load(suite, state.tree.leafCount, "none", new Map());
    const keys = { senderDataSecret: secrets.senderDataSecret, secretTree };
    await unprotectPrivate(suite, keys, leafOf(state), privateMessage, undefined);
  });
  refuses("a blank leaf in public", "unknown-sender §6.1", async () => {
    const { where, mallory } = await withoutBob();
    const sender = { senderType: "member", leafIndex: 1 } as const;
    await refusedByAll(where, MALLORY, await forgeProposal(mallory, removeBob, { sender }));
  });
});

rule("F18", () => {
  accepts("the last leaf", () => sends(claiming(MALLORY)));
  for (const leafIndex of [4, 6, 2 ** 31, 2 ** 32 - 1]) {
    refuses(`leaf ${leafIndex} of four`, "unknown-sender §6.3.2", () =>
      refused(
        ({ mallory }) => forgePrivate(claiming(leafIndex)(mallory), application),
        membersOnly,
      ),
    );
    refuses(`leaf ${leafIndex} of four in public`, "unknown-sender §6.1", () =>
      refused(({ mallory }) => {
        const sender = { senderType: "member", leafIndex } as const;
        return forgeProposal(mallory, removeBob, { sender });
      }),
    );
  }
  refuses("to derive keys for leaf 4 of four", "unknown-sender §6.3.2", async () => {
    const { mallory } = await stage();
    mallory.secretTree.at(4, "application", 0);
  });
});

rule("F19", () => {
  accepts("a member's", () => sends());
  for (const senderType of ["new_member_proposal", "new_member_commit"] as const) {
    refuses(`to encrypt for a ${senderType}`, "sender-not-allowed §6.3", async () => {
      const { mallory } = await stage();
      await forgePrivate(mallory, proposal, { sender: { senderType } });
    });
  }
  refuses("to encrypt for an external sender", "sender-not-allowed §6.3", async () => {
    const { mallory } = await stage();
    await forgePrivate(mallory, proposal, { sender: external(0) });
  });
});

rule("F20", () => {
  accepts("a proposal from outside in the clear", () =>
    proposes(({ outsider }) => ({ sender: external(0), signer: outsider.signer })),
  );
  refuses(
    "one that is encrypted, by a member's keys, with the outsider's signature",
    "signature §6.1",
    () =>
      refused(
        ({ mallory, outsider }) => forgePrivate(mallory, proposal, { signer: outsider.signer }),
        membersOnly,
      ),
  );
});

rule("F21", () => {
  accepts("what is signed as what it is", async () => {
    await proposes();
    await sends();
  });
  refuses("a PublicMessage signed as a private one", "signature §6.1", () =>
    refused(({ mallory }) =>
      forgeProposal(mallory, removeBob, { signedAs: "mls_private_message" }),
    ),
  );
  refuses("a PrivateMessage signed as a public one", "signature §6.1", () =>
    refused(
      ({ mallory }) => forgePrivate(mallory, application, { signedAs: "mls_public_message" }),
      membersOnly,
    ),
  );
  refuses("a signature over another GroupContext", "signature §6.1", async () => {
    const { where, mallory } = await stage();
    const context = { ...mallory.state.groupContext, treeHash: new Uint8Array(32) };
    await where.observer.process(await forgePublic(mallory, proposal, { context }));
  });
  refuses("an encrypted one over another GroupContext", "signature §6.1", () =>
    refused(({ mallory }) => {
      const context = { ...mallory.state.groupContext, treeHash: new Uint8Array(32) };
      return forgePrivate(mallory, application, { context });
    }, membersOnly),
  );
});

rule("F22", () => {
  accepts("a commit with the tag of the next epoch", async () => {
    const { where, mallory } = await stage();
    await expectAccepted(where, MALLORY, await forgeCommit(mallory));
  });
  for (const [what, change] of [
    ["an empty tag", () => new Uint8Array(0)],
    ["half a tag", (tag: Bytes) => tag.slice(0, 16)],
    ["a byte more", (tag: Bytes) => Uint8Array.of(...tag, 0)],
    ["another tag", (tag: Bytes) => flipped(tag, -1)],
  ] as const) {
    refuses(what, "confirmation-tag §8.1", () =>
      refused(({ mallory }) => forgeCommit(mallory, { tag: change }), membersOnly),
    );
  }
  refuses("a tag on a proposal", "decode §2.1", async () => {
    const { mallory } = await stage();
    const good = await forgeProposal(mallory, removeBob);
    const tag = mallory.state.confirmationTag;
    decodeMessage(Uint8Array.of(...good.slice(0, -33), 32, ...tag, ...good.slice(-33)));
  });
  refuses("a commit without a tag", "decode §2.1", async () => {
    const { mallory } = await stage();
    const good = await forgeCommit(mallory);
    // What is left of the two tags is one: it is read as the confirmation tag.
    decodeMessage(good.slice(0, -33));
  });
});

rule("F23", () => {
  const at = ["bytes.ts", "export function constantTimeEqual("] as const;
  accepts("equal tags", () => {
    expect(constantTimeEqual(utf8("a tag"), utf8("a tag"))).toBe(true);
    expect(constantTimeEqual(utf8(""), utf8(""))).toBe(true);
  });
  holds("different tags, and tags of different length, are different", at, () => {
    for (const other of ["b tag", "a tah", "a ta", "a tag ", ""]) {
      expect(constantTimeEqual(utf8("a tag"), utf8(other))).toBe(false);
      expect(constantTimeEqual(utf8(other), utf8("a tag"))).toBe(false);
    }
    expect(constantTimeEqual(utf8("a tag"), new Uint8Array(6).fill(0))).toBe(false);
    expect(constantTimeEqual(new Uint8Array(5), new Uint8Array(6))).toBe(false);
  });
  holds("as many bytes are looked at wherever the first difference is", at, () => {
    const looks = [0, 15, 31, 32].map((different) => {
      let count = 0;
      const counted = new Proxy(new Uint8Array(32), {
        get: (target, key) => {
          if (/^\d+$/.test(String(key))) count++;
          return Reflect.get(target, key, target) as unknown;
        },
      });
      const other = new Uint8Array(32);
      if (different < 32) other[different] = 1;
      constantTimeEqual(counted, other);
      return count;
    });
    expect(new Set(looks)).toEqual(new Set([32]));
  });
  holds("no tag or secret is compared in another way", at, () => {
    const folder = new URL("../../src/", import.meta.url);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    for (const file of files.filter((name) => name.endsWith(".ts"))) {
      const source = readFileSync(new URL(file, folder), "utf8");
      const compared = source.match(/\bbytesEqual\([^;{]*?(?:membershipTag|[sS]ecret)\b/g) ?? [];
      expect([file, ...compared]).toEqual([file]);
    }
  });
});

/** A room that keeps past epochs; carol has sent something, and then dave has taken her leaf. */
async function afterCarol() {
  const context = { pastEpochs: { epochs: 3, seconds: 3600 } };
  const where = await room(await persons(["alice", "bob", "carol"], { context }));
  const [alice, bob, carol] = [where.at(0), where.at(1), where.at(2)];
  const before = await inside(carol.person);
  const late = await carol.group.send(utf8("from carol"));
  const { commit: gone } = await alice.group.commit({
    proposals: [{ proposalType: "remove", removed: 2 }],
  });
  for (const { group } of [alice, bob]) await group.receive(gone);
  const dave = await person("dave", { context });
  const [joined] = await add(alice.group, [dave], [bob.group]);
  if (!joined) throw new Error("dave");
  return { bob: bob.group, before, late, dave, joined };
}

rule("F24", () => {
  accepts("a message of the one who had the leaf then", async () => {
    const { bob, late, joined } = await afterCarol();
    expect(joined.ownLeafIndex).toBe(2);
    const received = await bob.receive(late);
    expect(received.type === "application" && text(received.data)).toBe("from carol");
  });
  refuses("one that who has it now has signed", "signature §6.1", async () => {
    const { bob, before, dave } = await afterCarol();
    await bob.receive(await forgePrivate(before, application, { skip: 1, signer: dave.signer }));
  });
  refuses("to read it where one was no member then", "wrong-epoch §6.1", async () => {
    const { late, joined } = await afterCarol();
    await joined.receive(late);
  });
  refuses("a proposal of that epoch", "wrong-epoch §6.1", async () => {
    const { bob, before } = await afterCarol();
    await bob.receive(await forgePrivate(before, proposal));
  });
});

rule("F25", () => {
  accepts("a proposal and a commit in their epoch", async () => {
    const { where, mallory } = await stage();
    const now = await expectAccepted(where, MALLORY, await forgeProposal(mallory, removeBob));
    await expectAccepted(now, MALLORY, await forgeCommit(mallory));
  });
  for (const [what, make] of [
    ["a proposal", (by: Inside) => forgeProposal(by, removeBob)],
    ["a commit", (by: Inside) => forgeCommit(by)],
  ] as const) {
    refuses(`${what} when its epoch has passed`, "wrong-epoch §6.1", async () => {
      const { where, mallory } = await stage();
      const late = await make(mallory);
      const { commit: next } = await where.at(0).group.commit();
      await refusedByAll(await expectAccepted(where, -1, next), MALLORY, late);
    });
  }
  for (const [what, make] of [
    ["a proposal", (by: Inside) => forgePrivate(by, proposal)],
    ["a commit", (by: Inside) => forgeCommit(by, { wireFormat: "mls_private_message" })],
  ] as const) {
    refuses(`${what}, encrypted, when its epoch has passed`, "wrong-epoch §6.1", async () => {
      const { where, mallory } = await stage();
      const late = await make(mallory);
      const { commit: next } = await where.at(0).group.commit();
      await refusedByAll(await expectAccepted(where, -1, next), MALLORY, late, membersOnly);
    });
  }
});

rule("F26", () => {
  accepts("generations in any order", async () => {
    const { where, mallory } = await stage();
    const messages: Bytes[] = [];
    for (let i = 0; i < 6; i++) messages.push(await forgePrivate(mallory, application));
    for (const i of [5, 0, 3, 1, 4, 2]) {
      expect(await read(where, 0, messages[i] ?? utf8(""))).toBe("hello");
    }
  });
  refuses("a message twice", "generation-used §9.1", async () => {
    const { where, mallory } = await stage();
    const message = await forgePrivate(mallory, application);
    await expectAll(where, message);
    await refusedByAll(where, MALLORY, message, membersOnly);
  });
  refuses("a message twice that came late the first time", "generation-used §9.1", async () => {
    const { where, mallory } = await stage();
    const late = await forgePrivate(mallory, application);
    await expectAll(where, await forgePrivate(mallory, application));
    await expectAll(where, late);
    await refusedByAll(where, MALLORY, late, membersOnly);
  });
});

async function expectAll(where: Room, message: Bytes): Promise<void> {
  for (const leafIndex of [0, 1, 2]) expect(await read(where, leafIndex, message)).toBe("hello");
}

rule("F27", () => {
  accepts("what is as far ahead as the bound", async () => {
    const { where, mallory } = await stage();
    await expectAll(where, await forgePrivate(mallory, application, { skip: 1024 }));
  });
  refuses("a step further", "generation-too-far §9.1", () =>
    refused(({ mallory }) => forgePrivate(mallory, application, { skip: 1025 }), membersOnly),
  );
  holds(
    "what is too far costs the same, however far it is",
    ["key/secret-tree.ts", '"generation-too-far"'],
    async () => {
      const { mallory } = await stage();
      const { suite, state } = mallory;
      const costs = [1025, 2 ** 20, 2 ** 32 - 1].map((generation) => {
        let count = 0;
        const provider = {
          ...nodeCrypto,
          hmac: (...args: Parameters<typeof nodeCrypto.hmac>) => {
            count++;
            return nodeCrypto.hmac(...args);
          },
        };
        const secret = new Uint8Array(suite.nh);
        const { leafCount } = state.tree;
        const tree = SecretTree.create({ ...suite, provider }, leafCount, "tree/", secret);
        expect(() => tree.at(0, "application", generation)).toThrow("too far");
        return count;
      });
      expect(new Set(costs).size).toBe(1);
    },
  );
});

rule("F28", () => {
  for (const [what, change] of [
    ["another ciphertext", (bytes: Bytes) => flipped(bytes, -1)],
    ["half a ciphertext", (bytes: Bytes) => bytes.slice(0, bytes.length / 2)],
  ] as const) {
    accepts(`the message itself after one of ${what}`, async () => {
      const { where, mallory } = await stage();
      const good = await forgePrivate(mallory, application, { skip: 3 });
      const bad = changedPrivate(good, (one) => ({ ...one, ciphertext: change(one.ciphertext) }));
      const { group } = where.at(0);
      await expect(group.receive(bad)).rejects.toMatchObject({ code: "aead-open" });
      expect(await read(where, 0, good)).toBe("hello");
    });
  }
  accepts("the message itself after one whose signature is wrong", async () => {
    const { where, mallory } = await stage();
    const { signer } = await person("stranger");
    const again = await inside(mallory.person);
    const bad = await forgePrivate(again, application, { signer });
    await expect(where.at(0).group.receive(bad)).rejects.toMatchObject({ code: "signature" });
    expect(await read(where, 0, await forgePrivate(mallory, application))).toBe("hello");
  });
  refuses("what does not open, and stores nothing", "aead-open §6.3.1", async () => {
    const { where, mallory } = await stage();
    const { person: alice, group } = where.at(0);
    const before = await alice.storage.list("");
    const good = await forgePrivate(mallory, application);
    const bad = changedPrivate(good, (one) => ({
      ...one,
      ciphertext: flipped(one.ciphertext, -1),
    }));
    try {
      await group.receive(bad);
    } finally {
      expect(await alice.storage.list("")).toEqual(before);
    }
  });
});
