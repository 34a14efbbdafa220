/** §10, §10.1: how a client can be added while it is away. */

import { createKeyPackage, joinGroup, readKeyPackage } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { validateKeyPackage } from "@conclave/mls/public-group";
import { expect } from "vitest";
import { decodeMessage, encodeMessage } from "../../src/framing/message.ts";
import { GREASE } from "../../src/registry.ts";
import {
  type ForgedKeyPackage,
  forgeCommit,
  forgeKeyPackage,
  forgeProposal,
  forgeWelcome,
  inside,
} from "../forge.ts";
import {
  expectAccepted,
  found,
  hex,
  keyPackageOf,
  LIFETIME,
  NOW,
  type Person,
  person,
  persons,
  room,
  utf8,
} from "../people.ts";
import { accepts, holds, refusedByAll, refuses, rule } from "./rule.ts";
import { MALLORY, stage } from "./stage.ts";

const extension = (extensionType: number) => ({ extensionType, extensionData: utf8("") });

/** Mallory commits an Add of a key package, and everybody has their say. */
async function added(forged: ForgedKeyPackage = {}): Promise<void> {
  const { where, mallory } = await stage();
  const keyPackage = await forgeKeyPackage(await person("eve"), forged);
  const proposals = [{ proposalType: "add", keyPackage } as const];
  await expectAccepted(where, MALLORY, await forgeCommit(mallory, { proposals }));
}
async function refused(forged: ForgedKeyPackage, how: "by value" | "by itself"): Promise<void> {
  const { where, mallory } = await stage();
  const keyPackage = await forgeKeyPackage(await person("eve"), forged);
  const proposal = { proposalType: "add", keyPackage } as const;
  const bad =
    how === "by itself"
      ? await forgeProposal(mallory, proposal)
      : await forgeCommit(mallory, { proposals: [proposal] });
  await refusedByAll(where, MALLORY, bad);
}
/** An honest member is asked to commit it. */
async function committed(forged: ForgedKeyPackage): Promise<void> {
  const { where } = await stage();
  const keyPackage = await forgeKeyPackage(await person("eve"), forged);
  await where.at(0).group.commit({ proposals: [{ proposalType: "add", keyPackage }] });
}

rule("K01", () => {
  accepts("the group's version and suite", () => added());
  for (const how of ["by value", "by itself"] as const) {
    refuses(`another version, ${how}`, "key-package-version §10.1", () =>
      refused({ content: () => ({ version: 2 }) }, how),
    );
    refuses(`another suite, ${how}`, "key-package-suite §10.1", () =>
      refused({ content: () => ({ cipherSuite: 1 }) }, how),
    );
  }
  refuses("to commit one of another version", "key-package-version §10.1", () =>
    committed({ content: () => ({ version: 2 }) }),
  );
  refuses("to commit one of another suite", "key-package-suite §10.1", () =>
    committed({ content: () => ({ cipherSuite: 1 }) }),
  );
});

rule("K02", () => {
  const published = async (forged: ForgedKeyPackage): Promise<void> => {
    const keyPackage = await forgeKeyPackage(await person("eve"), forged);
    const message = encodeMessage({ wireFormat: "mls_key_package", keyPackage });
    await validateKeyPackage({ crypto: nodeCrypto, now: () => NOW }, message);
  };
  accepts("version 1 in a message of version 1", () => published({}));
  refuses("version 2 in a message of version 1", "key-package-version §10.1", () =>
    published({ content: () => ({ version: 2 }) }),
  );
  refuses("a message of version 2", "unsupported-version §6", async () => {
    const message = await keyPackageOf(await person("eve"));
    decodeMessage(message.with(1, 2));
  });
});

rule("K03", () => {
  accepts("a leaf of source key_package", () => added());
  const update: ForgedKeyPackage = { leaf: () => ({ source: { leafNodeSource: "update" } }) };
  for (const how of ["by value", "by itself"] as const) {
    refuses(`another source, ${how}`, "leaf-source §7.3", () => refused(update, how));
    refuses(`a leaf that another signed, ${how}`, "leaf-signature §7.3", async () =>
      refused({ leafSigner: (await person("dan")).signer }, how),
    );
    refuses(`a leaf with an extension twice, ${how}`, "duplicate-extension §13.4", () =>
      refused({ leaf: () => ({ extensions: [extension(1), extension(1)] }) }, how),
    );
    refuses(`a leaf whose key is no key, ${how}`, "crypto §5.1.1", () =>
      refused({ leaf: () => ({ encryptionKey: new Uint8Array(33) }) }, how),
    );
    refuses(`a leaf whose key is of small order, ${how}`, "crypto §5.1.1", () =>
      refused({ leaf: () => ({ encryptionKey: new Uint8Array(32) }) }, how),
    );
  }
  refuses("to commit one of another source", "leaf-source §7.3", () => committed(update));
});

rule("K04", () => {
  accepts("its leaf's signature", () => added());
  for (const how of ["by value", "by itself"] as const) {
    refuses(`another's signature, ${how}`, "key-package-signature §10.1", async () =>
      refused({ signer: (await person("dan")).signer }, how),
    );
  }
  refuses("one that was changed after it was signed", "key-package-signature §10.1", async () => {
    const { where, mallory } = await stage();
    const honest = await forgeKeyPackage(await person("eve"));
    const keyPackage = { ...honest, extensions: [extension(9)] };
    const proposals = [{ proposalType: "add", keyPackage } as const];
    await refusedByAll(where, MALLORY, await forgeCommit(mallory, { proposals }));
  });
});

rule("K05", () => {
  const same: ForgedKeyPackage = {
    content: ({ leafNode }) => ({ initKey: leafNode.encryptionKey }),
  };
  accepts("two keys", () => added());
  for (const how of ["by value", "by itself"] as const) {
    refuses(`one key for both, ${how}`, "key-package-init-key §10.1", () => refused(same, how));
  }
  refuses("to commit one with one key for both", "key-package-init-key §10.1", () =>
    committed(same),
  );
});

rule("K06", () => {
  accepts("a key of the suite", () => added());
  for (const [what, initKey] of [
    ["31 bytes", new Uint8Array(31).fill(9)],
    ["nothing", new Uint8Array(0)],
    ["a point of small order, which everybody could decrypt for", new Uint8Array(32)],
  ] as const) {
    for (const how of ["by value", "by itself"] as const) {
      refuses(`${what}, ${how}`, "crypto §5.1.1", () =>
        refused({ content: () => ({ initKey }) }, how),
      );
    }
  }
});

rule("K07", () => {
  accepts("extensions that nobody knows, and GREASE", () =>
    added({ content: () => ({ extensions: [extension(0x7001), extension(0x0a0a)] }) }),
  );
  refuses("one of them twice (§13.4)", "duplicate-extension §13.4", () =>
    refused(
      { content: () => ({ extensions: [extension(0x7001), extension(0x7001)] }) },
      "by value",
    ),
  );
});

rule("K08", () => {
  accepts("an extension that the group does not have", async () => {
    const { where } = await stage();
    const types = where.at(0).group.extensions.map(({ extensionType }) => extensionType);
    expect(types).not.toContain(0xf001);
    await added({ content: () => ({ extensions: [extension(0xf001)] }) });
  });
  refuses("but not the lack of one that the group has", "extension-unsupported §13.4", async () => {
    const capabilities = { extensions: [0xf001] };
    const people = await persons(["alice", "bob", "carol", "mallory"], { capabilities });
    const where = await room(people, { extensions: [extension(0xf001)] });
    const mallory = await inside(where.at(MALLORY).person);
    const keyPackage = await forgeKeyPackage(await person("eve"), {
      content: () => ({ extensions: [extension(0xf001)] }),
    });
    const proposals = [{ proposalType: "add", keyPackage } as const];
    await refusedByAll(where, MALLORY, await forgeCommit(mallory, { proposals }));
  });
});

/** A key package of this person's, and the records of its private half. */
async function made(who: Person, lastResort = false) {
  const { context, suite, credential, signer } = who;
  const options = { suite, credential, signer, lifetime: LIFETIME, lastResort };
  const { keyPackage } = await createKeyPackage(context, options);
  return readKeyPackage(keyPackage);
}

async function kept(who: Person): Promise<number> {
  return (await who.storage.list("key-package/")).size;
}

rule("K09", () => {
  const at = ["group/welcome-join.ts", "return { delete: [key] };"] as const;
  const join = async (lastResort: boolean): Promise<Person> => {
    const where = await room(await persons(["alice", "bob"]));
    const eve = await person("eve");
    const keyPackage = await made(eve, lastResort);
    expect(await kept(eve)).toBe(1);
    const by = await inside(where.at(0).person);
    const welcome = await forgeWelcome(by, keyPackage);
    await joinGroup(eve.context, { welcome, signer: eve.signer });
    return eve;
  };
  holds("nothing of it is stored after a join", at, async () => {
    expect(await kept(await join(false))).toBe(0);
  });
  holds("a last resort stays", at, async () => {
    expect(await kept(await join(true))).toBe(1);
  });
  holds("it stays where the Welcome is no good", at, async () => {
    const where = await room(await persons(["alice", "bob"]));
    const eve = await person("eve");
    const by = await inside(where.at(0).person);
    const bad = await forgeWelcome(by, await made(eve), { info: () => ({ signer: 1 }) });
    await expect(
      joinGroup(eve.context, { welcome: bad, signer: eve.signer }),
    ).rejects.toMatchObject({
      code: "group-info-signature",
    });
    expect(await kept(eve)).toBe(1);
  });
});

rule("K10", () => {
  const twice = async (lastResort: boolean): Promise<void> => {
    const eve = await person("eve");
    const keyPackage = await made(eve, lastResort);
    for (const groupId of ["one", "two"]) {
      const group = await found(await person("alice"), { groupId });
      const bundle = await group.commit({ proposals: [{ proposalType: "add", keyPackage }] });
      await group.receive(bundle.commit);
      const welcome = bundle.welcome ?? utf8("");
      const ratchetTree = group.ratchetTree();
      await joinGroup(eve.context, { welcome, ratchetTree, signer: eve.signer });
    }
  };
  accepts("a last resort for two groups", () => twice(true));
  refuses("another for a second group", "key-package-unknown §12.4.3.1", () => twice(false));
});

rule("K11", () => {
  accepts("ten of one client: twenty keys", async () => {
    const eve = await person("eve");
    const keys = new Set<string>();
    for (let i = 0; i < 10; i++) {
      const { initKey, leafNode } = await made(eve);
      keys.add(hex(initKey)).add(hex(leafNode.encryptionKey));
    }
    expect(keys.size).toBe(20);
  });
  holds(
    "they are as random as the provider is",
    ["group/own-key-package.ts", "const init = await generateKeyPair(suite)"],
    async () => {
      // A provider that always draws the same can't make two keys that differ.
      const random = (length: number) => new Uint8Array(length).fill(7);
      const eve = await person("eve", { crypto: { ...nodeCrypto, random } });
      const { initKey, leafNode } = await made(eve);
      expect(initKey).toEqual(leafNode.encryptionKey);
    },
  );
});

rule("K12", () => {
  const makes = async (listed: readonly number[], extensions: readonly number[]) => {
    const capabilities = { extensions: listed };
    const { context, suite, credential, signer, ...eve } = await person("eve", { capabilities });
    const { keyPackage } = await createKeyPackage(context, {
      suite,
      credential,
      signer,
      lifetime: LIFETIME,
      capabilities: eve.capabilities,
      extensions: extensions.map(extension),
    });
    return readKeyPackage(keyPackage).extensions.map(({ extensionType }) => extensionType);
  };
  accepts("one that is listed, and GREASE beside it", async () => {
    const types = await makes([0xf001], [0xf001]);
    expect(types).toHaveLength(2);
    expect(types[0]).toBe(0xf001);
    expect(GREASE).toContain(types[1]);
  });
  accepts("a default one, and GREASE that was chosen", async () => {
    expect(await makes([0x1a1a], [1, 0x1a1a])).toEqual([1, 0x1a1a]);
  });
  refuses("to make one with another", "leaf-capabilities §10", async () => {
    await makes([0xf001], [0xf001, 0xf002]);
  });
  refuses("to make one with an extension twice", "duplicate-extension §13.4", async () => {
    await makes([0xf001], [0xf001, 0xf001]);
  });
});
