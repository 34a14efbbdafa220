import { join } from "node:path";
import { createDeliveryClient } from "@conclave/delivery/client";
import { linkIdOf, linksOf } from "@conclave/delivery/protocol";
import { loadGroup } from "@conclave/mls";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { ACCOUNT_RECORD, Account } from "../../src/account.ts";
import { fromHex, randomBytes } from "../../src/bytes.ts";
import { withLinks } from "../../src/invitation.ts";
import { nodeCrypto, openProfile } from "../../src/node/index.ts";
import { keyOf } from "../../src/registration.ts";
import { read } from "../../src/storage.ts";
import { conversation, createWorld, gather, say, until, untilTexts, type World } from "../world.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

/** A member whose client is its own: it makes a commit with the state of a profile whose client is closed. */
async function commitLinkWithoutKey(name: string, id: string): Promise<void> {
  const { storage, vault } = openProfile(join(world.folder, `${name}.db`));
  const account = await read(storage, Account, ACCOUNT_RECORD);
  const signer = await keyOf(vault, "leaf");
  const accept = { validate: async () => {}, isSuccessor: async () => true };
  const context = { crypto: nodeCrypto, storage, authentication: accept, now: Date.now };
  const groupId = fromHex(id);
  const group = await loadGroup(context, { groupId, signer });
  if (!account || !group) throw new Error("nothing is there");
  const link = {
    signatureKey: randomBytes(32),
    encryptionKey: new Uint8Array(32),
    expiresAt: BigInt(Math.floor(Date.now() / 1000) + 3600),
    maxUses: 5,
  };
  const links = [...linksOf(group.extensions), link];
  const extensions = withLinks(group.extensions, links);
  const { commit, groupInfo } = await group.commit({
    proposals: [{ proposalType: "group_context_extensions", extensions }],
  });
  const service = createDeliveryClient({ origin: world.origin });
  service.signInAs({
    ...account,
    key: await keyOf(vault, "sign-in"),
    instance: {
      announce: async () => ({ id: randomBytes(16), succeeds: [], takeOver: true }),
      entered: async () => {},
      refused: () => {},
    },
  });
  const ids = await Promise.all(links.map(({ signatureKey }) => linkIdOf(signatureKey)));
  const sealed = ids.map((linkId) => ({ linkId, sealedGroupInfo: randomBytes(8) }));
  await service.commit({ groupId, body: { commit, groupInfo, links: sealed } });
  await storage.close();
}

it("a member that opens a link whose key is none keeps nobody from committing", async () => {
  const [ada, ben] = [await world.person("Ada"), await world.person("Ben")];
  const id = await gather(ada, [ben]);
  await ben.close();
  await commitLinkWithoutKey("Ben", id);
  await until(ada, async () => (await conversation(ada, id)).links === 2);
  const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 600, maxUses: 3 });
  await say(ada, id, "still here");
  await untilTexts(ada, id, ["still here"]);
  const cy = await world.person("Cy");
  expect(await cy.acceptInvitation(fragment)).toBe(id);
  await say(cy, id, "so am I");
  await untilTexts(ada, id, ["still here", "so am I"]);
});
