import {
  CommitRefusal,
  checkProposal,
  commitPolicy,
  encodeDeviceIdentity,
  encodeLinks,
  LINKS_EXTENSION,
  type Link,
  MAX_LINKS,
  proveLink,
} from "@conclave/delivery/protocol";
import { defaultCapabilities, PROPOSAL } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import type {
  CommitSummary,
  Extension,
  LeafNode,
  PendingProposal,
} from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { newKey, random } from "../world.ts";

const NOW = 1_000_000;
const key = await newKey();

const aLink = (expiresAt = NOW / 1000 + 1): Link => ({
  signatureKey: key.publicKey,
  encryptionKey: random(32),
  expiresAt: BigInt(expiresAt),
  maxUses: 1,
});

const context = (links: readonly Link[]): readonly Extension[] => [
  { extensionType: LINKS_EXTENSION, extensionData: encodeLinks(links) },
];

function leafOf(rootKey = random(32), deviceId = random(16)): LeafNode {
  const signatureKey = random(32);
  const identity = encodeDeviceIdentity({ rootKey, deviceId, signatureKey });
  return {
    encryptionKey: random(32),
    signatureKey,
    credential: { credentialType: "basic", identity },
    capabilities: defaultCapabilities(nodeCrypto),
    source: { leafNodeSource: "commit", parentHash: random(32) },
    extensions: [],
    signature: random(64),
  };
}

const aCommit = (change: Partial<CommitSummary> = {}): CommitSummary => ({
  groupId: random(16),
  epoch: 3n,
  committer: 0,
  external: false,
  authenticatedData: random(0),
  pathLeaf: undefined,
  encodedPathLeaf: undefined,
  added: [],
  removed: [],
  updated: [],
  extensionsBefore: [],
  extensionsAfter: [],
  proposals: [],
  proposalTypes: [],
  ...change,
});

async function aJoin(link = aLink(), change: Partial<CommitSummary> = {}): Promise<CommitSummary> {
  const [encodedPathLeaf, groupId] = [random(200), random(16)];
  const joining = { groupId, epoch: 3n, leafNode: encodedPathLeaf };
  return aCommit({
    groupId,
    external: true,
    pathLeaf: leafOf(),
    encodedPathLeaf,
    authenticatedData: await proveLink(joining, key),
    extensionsBefore: context([link]),
    extensionsAfter: context([link]),
    proposalTypes: [PROPOSAL.externalInit],
    ...change,
  });
}

async function judge(
  summary: CommitSummary,
  pending: readonly PendingProposal[] = [],
): Promise<string> {
  try {
    await commitPolicy(() => NOW)(summary, pending);
    return "accepted";
  } catch (error) {
    return error instanceof CommitRefusal ? error.code : String(error);
  }
}

describe("a member's commit", () => {
  it("may add, update, remove and change links, and nothing of another type", async () => {
    const { add, update, remove, groupContextExtensions, psk, reinit } = PROPOSAL;
    const proposalTypes = [add, update, remove, groupContextExtensions];
    expect(await judge(aCommit({ proposalTypes }))).toBe("accepted");
    for (const type of [psk, reinit, 0xf0c9]) {
      expect(await judge(aCommit({ proposalTypes: [add, type] }))).toBe("message-refused");
    }
  });

  it("takes out who asked to leave, by reference or not; a joiner's does not", async () => {
    const leaving = (removed: number, leafIndex = removed): PendingProposal => ({
      ref: random(32),
      proposal: { proposalType: "remove", removed },
      sender: { senderType: "member", leafIndex },
      // It is what `ref` is the hash of, which nobody here asks for.
      authenticated: {} as PendingProposal["authenticated"],
    });
    const pending = [leaving(1), leaving(2)];
    const out = (...leaves: number[]) =>
      aCommit({ removed: leaves.map((leafIndex) => ({ leafIndex, leafNode: leafOf() })) });
    expect(await judge(out(2, 1), pending)).toBe("accepted");
    expect(await judge(out(1), pending)).toBe("message-refused");
    const refused = await Promise.resolve(commitPolicy(() => NOW)(out(1), pending)).catch(
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({ leftOut: [pending[1]?.ref] });
    expect(await judge(aCommit(), [leaving(1, 3)])).toBe("accepted");
    expect(await judge(await aJoin(), pending)).toBe("accepted");
  });

  it("removes nobody while a link stays open", async () => {
    const removed = [{ leafIndex: 1, leafNode: leafOf() }];
    const extensionsBefore = context([aLink()]);
    const closing = { removed, extensionsBefore, extensionsAfter: context([]) };
    expect(await judge(aCommit(closing))).toBe("accepted");
    const leaving = { ...closing, extensionsAfter: extensionsBefore };
    expect(await judge(aCommit(leaving))).toBe("message-refused");
  });

  it("changes of the context its links alone, and has few of them", async () => {
    const other = { extensionType: 3, extensionData: random(4) };
    const many = (length: number) => context(Array.from({ length }, () => aLink()));
    const extensionsBefore = [other];
    const after = (extensionsAfter: readonly Extension[]) =>
      judge(aCommit({ extensionsBefore, extensionsAfter }));
    expect(await after([...many(MAX_LINKS), other])).toBe("accepted");
    expect(await after([...many(MAX_LINKS + 1), other])).toBe("message-refused");
    expect(await after(many(1))).toBe("message-refused");
    expect(await after([{ ...other, extensionData: random(4) }])).toBe("message-refused");
  });
});

describe("a joiner's commit", () => {
  it("has the proof of a link that is open at the log's time", async () => {
    expect(await judge(await aJoin())).toBe("accepted");
    expect(await judge(await aJoin(aLink(NOW / 1000)))).toBe("uninvited-member");
    expect(await judge(await aJoin(aLink(), { authenticatedData: random(0) }))).toBe(
      "uninvited-member",
    );
    expect(await judge(await aJoin(aLink(), { extensionsBefore: [] }))).toBe("uninvited-member");
  });

  it("proves it for its leaf, its group and its epoch", async () => {
    for (const change of [
      { encodedPathLeaf: random(200) },
      { groupId: random(16) },
      { epoch: 4n },
    ]) {
      expect(await judge(await aJoin(aLink(), change))).toBe("uninvited-member");
    }
  });

  it("adds nobody, and takes the place of its own leaf alone", async () => {
    const [rootKey, deviceId] = [random(32), random(16)];
    const pathLeaf = leafOf(rootKey, deviceId);
    const join = (change: Partial<CommitSummary>) => aJoin(aLink(), { pathLeaf, ...change });
    const at = (leafNode: LeafNode) => ({ leafIndex: 1, leafNode });
    const own = at(leafOf(rootKey, deviceId));
    expect(await judge(await join({ removed: [own] }))).toBe("accepted");
    for (const other of [leafOf(), leafOf(rootKey), leafOf(undefined, deviceId)]) {
      expect(await judge(await join({ removed: [at(other)] }))).toBe("message-refused");
    }
    const added = [{ ...at(leafOf()), keyPackageRef: random(32) }];
    expect(await judge(await join({ added }))).toBe("message-refused");
  });
});

describe("a proposal", () => {
  it("is that of a member to leave, and no other", () => {
    const leave = { proposalType: "remove", removed: 2 } as const;
    const sender = { senderType: "member", leafIndex: 2 } as const;
    expect(() => checkProposal(leave, sender)).not.toThrow();
    expect(() => checkProposal(leave, { ...sender, leafIndex: 1 })).toThrow(CommitRefusal);
    expect(() => checkProposal(leave, { senderType: "external", senderIndex: 2 })).toThrow(
      CommitRefusal,
    );
    const custom = { proposalType: "other", number: 0xf0c9, data: random(2) } as const;
    expect(() => checkProposal(custom, sender)).toThrow(CommitRefusal);
  });
});
