/** §8, §12.4, §14: commits, and the epoch that each begins. */

import { joinExternally, joinGroup, type Proposal } from "@conclave/mls";
import { type Bytes, encode, opaque } from "@conclave/mls/codec";
import { expect } from "vitest";
import { decodeMessageOf } from "../../src/framing/message.ts";
import { provisionalContext } from "../../src/group/staged-commit.ts";
import { findExtension } from "../../src/key/extension.ts";
import { externalKeyPair, mlsExporter } from "../../src/key/key-schedule.ts";
import { pskSecret } from "../../src/key/psk.ts";
import { EXTENSION } from "../../src/registry.ts";
import { type ForgedCommit, forgeCommit, forgeKeyPackage, inside } from "../forge.ts";
import {
  addProposal,
  expectAccepted,
  found,
  hex,
  joinByLink,
  person,
  persons,
  type Room,
  reload,
  utf8,
} from "../people.ts";
import { accepts, holds, refusedByAll, refuses, rule } from "./rule.ts";
import { flipped, MALLORY, type Stage, stage } from "./stage.ts";

const remove = (removed: number): Proposal => ({ proposalType: "remove", removed });
const membersOnly = { membersOnly: true } as const;
type Forged = ForgedCommit | ((at: Stage) => Promise<ForgedCommit>);

async function made(at: Stage, forged: Forged): Promise<Bytes> {
  return forgeCommit(at.mallory, typeof forged === "function" ? await forged(at) : forged);
}

async function taken(forged: Forged = {}): Promise<void> {
  const at = await stage();
  await expectAccepted(at.where, MALLORY, await made(at, forged));
}

async function refused(
  forged: Forged,
  options: { readonly membersOnly?: boolean } = {},
): Promise<void> {
  const at = await stage();
  await refusedByAll(at.where, MALLORY, await made(at, forged), options);
}

async function addOf(name: string): Promise<Proposal> {
  return { proposalType: "add", keyPackage: await forgeKeyPackage(await person(name)) };
}

/** All that a member can be asked without changing it, with its records. */
async function picture({ where }: Stage, leafIndex: number): Promise<unknown> {
  const { person: who, group } = where.at(leafIndex);
  const records = await who.storage.list("");
  return {
    epoch: group.epoch,
    authenticator: hex(group.epochAuthenticator),
    members: group.members().length,
    pending: group.pendingProposals.length,
    commit: group.pendingCommit,
    records: [...records].map(([key, value]) => `${key} ${hex(value)}`),
  };
}

async function receiveAll(where: Room, message: Bytes): Promise<void> {
  for (const group of where.groups) await group.receive(message);
}

rule("C01", () => {
  accepts("an empty list with a path", () => taken());
  accepts("a Remove with a path", () => taken({ proposals: [remove(1)] }));
  for (const [title, forged] of [
    ["an empty list without", {}],
    ["a Remove without", { proposals: [remove(1)] }],
    [
      "a GroupContextExtensions without",
      { proposals: [{ proposalType: "group_context_extensions", extensions: [] }] },
    ],
  ] as const) {
    refuses(title, "path-required §12.4", () => refused({ ...forged, pathless: true }));
  }
  refuses("an Update without", "path-required §12.4", async () => {
    const at = await stage();
    const update = await at.where.at(1).group.proposeUpdate();
    let ref: Bytes = new Uint8Array(0);
    for (const leafIndex of [0, 2, 3]) {
      const received = await at.where.at(leafIndex).group.receive(update);
      if (received.type === "proposal") ({ ref } = received);
    }
    const { group: observer } = await at.where.observer.process(update);
    const mallory = await inside(at.where.at(MALLORY).person);
    const bad = await forgeCommit(mallory, { references: [ref], pathless: true });
    await refusedByAll({ ...at.where, observer }, MALLORY, bad);
  });
});

rule("C02", () => {
  accepts("an Add without a path", async () =>
    taken({ proposals: [await addOf("eve")], pathless: true }),
  );
  accepts("a ReInit without a path", () =>
    taken({
      proposals: [
        {
          proposalType: "reinit",
          groupId: utf8("next"),
          version: 1,
          cipherSuite: 3,
          extensions: [],
        },
      ],
      pathless: true,
    }),
  );
  accepts("a PreSharedKey without a path", async () => {
    const at = await stage({ externalPsk: async () => utf8("known to all") });
    const psk = {
      pskType: "external",
      pskId: utf8("id"),
      pskNonce: new Uint8Array(at.mallory.suite.nh),
    } as const;
    const secret = pskSecret(at.mallory.suite, [{ id: psk, secret: utf8("known to all") }]);
    const message = await made(at, {
      proposals: [{ proposalType: "psk", psk }],
      pathless: true,
      pskSecret: secret,
    });
    await expectAccepted(at.where, MALLORY, message);
  });
  refuses("an Add beside a Remove, without", "path-required §12.4", () =>
    refused(async () => ({ proposals: [await addOf("eve"), remove(1)], pathless: true })),
  );
});

rule("C03", () => {
  const psk = (id: string): Proposal => ({
    proposalType: "psk",
    psk: { pskType: "external", pskId: utf8(id), pskNonce: new Uint8Array(32) },
  });
  const known = async (id: Bytes) => (id[0] === 107 ? utf8("known to all") : undefined);
  accepts("a commit whose PSK all have", async () => {
    const at = await stage({ externalPsk: known });
    const { commit } = await at.where.at(0).group.commit({ proposals: [psk("known")] });
    await expectAccepted(at.where, -1, commit);
  });
  refuses(
    "to compose with one that is missing, and nothing is stored",
    "psk-unknown §8.4",
    async () => {
      const at = await stage({ externalPsk: known });
      const before = await picture(at, 0);
      try {
        await at.where.at(0).group.commit({ proposals: [psk("known"), psk("missing")] });
      } finally {
        expect(await picture(at, 0)).toEqual(before);
      }
    },
  );
  refuses("to process one that is missing", "psk-unknown §8.4", async () => {
    const at = await stage({ externalPsk: known });
    const before = await picture(at, 0);
    const bad = await forgeCommit(at.mallory, { proposals: [psk("missing")] });
    try {
      await at.where.at(0).group.receive(bad);
    } finally {
      expect(await picture(at, 0)).toEqual(before);
    }
  });
});

rule("C04", () => {
  accepts("the good commit after the bad one", async () => {
    const at = await stage();
    const bad = await made(at, { tag: (tag) => flipped(tag, 0) });
    await expect(at.where.at(0).group.receive(bad)).rejects.toMatchObject({ name: "MlsError" });
    await expectAccepted(at.where, MALLORY, await made(at, {}));
  });
  refuses("a bad commit, and not one record differs", "confirmation-tag §8.1", async () => {
    const at = await stage();
    const before = await picture(at, 1);
    const bad = await made(at, { proposals: [remove(2)], tag: (tag) => flipped(tag, 31) });
    try {
      await at.where.at(1).group.receive(bad);
    } finally {
      expect(await picture(at, 1)).toEqual(before);
    }
  });
});

rule("C05", () => {
  accepts("a message in the old epoch while a commit waits", async () => {
    const { where } = await stage();
    const { group } = where.at(0);
    const before = [group.epoch, hex(group.epochAuthenticator)];
    await group.commit({ proposals: [remove(1)] });
    expect([group.epoch, hex(group.epochAuthenticator)]).toEqual(before);
    const message = await group.send(utf8("still here"));
    const received = await where.at(1).group.receive(message);
    expect(received.type).toBe("application");
  });
  refuses("a second commit beside the one that waits", "pending-commit §14", async () => {
    const { where } = await stage();
    await where.at(0).group.commit();
    await where.at(0).group.commit();
  });
});

rule("C06", () => {
  accepts("the tag of the new epoch", () => taken());
  for (const [title, tag] of [
    ["empty", () => new Uint8Array(0)],
    ["shorter", (tag: Bytes) => tag.slice(1)],
    ["longer", (tag: Bytes) => Uint8Array.of(...tag, 0)],
    ["with another first bit", (tag: Bytes) => flipped(tag, 0)],
    ["with another last bit", (tag: Bytes) => flipped(tag, -1)],
  ] as const) {
    refuses(`one that is ${title}`, "confirmation-tag §8.1", () => refused({ tag }, membersOnly));
  }
});

rule("C07", () => {
  accepts("the same for all members and the observer, another in each epoch", async () => {
    const at = await stage();
    let { where } = at;
    const seen = new Set<string>();
    for (const leafIndex of [0, 2, 1]) {
      const { commit } = await where.at(leafIndex).group.commit();
      where = await expectAccepted(where, -1, commit);
      const hashes = where.groups.map((group) => hex(group.confirmedTranscriptHash));
      expect(new Set(hashes).size).toBe(1);
      for (const hash of hashes) seen.add(hash);
    }
    expect(seen.size).toBe(3);
  });
  refuses("a commit over another transcript", "signature §6.1", async () => {
    const at = await stage();
    const { state } = at.mallory;
    const confirmedTranscriptHash = flipped(state.groupContext.confirmedTranscriptHash, 0);
    const groupContext = { ...state.groupContext, confirmedTranscriptHash };
    const bad = await forgeCommit({ ...at.mallory, state: { ...state, groupContext } });
    // The membership tag covers the context too, so members see that first.
    await refusedByAll({ ...at.where, groups: [] }, MALLORY, bad);
  });
});

rule("C08", () => {
  const reinit = {
    proposalType: "reinit",
    groupId: utf8("next"),
    version: 1,
    cipherSuite: 3,
    extensions: [],
  } as const;
  const ended = async () => {
    const { where } = await stage();
    const { commit } = await where.at(0).group.commit({ proposals: [reinit] });
    await receiveAll(where, commit);
    return where.at(1).group;
  };
  accepts("what the group goes on as", async () => {
    const group = await ended();
    expect(group.status).toBe("closed");
    expect(group.reinit).toMatchObject({ groupId: utf8("next"), cipherSuite: 3 });
  });
  refuses("a message", "group-closed §11.2", async () => (await ended()).send(utf8("more")));
  refuses("a proposal", "group-closed §11.2", async () => (await ended()).propose(remove(0)));
  refuses("a commit", "group-closed §11.2", async () => (await ended()).commit());
});

rule("C09", () => {
  const removed = async () => {
    const { where } = await stage();
    const { commit } = await where.at(0).group.commit({ proposals: [remove(1)] });
    await receiveAll(where, commit);
    return where.at(1);
  };
  accepts("nothing but who was there", async () => {
    const { person: bob, group } = await removed();
    expect(group.status).toBe("removed");
    const keys = [...(await bob.storage.list("group/")).keys()];
    expect(keys.filter((key) => !/\/(state|node\/\d+)$/.test(key))).toEqual([]);
  });
  refuses("the next message", "removed §12.4.2", async () => {
    const { group } = await removed();
    await group.receive(utf8("anything"));
  });
  refuses("an exported secret, also after a reload", "removed §12.4.2", async () => {
    const { person: bob, group } = await removed();
    const again = await reload(bob, group);
    again.exportSecret("label", utf8(""), 16);
  });
});

rule("C10", () => {
  accepts("an external commit to the group's external key", async () => {
    const { where } = await stage();
    const eve = await joinByLink(await person("eve"), where.at(0).group, where.groups.slice(1));
    expect(hex(eve.epochAuthenticator)).toBe(hex(where.at(2).group.epochAuthenticator));
  });
  refuses("one whose init_secret is another", "confirmation-tag §8.1", async () => {
    const at = await stage();
    const { secrets } = at.mallory;
    const externalSecret = flipped(secrets.externalSecret, 0);
    const bad = await forgeCommit(
      { ...at.mallory, secrets: { ...secrets, externalSecret } },
      { external: { person: await person("eve") } },
    );
    await refusedByAll(at.where, -1, bad, membersOnly);
  });
});

rule("C11", () => {
  accepts("as many zero bytes as the hash has", async () => {
    const { mallory } = await stage();
    expect(pskSecret(mallory.suite, [])).toEqual(new Uint8Array(32));
  });
  refuses("a commit that mixes in another", "confirmation-tag §8.1", () =>
    refused({ pskSecret: new Uint8Array(32).fill(1) }, membersOnly),
  );
});

rule("C12", () => {
  const source = ["key/key-schedule.ts", "export function mlsExporter("] as const;
  holds("each of the three changes it, and members agree", source, async () => {
    const { where } = await stage();
    const [a, b] = where.groups;
    const asked = [
      ["label", "context", 32],
      ["other", "context", 32],
      ["label", "other", 32],
      ["label", "context", 16],
    ] as const;
    const exported = asked.map(([label, context, length]) => {
      const secrets = [a, b].map((group) =>
        hex(group?.exportSecret(label, utf8(context), length) ?? utf8("")),
      );
      expect(secrets[0]).toBe(secrets[1]);
      expect(secrets[0]).toHaveLength(2 * length);
      return secrets[0];
    });
    expect(new Set(exported).size).toBe(4);
    // The length is part of what is derived: the shorter one is no prefix.
    expect(exported[0]?.startsWith(exported[3] ?? "x")).toBe(false);
  });
  holds("more than HKDF can give is refused as a mistake of the caller", source, async () => {
    const { mallory } = await stage();
    const { suite, secrets } = mallory;
    const take = (length: number) =>
      mlsExporter(suite, secrets.exporterSecret, "label", utf8(""), length);
    expect(take(255 * 32)).toHaveLength(255 * 32);
    expect(() => take(255 * 32 + 1)).toThrow(TypeError);
  });
});

rule("C13", () => {
  const at = async (epoch: bigint) => {
    const { mallory } = await stage();
    const { state } = mallory;
    const applied = { extensions: [] } as never;
    const groupContext = { ...state.groupContext, epoch };
    return provisionalContext({ ...state, groupContext }, applied, state.tree).epoch;
  };
  accepts("the last epoch there is", async () => {
    expect(await at(2n ** 64n - 2n)).toBe(2n ** 64n - 1n);
  });
  refuses("one more", "exhausted §8.1", () => at(2n ** 64n - 1n));
});

rule("C14", () => {
  accepts("a Welcome once the commit is the group's", async () => {
    const { where } = await stage();
    const eve = await person("eve");
    const { commit, welcome } = await where
      .at(0)
      .group.commit({ proposals: [await addProposal(eve)] });
    await receiveAll(where, commit);
    if (!welcome) throw new Error("no welcome");
    const joined = await joinGroup(eve.context, {
      welcome,
      ratchetTree: where.at(0).group.ratchetTree(),
      signer: eve.signer,
    });
    expect(hex(joined.epochAuthenticator)).toBe(hex(where.at(1).group.epochAuthenticator));
  });
  refuses(
    "one whose commit lost, where the epoch that won is known",
    "welcome §12.4.3.1",
    async () => {
      const { where } = await stage();
      const eve = await person("eve");
      const { welcome } = await where.at(0).group.commit({ proposals: [await addProposal(eve)] });
      const { commit } = await where.at(1).group.commit();
      await receiveAll(where, commit);
      const { groupId, epoch } = where.at(1).group;
      const { commit: later } = await where.at(1).group.commit();
      await receiveAll(where, later);
      if (!welcome) throw new Error("no welcome");
      await joinGroup(eve.context, {
        welcome,
        ratchetTree: where.at(1).group.ratchetTree(),
        signer: eve.signer,
        expected: { groupId, epoch: epoch + 1n },
      });
    },
  );
});

rule("C15", () => {
  const adding = async (count: number) => {
    const { where } = await stage();
    const people = await persons(Array.from({ length: count }, (_, i) => `new ${i}`));
    const proposals = await Promise.all(people.map(addProposal));
    const { commit, welcome } = await where.at(0).group.commit({ proposals });
    await receiveAll(where, commit);
    if (!welcome) throw new Error("no welcome");
    return { where, people, welcome, ratchetTree: where.at(0).group.ratchetTree() };
  };
  accepts("three who are added, and all join", async () => {
    const { people, welcome, ratchetTree } = await adding(3);
    const { secrets } = decodeMessageOf(welcome, "mls_welcome").welcome;
    expect(new Set(secrets.map(({ newMember }) => hex(newMember))).size).toBe(3);
    for (const { context, signer } of people) {
      await joinGroup(context, { welcome, ratchetTree, signer });
    }
  });
  refuses("somebody who was not added", "key-package-unknown §12.4.3.1", async () => {
    const { welcome, ratchetTree } = await adding(1);
    const { context, signer } = await person("somebody");
    await joinGroup(context, { welcome, ratchetTree, signer });
  });
});

rule("C16", () => {
  accepts("the public half of the key pair of this epoch's external secret", async () => {
    const { where, mallory } = await stage();
    const info = await where.at(0).group.groupInfo({ externalPub: true });
    const { groupInfo } = decodeMessageOf(info, "mls_group_info");
    const { publicKey } = await externalKeyPair(mallory.suite, mallory.secrets.externalSecret);
    expect(findExtension(groupInfo.extensions, EXTENSION.externalPub)).toEqual(
      encode(opaque, publicKey),
    );
  });
  refuses("a join by the external key of the epoch before", "wrong-epoch §6.1", async () => {
    const { where } = await stage();
    const eve = await person("eve");
    const old = await where.at(0).group.groupInfo({ externalPub: true });
    const ratchetTree = where.at(0).group.ratchetTree();
    const { commit } = await where.at(0).group.commit();
    await receiveAll(where, commit);
    const { bundle } = await joinExternally(eve.context, {
      groupInfo: old,
      ratchetTree,
      credential: eve.credential,
      signer: eve.signer,
    });
    await where.at(0).group.receive(bundle.commit);
  });
});

rule("C17", () => {
  const limited = async () => {
    const alice = await person("alice");
    const context = { ...alice.context, messageLimit: 2 };
    const group = await found({ ...alice, context });
    await group.send(utf8("one"));
    await group.send(utf8("two"));
    return group;
  };
  accepts("as many messages as are allowed, and more in the next epoch", async () => {
    const group = await limited();
    await group.receive((await group.commit()).commit);
    await group.send(utf8("three"));
  });
  refuses("one more", "exhausted §15.2", async () => (await limited()).send(utf8("three")));
});
