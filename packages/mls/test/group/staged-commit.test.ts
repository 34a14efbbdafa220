/** §7.5, §7.6, §12.4.2, §12.4.3.2: paths, and commits by those who join with them. */

import type { AuthenticationService, MlsErrorCode } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { type ForgedCommit, forgeCommit, forgeKeyPackage, type Inside, inside } from "../forge.ts";
import {
  ACCEPT_ALL_FOR_TESTS,
  expectAccepted,
  expectRefused,
  hex,
  type Person,
  person,
  persons,
  type Room,
  room,
  text,
  utf8,
} from "../people.ts";

interface Stage {
  readonly where: Room;
  readonly mallory: Inside;
}

async function stage(options: Parameters<typeof persons>[1] = {}): Promise<Stage> {
  const where = await room(await persons(["alice", "bob", "carol", "mallory"], options));
  return { where, mallory: await inside(where.at(3).person) };
}

/** A leaf's successor is one with the same credential. */
const SAME_CREDENTIAL: AuthenticationService = {
  ...ACCEPT_ALL_FOR_TESTS,
  isSuccessor: async (previous, next) =>
    JSON.stringify(previous.credential) === JSON.stringify(next.credential),
};

type Forged = ForgedCommit | ((stage: Stage) => Promise<ForgedCommit>);
interface Rule {
  readonly rule: string;
  readonly bad: Forged;
  readonly code: MlsErrorCode;
}

async function keyAt(mallory: Inside, which: "parent" | "leaf"): Promise<Bytes> {
  const { tree } = mallory.state;
  const { root } = tree;
  if (!("left" in root)) throw new Error("a tree of one");
  const { left } = root;
  if (which === "parent") return root.parent?.encryptionKey ?? new Uint8Array(0);
  if (!("left" in left) || !("leaf" in left.left)) throw new Error("no leaf");
  return left.left.leaf?.encryptionKey ?? new Uint8Array(0);
}

const RULES: readonly Rule[] = [
  {
    rule: "§7.3 a leaf of source update",
    bad: { leaf: () => ({ source: { leafNodeSource: "update" } }) },
    code: "leaf-source",
  },
  {
    rule: "§7.3 a leaf of source key_package",
    bad: {
      leaf: () => ({
        source: { leafNodeSource: "key_package", lifetime: { notBefore: 0n, notAfter: 1n } },
      }),
    },
    code: "leaf-source",
  },
  {
    rule: "§12.4.2 a leaf that keeps its encryption key",
    bad: async ({ mallory }) => {
      const { root } = mallory.state.tree;
      if (!("right" in root) || !("right" in root.right)) throw new Error("a tree of four");
      const { right } = root.right;
      const encryptionKey = ("leaf" in right && right.leaf?.encryptionKey) || new Uint8Array(0);
      return { leaf: () => ({ encryptionKey }) };
    },
    code: "leaf-encryption-key",
  },
  {
    rule: "§7.3 a leaf with the encryption key of another member",
    bad: async ({ mallory }) => {
      const encryptionKey = await keyAt(mallory, "leaf");
      return { leaf: () => ({ encryptionKey }) };
    },
    code: "leaf-key-reused",
  },
  {
    rule: "§7.3 a leaf with the signature key of another member",
    bad: async ({ where }) => {
      const { signer } = where.at(1).person;
      return { leaf: () => ({ signatureKey: signer.publicKey }), leafSigner: signer };
    },
    code: "leaf-key-reused",
  },
  {
    rule: "§7.3 a leaf signed by another key",
    bad: async ({ where }) => ({ leafSigner: where.at(1).person.signer }),
    code: "leaf-signature",
  },
  {
    rule: "§7.3 a leaf signed for another place",
    bad: { leafPosition: { groupId: utf8("room"), leafIndex: 2 } },
    code: "leaf-signature",
  },
  {
    rule: "§7.3 a leaf signed for another group",
    bad: { leafPosition: { groupId: utf8("another room"), leafIndex: 3 } },
    code: "leaf-signature",
  },
  {
    rule: "§7.2 a leaf that does not list its credential's type",
    bad: { leaf: (leaf) => ({ capabilities: { ...leaf.capabilities, credentials: [2] } }) },
    code: "leaf-capabilities",
  },
  {
    rule: "§7.3 a leaf with an extension that it does not list",
    bad: { leaf: () => ({ extensions: [{ extensionType: 0xf001, extensionData: utf8("") }] }) },
    code: "leaf-extensions",
  },
  {
    rule: "§13.4 a leaf with an extension twice",
    bad: {
      leaf: () => ({
        extensions: [1, 1].map((extensionType) => ({ extensionType, extensionData: utf8("") })),
      }),
    },
    code: "duplicate-extension",
  },
  {
    rule: "§7.3 a leaf with a credential of a type that others don't support",
    bad: {
      leaf: (leaf) => ({
        credential: { credentialType: "x509", certificates: [] },
        capabilities: { ...leaf.capabilities, credentials: [1, 2] },
      }),
    },
    code: "leaf-capabilities",
  },
];

describe("a commit's path is refused for", () => {
  it.each(RULES)("$rule", async ({ bad, code }) => {
    const on = await stage();
    const options = typeof bad === "function" ? await bad(on) : bad;
    await expectRefused(on.where, 3, await forgeCommit(on.mallory, options), code);
    await expectAccepted(on.where, 3, await forgeCommit(on.mallory));
  });

  it.each([
    ["empty", () => new Uint8Array(0)],
    ["shorter", (tag: Bytes) => tag.slice(1)],
    ["longer", (tag: Bytes) => Uint8Array.of(...tag, 0)],
    ["different", (tag: Bytes) => tag.map((byte) => byte ^ 1)],
  ])("§8.1 a confirmation tag that is %s", async (_, tag) => {
    const { where, mallory } = await stage();
    await expectRefused(where, 3, await forgeCommit(mallory, { tag }), "confirmation-tag", {
      membersOnly: true,
    });
    await expectAccepted(where, 3, await forgeCommit(mallory));
  });

  it("§5.3.1 a leaf whose credential is refused, or is no successor", async () => {
    const { where, mallory } = await stage({ authentication: SAME_CREDENTIAL });
    const bad = await forgeCommit(mallory, {
      leaf: () => ({ credential: { credentialType: "basic", identity: utf8("alice") } }),
    });
    await expectRefused(where, 3, bad, "authentication");
    await expectAccepted(where, 3, await forgeCommit(mallory));
  });

  it("§12.2 an Add of a client that stays, or two of one client, by the application's word", async () => {
    const authentication: AuthenticationService = {
      ...ACCEPT_ALL_FOR_TESTS,
      clientOf: ({ credential }) =>
        credential.credentialType === "basic" ? hex(credential.identity) : "",
    };
    const where = await room(
      await persons(["alice", "bob", "carol", "mallory"], { authentication }),
    );
    const mallory = await inside(where.at(3).person);
    const addOf = async (name: string) =>
      ({ proposalType: "add", keyPackage: await forgeKeyPackage(await person(name)) }) as const;
    const present = await forgeCommit(mallory, { proposals: [await addOf("bob")] });
    await expectRefused(where, 3, present, "proposal-list");
    const twice = await forgeCommit(mallory, {
      proposals: [await addOf("dora"), await addOf("dora")],
    });
    await expectRefused(where, 3, twice, "proposal-list");
    // In the place of the one who goes, the same client may come (§12.2).
    const proposals = [{ proposalType: "remove", removed: 1 } as const, await addOf("bob")];
    await expectAccepted(where, 3, await forgeCommit(mallory, { proposals }));
  });

  it("§12.2 no commit of ours, from the pending Add of a client that stays", async () => {
    const authentication: AuthenticationService = {
      ...ACCEPT_ALL_FOR_TESTS,
      clientOf: ({ credential }) =>
        credential.credentialType === "basic" ? hex(credential.identity) : "",
    };
    let where = await room(await persons(["alice", "bob", "carol"], { authentication }));
    for (const name of ["carol", "dora", "dora"]) {
      const keyPackage = await forgeKeyPackage(await person(name));
      const proposal = await where.at(1).group.propose({ proposalType: "add", keyPackage });
      where = await expectAccepted(where, 1, proposal);
    }
    const { commit } = await where.at(0).group.commit();
    await expectAccepted(where, -1, commit);
    const names = where
      .at(2)
      .group.members()
      .map(({ leafNode: { credential } }) =>
        credential.credentialType === "basic" ? text(credential.identity) : "",
      );
    expect(names).toEqual(["alice", "bob", "carol", "dora"]);
  });

  it("§5.3.1 a proposal whose credential is refused, so that it stands in nobody's way", async () => {
    const no = new Error("nobody called eve here");
    const authentication: AuthenticationService = {
      ...ACCEPT_ALL_FOR_TESTS,
      validate: async (leaves) => {
        for (const { credential } of leaves) {
          if (credential.credentialType === "basic" && text(credential.identity) === "eve")
            throw no;
        }
      },
    };
    const mild = await persons(["alice", "bob"], { authentication });
    const where = await room([...mild, await person("mallory")]);
    const proposalOf = async (name: string) =>
      where.at(2).group.propose({
        proposalType: "add",
        keyPackage: await forgeKeyPackage(await person(name)),
      });
    const bad = await proposalOf("eve");
    for (const leafIndex of [0, 1]) {
      await expect(where.at(leafIndex).group.receive(bad)).rejects.toBe(no);
      expect(where.at(leafIndex).group.pendingProposals).toEqual([]);
    }
    await expect(where.observer.process(bad)).rejects.toBe(no);
    await expectAccepted(where, 2, await proposalOf("dora"));
  });

  it("§5.3.1 what the application refuses, with the application's own error", async () => {
    const no = new Error("nobody called eve here");
    const authentication = {
      ...ACCEPT_ALL_FOR_TESTS,
      validate: async (leaves: readonly { readonly credential: unknown }[]) => {
        for (const { credential } of leaves) {
          const { identity } = credential as { identity?: Bytes };
          if (identity && String.fromCharCode(...identity) === "eve") throw no;
        }
      },
    };
    const where = await room(
      await persons(["alice", "bob", "carol", "mallory"], { authentication }),
    );
    const mallory = await inside(where.at(3).person);
    const addOf = async (name: string) => ({
      proposals: [
        { proposalType: "add", keyPackage: await forgeKeyPackage(await person(name)) } as const,
      ],
    });
    const bad = await forgeCommit(mallory, await addOf("eve"));
    for (const leafIndex of [0, 1, 2]) {
      await expect(where.at(leafIndex).group.receive(bad)).rejects.toBe(no);
    }
    await expect(where.observer.process(bad)).rejects.toBe(no);
    const external = await forgeCommit(mallory, { external: { person: await person("eve") } });
    await expect(where.at(0).group.receive(external)).rejects.toBe(no);
    await expectAccepted(where, 3, await forgeCommit(mallory, await addOf("dan")));
  });
});

describe("§12.4.3.2 an external commit", () => {
  const by = async (
    mallory: Inside,
    options: ForgedCommit & { who?: Person; externalInits?: number } = {},
  ): Promise<Bytes> => {
    const { who, externalInits = 1, ...rest } = options;
    const external = { person: who ?? (await person("eve")), externalInits };
    return forgeCommit(mallory, { ...rest, external });
  };

  it("is accepted from someone who has the GroupInfo", async () => {
    const { where, mallory } = await stage();
    const after = await expectAccepted(where, -1, await by(mallory));
    expect(after.observer.members()).toHaveLength(5);
  });

  it.each([0, 2])("with %i ExternalInits is refused", async (externalInits) => {
    const { where, mallory } = await stage();
    await expectRefused(where, -1, await by(mallory, { externalInits }), "proposal-list");
  });

  it("removes one leaf at most", async () => {
    const { where, mallory } = await stage();
    const [one, two] = [1, 2].map((removed) => ({ proposalType: "remove", removed }) as const);
    if (!one || !two) throw new Error("two");
    const bad = await by(mallory, { proposals: [one, two] });
    await expectRefused(where, -1, bad, "proposal-list");
    const good = await by(mallory, { proposals: [one], who: where.at(1).person });
    await expectAccepted(where, -1, good);
    expect(where.at(1).group.status).toBe("removed");
  });

  it("may not add, update or change the group", async () => {
    const { where, mallory } = await stage();
    const keyPackage = await forgeKeyPackage(await person("dan"));
    for (const proposal of [
      { proposalType: "add", keyPackage },
      { proposalType: "group_context_extensions", extensions: [] },
    ] as const) {
      const bad = await by(mallory, { proposals: [proposal] });
      await expectRefused(where, -1, bad, "sender-not-allowed");
    }
  });

  it("names no proposal by reference", async () => {
    const { where, mallory } = await stage();
    const message = await where.at(0).group.propose({ proposalType: "remove", removed: 1 });
    let ref: Bytes = new Uint8Array(0);
    for (const leafIndex of [1, 2, 3]) {
      const received = await where.at(leafIndex).group.receive(message);
      if (received.type === "proposal") ({ ref } = received);
    }
    const { group: observer } = await where.observer.process(message);
    const after = await inside(mallory.person);
    const bad = await by(after, { references: [ref] });
    await expectRefused({ ...where, observer }, -1, bad, "proposal-list");
  });

  it("has a path", async () => {
    const { where, mallory } = await stage();
    await expectRefused(where, -1, await by(mallory, { pathless: true }), "sender-not-allowed");
  });

  it("brings a signature key that nobody has", async () => {
    const { where, mallory } = await stage();
    const bad = await by(mallory, { who: where.at(1).person });
    await expectRefused(where, -1, bad, "leaf-key-reused");
  });

  it("brings an encryption key that nobody has", async () => {
    const { where, mallory } = await stage();
    const encryptionKey = await keyAt(mallory, "leaf");
    const bad = await by(mallory, { leaf: () => ({ encryptionKey }) });
    await expectRefused(where, -1, bad, "leaf-key-reused");
  });

  it("takes the place of a leaf only as its successor (§5.3.1)", async () => {
    const { where, mallory } = await stage({ authentication: SAME_CREDENTIAL });
    const proposals = [{ proposalType: "remove", removed: 1 } as const];
    const bad = await by(mallory, { proposals });
    await expectRefused(where, -1, bad, "authentication");
    const good = await by(mallory, { proposals, who: where.at(1).person });
    await expectAccepted(where, -1, good);
  });

  it("is refused where the policy says so, with the policy's own error as the cause", async () => {
    const no = new Error("by invitation only");
    const people = await persons(["alice", "bob", "carol", "mallory"], {
      policy: async ({ external }) => {
        if (external) throw no;
      },
    });
    const where = await room(people);
    const mallory = await inside(where.at(3).person);
    const bad = await by(mallory);
    await expectRefused(where, -1, bad, "policy");
    await expect(where.at(0).group.receive(bad)).rejects.toMatchObject({ cause: no });
    await expect(where.observer.process(bad)).rejects.toMatchObject({ cause: no });
    await expectAccepted(where, 3, await forgeCommit(mallory));
  });
});
