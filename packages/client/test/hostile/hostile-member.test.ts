import { join } from "node:path";
import { createDeliveryClient, type DeliveryClient } from "@conclave/delivery/client";
import { linkIdOf, linksOf, type SigningKey } from "@conclave/delivery/protocol";
import { type Group, loadGroup } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { expect, it } from "vitest";
import { ACCOUNT_RECORD, Account } from "../../src/account.ts";
import { fromHex, randomBytes } from "../../src/bytes.ts";
import { withLinks } from "../../src/invitation.ts";
import { nodeCrypto, openProfile } from "../../src/node/index.ts";
import { keyOf } from "../../src/registration.ts";
import { sealSignal } from "../../src/signals/signal.ts";
import { read } from "../../src/storage.ts";
import { sharedWorld } from "../shared-world.ts";
import { conversation, gather, say, until, untilState, untilTexts } from "../world.ts";

const world = sharedWorld();

/** A member whose client is its own: it goes on with the state of a profile whose client is closed. */
async function asMember(
  name: string,
  id: string,
  act: (member: {
    readonly group: Group;
    readonly groupId: Bytes;
    readonly leafKey: SigningKey;
    readonly service: DeliveryClient;
  }) => Promise<void>,
): Promise<void> {
  const { storage, vault } = openProfile(join(world.folder, `${name}.db`));
  const account = await read(storage, Account, ACCOUNT_RECORD);
  const leafKey = await keyOf(vault, "leaf");
  const accept = { validate: async () => {}, isSuccessor: async () => true };
  const context = { crypto: nodeCrypto, storage, authentication: accept, now: Date.now };
  const groupId = fromHex(id);
  const group = await loadGroup(context, { groupId, signer: leafKey });
  if (!account || !group) throw new Error("nothing is there");
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
  await act({ group, groupId, leafKey, service });
  await storage.close();
}

function commitLinkWithoutKey(name: string, id: string): Promise<void> {
  return asMember(name, id, async ({ group, groupId, service }) => {
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
    const ids = await Promise.all(links.map(({ signatureKey }) => linkIdOf(signatureKey)));
    const sealed = ids.map((linkId) => ({ linkId, sealedGroupInfo: randomBytes(8) }));
    await service.commit({ groupId, body: { commit, groupInfo, links: sealed } });
  });
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

it("a member that says to have read what nobody wrote yet speaks for nobody who comes later", async () => {
  const [dan, eva] = [await world.person("Dan"), await world.person("Eva")];
  await dan.setSignalSettings({ typing: false, receipts: true });
  const id = await gather(dan, [eva]);
  const { fragment } = await dan.createInvitation(id, { expiresInSeconds: 600, maxUses: 3 });
  await say(dan, id, "first");
  await untilTexts(eva, id, ["first"]);
  await eva.close();
  const ahead = 2 ** 40;
  await asMember("Eva", id, async ({ group, groupId, leafKey, service }) => {
    const signal = {
      leafIndex: group.ownLeafIndex,
      number: Date.now(),
      typing: 0,
      read: ahead,
      asks: false,
    };
    const body = await sealSignal(nodeCrypto, group, signal, leafKey);
    await service.signal({ groupId, body });
  });
  // Of itself a member may say what it likes.
  await until(dan, async () => (await conversation(dan, id)).readByAll === ahead);
  const fred = await world.person("Fred");
  await fred.acceptInvitation(fragment);
  await until(dan, async () => (await conversation(dan, id)).members.length === 3);
  await say(dan, id, "second");
  await untilTexts(fred, id, ["second"]);
  await untilState(dan, id, "second", "sent");
  const second = (await dan.messages(id, { limit: 1 }))[0]?.seq ?? 0;
  expect(second).toBeGreaterThan(0);
  expect((await conversation(dan, id)).readByAll).toBeLessThan(second);
});
