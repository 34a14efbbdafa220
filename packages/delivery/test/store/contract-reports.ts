/**
 * What every store promises about commits that some members can't follow. Part of the contract.
 * @module
 */

import { type AppendCommit, PAST_EPOCHS, type Store } from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bytes, random } from "../world.ts";
import {
  aCommit,
  aDevice,
  aGroup as aGroupOf,
  aRegistration,
  NOW,
  someDevices,
} from "./fixtures.ts";

export function reportContract(name: string, open: () => Promise<Store>): void {
  let store: Store;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  const text = (said: string): Bytes => new Uint8Array(Buffer.from(said));
  /** A group with three devices, the last two of which came with entry 1. */
  async function aGroup() {
    const [first, second, third] = [
      await aDevice(store),
      await aDevice(store),
      await aDevice(store),
    ];
    const groupId = await aGroupOf(store, first, {
      state: text("state 0"),
      nodes: [[0, text("leaf at 0")]],
    });
    let epoch = 0;
    /** The next commit; it changes one node. */
    const commit = async (change: Partial<AppendCommit> = {}): Promise<number> => {
      const accepted = await store.appendCommit(
        aCommit(groupId, epoch, {
          state: text(`state ${epoch + 1}`),
          nodes: [{ nodeIndex: 0, node: text(`leaf at ${epoch + 1}`) }],
          ...change,
        }),
      );
      epoch++;
      if (typeof accepted === "string" || !("seq" in accepted)) throw new Error("refused");
      return accepted.seq;
    };
    await commit({
      added: [
        { leafIndex: 1, device: second },
        { leafIndex: 2, device: third },
      ],
    });
    const report = (device: number, seq: number, committer?: number, said = "report") =>
      store.addReport({ groupId, device, seq, report: text(said), committer });
    return { groupId, first, second, third, commit, report };
  }

  describe(`${name}: groups as they were`, () => {
    const wasAt = async (groupId: Bytes, epoch: number) => {
      const past = await store.pastGroup(groupId, BigInt(epoch));
      const [node] = past?.nodes ?? [];
      return past && [Buffer.from(past.state).toString(), Buffer.from(node?.[1] ?? []).toString()];
    };

    it("are kept for so many epochs, with the proposals that came in them", async () => {
      const { groupId, first, commit } = await aGroup();
      expect(await wasAt(groupId, 1)).toBeUndefined();
      const proposal = {
        groupId,
        device: first,
        version: 1,
        nextVersion: 2,
        epoch: 1n,
        limit: 9,
        now: NOW,
      };
      const proposed = { message: random(9), hash: random(32), state: text("with a proposal") };
      await store.appendProposal({ ...proposal, ...proposed });
      await commit({ version: 2 });
      expect(await wasAt(groupId, 0)).toEqual(["state 0", "leaf at 0"]);
      expect(await wasAt(groupId, 1)).toEqual(["with a proposal", "leaf at 1"]);
      expect(await wasAt(groupId, 2)).toBeUndefined();
      expect(await store.pastGroup(random(16), 0n)).toBeUndefined();
      for (let epoch = 2; epoch < PAST_EPOCHS; epoch++) await commit({ version: epoch + 1 });
      expect(await wasAt(groupId, 0)).toEqual(["state 0", "leaf at 0"]);
      await commit({ version: PAST_EPOCHS + 1 });
      expect(await wasAt(groupId, 0)).toBeUndefined();
      expect(await wasAt(groupId, 1)).toEqual(["with a proposal", "leaf at 1"]);
      expect(await store.treePart(groupId, 0n, { from: 0, bytes: 1_000_000 })).toBeUndefined();
    });
  });

  describe(`${name}: reports`, () => {
    it("are kept one for each leaf, the newest, until it is removed", async () => {
      const { groupId, second, third, commit, report } = await aGroup();
      const seq = await commit();
      expect(await report(third, seq)).toBe("added");
      expect(await report(second, seq)).toBe("added");
      expect(await report(second, seq)).toBe("added");
      expect(await report(second, seq, undefined, "another")).toBe("added");
      const held = (await store.reports(groupId)).map((one) => ({ ...one }));
      expect(held).toEqual([
        { leafIndex: 1, seq, report: text("another"), proven: false },
        { leafIndex: 2, seq, report: text("report"), proven: false },
      ]);
      await commit({ removed: [1], added: [{ leafIndex: 1, device: second }] });
      expect((await store.reports(groupId)).map(({ leafIndex }) => leafIndex)).toEqual([2]);
      expect(await store.reports(random(16))).toEqual([]);
    });

    it("come with the accounts whose devices were revoked, for as long as their leaves stay", async () => {
      const { groupId, commit } = await aGroup();
      const account = aRegistration({ devices: someDevices(2) });
      await store.register(account);
      const devices = await store.devicesOf(account.accountId);
      await commit({
        added: devices.map(({ device }, i) => ({ leafIndex: 3 + i, device })),
      });
      expect(await store.revokedIn(groupId)).toEqual([]);
      await store.replaceDeviceList({
        ...account,
        version: 2n,
        hash: random(32),
        previousHash: account.hash,
        devices: account.devices.map((one) => ({ ...one, revokedAt: BigInt(NOW) })),
      });
      expect(await store.revokedIn(groupId)).toEqual([account.accountId]);
      await commit({ removed: [3] });
      expect(await store.revokedIn(groupId)).toEqual([account.accountId]);
      await commit({ removed: [4] });
      expect(await store.revokedIn(groupId)).toEqual([]);
    });

    it("are taken from who was in before the commit and still is", async () => {
      const { second, third, commit, report } = await aGroup();
      expect(await report(second, 1)).toBe("not-member");
      const seq = await commit();
      expect(await report(await aDevice(store), seq)).toBe("not-member");
      await commit({ removed: [1, 2], added: [{ leafIndex: 1, device: second }] });
      expect(await report(second, seq)).toBe("not-member");
      expect(await report(third, seq)).toBe("not-member");
    });

    it("stay proven for the same commit, whatever comes after", async () => {
      const { groupId, first, third, commit, report } = await aGroup();
      const seq = await commit();
      await report(third, seq, 0);
      await report(third, seq);
      expect(await store.reports(groupId)).toMatchObject([{ proven: true }]);
      expect(await store.isBarred(groupId, first)).toBe(true);
      await report(third, await commit());
      expect(await store.reports(groupId)).toMatchObject([{ proven: false }]);
      expect(await store.isBarred(groupId, first)).toBe(true);
    });

    it("that are proven bar who made the commit, in this group, until a member adds it", async () => {
      const { groupId, first, second, third, commit, report } = await aGroup();
      const seq = await commit();
      // Another device has the leaf by now.
      const newcomer = await aDevice(store);
      await commit({ removed: [1], added: [{ leafIndex: 1, device: newcomer }] });
      await report(third, seq, 1);
      await report(third, seq, 1);
      const barred = async (device: number) => store.isBarred(groupId, device);
      expect(await Promise.all([first, second, third, newcomer].map(barred))).toEqual([
        false,
        true,
        false,
        false,
      ]);
      expect(await store.isBarred(random(16), second)).toBe(false);
      const linkId = random(16);
      const link = { linkId, expiresAt: BigInt(NOW), maxUses: 9, sealedGroupInfo: random(9) };
      await commit({ links: [link] });
      const comes = { added: [{ leafIndex: 3, device: second }], links: [link] };
      await commit({ ...comes, linkUsed: linkId });
      expect(await barred(second)).toBe(true);
      await commit({ ...comes, removed: [3] });
      expect(await barred(second)).toBe(false);
    });

    it("by a joiner's commit bar the joiner", async () => {
      const { groupId, second, third, commit, report } = await aGroup();
      const seq = await commit({ removed: [1], added: [{ leafIndex: 1, device: second }] });
      await report(third, seq, 1);
      expect(await store.isBarred(groupId, second)).toBe(true);
    });
  });
}
