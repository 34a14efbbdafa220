import {
  commitPolicy,
  encodeDeviceIdentity,
  type Link,
  MAX_LINKS,
  proveLink,
} from "@conclave/delivery/protocol";
import { type CommitSummary, type LeafNode, PROPOSAL } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { randomBytes } from "../src/bytes.ts";
import { capabilitiesOf } from "../src/environment.ts";
import { withLinks } from "../src/invitation.ts";
import { signerOfSeed } from "../src/phrase.ts";
import type { Refusal } from "../src/refusal.ts";

const NOW = 1_000_000;
const linkKey = signerOfSeed(randomBytes(32));
const other = { extensionType: 3, extensionData: randomBytes(4) };

function link(expiresAt = NOW / 1000 + 60, signatureKey = linkKey.publicKey): Link {
  return { signatureKey, encryptionKey: randomBytes(32), expiresAt: BigInt(expiresAt), maxUses: 9 };
}

function leafOf(rootKey = randomBytes(32), deviceId = randomBytes(16)): LeafNode {
  const signatureKey = randomBytes(32);
  return {
    encryptionKey: randomBytes(32),
    signatureKey,
    credential: {
      credentialType: "basic",
      identity: encodeDeviceIdentity({ rootKey, deviceId, signatureKey }),
    },
    capabilities: capabilitiesOf(nodeCrypto),
    source: { leafNodeSource: "commit", parentHash: randomBytes(32) },
    extensions: [],
    signature: randomBytes(64),
  };
}

function commit(changes: Partial<CommitSummary> = {}): CommitSummary {
  return {
    groupId: randomBytes(16),
    epoch: 3n,
    committer: 0,
    external: false,
    authenticatedData: new Uint8Array(0),
    pathLeaf: undefined,
    encodedPathLeaf: undefined,
    added: [],
    removed: [],
    updated: [],
    proposals: [],
    proposalTypes: [],
    extensionsBefore: withLinks([other], []),
    extensionsAfter: withLinks([other], []),
    ...changes,
  };
}

async function join(
  links: readonly Link[],
  changes: Partial<CommitSummary> = {},
  key = linkKey,
): Promise<CommitSummary> {
  const encodedPathLeaf = randomBytes(200);
  const extensions = withLinks([other], links);
  const base = commit({
    external: true,
    pathLeaf: leafOf(),
    encodedPathLeaf,
    extensionsBefore: extensions,
    extensionsAfter: extensions,
  });
  const { groupId, epoch } = base;
  const authenticatedData = await proveLink({ groupId, epoch, leafNode: encodedPathLeaf }, key);
  return { ...base, authenticatedData, ...changes };
}

async function judgement(summary: CommitSummary): Promise<string> {
  try {
    await commitPolicy(() => NOW)(summary, []);
    return "accepted";
  } catch (error) {
    return (error as Refusal).code;
  }
}

describe("joining by an external commit", () => {
  it("is accepted with the proof of an open link", async () => {
    expect(await judgement(await join([link()]))).toBe("accepted");
  });

  it("is refused without a link, with another's key, or for another leaf, group or epoch", async () => {
    const uninvited = "uninvited-member";
    expect(await judgement(await join([]))).toBe(uninvited);
    expect(await judgement(await join([link()], { authenticatedData: randomBytes(97) }))).toBe(
      uninvited,
    );
    const stranger = signerOfSeed(randomBytes(32));
    expect(await judgement(await join([link()], {}, stranger))).toBe(uninvited);
    for (const change of [
      { encodedPathLeaf: randomBytes(200) },
      { groupId: randomBytes(16) },
      { epoch: 4n },
    ]) {
      expect(await judgement(await join([link()], change))).toBe(uninvited);
    }
  });

  it("is refused from the link's expiry on, by the log's time", async () => {
    expect(await judgement(await join([link(NOW / 1000 + 1)]))).toBe("accepted");
    expect(await judgement(await join([link(NOW / 1000)]))).toBe("uninvited-member");
  });

  it("adds nobody else, and takes out no leaf but one of the same device", async () => {
    const refused = "message-refused";
    const leafNode = leafOf();
    const added = [{ leafIndex: 4, leafNode, keyPackageRef: randomBytes(32) }];
    expect(await judgement(await join([link()], { added }))).toBe(refused);
    expect(await judgement(await join([link()], { removed: [{ leafIndex: 1, leafNode }] }))).toBe(
      refused,
    );
    const [rootKey, deviceId] = [randomBytes(32), randomBytes(16)];
    const own = { pathLeaf: leafOf(rootKey, deviceId) };
    const lost = [{ leafIndex: 1, leafNode: leafOf(rootKey, deviceId) }];
    expect(await judgement(await join([link()], { ...own, removed: lost }))).toBe("accepted");
    const sibling = [{ leafIndex: 1, leafNode: leafOf(rootKey) }];
    expect(await judgement(await join([link()], { ...own, removed: sibling }))).toBe(refused);
  });
});

describe("a member's commit", () => {
  it("may open and close links, up to their number", async () => {
    const links = (count: number) =>
      withLinks(
        [other],
        Array.from({ length: count }, () => link()),
      );
    expect(await judgement(commit({ extensionsAfter: links(MAX_LINKS) }))).toBe("accepted");
    expect(await judgement(commit({ extensionsAfter: links(MAX_LINKS + 1) }))).toBe(
      "message-refused",
    );
  });

  it("that removes leaves no link open", async () => {
    const removed = [{ leafIndex: 1, leafNode: leafOf() }];
    const open = withLinks([other], [link()]);
    expect(await judgement(commit({ removed, extensionsBefore: open }))).toBe("accepted");
    expect(
      await judgement(commit({ removed, extensionsBefore: open, extensionsAfter: open })),
    ).toBe("message-refused");
  });

  it("has no proposal but those that conversations use: it can't close the group", async () => {
    const { add, update, remove, groupContextExtensions, reinit, psk } = PROPOSAL;
    const used = [add, update, remove, groupContextExtensions];
    expect(await judgement(commit({ proposalTypes: used }))).toBe("accepted");
    for (const type of [reinit, psk, 0xf000]) {
      expect(await judgement(commit({ proposalTypes: [...used, type] }))).toBe("message-refused");
    }
  });

  it("changes nothing of the context but its links", async () => {
    const changed = { ...other, extensionData: randomBytes(4) };
    for (const extensions of [[], [changed], [other, { ...other, extensionType: 9 }]]) {
      expect(await judgement(commit({ extensionsAfter: withLinks(extensions, []) }))).toBe(
        "message-refused",
      );
    }
  });
});
