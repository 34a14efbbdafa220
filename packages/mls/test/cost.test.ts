/** How the work of an operation grows with the group: counted, never timed. */

import { type CryptoProvider, type Group, joinExternally, readKeyPackage } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { suiteOf } from "../src/crypto/suite.ts";
import { memoryStorage, type Storage } from "../src/storage.ts";
import { addLeaves, type RatchetTree, removeLeaf, treeOf } from "../src/tree/ratchet-tree.ts";
import { checkParentHashes, rootHash } from "../src/tree/tree-hash.ts";
import { createPath } from "../src/tree/update-path.ts";
import { keyPackageOf, type Person, person, persons, utf8 } from "./people.ts";
import { populated } from "./populated.ts";

const SUITE = 1;

/** How often something was done. */
type Work = Record<"hash" | "hmac" | "aead" | "keys" | "signatures" | "records", number>;

/** A platform and a storage that count what they are asked for. */
function counted(): {
  readonly crypto: CryptoProvider;
  readonly storage: Storage;
  readonly take: () => Work;
} {
  const none = (): Work => ({ hash: 0, hmac: 0, aead: 0, keys: 0, signatures: 0, records: 0 });
  let work = none();
  const counting =
    <A extends unknown[], R>(
      kind: keyof Work,
      operation: (...args: A) => R,
      by?: (...args: A) => number,
    ) =>
    (...args: A): R => {
      work[kind] += by?.(...args) ?? 1;
      return operation(...args);
    };
  const { dhEphemeral } = nodeCrypto;
  const inner = memoryStorage();
  return {
    crypto: {
      ...nodeCrypto,
      hash: counting("hash", nodeCrypto.hash),
      hmac: counting("hmac", nodeCrypto.hmac),
      seal: counting("aead", nodeCrypto.seal),
      open: counting("aead", nodeCrypto.open),
      dh: counting("keys", nodeCrypto.dh),
      dhPublicKey: counting("keys", nodeCrypto.dhPublicKey),
      ...(dhEphemeral && { dhEphemeral: counting("keys", dhEphemeral) }),
      verify: counting("signatures", nodeCrypto.verify),
      verifyMany: counting("signatures", nodeCrypto.verifyMany, (_, signed) => signed.length),
    },
    storage: {
      ...inner,
      apply: counting(
        "records",
        inner.apply,
        (batch) => (batch.put?.size ?? 0) + (batch.delete?.length ?? 0),
      ),
    },
    take: () => {
      const taken = work;
      work = none();
      return taken;
    },
  };
}

/** The first and the last member of a group of n whose tree is populated, and one who follows it; all of them counted. */
async function populatedGroup(n: number): Promise<{
  readonly first: Group;
  readonly last: Group;
  readonly observer: PublicGroup;
  readonly take: () => Work;
}> {
  const { crypto, storage, take } = counted();
  const [one, other, ...rest] = await persons(
    Array.from({ length: n }, (_, i) => `${i}`),
    { suite: SUITE },
  );
  if (!one || !other) throw new Error("two at least");
  const counting = ({ context, ...who }: Person, own: Storage): Person => ({
    ...who,
    context: { ...context, crypto, storage: own },
  });
  const people = [one, ...rest, other];
  const members = await Promise.all(
    people.map(async (who) => ({
      leafNode: readKeyPackage(await keyPackageOf(who)).leafNode,
      signer: who.signer,
    })),
  );
  const suite = suiteOf(nodeCrypto, SUITE);
  const made = await populated(suite, utf8("room"), members);
  const enter = async (who: Person, place: number, at: typeof made) => {
    const { context, signer, credential, capabilities } = who;
    const options = { ...at, signer, credential, capabilities, resync: place };
    const { group, bundle } = await joinExternally(context, options);
    await group.confirm();
    return { group, commit: bundle.commit };
  };
  const { group: first } = await enter(counting(one, storage), 0, made);
  const last = await enter(counting(other, memoryStorage()), n - 1, {
    groupInfo: await first.groupInfo({ externalPub: true }),
    ratchetTree: first.ratchetTree(),
  });
  await first.receive(last.commit);
  const observer = await PublicGroup.open(counting(one, storage).context, {
    groupInfo: await first.groupInfo({ externalPub: false }),
    ratchetTree: first.ratchetTree(),
  });
  take();
  return { first, last: last.group, observer, take };
}

/** All that a member of a small and of one of a group eight times as large do, by operation. */
async function works(n: number): Promise<Readonly<Record<string, Work>>> {
  const { first, last, observer, take } = await populatedGroup(n);
  const { commit } = await last.commit();
  take();
  await observer.process(commit);
  const observed = take();
  await first.receive(commit);
  const processed = take();
  await last.receive(commit);
  take();
  const own = await first.commit();
  const committed = take();
  await first.receive(own.commit);
  const entered = take();
  await last.receive(own.commit);
  await last.receive(await first.send(utf8("first")));
  await first.receive(await last.send(utf8("first")));
  take();
  const sent = await first.send(utf8("second"));
  const sending = take();
  const answer = await last.send(utf8("second"));
  take();
  await first.receive(answer);
  const receiving = take();
  await last.receive(sent);
  return { observed, processed, committed, entered, sending, receiving };
}

describe("in a populated tree", () => {
  it("the work of a commit grows with the height of the tree, that of a message not at all", async () => {
    const small = await works(16);
    const large = await works(128);
    for (const operation of ["observed", "processed", "committed", "entered"]) {
      for (const [kind, count] of Object.entries(large[operation] ?? {})) {
        const before = small[operation]?.[kind as keyof Work] ?? 0;
        // Eight times the members are three levels more, upon four.
        const most = before * 1.75 + 3;
        expect([operation, kind, count <= most ? "as it should be" : count]).toEqual([
          operation,
          kind,
          "as it should be",
        ]);
      }
    }
    expect(large["sending"]).toEqual(small["sending"]);
    expect(large["receiving"]).toEqual(small["receiving"]);
  });
});

/** A tree in which the first member's path is the only one that is not blank, and all others but the last came after that. */
async function unmerged(n: number): Promise<RatchetTree> {
  const suite = suiteOf(nodeCrypto, SUITE);
  const leaf = readKeyPackage(await keyPackageOf(await person("one", { suite: SUITE }))).leafNode;
  const numbered = (i: number) => ({
    ...leaf,
    encryptionKey: nodeCrypto.hash("sha256", Uint8Array.of(i >> 8, i, 1)),
    signatureKey: nodeCrypto.hash("sha256", Uint8Array.of(i >> 8, i, 2)),
  });
  const others = Array.from({ length: n - 1 }, (_, i) => numbered(i));
  let { tree } = addLeaves(treeOf(leaf), others);
  for (let leafIndex = 1; leafIndex < n - 1; leafIndex++) tree = removeLeaf(tree, leafIndex);
  const made = await createPath(suite, tree, 0, async (encryptionKey, parentHash) => ({
    ...leaf,
    encryptionKey,
    source: { leafNodeSource: "commit", parentHash },
  }));
  return addLeaves(made.tree, others.slice(0, n - 2)).tree;
}

describe("a tree from outside", () => {
  it("is checked with hashes in proportion to it, however many leaves are unmerged", async () => {
    const hashes = async (n: number): Promise<number> => {
      const { crypto, take } = counted();
      const tree = await unmerged(n);
      const suite = suiteOf(crypto, SUITE);
      take();
      rootHash(suite, tree);
      await checkParentHashes(suite, tree);
      return take().hash;
    };
    const [small, large] = [await hashes(64), await hashes(512)];
    expect(small).toBeGreaterThan(64);
    // Eight times the leaves, and half as many levels again.
    expect(large).toBeLessThanOrEqual(8 * 1.5 * small);
  });
});
