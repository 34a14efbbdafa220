/** §12.4.3: what lets someone into a group. Mallory, at leaf 1, makes Welcomes and GroupInfos that say what she likes. */

import {
  branchGroup,
  EXTENSION,
  type Group,
  joinExternally,
  joinGroup,
  readKeyPackage,
} from "@conclave/mls";
import { type Bytes, encode, opaque } from "@conclave/mls/codec";
import { expect } from "vitest";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import { type GroupInfo, signGroupInfo } from "../../src/key/group-info.ts";
import { pskSecret } from "../../src/key/psk.ts";
import { encodeRatchetTree, removeLeaf, withLeaf } from "../../src/tree/ratchet-tree.ts";
import {
  type ChangedWelcome,
  changedWelcome,
  type ForgedWelcome,
  forgeWelcome,
  inside,
} from "../forge.ts";
import {
  extension,
  external,
  invited,
  knowing,
  resumption,
  SECRET,
  type Stage,
  stage,
} from "../inviting.ts";
import { type Claim, claimed, closed, renewed, where } from "../linking.ts";
import {
  addProposal,
  found,
  keyPackageOf,
  LIFETIME,
  type Person,
  person,
  persons,
  room,
  utf8,
} from "../people.ts";
import { accepts, refuses, rule } from "./rule.ts";

/** In, by a Welcome that is wrong where the options say so; nothing of the group is kept where it is refused. */
async function join(options: ForgedWelcome = {}, on?: Stage): Promise<Group> {
  const staged = on ?? (await stage(knowing));
  try {
    return await invited(staged, options);
  } catch (error) {
    expect((await staged.eve.storage.list("group/")).size).toBe(0);
    throw error;
  }
}

rule("W01", () => {
  accepts("one of several entries", async () => {
    const { where: on } = await stage(knowing);
    const people = await persons(["e", "f", "g"]);
    const { group: alice } = on.at(0);
    const proposals = await Promise.all(people.map(addProposal));
    const { commit, welcome } = await alice.commit({ proposals });
    await alice.receive(commit);
    if (!welcome) throw new Error("no welcome");
    const ratchetTree = alice.ratchetTree();
    for (const { context, signer } of people) {
      const group = await joinGroup(context, { welcome, ratchetTree, signer });
      expect(group.epochAuthenticator).toEqual(alice.epochAuthenticator);
    }
  });
  refuses("a Welcome for others", "key-package-unknown §12.4.3.1", async () => {
    const on = await stage(knowing);
    const keyPackage = readKeyPackage(await keyPackageOf(await person("dave")));
    await keyPackageOf(on.eve);
    const welcome = await forgeWelcome(on.mallory, keyPackage);
    await joinGroup(on.eve.context, { welcome, signer: on.eve.signer });
  });
});

rule("W02", () => {
  accepts("PSKs that the joiner has", async () => {
    const on = await stage(knowing);
    const secret = pskSecret(on.mallory.suite, [{ id: external, secret: SECRET }]);
    await join({ secrets: () => ({ psks: [external] }), pskSecret: secret }, on);
  });
  refuses("a PSK of a former epoch that the joiner was not in", "psk-unknown §8.4", () =>
    join({ secrets: () => ({ psks: [resumption("application")] }) }),
  );
  refuses("an external PSK that the application does not have", "psk-unknown §8.4", async () => {
    const on = { ...(await stage(knowing)), eve: await person("eve") };
    await join({ secrets: () => ({ psks: [external] }) }, on);
  });
});

rule("W03", () => {
  accepts("one, beside PSKs of other kinds", async () => {
    const on = await where(knowing);
    const { person: alice, group: old } = on.at(0);
    const { group, bundle } = await branchGroup(alice.context, {
      from: old,
      groupId: utf8("aside"),
      keyPackages: [await keyPackageOf(on.at(1).person)],
      credential: alice.credential,
      signer: alice.signer,
      lifetime: LIFETIME,
      psks: [{ pskType: "external", pskId: utf8("id") }],
    });
    await group.receive(bundle.commit);
    if (!bundle.welcome) throw new Error("no welcome");
    const { context, signer } = on.at(1).person;
    const ratchetTree = group.ratchetTree();
    const bob = await joinGroup(context, { welcome: bundle.welcome, ratchetTree, signer });
    expect(bob.epochAuthenticator).toEqual(group.epochAuthenticator);
  });
  for (const [a, b] of [
    ["reinit", "branch"],
    ["reinit", "reinit"],
    ["branch", "branch"],
  ] as const) {
    refuses(`one for ${a} and one for ${b}`, "psk-usage §12.4.3.1", () =>
      join({
        secrets: () => ({
          psks: [resumption(a), { ...resumption(b), pskNonce: new Uint8Array(32).fill(1) }],
        }),
      }),
    );
  }
});

rule("W04", () => {
  accepts("one that its signer signed", () => join());
  refuses("one signed with another key", "group-info-signature §12.4.3", async () => {
    const on = await stage(knowing);
    await join({ signer: on.eve.signer }, on);
  });
  refuses("one that names another member", "group-info-signature §12.4.3", () =>
    join({ info: () => ({ signer: 0 }) }),
  );
  refuses("one that names a leaf beyond the tree", "group-info-signature §12.4.3", () =>
    join({ info: () => ({ signer: 2 ** 32 - 1 }) }),
  );
  refuses("one that names a blank leaf", "group-info-signature §12.4.3", async () => {
    const on = await stage(knowing);
    const { group: alice } = on.where.at(0);
    const { commit } = await alice.commit({ proposals: [{ proposalType: "remove", removed: 2 }] });
    for (const group of on.where.groups) await group.receive(commit);
    const mallory = await inside(on.where.at(1).person);
    // Eve takes leaf 2; nobody is at leaf 3.
    await join({ info: () => ({ signer: 3 }) }, { ...on, mallory });
  });
});

rule("W05", () => {
  accepts("the suite of the key package", () => join());
  refuses("a group of another suite", "welcome §12.4.3.1", () =>
    join({ context: () => ({ cipherSuite: 1 }) }),
  );
  refuses("a Welcome of another suite", "welcome §12.4.3.1", () => join({ suite: 1 }));
});

rule("W06", () => {
  accepts("the version of the key package", () => join());
  refuses("a group of another version", "unsupported-version §12.4.3.1", () =>
    join({ context: () => ({ version: 2 }) }),
  );
});

rule("W07", () => {
  accepts("a group that we were removed from", async () => {
    const on = await stage(knowing);
    const { group: alice } = on.where.at(0);
    const { person: carol, group } = on.where.at(2);
    const { commit } = await alice.commit({ proposals: [{ proposalType: "remove", removed: 2 }] });
    for (const one of on.where.groups) await one.receive(commit);
    expect(group.status).toBe("removed");
    const mallory = await inside(on.where.at(1).person);
    await invited({ ...on, mallory }, {}, carol);
  });
  refuses("a group that we are in", "group-exists §12.4.3.1", async () => {
    const on = await stage(knowing);
    await invited(on);
    await invited(on);
  });
  refuses("a group that we are about to come into", "group-exists §12.4.3.1", async () => {
    const on = await stage(knowing);
    const both = await Promise.allSettled([invited(on), invited(on)]);
    const [refused, second] = both.filter(({ status }) => status === "rejected");
    expect(second).toBeUndefined();
    if (refused?.status === "rejected") throw refused.reason;
  });
  refuses("a group that we made", "group-exists §12.4.3.1", async () => {
    const on = await stage(knowing);
    await found(on.eve);
    await invited(on);
  });
});

rule("W08", () => {
  accepts("our leaf, once", () => join());
  refuses("a tree without it", "welcome §12.4.3.1", () =>
    join({ tree: (tree) => removeLeaf(tree, 3) }),
  );
  refuses("a tree with it twice", "leaf-key-reused §7.3", () => join({ times: 2 }));
});

/** Eve's way in by a true commit, whose Welcome says what `secrets` makes of it. */
async function welcomed(forcePath: boolean, secrets: ChangedWelcome["secrets"]): Promise<Group> {
  const on = await stage(knowing);
  const { group: alice } = on.where.at(0);
  const proposals = [await addProposal(on.eve)];
  const { commit, welcome } = await alice.commit({ proposals, forcePath });
  await alice.receive(commit);
  if (!welcome) throw new Error("no welcome");
  const changed = await changedWelcome(on.eve, welcome, secrets ? { secrets } : {});
  const ratchetTree = alice.ratchetTree();
  const { context, signer } = on.eve;
  return joinGroup(context, { welcome: changed, ratchetTree, signer });
}

const other = { pathSecret: new Uint8Array(32) };

rule("W09", () => {
  accepts("the path secret of the commit", () => welcomed(true, () => ({})));
  refuses("another one", "path-secret §12.4.3.1", () =>
    welcomed(true, () => ({ pathSecret: other })),
  );
});

rule("W10", () => {
  accepts("none, where there was no path", () => welcomed(false, () => ({})));
  refuses("one, where there was no path", "path-secret §12.4.3.1", () =>
    welcomed(false, () => ({ pathSecret: other })),
  );
  refuses("none, where there was a path", "path-secret §12.4.3.1", () =>
    welcomed(true, () => ({ pathSecret: undefined })),
  );
  refuses(
    "a parent that is not the committer's and does not list us",
    "path-secret §12.4.3.1",
    async () => {
      const on = await stage(knowing);
      const { group: carol } = on.where.at(2);
      const proposals = [await addProposal(on.eve)];
      const { commit, welcome } = await carol.commit({ proposals, forcePath: true });
      if (!welcome) throw new Error("no welcome");
      for (const group of on.where.groups) await group.receive(commit);
      // The GroupInfo of that epoch, signed by mallory as if she had made the commit.
      const mallory = await inside(on.where.at(1).person);
      const { context, signer } = on.eve;
      const ratchetTree = carol.ratchetTree();
      const forged = await changedWelcome(on.eve, welcome, {
        info: (info) => signGroupInfo({ ...info, signer: 1 }, mallory.person.signer),
      });
      await joinGroup(context, { welcome: forged, ratchetTree, signer });
    },
  );
});

rule("W11", () => {
  accepts("the tag of the epoch", () => join());
  for (const [what, length] of [
    ["another", 32],
    ["an empty", 0],
    ["a longer", 33],
  ] as const) {
    refuses(`${what} tag`, "confirmation-tag §12.4.3.1", () =>
      join({ info: () => ({ confirmationTag: new Uint8Array(length) }) }),
    );
  }
});

/** A group with an extension that its members can do. */
async function asking(able: readonly number[]): Promise<Group> {
  const capabilities = { extensions: [0xf001] };
  const people = await persons(["alice", "mallory"], { capabilities });
  const on = await room(people, { extensions: [extension(0xf001)] });
  const eve = await person("eve", { capabilities: { extensions: able } });
  return invited({ where: on, mallory: await inside(on.at(1).person), eve });
}

rule("W12", () => {
  accepts("who can do what the group asks", () => asking([0xf001]));
  refuses("who can't", "extension-unsupported §13.4", () => asking([]));
});

rule("W13", () => {
  accepts("extensions that nobody knows", () =>
    join({
      info: ({ extensions }) => ({
        extensions: [...extensions, extension(0x0a0a, "GREASE"), extension(0xf00d)],
      }),
    }),
  );
  refuses("one that is known and has another form", "tree-shape §12.4.3.3", () =>
    join({ info: () => ({ extensions: [extension(EXTENSION.ratchetTree, "\0")] }) }),
  );
  refuses("the same one twice", "duplicate-extension §13.4", () =>
    join({ info: ({ extensions }) => ({ extensions: [...extensions, ...extensions] }) }),
  );
});

/** Bob is invited into a group that claims to be what the room was re-initialised as. */
async function reinitialized(
  claim: Claim & {
    readonly suite?: number;
    readonly without?: number;
    readonly more?: string;
  } = {},
): Promise<Group> {
  const { suite = 1, without, more } = claim;
  const on = await closed({}, { capabilities: { extensions: [0xf001] } });
  const those = on.people.filter((_, i) => i !== without);
  const anew = await Promise.all(those.map((who) => renewed(who, suite)));
  const [{ capabilities }] = anew as [Person];
  if (more) anew.push(await person(more, { suite, capabilities }));
  return claimed("reinit", on, anew, claim);
}

rule("W14", () => {
  accepts("what the ReInit said", () => reinitialized());
  refuses("another id", "reinit §11.2", () => reinitialized({ groupId: "another room" }));
  refuses("another epoch", "reinit §11.2", () => reinitialized({ context: () => ({ epoch: 2n }) }));
  refuses("another suite", "reinit §11.2", () => reinitialized({ suite: 3 }));
  refuses("other extensions", "reinit §11.2", () =>
    reinitialized({ context: () => ({ extensions: [extension(0xf001)] }) }),
  );
  refuses("a PSK of the epoch before", "reinit §11.2", () => reinitialized({ epochOfPsk: 1n }));
  refuses("a group without a member", "reinit §11.2", () => reinitialized({ without: 2 }));
  refuses("a group with somebody new", "reinit §11.2", () => reinitialized({ more: "dave" }));
  refuses("another version", "reinit §11.2", async () => {
    const on = await closed({ version: 2 });
    await claimed("reinit", on, on.anew);
  });
  refuses("a group whose former one goes on", "reinit §11.2", async () => {
    const on = await where();
    const anew = await Promise.all(on.people.map((who) => renewed(who, 1)));
    await claimed("reinit", on, anew);
  });
});

/** Bob is invited into a group that claims to be a branch of the room. */
async function branched(
  claim: Claim & { readonly suite?: number; readonly more?: string } = {},
): Promise<Group> {
  const { suite = 3, more } = claim;
  const on = await where();
  const anew = await Promise.all(on.people.slice(0, 2).map((who) => renewed(who, suite)));
  if (more) anew.push(await person(more, { suite }));
  return claimed("branch", on, anew, claim);
}

rule("W15", () => {
  accepts("some members of the former group", () => branched());
  refuses("another epoch", "branch §11.3", () => branched({ context: () => ({ epoch: 2n }) }));
  refuses("another suite", "branch §11.3", () => branched({ suite: 1 }));
  refuses("somebody who is no member", "branch §11.3", () => branched({ more: "dave" }));
});

/** Eve joins from outside, by a GroupInfo that mallory made. */
async function fromOutside(
  change: (info: GroupInfo, on: Stage) => Partial<GroupInfo> = () => ({}),
  options: { readonly ratchetTree?: (on: Stage) => Bytes; readonly spoilt?: boolean } = {},
): Promise<Group> {
  const on = await stage(knowing);
  const { group } = on.where.at(1);
  const made = await group.groupInfo({ externalPub: true });
  const { groupInfo: honest } = decodeMessageOf(made, "mls_group_info");
  const changed = { ...honest, ...change(honest, on) };
  const signed = await signGroupInfo(changed, on.mallory.person.signer);
  const signature = options.spoilt ? signed.signature.map((byte) => byte ^ 1) : signed.signature;
  const { context, credential, signer } = on.eve;
  const joined = await joinExternally(context, {
    groupInfo: encodeMessage({
      wireFormat: "mls_group_info",
      groupInfo: { ...signed, signature },
    }),
    ratchetTree: options.ratchetTree?.(on) ?? group.ratchetTree(),
    credential,
    signer,
  });
  await on.where.at(0).group.receive(joined.bundle.commit);
  await joined.group.confirm();
  expect(joined.group.epochAuthenticator).toEqual(on.where.at(0).group.epochAuthenticator);
  return joined.group;
}

rule("W16", () => {
  accepts("a GroupInfo with external_pub, and its tree", () => fromOutside());
  refuses("one without external_pub", "external-commit §12.4.3.2", () =>
    fromOutside(() => ({ extensions: [] })),
  );
  refuses("an external_pub that is no public key", "crypto §5.1", () =>
    fromOutside(() => ({
      extensions: [
        { extensionType: EXTENSION.externalPub, extensionData: encode(opaque, utf8("")) },
      ],
    })),
  );
  refuses("a signature that does not verify", "group-info-signature §12.4.3", () =>
    fromOutside(undefined, { spoilt: true }),
  );
  refuses("a signer who did not sign", "group-info-signature §12.4.3", () =>
    fromOutside(() => ({ signer: 0 })),
  );
  refuses("another tree", "tree-hash §12.4.3.1", () =>
    fromOutside(undefined, {
      ratchetTree: ({ mallory }) => encodeRatchetTree(withLeaf(mallory.state.tree, 2, undefined)),
    }),
  );
  refuses("another version", "unsupported-version §12.4.3.1", () =>
    fromOutside(({ groupContext }) => ({ groupContext: { ...groupContext, version: 2 } })),
  );
});
