/** §5.3, §7.2, §7.3: what a member says of itself. */

import {
  type AuthenticationService,
  type Capabilities,
  createKeyPackage,
  type Extension,
  joinExternally,
  joinGroup,
  MlsError,
  type Proposal,
  RequiredCapabilities,
  readKeyPackage,
} from "@conclave/mls";
import { type Bytes, encode } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup, validateKeyPackage } from "@conclave/mls/public-group";
import { x509Authentication } from "@conclave/mls/x509";
import {
  BasicConstraintsExtension,
  type Extension as CertificateExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { expect } from "vitest";
import { encodeMessage } from "../../src/framing/message.ts";
import type { Credential, Credentialed } from "../../src/key/credential.ts";
import { EXTENSION, GREASE, PROPOSAL } from "../../src/registry.ts";
import {
  defaultCapabilities,
  type LeafNode,
  type Lifetime,
  MAX_LIFETIME,
  signLeafNode,
} from "../../src/tree/leaf-node.ts";
import { leafAt } from "../../src/tree/ratchet-tree.ts";
import {
  type ForgedCommit,
  type ForgedKeyPackage,
  forgeCommit,
  forgeKeyPackage,
  forgeProposal,
  forgeUpdate,
  type Inside,
  inside,
} from "../forge.ts";
import {
  expectAccepted,
  found,
  keyPackageOf,
  LIFETIME,
  NOW,
  observe,
  type Person,
  person,
  persons,
  type Room,
  room,
  text,
  utf8,
} from "../people.ts";
import { accepts, refusedByAll, refuses, rule } from "./rule.ts";
import { externalSenders, MALLORY, type Stage, stage } from "./stage.ts";

const defaults = (own: Partial<Capabilities> = {}): Capabilities =>
  defaultCapabilities(nodeCrypto, own);
const extension = (extensionType: number): Extension => ({
  extensionType,
  extensionData: utf8(""),
});
const gce = (...extensions: readonly Extension[]) =>
  ({ proposalType: "group_context_extensions", extensions }) as const;
const removeBob = { proposalType: "remove", removed: 1 } as const;

/** The Add of a key package of eve's, changed. */
async function addOf(forged: ForgedKeyPackage = {}, who = "eve"): Promise<Proposal> {
  return { proposalType: "add", keyPackage: await forgeKeyPackage(await person(who), forged) };
}

type Made = (at: Stage) => Promise<Bytes>;
const adds =
  (forged?: ForgedKeyPackage): Made =>
  async ({ mallory }) =>
    forgeCommit(mallory, { proposals: [await addOf(forged)] });
const proposesUpdate =
  (options: Parameters<typeof forgeUpdate>[1] = {}): Made =>
  async ({ mallory }) =>
    forgeProposal(mallory, await forgeUpdate(mallory, options));
const commits =
  (options: ForgedCommit = {}): Made =>
  ({ mallory }) =>
    forgeCommit(mallory, options);
const joins =
  (options: ForgedCommit = {}): Made =>
  async ({ mallory }) =>
    forgeCommit(mallory, { ...options, external: { person: await person("eve") } });

async function accepted(make: Made, options?: Parameters<typeof stage>[0]): Promise<void> {
  const at = await stage(options);
  await expectAccepted(at.where, MALLORY, await make(at));
}
async function refused(make: Made, options?: Parameters<typeof stage>[0]): Promise<void> {
  const at = await stage(options);
  await refusedByAll(at.where, MALLORY, await make(at));
}

function nameOf({ credential }: Credentialed): string {
  return credential.credentialType === "basic" ? text(credential.identity) : "";
}

const basic = (name: string): Credential => ({ credentialType: "basic", identity: utf8(name) });

/** Accepts everybody but the impostor, and as a successor the one of the same name or its first letters. */
const judging: AuthenticationService = {
  validate: async (leaves) => {
    if (leaves.some((leaf) => nameOf(leaf).endsWith("impostor"))) {
      throw new MlsError("authentication", "5.3.1", "an impostor");
    }
  },
  isSuccessor: async (previous, next) => nameOf(next).startsWith(nameOf(previous)),
};
const judged = { authentication: judging };
const impostor = { credential: basic("impostor") };
/** A successor of mallory by name, who is an impostor all the same. */
const successor = { credential: basic("mallory, impostor") };

rule("L01", () => {
  accepts("who comes by Add, Update, path and external commit", async () => {
    await accepted(adds(), judged);
    await accepted(proposesUpdate({ leaf: () => ({ credential: basic("mallory!") }) }), judged);
    await accepted(commits({ leaf: () => ({ credential: basic("mallory!") }) }), judged);
    await accepted(joins(), judged);
    await accepted(
      ({ mallory, outsider }) =>
        forgeCommit(mallory, { proposals: [gce(externalSenders([outsider]))] }),
      judged,
    );
  });
  refuses("an Add", "authentication §5.3.1", () => refused(adds({ leaf: () => impostor }), judged));
  refuses("an Update", "authentication §5.3.1", () =>
    refused(proposesUpdate({ leaf: () => successor }), judged),
  );
  refuses("a path", "authentication §5.3.1", () =>
    refused(commits({ leaf: () => successor }), judged),
  );
  refuses("an external commit", "authentication §5.3.1", () =>
    refused(joins({ leaf: () => impostor }), judged),
  );
  refuses("a proposed key package", "authentication §5.3.1", () =>
    refused(
      async ({ mallory }) => forgeProposal(mallory, await addOf({ leaf: () => impostor })),
      judged,
    ),
  );
  refuses("an external sender", "authentication §5.3.1", () =>
    refused(async ({ mallory }) => {
      const senders = externalSenders([await person("impostor")]);
      return forgeCommit(mallory, { proposals: [gce(senders)] });
    }, judged),
  );
  refuses("an external sender that is proposed", "authentication §5.3.1", () =>
    refused(async ({ mallory }) => {
      const senders = externalSenders([await person("impostor")]);
      return forgeProposal(mallory, gce(senders));
    }, judged),
  );
  refuses("an external sender of a group that is made", "authentication §5.3.1", async () => {
    const extensions = [externalSenders([await person("impostor")])];
    await found(await person("alice", judged), { extensions });
  });
  refuses("a group that an impostor makes", "authentication §5.3.1", async () => {
    await found(await person("impostor", judged));
  });
  accepts("a group without an impostor, by Welcome", async () => {
    const { eve, welcome, ratchetTree } = await welcomed("dan");
    await joinGroup(eve.context, { welcome, ratchetTree, signer: eve.signer });
  });
  refuses("a group with an impostor in it, by Welcome", "authentication §5.3.1", async () => {
    const { eve, welcome, ratchetTree } = await welcomed("impostor");
    await joinGroup(eve.context, { welcome, ratchetTree, signer: eve.signer });
  });
  refuses(
    "a group with an impostor in it, by external commit",
    "authentication §5.3.1",
    async () => {
      const { eve, group } = await welcomed("impostor");
      const groupInfo = await group.groupInfo({ externalPub: true });
      const { context, credential, signer } = eve;
      const ratchetTree = group.ratchetTree();
      await joinExternally(context, { groupInfo, ratchetTree, credential, signer });
    },
  );
  refuses("a group with an impostor in it, to follow it", "authentication §5.3.1", async () => {
    const { eve, group } = await welcomed("impostor");
    await observe(eve, group);
  });
  refuses("a group whose external sender is an impostor", "authentication §5.3.1", async () => {
    const extensions = [externalSenders([await person("impostor")])];
    const group = await found(await person("alice"), { extensions });
    await observe(await person("eve", judged), group);
  });
});

/** Someone who judges is invited into a group with this member. */
async function welcomed(member: string) {
  const where = await room(await persons(["alice", member]));
  const eve = await person("eve", judged);
  const keyPackage = readKeyPackage(await keyPackageOf(eve));
  const { group } = where.at(0);
  const { welcome } = await group.commit({ proposals: [{ proposalType: "add", keyPackage }] });
  if (!welcome) throw new Error("no welcome");
  const commit = group.pendingCommit?.commit ?? utf8("");
  await group.receive(commit);
  return { eve, welcome, group, ratchetTree: group.ratchetTree() };
}

rule("L02", () => {
  accepts("a longer name", async () => {
    await accepted(async ({ mallory }) => {
      const update = await forgeUpdate(mallory, {
        leaf: () => ({ credential: basic("mallory2") }),
      });
      return forgeProposal(mallory, update);
    }, judged);
    await accepted(commits({ leaf: () => ({ credential: basic("mallory2") }) }), judged);
  });
  refuses("another name, by path", "authentication §5.3.1", () =>
    refused(commits({ leaf: () => ({ credential: basic("alice") }) }), judged),
  );
  refuses("another name, by Update", "authentication §5.3.1", async () => {
    const at = await stage(judged);
    const update = await forgeUpdate(at.mallory, { leaf: () => ({ credential: basic("alice") }) });
    const ref = await at.where.at(0).group.receive(await forgeProposal(at.mallory, update));
    if (ref.type !== "proposal") throw new Error("a proposal");
    await at.where.at(0).group.commit({ proposals: [removeBob] });
  });
  refuses("another name in the place of one that is removed", "authentication §5.3.1", () =>
    refused(joins({ proposals: [removeBob] }), judged),
  );
});

/** A certificate by `issuer`, or by itself. */
async function certificate(
  publicKey: CryptoKey,
  signingKey: CryptoKey,
  subject: string,
  extensions: CertificateExtension[],
): Promise<Bytes> {
  const made = await X509CertificateGenerator.create({
    subject,
    issuer: "CN=root",
    publicKey,
    signingKey,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    notBefore: new Date(NOW - 86_400_000),
    notAfter: new Date(NOW + 86_400_000),
    extensions,
  });
  return new Uint8Array(made.rawData);
}

async function authority() {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const root = await certificate(keys.publicKey, keys.privateKey, "CN=root", [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
  ]);
  const certify = async (signatureKey: Bytes): Promise<Credential> => {
    const key = await crypto.subtle.importKey("raw", signatureKey, "Ed25519", true, ["verify"]);
    const leaf = await certificate(key, keys.privateKey, "", [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new SubjectAlternativeNameExtension([{ type: "dns", value: "eve.example" }], true),
    ]);
    return { credentialType: "x509", certificates: [leaf] };
  };
  return { service: x509Authentication({ anchors: [root], now: () => NOW }), certify };
}

rule("L03", () => {
  const certified = async (mine: boolean): Promise<void> => {
    const { service, certify } = await authority();
    const [eve, dan] = await persons(["eve", "dan"]);
    if (!eve || !dan) throw new Error("two");
    const credential = await certify((mine ? eve : dan).signer.publicKey);
    await service.validate([{ credential, signatureKey: eve.signer.publicKey }], "new");
  };
  accepts("a certificate for the leaf's key", () => certified(true));
  refuses("a certificate for another's key", "authentication §5.3", () => certified(false));
});

rule("L04", () => {
  accepts("a key of the suite", () => accepted(adds()));
  for (const [what, key] of [
    ["a P-256 point", Uint8Array.of(4, ...new Uint8Array(64).fill(7))],
    ["nothing", new Uint8Array(0)],
    ["31 bytes", new Uint8Array(31).fill(7)],
  ] as const) {
    refuses(`${what} in a suite of Ed25519`, "leaf-signature §7.3", () =>
      refused(adds({ leaf: () => ({ signatureKey: key }) })),
    );
  }
});

rule("L05", () => {
  const stranger = async () => (await person("stranger")).signer;
  accepts("a leaf that its key signed", async () => {
    await accepted(adds());
    await accepted(proposesUpdate());
    await accepted(commits());
  });
  refuses("an Add whose leaf another signed", "leaf-signature §7.3", async () =>
    refused(adds({ leafSigner: await stranger() })),
  );
  refuses("an Update that another signed", "leaf-signature §7.3", async () =>
    refused(proposesUpdate({ signer: await stranger() })),
  );
  refuses("a path whose leaf another signed", "leaf-signature §7.3", async () =>
    refused(commits({ leafSigner: await stranger() })),
  );
});

rule("L06", () => {
  const position = { groupId: utf8("room"), leafIndex: MALLORY };
  accepts("a leaf signed for its place", async () => {
    await accepted(proposesUpdate({ position }));
    await accepted(commits({ leafPosition: position }));
  });
  for (const [what, elsewhere] of [
    ["another leaf", { ...position, leafIndex: 2 }],
    ["another group", { ...position, groupId: utf8("another room") }],
  ] as const) {
    refuses(`an Update signed for ${what}`, "leaf-signature §7.3", () =>
      refused(proposesUpdate({ position: elsewhere })),
    );
    refuses(`a path's leaf signed for ${what}`, "leaf-signature §7.3", () =>
      refused(commits({ leafPosition: elsewhere })),
    );
  }
  refuses("to make an Update's leaf for no place", "leaf-source §7.2", async () => {
    const { mallory } = await stage();
    const update = await forgeUpdate(mallory);
    if (update.proposalType !== "update") throw new Error("an update");
    await signLeafNode(update.leafNode, mallory.person.signer);
  });
});

const required = (own: Partial<RequiredCapabilities>): Extension => ({
  extensionType: EXTENSION.requiredCapabilities,
  extensionData: encode(RequiredCapabilities, {
    extensionTypes: [],
    proposalTypes: [],
    credentialTypes: [],
    ...own,
  }),
});

/** A room whose members support more, and which requires some of it. */
async function demanding(own: Partial<RequiredCapabilities>): Promise<Stage> {
  const capabilities = { extensions: [0xf001], proposals: [0xf002], credentials: [1, 2, 0xf003] };
  const people = await persons(["alice", "bob", "carol", "mallory"], { capabilities });
  const where = await room(people, { extensions: [required(own)] });
  return { where, mallory: await inside(where.at(MALLORY).person), outsider: await person("o") };
}

rule("L07", () => {
  const all: RequiredCapabilities = {
    extensionTypes: [0xf001, EXTENSION.applicationId],
    proposalTypes: [0xf002, PROPOSAL.add],
    credentialTypes: [0xf003],
  };
  const able = { extensions: [0xf001], proposals: [0xf002], credentials: [1, 0xf003] };
  accepts("who lists what is required; default types are known to all", async () => {
    const { where, mallory } = await demanding(all);
    const add = await addOf({ leaf: () => ({ capabilities: defaults(able) }) });
    await expectAccepted(where, MALLORY, await forgeCommit(mallory, { proposals: [add] }));
  });
  for (const [what, lacking] of [
    ["an extension", { extensions: [] }],
    ["a proposal", { proposals: [] }],
    ["a credential", { credentials: [1] }],
  ] as const) {
    const capabilities = defaults({ ...able, ...lacking });
    refuses(`an Add of one who lacks ${what}`, "leaf-capabilities §7.3", async () => {
      const { where, mallory } = await demanding(all);
      const proposals = [await addOf({ leaf: () => ({ capabilities, extensions: [] }) })];
      await refusedByAll(where, MALLORY, await forgeCommit(mallory, { proposals }));
    });
    refuses(`an Update that drops ${what}`, "leaf-capabilities §7.3", async () => {
      const { where, mallory } = await demanding(all);
      const { group } = where.at(0);
      await group.receive(
        await forgeProposal(
          mallory,
          await forgeUpdate(mallory, { leaf: () => ({ capabilities, extensions: [] }) }),
        ),
      );
      await group.receive(
        await forgeCommit(await inside(where.at(2).person), {
          references: group.pendingProposals.map(({ ref }) => ref),
        }),
      );
    });
    refuses(`a path that drops ${what}`, "leaf-capabilities §7.3", async () => {
      const { where, mallory } = await demanding(all);
      await refusedByAll(
        where,
        MALLORY,
        await forgeCommit(mallory, { leaf: () => ({ capabilities, extensions: [] }) }),
      );
    });
  }
  refuses("to make a group that its maker is not fit for", "leaf-capabilities §7.3", async () => {
    await found(await person("alice"), { extensions: [required({ proposalTypes: [0xf002] })] });
  });
});

const x509: Credential = { credentialType: "x509", certificates: [] };
const x509Leaf = () => ({
  credential: x509,
  capabilities: defaults({ credentials: [1, 2] }),
  extensions: [],
});
const both = { capabilities: { credentials: [1, 2] } } as const;

rule("L08", () => {
  accepts("a credential of a type that the leaf lists", () =>
    accepted(adds({ leaf: x509Leaf }), both),
  );
  refuses("an Add of one that does not list it", "leaf-capabilities §7.2", () =>
    refused(adds({ leaf: () => ({ credential: x509 }) }), both),
  );
  refuses("an Update to one that is not listed", "leaf-capabilities §7.2", () =>
    refused(proposesUpdate({ leaf: () => ({ credential: x509, capabilities: defaults() }) }), both),
  );
  refuses("a path to one that is not listed", "leaf-capabilities §7.2", () =>
    refused(commits({ leaf: () => ({ credential: x509, capabilities: defaults() }) }), both),
  );
  for (const [what, own] of [
    ["suite", { cipherSuites: [] }],
    ["version", { versions: [2] }],
  ] as const) {
    const forged = { leaf: () => ({ capabilities: defaults(own) }) };
    refuses(
      `to add one who does not list the ${what} of its key package`,
      "leaf-capabilities §7.2",
      () => committing(forged),
    );
    refuses(
      `to keep a key package whose leaf does not list its ${what}`,
      "leaf-capabilities §7.2",
      () => published(forged),
    );
    accepts(`from others one who does not list the ${what}`, () => accepted(adds(forged)));
  }
});

rule("L09", () => {
  accepts("a type that all members list", () => accepted(adds({ leaf: x509Leaf }), both));
  refuses("an Add with a type that somebody does not list", "leaf-capabilities §7.3", () =>
    refused(adds({ leaf: x509Leaf })),
  );
  refuses("a path to a type that somebody does not list", "leaf-capabilities §7.3", () =>
    refused(commits({ leaf: x509Leaf })),
  );
  refuses(
    "an external commit with a type that somebody does not list",
    "leaf-capabilities §7.3",
    () => refused(joins({ leaf: x509Leaf })),
  );
});

/** Bob has an X.509 credential; the others list both types. */
async function withX509(): Promise<{ where: Room; mallory: Inside }> {
  const people = await persons(["alice", "bob", "carol", "mallory"], both);
  const where = await room(people);
  const bob = await inside(where.at(1).person);
  const update = await forgeCommit(bob, { leaf: x509Leaf });
  const now = await expectAccepted(where, 1, update);
  return { where: now, mallory: await inside(now.at(MALLORY).person) };
}

rule("L10", () => {
  accepts("one who lists the types of all", async () => {
    const { where, mallory } = await withX509();
    const add = await addOf({ leaf: () => ({ capabilities: defaults({ credentials: [1, 2] }) }) });
    await refusedOrNot(where, mallory, { proposals: [add] }, false);
  });
  refuses("an Add of one who does not", "leaf-capabilities §7.3", async () => {
    const { where, mallory } = await withX509();
    await refusedOrNot(where, mallory, { proposals: [await addOf()] }, true);
  });
  refuses("a path of one who no longer does", "leaf-capabilities §7.3", async () => {
    const { where, mallory } = await withX509();
    await refusedOrNot(
      where,
      mallory,
      { leaf: () => ({ capabilities: defaults(), extensions: [] }) },
      true,
    );
  });
});

/** Bob, who was changed behind his own back, takes no part. */
async function refusedOrNot(
  where: Room,
  mallory: Inside,
  commit: ForgedCommit,
  bad: boolean,
): Promise<void> {
  const message = await forgeCommit(mallory, commit);
  const groups = where.groups.filter((_, leafIndex) => leafIndex !== 1 && leafIndex !== MALLORY);
  const others: Room = { ...where, groups };
  if (bad) await refusedByAll(others, -1, message);
  else await expectAccepted(others, -1, message);
}

rule("L11", () => {
  accepts("one who does not list the type of a member that the commit removes", async () => {
    const { where, mallory } = await withX509();
    await refusedOrNot(where, mallory, { proposals: [removeBob, await addOf()] }, false);
  });
  accepts("a type that only the member does not list whom the commit removes", async () => {
    const [bob] = await persons(["bob"]);
    const [alice, carol, mallory] = await persons(["alice", "carol", "mallory"], both);
    if (!alice || !bob || !carol || !mallory) throw new Error("four");
    const where = await room([alice, bob, carol, mallory]);
    const proposals = [removeBob, await addOf({ leaf: x509Leaf })];
    await expectAccepted(where, MALLORY, await forgeCommit(await inside(mallory), { proposals }));
  });
  refuses("the same without the removal", "leaf-capabilities §7.3", async () => {
    const { where, mallory } = await withX509();
    await refusedOrNot(where, mallory, { proposals: [await addOf()] }, true);
  });
});

const NOW_SECONDS = BigInt(NOW / 1000);
const PASSED = { notBefore: LIFETIME.notBefore, notAfter: NOW_SECONDS - 1n };
const TO_COME = { notBefore: NOW_SECONDS + 1n, notAfter: LIFETIME.notAfter };
const lasting = (lifetime: Lifetime): ForgedKeyPackage => ({
  leaf: () => ({ source: { leafNodeSource: "key_package", lifetime } }),
});

/** An honest member is asked to add someone. */
async function committing(forged: ForgedKeyPackage): Promise<void> {
  const { where } = await stage();
  await where.at(0).group.commit({ proposals: [await addOf(forged)] });
}

rule("L12", () => {
  const commitsAdd = (lifetime: Lifetime) => committing(lasting(lifetime));
  accepts("a lifetime that contains now, ends included", async () => {
    await commitsAdd(LIFETIME);
    await commitsAdd({ notBefore: NOW_SECONDS, notAfter: NOW_SECONDS });
  });
  refuses("to commit one that has passed", "leaf-lifetime §7.3", () => commitsAdd(PASSED));
  refuses("to commit one that has not begun", "leaf-lifetime §7.3", () => commitsAdd(TO_COME));
});

rule("L13", () => {
  accepts("from others one that has passed meanwhile, or is about to begin", async () => {
    await accepted(adds(lasting(PASSED)));
    await accepted(adds(lasting(TO_COME)));
  });
  for (const [what, lifetime] of [
    ["has passed", PASSED],
    ["has not begun", TO_COME],
  ] as const) {
    refuses(`where a key package is looked at, one that ${what}`, "leaf-lifetime §7.3", () =>
      published(lasting(lifetime)),
    );
  }
});

/** A service checks a key package that is to be kept for others. */
async function published(forged: ForgedKeyPackage, maxLifetime?: bigint): Promise<void> {
  const keyPackage = await forgeKeyPackage(await person("eve"), forged);
  await validateKeyPackage(
    { crypto: nodeCrypto, now: () => NOW, ...(maxLifetime && { maxLifetime }) },
    encodeMessage({ wireFormat: "mls_key_package", keyPackage }),
  );
}

rule("L14", () => {
  const long = (seconds: bigint): ForgedKeyPackage =>
    lasting({ notBefore: LIFETIME.notBefore, notAfter: LIFETIME.notBefore + seconds });
  accepts("a lifetime as long as the bound", async () => {
    await accepted(adds(long(MAX_LIFETIME)));
    await published(long(MAX_LIFETIME));
    await published(long(3600n * 24n), 3600n * 24n);
  });
  refuses("an Add of one that is a second longer", "leaf-lifetime §7.2", () =>
    refused(adds(long(MAX_LIFETIME + 1n))),
  );
  refuses("a key package of one that is a second longer", "leaf-lifetime §7.2", () =>
    published(long(MAX_LIFETIME + 1n)),
  );
  refuses("one beyond the application's own bound", "leaf-lifetime §7.2", () =>
    published(long(3601n * 24n), 3600n * 24n),
  );
  refuses("a group with such a leaf in it", "leaf-lifetime §7.2", async () => {
    const strict = await person("eve");
    const context = { ...strict.context, maxLifetime: 3600n };
    const group = await found(await person("alice"));
    const groupInfo = await group.groupInfo({ externalPub: false });
    await PublicGroup.open(context, { groupInfo, ratchetTree: group.ratchetTree() });
  });
});

rule("L15", () => {
  const extensions = [extension(0xf001)];
  accepts("an extension that is listed", async () => {
    const capabilities = defaults({ extensions: [0xf001] });
    await accepted(adds({ leaf: () => ({ capabilities, extensions }) }));
  });
  refuses("an Add with one that is not", "leaf-extensions §7.3", () =>
    refused(adds({ leaf: () => ({ extensions }) })),
  );
  refuses("an Update with one that is not", "leaf-extensions §7.3", () =>
    refused(proposesUpdate({ leaf: () => ({ extensions }) })),
  );
  refuses("a path with one that is not", "leaf-extensions §7.3", () =>
    refused(commits({ leaf: () => ({ extensions }) })),
  );
});

rule("L16", () => {
  const makes = async (capabilities: Partial<Capabilities>): Promise<void> => {
    const { context, credential, signer, suite } = await person("eve");
    const options = { credential, signer, suite, lifetime: LIFETIME };
    await createKeyPackage(context, { ...options, capabilities: defaults(capabilities) });
  };
  accepts("a default extension that is not listed", () =>
    accepted(adds({ leaf: () => ({ extensions: [extension(EXTENSION.applicationId)] }) })),
  );
  accepts("capabilities of ours without default types", () =>
    makes({ extensions: [0xf001], proposals: [0xf002] }),
  );
  for (const type of Object.values(EXTENSION)) {
    refuses(`to list extension ${type}`, "leaf-capabilities §7.2", () =>
      makes({ extensions: [type] }),
    );
  }
  for (const type of Object.values(PROPOSAL)) {
    refuses(`to list proposal ${type}`, "leaf-capabilities §7.2", () =>
      makes({ proposals: [type] }),
    );
  }
  refuses("to list one in an external commit", "leaf-capabilities §7.2", async () => {
    const group = await found(await person("alice"));
    const { context, credential, signer } = await person("eve");
    const groupInfo = await group.groupInfo({ externalPub: true });
    await joinExternally(context, {
      groupInfo,
      ratchetTree: group.ratchetTree(),
      credential,
      signer,
      capabilities: defaults({ extensions: [EXTENSION.applicationId] }),
    });
  });
});

const fromKeyPackage = { leafNodeSource: "key_package", lifetime: LIFETIME } as const;
const fromUpdate = { leafNodeSource: "update" } as const;
const fromCommit = { leafNodeSource: "commit", parentHash: utf8("") } as const;

rule("L17", () => {
  accepts("source key_package", () => accepted(adds()));
  refuses("source update", "leaf-source §7.3", () =>
    refused(adds({ leaf: () => ({ source: fromUpdate }) })),
  );
  refuses("source commit", "leaf-source §7.3", () =>
    refused(adds({ leaf: () => ({ source: fromCommit }) })),
  );
});

rule("L18", () => {
  accepts("source update", () => accepted(proposesUpdate()));
  refuses("source key_package", "leaf-source §7.3", () =>
    refused(proposesUpdate({ leaf: () => ({ source: fromKeyPackage }) })),
  );
  refuses("source commit", "leaf-source §7.3", () =>
    refused(proposesUpdate({ leaf: () => ({ source: fromCommit }) })),
  );
});

rule("L19", () => {
  accepts("source commit", () => accepted(commits()));
  refuses("source key_package", "leaf-source §7.3", () =>
    refused(commits({ leaf: () => ({ source: fromKeyPackage }) })),
  );
  refuses("source update", "leaf-source §7.3", () =>
    refused(commits({ leaf: () => ({ source: fromUpdate }) })),
  );
});

/** The encryption key that mallory has now. */
function encryptionKeyOf({ state, ownLeaf }: Inside): Bytes {
  const leaf = leafAt(state.tree, ownLeaf);
  if (!leaf) throw new Error("no leaf");
  return leaf.encryptionKey;
}

rule("L20", () => {
  accepts("a new key", () => accepted(proposesUpdate()));
  refuses("the old key", "leaf-encryption-key §7.3", () =>
    refused(async (at) => {
      const encryptionKey = encryptionKeyOf(at.mallory);
      return proposesUpdate({ leaf: () => ({ encryptionKey }) })(at);
    }),
  );
  for (const [what, encryptionKey] of [
    ["of 33 bytes", new Uint8Array(33).fill(9)],
    ["of small order", new Uint8Array(32)],
  ] as const) {
    refuses(`a key ${what}`, "crypto §5.1.1", () =>
      refused(proposesUpdate({ leaf: () => ({ encryptionKey }) })),
    );
  }
});

rule("L21", () => {
  accepts("a new key", () => accepted(commits()));
  refuses("the old key", "leaf-encryption-key §12.4.2", () =>
    refused(async (at) => {
      const encryptionKey = encryptionKeyOf(at.mallory);
      return commits({ leaf: () => ({ encryptionKey }) })(at);
    }),
  );
  refuses("a key of small order", "crypto §5.1.1", () =>
    refused(commits({ leaf: () => ({ encryptionKey: new Uint8Array(32) }) })),
  );
});

/** Two Adds with something in common. */
async function twoAdds(common: (leaf: LeafNode) => Partial<LeafNode>, signer?: Person) {
  const by = signer?.signer;
  const one = await addOf({ leaf: common, ...(by && { leafSigner: by, signer: by }) }, "eve");
  const two = await addOf({ leaf: common, ...(by && { leafSigner: by, signer: by }) }, "dan");
  return [one, two];
}

rule("L22", () => {
  accepts("a key that was another's who is removed by the same commit", async () => {
    const { where, mallory } = await stage();
    const keyPackage = await forgeKeyPackage(where.at(1).person);
    const proposals = [removeBob, { proposalType: "add", keyPackage } as const];
    await expectAccepted(where, MALLORY, await forgeCommit(mallory, { proposals }));
  });
  refuses("an Add with a member's key", "leaf-key-reused §7.3", () =>
    refused(async ({ where, mallory }) => {
      const keyPackage = await forgeKeyPackage(where.at(0).person);
      return forgeCommit(mallory, { proposals: [{ proposalType: "add", keyPackage }] });
    }),
  );
  refuses("two Adds with one key", "leaf-key-reused §7.3", () =>
    refused(async ({ mallory }) => {
      const shared = await person("shared");
      const signatureKey = shared.signer.publicKey;
      return forgeCommit(mallory, { proposals: await twoAdds(() => ({ signatureKey }), shared) });
    }),
  );
  refuses("a path to another member's key", "leaf-key-reused §7.3", () =>
    refused(({ where, mallory }) => {
      const { signer } = where.at(0).person;
      return forgeCommit(mallory, {
        leaf: () => ({ signatureKey: signer.publicKey }),
        leafSigner: signer,
      });
    }),
  );
});

rule("L23", () => {
  const keyOf = async (name: string): Promise<Bytes> =>
    (await forgeKeyPackage(await person(name))).leafNode.encryptionKey;
  accepts("keys that all differ", async () => {
    await accepted(async ({ mallory }) =>
      forgeCommit(mallory, { proposals: await twoAdds(() => ({})) }),
    );
  });
  refuses("an Add with a member's key", "leaf-key-reused §7.3", () =>
    refused((at) => adds({ leaf: () => ({ encryptionKey: memberKey(at, 0) }) })(at)),
  );
  refuses("two Adds with one key", "leaf-key-reused §7.3", () =>
    refused(async ({ mallory }) => {
      const encryptionKey = await keyOf("shared");
      return forgeCommit(mallory, { proposals: await twoAdds(() => ({ encryptionKey })) });
    }),
  );
  refuses("a path to another member's key", "leaf-key-reused §7.3", () =>
    refused((at) => commits({ leaf: () => ({ encryptionKey: memberKey(at, 0) }) })(at)),
  );
});

function memberKey({ mallory }: Stage, leafIndex: number): Bytes {
  const leaf = leafAt(mallory.state.tree, leafIndex);
  if (!leaf) throw new Error("no leaf");
  return leaf.encryptionKey;
}

rule("L24", () => {
  accepts("an external commit with keys of its own", () => accepted(joins()));
  refuses("an external commit with a member's encryption key", "leaf-key-reused §7.3", () =>
    refused((at) => joins({ leaf: () => ({ encryptionKey: memberKey(at, 0) }) })(at)),
  );
  refuses("an external commit with a member's signature key", "leaf-key-reused §7.3", () =>
    refused(async ({ where, mallory }) =>
      forgeCommit(mallory, { external: { person: where.at(0).person } }),
    ),
  );
  refuses("to make one with a member's signature key", "leaf-key-reused §7.3", async () => {
    const alice = await person("alice");
    const group = await found(alice);
    const { context, credential } = await person("eve");
    const groupInfo = await group.groupInfo({ externalPub: true });
    const ratchetTree = group.ratchetTree();
    await joinExternally(context, { groupInfo, ratchetTree, credential, signer: alice.signer });
  });
});

rule("L25", () => {
  const unknown = [0x7001, 0x7002];
  const capabilities: Capabilities = {
    versions: [1, ...unknown],
    cipherSuites: [3, ...unknown],
    extensions: unknown,
    proposals: unknown,
    credentials: [1, ...unknown],
  };
  accepts("values that nobody knows, in each list", async () => {
    await accepted(adds({ leaf: () => ({ capabilities, extensions: [] }) }));
    await accepted(proposesUpdate({ leaf: () => ({ capabilities, extensions: [] }) }));
    await accepted(commits({ leaf: () => ({ capabilities, extensions: [] }) }));
  });
  refuses("to add one who lists them and not the suite", "leaf-capabilities §7.2", () =>
    committing({ leaf: () => ({ capabilities: { ...capabilities, cipherSuites: unknown } }) }),
  );
});

/** All list the same value of GREASE. */
const grease = 0x2a2a;
const greasy = {
  capabilities: { extensions: [grease], proposals: [grease], credentials: [1, grease] },
} as const;

rule("L26", () => {
  accepts("GREASE in every list of what we send, and of what we receive", async () => {
    const { where } = await stage();
    for (const { leafNode } of where.at(0).group.members()) {
      const { cipherSuites, extensions, proposals, credentials } = leafNode.capabilities;
      const types = leafNode.extensions.map(({ extensionType }) => extensionType);
      for (const list of [cipherSuites, extensions, proposals, credentials, types]) {
        expect(list.filter((type) => GREASE.has(type))).toHaveLength(1);
      }
      expect(leafNode.capabilities.versions).toEqual([1]);
    }
  });
  accepts("GREASE that the application chose, and no more of it", async () => {
    const { where } = await stage(greasy);
    for (const { leafNode } of where.at(0).group.members()) {
      const { extensions, proposals, credentials } = leafNode.capabilities;
      expect([extensions, proposals, credentials]).toEqual([[grease], [grease], [1, grease]]);
      expect(leafNode.extensions.map(({ extensionType }) => extensionType)).toEqual([grease]);
    }
  });
  accepts("the values that the RFC names", () => {
    const values = [...GREASE].map((value) => value.toString(16));
    expect(values).toHaveLength(15);
    expect(values.slice(0, 2)).toEqual(["a0a", "1a1a"]);
    expect(values.at(-1)).toBe("eaea");
  });
  refuses("an extension of the group that all list as GREASE", "extension-unsupported §13.4", () =>
    refused(commits({ proposals: [gce(extension(grease))] }), greasy),
  );
  refuses("a proposal that all list as GREASE", "proposal-unsupported §12.2", () =>
    refused(
      commits({ proposals: [{ proposalType: "other", number: grease, data: utf8("") }] }),
      greasy,
    ),
  );
  refuses("a credential that all list as GREASE", "leaf-capabilities §7.3", () =>
    refused(
      adds({
        leaf: () => ({
          credential: { credentialType: "other", number: grease, data: utf8("") },
          capabilities: defaults({ credentials: [1, grease] }),
        }),
      }),
      greasy,
    ),
  );
});
