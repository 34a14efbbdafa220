/** §12.1 to §12.4: what a commit may carry. Mallory, at leaf 3, has all the keys of a member and keeps to no rule. */

import { joinGroup } from "@conclave/mls";
import { type Bytes } from "@conclave/mls/codec";
import { expect } from "vitest";
import { pskSecret } from "../../src/key/psk.ts";
import { type ForgedCommit, forgeCommit, forgeProposal, forgeUpdate, inside } from "../forge.ts";
import { addProposal, expectAccepted, person, utf8 } from "../people.ts";
import {
  ALL_BUT_BOB,
  add,
  CUSTOM_EXTENSION,
  CUSTOM_PROPOSAL,
  custom,
  extensions,
  externalPsk,
  nameOf,
  nonDefault,
  PSK,
  psk,
  reinit,
  remove,
  required,
  resumption,
  type Stage,
  stage,
} from "../proposal-stage.ts";
import { accepts, type Refusal, refusedByAll, refuses, rule } from "./rule.ts";

type Forged = ForgedCommit | ((stage: Stage) => Promise<ForgedCommit>);

async function made(forged: Forged, on: Stage): Promise<Bytes> {
  const options = typeof forged === "function" ? await forged(on) : forged;
  return forgeCommit(await inside(on.where.at(3).person), options);
}

/** A commit of Mallory's that all others take. */
function takes(title: string, good: Forged): void {
  accepts(title, async () => {
    const on = await stage();
    const message = await made(good, on);
    await expectAccepted(on.where, 3, message);
  });
}

/** A commit of Mallory's that all others refuse; the group goes on as if nothing had been said. */
function leaves(
  title: string,
  refusal: Refusal,
  bad: Forged,
  options: { readonly membersOnly?: boolean } = {},
): void {
  refuses(title, refusal, async () => {
    const on = await stage();
    const message = await made(bad, on);
    try {
      await refusedByAll(on.where, 3, message, options);
    } finally {
      const { commit } = await on.where.at(0).group.commit();
      await expectAccepted(on.where, -1, commit);
    }
  });
}

/** A proposal of Mallory's by itself. */
function takesProposal(title: string, proposal: Parameters<typeof forgeProposal>[1]): void {
  accepts(title, async () => {
    const { where } = await stage();
    const message = await forgeProposal(await inside(where.at(3).person), proposal);
    await expectAccepted(where, 3, message);
  });
}

function leavesProposal(
  title: string,
  refusal: Refusal,
  proposal: Parameters<typeof forgeProposal>[1],
): void {
  refuses(title, refusal, async () => {
    const { where } = await stage();
    const message = await forgeProposal(await inside(where.at(3).person), proposal);
    await refusedByAll(where, 3, message);
  });
}

/** With the secret of its PSKs, which all three have. */
async function withPsks(
  { where }: Stage,
  proposals: readonly ReturnType<typeof psk>[],
): Promise<ForgedCommit> {
  const { suite } = await inside(where.at(3).person);
  const psks = proposals.map(({ psk: id }) => ({ id, secret: PSK }));
  return { proposals, pskSecret: pskSecret(suite, psks) };
}

/** By someone outside, who joins with it. */
async function joining(options: ForgedCommit = {}, externalInits = 1): Promise<ForgedCommit> {
  return { ...options, external: { person: await person("eve"), externalInits } };
}

async function withApplicationPsk({ where }: Stage): Promise<ForgedCommit> {
  const { suite, secrets } = await inside(where.at(3).person);
  const proposal = resumption("application", 1n);
  const known = { id: proposal.psk, secret: secrets.resumptionPsk };
  return { proposals: [proposal], pskSecret: pskSecret(suite, [known]) };
}

rule("P01", () => {
  takes("a key package that is", async () => ({ proposals: [await add(await person("eve"))] }));
  leaves("one signed by another key", "key-package-signature §10.1", async ({ where }) => ({
    proposals: [await add(await person("eve"), { signer: where.at(1).person.signer })],
  }));
  leaves("one of another suite", "key-package-suite §10.1", async () => ({
    proposals: [await add(await person("eve"), { content: () => ({ cipherSuite: 1 }) })],
  }));
});

rule("P02", () => {
  takes("one from a member", async ({ proposed }) => ({
    references: [await proposed(2, "update")],
  }));
  leaves("one from somebody who joins", "sender-not-allowed §12.1.8", async ({ where }) =>
    joining({ proposals: [await forgeUpdate(await inside(where.at(3).person))] }),
  );
});

rule("P03", () => {
  takes("the sender's own leaf", async ({ proposed }) => ({
    references: [await proposed(1, "update")],
  }));
  refuses("another member's leaf", "leaf-signature §7.3", async () => {
    const { where } = await stage();
    const bob = await inside(where.at(1).person);
    const mallory = await inside(where.at(3).person);
    await refusedByAll(where, 3, await forgeProposal(mallory, await forgeUpdate(bob)));
  });
});

rule("P04", () => {
  takes("a member's leaf", { proposals: [remove(2)] });
  leaves("a leaf that is blank", "blank-leaf §12.1.3", async ({ bobGoes }) => {
    await bobGoes();
    return { proposals: [remove(1)] };
  });
  refuses("the same leaf, blank, by itself", "blank-leaf §12.1.3", async () => {
    const on = await stage();
    await on.bobGoes();
    const mallory = await inside(on.where.at(3).person);
    await refusedByAll(on.where, 3, await forgeProposal(mallory, remove(1)));
  });
});

rule("P05", () => {
  takesProposal("a leaf inside", remove(0));
  for (const leafIndex of [4, 7, 2 ** 32 - 1]) {
    leaves(`leaf ${leafIndex}`, "blank-leaf §12.1.3", { proposals: [remove(leafIndex)] });
  }
});

rule("P06", () => {
  takes("as many as the hash has", (on) => withPsks(on, [psk(1)]));
  for (const length of [0, 31, 33]) {
    const bad = psk(1, { pskNonce: new Uint8Array(length) });
    leaves(`${length} bytes`, "psk-nonce §8.4", { proposals: [bad] });
    leavesProposal(`${length} bytes, by itself`, "psk-nonce §8.4", bad);
  }
});

for (const [id, usage] of [
  ["P07", "reinit"],
  ["P08", "branch"],
] as const) {
  rule(id, () => {
    takes("usage application", withApplicationPsk);
    leaves(`usage ${usage} in a commit`, "psk-usage §12.1.4", { proposals: [resumption(usage)] });
  });
}

rule("P09", () => {
  takes("one that everybody has", (on) => withPsks(on, [psk(1)]));
  leaves(
    "an external one that a member lacks",
    "psk-unknown §8.4",
    { proposals: [psk(1, { pskId: utf8("unknown") })] },
    { membersOnly: true },
  );
  leaves(
    "a resumption PSK of an epoch that nobody kept",
    "psk-unknown §8.4",
    { proposals: [resumption("application", 99n)] },
    { membersOnly: true },
  );
});

rule("P10", () => {
  takes("this version", { proposals: [reinit(1)], pathless: true });
  leaves("version 0", "proposal-invalid §12.1.5", { proposals: [reinit(0)] });
  leavesProposal("version 0, by itself", "proposal-invalid §12.1.5", reinit(0));
});

rule("P11", () => {
  takes("what all can do", { proposals: [extensions(required([CUSTOM_EXTENSION]))] });
  takes("what all but one can do who is removed", {
    proposals: [extensions(required([ALL_BUT_BOB])), remove(1)],
  });
  leaves("what a member can't do", "leaf-capabilities §7.3", {
    proposals: [extensions(required([ALL_BUT_BOB]))],
  });
  leaves("what someone added can't do", "leaf-capabilities §7.3", async () => ({
    proposals: [extensions(required([CUSTOM_EXTENSION])), await add(await person("eve"))],
  }));
  leaves("what can't be read", "decode §2.1", {
    proposals: [
      extensions({
        ...required([]),
        extensionData: Uint8Array.of(...required([]).extensionData, 0),
      }),
    ],
  });
});

rule("P12", () => {
  takes("an extension that all support", { proposals: [extensions(custom)] });
  leaves("one that a member doesn't", "extension-unsupported §13.4", {
    proposals: [extensions({ ...custom, extensionType: ALL_BUT_BOB })],
  });
});

rule("P13", () => {
  takes("each type once", { proposals: [extensions(custom)] });
  leaves("twice in GroupContextExtensions", "duplicate-extension §13.4", {
    proposals: [extensions(custom, custom)],
  });
  leaves("twice in a ReInit", "duplicate-extension §13.4", {
    proposals: [{ ...reinit(), extensions: [custom, custom] }],
  });
  leaves("twice in a key package", "duplicate-extension §13.4", async () => ({
    proposals: [
      await add(await person("eve"), { content: () => ({ extensions: [custom, custom] }) }),
    ],
  }));
});

rule("P14", () => {
  takes("an Add of someone who can do what the same commit begins to ask", async () => {
    const capable = { extensions: [CUSTOM_EXTENSION] };
    const eve = await add(await person("eve"), {
      leaf: ({ capabilities }) => ({ capabilities: { ...capabilities, ...capable } }),
    });
    return { proposals: [eve, extensions(custom)] };
  });
  leaves("an Add, listed first, of someone who can't", "extension-unsupported §13.4", async () => ({
    proposals: [await add(await person("eve")), extensions(custom)],
  }));
});

rule("P15", () => {
  takes("another member's", async ({ proposed }) => ({
    references: [await proposed(2, "update")],
  }));
  leaves("the committer's own", "proposal-list §12.2", async ({ where }) => ({
    proposals: [await forgeUpdate(await inside(where.at(3).person))],
  }));
});

rule("P16", () => {
  takes("a Remove of another", { proposals: [remove(1)] });
  leaves("a Remove of the committer", "proposal-list §12.2", { proposals: [remove(3)] });
});

rule("P17", () => {
  takes("an Update of one leaf, a Remove of another", async ({ proposed }) => ({
    references: [await proposed(2, "update")],
    proposals: [remove(1)],
  }));
  leaves("an Update and a Remove of one", "proposal-list §12.2", async ({ proposed }) => ({
    references: [await proposed(2, "update")],
    proposals: [remove(2)],
  }));
  leaves("two Removes of one", "proposal-list §12.2", async ({ proposed }) => ({
    references: [await proposed(2, "remove-bob")],
    proposals: [remove(1)],
  }));
  leaves("two Updates of one", "proposal-list §12.2", async ({ proposed }) => ({
    references: [await proposed(2, "update"), await proposed(2, "update")],
  }));
});

rule("P18", () => {
  takes("two clients", async () => ({
    proposals: [await add(await person("eve")), await add(await person("dan"))],
  }));
  leaves("one signature key in two Adds", "leaf-key-reused §7.3", async () => {
    const eve = await person("eve");
    return { proposals: [await add(eve), await add(eve)] };
  });
  leaves("one encryption key in two Adds", "leaf-key-reused §7.3", async () => {
    const first = await add(await person("eve"));
    const { encryptionKey } = first.keyPackage.leafNode;
    const second = await add(await person("dan"), { leaf: () => ({ encryptionKey }) });
    return { proposals: [first, second] };
  });
  leaves(
    "one client by the application's word, with two keys",
    "proposal-list §12.2",
    async () => ({
      proposals: [await add(await person("eve")), await add(await person("eve"))],
    }),
  );
});

rule("P19", () => {
  takes("who is not there", async () => ({ proposals: [await add(await person("eve"))] }));
  leaves("the key of a member", "leaf-key-reused §7.3", async ({ where }) => ({
    proposals: [await add(where.at(1).person)],
  }));
  leaves(
    "a member by the application's word, with another key",
    "proposal-list §12.2",
    async () => ({
      proposals: [await add(await person("bob"))],
    }),
  );
});

rule("P20", () => {
  takes("with the same key", async ({ where }) => ({
    proposals: [remove(1), await add(where.at(1).person)],
  }));
  takes("with another key", async () => ({
    proposals: [await add(await person("bob")), remove(1)],
  }));
  leaves("while another one is removed", "proposal-list §12.2", async () => ({
    proposals: [await add(await person("bob")), remove(2)],
  }));
});

rule("P21", () => {
  takes("two that differ in their nonce", (on) => withPsks(on, [psk(1), psk(2)]));
  leaves("the same twice", "proposal-list §12.2", { proposals: [psk(1), psk(1)] });
});

rule("P22", () => {
  takes("once", { proposals: [extensions()] });
  leaves("twice", "proposal-list §12.2", { proposals: [extensions(), extensions()] });
});

rule("P23", () => {
  takes("alone", { proposals: [reinit()], pathless: true });
  leaves("beside a Remove", "proposal-list §12.2", { proposals: [reinit(), remove(1)] });
  leaves("beside another", "proposal-list §12.2", { proposals: [reinit(), reinit()] });
});

const externalInit = { proposalType: "external_init", kemOutput: new Uint8Array(32) } as const;

rule("P24", () => {
  takes("a commit without one", {});
  leaves("a commit with one", "proposal-list §12.2", { proposals: [externalInit] });
  leavesProposal("one by itself", "sender-not-allowed §12.1.8", externalInit);
});

rule("P25", () => {
  takes("a type that all support", { proposals: [nonDefault(CUSTOM_PROPOSAL)] });
  leaves("a type that nobody does", "proposal-unsupported §12.2", {
    proposals: [nonDefault(0xf009)],
  });
  leaves("a type that somebody who stays does not", "proposal-unsupported §12.2", {
    proposals: [nonDefault(ALL_BUT_BOB), remove(2)],
  });
});

rule("P26", () => {
  takes("somebody who comes", async () => ({
    proposals: [nonDefault(CUSTOM_PROPOSAL), await add(await person("eve"))],
  }));
  takes("somebody who goes", { proposals: [nonDefault(ALL_BUT_BOB), remove(1)] });
  leaves("somebody who updates must", "proposal-unsupported §12.2", async ({ proposed }) => ({
    references: [await proposed(1, "update")],
    proposals: [nonDefault(ALL_BUT_BOB)],
  }));
});

rule("P27", () => {
  takes("one that came", async ({ proposed }) => ({ references: [await proposed(1, "update")] }));
  leaves("one that did not", "proposal-unknown §12.4.2", { references: [new Uint8Array(32)] });
  leaves("one that came, named twice", "proposal-list §12.2", async ({ proposed }) => {
    const ref = await proposed(1, "custom");
    return { references: [ref, ref] };
  });
});

rule("P28", () => {
  takes("of this epoch", async ({ proposed }) => ({ references: [await proposed(2, "custom")] }));
  refuses("of the one before", "proposal-unknown §12.4.2", async () => {
    const on = await stage();
    const ref = await on.proposed(2, "custom");
    await on.bobGoes();
    const late = await forgeCommit(await inside(on.where.at(3).person), { references: [ref] });
    await refusedByAll(on.where, 3, late);
  });
});

rule("P29", () => {
  takes("a Remove by value", { proposals: [remove(1)] });
  leaves(
    "an Update by value: it would be the committer's",
    "proposal-list §12.2",
    async ({ where }) => ({
      proposals: [await forgeUpdate(await inside(where.at(1).person))],
    }),
  );
});

rule("P30", () => {
  accepts("an Add listed first takes the place that a Remove makes", async () => {
    const { where } = await stage();
    const proposals = [await add(await person("eve")), remove(1)];
    const message = await forgeCommit(await inside(where.at(3).person), { proposals });
    const { observer } = await expectAccepted(where, 3, message);
    const [, second] = observer.members();
    expect(second && [second.leafIndex, nameOf(second.leafNode)]).toEqual([1, "eve"]);
  });
  leaves("a Remove of the leaf that an Add would take", "blank-leaf §12.1.3", async () => ({
    proposals: [await add(await person("eve")), remove(4)],
  }));
});

rule("P31", () => {
  takes("two PSKs in their order", (on) => withPsks(on, [psk(2), psk(1)]));
  accepts("a Welcome with the PSKs in the order of the commit", async () => {
    const { where } = await stage();
    const eve = await person("eve", { externalPsk });
    const { group } = where.at(0);
    const proposals = [psk(2), await addProposal(eve), psk(1)];
    const { commit, welcome } = await group.commit({ proposals });
    await expectAccepted(where, -1, commit);
    if (!welcome) throw new Error("no welcome");
    const joined = await joinGroup(eve.context, {
      welcome,
      ratchetTree: group.ratchetTree(),
      signer: eve.signer,
    });
    expect(joined.epochAuthenticator).toEqual(group.epochAuthenticator);
  });
  leaves(
    "two PSKs whose secret was computed in another order",
    "confirmation-tag §8.1",
    async (on) => ({ ...(await withPsks(on, [psk(2), psk(1)])), proposals: [psk(1), psk(2)] }),
    { membersOnly: true },
  );
});

rule("P32", () => {
  takes("one", () => joining());
  for (const count of [0, 2]) {
    leaves(`${count}`, "proposal-list §12.2", () => joining({}, count));
  }
});

rule("P33", () => {
  takes("one Remove", ({ where }) =>
    Promise.resolve({
      proposals: [remove(1)],
      external: { person: where.at(1).person },
    }),
  );
  leaves("two Removes", "proposal-list §12.2", () =>
    joining({ proposals: [remove(1), remove(2)] }),
  );
});

rule("P34", () => {
  takes("a PSK", async (on) => joining(await withPsks(on, [psk(1)])));
  leaves("an Add", "sender-not-allowed §12.1.8", async () =>
    joining({ proposals: [await add(await person("dan"))] }),
  );
  leaves("a GroupContextExtensions", "sender-not-allowed §12.1.8", () =>
    joining({ proposals: [extensions()] }),
  );
  leaves("a ReInit", "sender-not-allowed §12.1.8", () => joining({ proposals: [reinit()] }));
  leaves("a type that all members list and that has no rules", "sender-not-allowed §12.1.8", () =>
    joining({ proposals: [nonDefault(CUSTOM_PROPOSAL)] }),
  );
});

rule("P35", () => {
  takes("a path", () => joining());
  leaves("none", "sender-not-allowed §6.1", () => joining({ pathless: true }));
});

rule("P36", () => {
  takes("a Remove by value", ({ where }) =>
    Promise.resolve({ proposals: [remove(2)], external: { person: where.at(2).person } }),
  );
  leaves("a Remove by reference", "proposal-list §12.2", async ({ proposed }) => {
    const ref = await proposed(0, "remove-bob");
    return joining({ references: [ref] });
  });
});

rule("P37", () => {
  takes("both", () => joining());
  leaves("a sender who joins, no ExternalInit", "proposal-list §12.2", () => joining({}, 0));
  leaves("a member with an ExternalInit", "proposal-list §12.2", { proposals: [externalInit] });
});

rule("P38", () => {
  takes("the same client", ({ where }) =>
    Promise.resolve({ proposals: [remove(1)], external: { person: where.at(1).person } }),
  );
  leaves("another client", "authentication §5.3.1", () => joining({ proposals: [remove(1)] }));
});

rule("P39", () => {
  accepts("a message when all is committed", async () => {
    const on = await stage();
    await on.proposed(2, "custom");
    await on.bobGoes();
    await on.where.at(0).group.send(utf8("hello"));
  });
  refuses("a message before", "pending-proposals §12.4", async () => {
    const on = await stage();
    await on.proposed(2, "custom");
    await on.where.at(0).group.send(utf8("hello"));
  });
});
