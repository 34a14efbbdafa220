/**
 * What every store promises about upkeep: what it deletes for its age, counts, and does after a restore.
 * @module
 */

import { RESTORE_GAP, type Store } from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bytes, random } from "../world.ts";
import { aCommit, aGroup as aGroupOf, aRegistration, NOW, SECONDS } from "./fixtures.ts";

const PAGE = { after: 0, limit: 100, bytes: 1_000_000 };

export function upkeepContract(name: string, open: () => Promise<Store>): void {
  let store: Store;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  async function aDevice(): Promise<{
    readonly device: number;
    readonly accountId: Bytes;
    readonly signInKey: Bytes;
  }> {
    const account = aRegistration();
    const { accountId } = account;
    await store.register(account);
    const [listed] = await store.devicesOf(accountId);
    return { device: listed?.device ?? -1, accountId, signInKey: listed?.signInKey ?? random(0) };
  }

  /** A group with one member, and one message for each of these times. */
  async function aGroup(times: readonly number[] = []): Promise<{
    readonly groupId: Bytes;
    readonly device: number;
    readonly accountId: Bytes;
    readonly signInKey: Bytes;
    readonly hashes: Bytes[];
  }> {
    const { device, accountId, signInKey } = await aDevice();
    const groupId = await aGroupOf(store, device);
    const hashes: Bytes[] = [];
    for (const now of times) {
      const hash = random(32);
      await store.appendApplication({
        groupId,
        device,
        epoch: 0n,
        hash,
        message: random(20),
        now,
      });
      hashes.push(hash);
    }
    return { groupId, device, accountId, signInKey, hashes };
  }

  const keyPackage = (notAfter: bigint) => ({
    ref: random(32),
    suite: 1,
    notBefore: 0n,
    notAfter,
    keyPackage: random(40),
  });

  describe(`${name}: upkeep`, () => {
    it("is ready", async () => {
      await expect(store.ready()).resolves.toBeUndefined();
    });

    it("deletes what has expired, in portions, and nothing else", async () => {
      const { device, accountId, signInKey } = await aDevice();
      const tokens = [random(32), random(32), random(32)];
      for (const [i, tokenHash] of tokens.entries()) {
        const nonce = { nonce: random(16), expiresAt: i === 2 ? NOW + 10_000 : NOW };
        const expiresAt = NOW - 1000 + i * 1000;
        await store.startSession({
          device,
          signInKey,
          nonce,
          tokenHash,
          expiresAt,
          now: NOW - 9000,
        });
      }
      const keyPackages = [keyPackage(SECONDS), keyPackage(SECONDS + 1n)];
      await store.addKeyPackages(device, { keyPackages, limit: 9, now: NOW - 5000 });
      expect(await store.sweep(NOW, 1)).toMatchObject({ sessions: 1, keyPackages: 1 });
      expect(await store.sweep(NOW, 100)).toMatchObject({ sessions: 1, keyPackages: 0 });
      const none = { sessions: 0, nonces: 0, keyPackages: 0, keyPackageRefs: 0, invites: 0 };
      expect(await store.sweep(NOW, 100)).toMatchObject(none);
      // What hasn't expired is there.
      expect(await store.session(tokens[2] ?? random(32), NOW)).toBeDefined();
      expect(await store.countKeyPackages(device, NOW)).toMatchObject({
        pools: [{ suite: 1, available: 1 }],
      });
      const [left] = await store.claimKeyPackages(accountId, [1], NOW);
      expect(left?.keyPackage).toEqual(keyPackages[1]?.keyPackage);
    });

    it("deletes the logs of groups that ended with their account, in portions, and no others", async () => {
      const alone = await aGroup(Array.from({ length: 5 }, () => NOW));
      const second = await aGroup([NOW]);
      const other = await aGroup([NOW, NOW]);
      for (const { accountId } of [alone, second])
        await store.deleteAccount(accountId, { now: NOW });
      // For who asked before that was done, and is answered after.
      const groupsOf = () => store.groupsOf(alone.device, { after: undefined, limit: 9 });
      expect(await groupsOf()).toEqual([]);
      const portions: (number | undefined)[] = [];
      for (let i = 0; i < 4; i++) portions.push((await store.sweep(NOW, 2)).logEntries);
      expect(portions).toEqual([2, 2, 2, 0]);
      expect(await groupsOf()).toEqual([]);
      expect((await store.log(alone.groupId, alone.device, PAGE))?.entries ?? []).toEqual([]);
      expect((await store.log(other.groupId, other.device, PAGE))?.entries).toHaveLength(2);
      // What was under way adds nothing to them that would stay.
      const { groupId, device } = alone;
      const late = { groupId, device, epoch: 0n, hash: random(32), message: random(9), now: NOW };
      expect(await store.appendApplication(late)).toBe("not-member");
    });

    it("lists groups behind one another", async () => {
      for (let i = 0; i < 5; i++) await aGroup();
      const first = await store.groupIds(undefined, 3);
      const second = await store.groupIds(first.at(-1), 3);
      expect([first.length, second.length]).toEqual([3, 2]);
      const ids = [...first, ...second].map((id) => Buffer.from(id).toString("hex"));
      expect(new Set(ids).size).toBe(5);
      expect(ids).toEqual(ids.toSorted());
      expect(await store.groupIds(second.at(-1), 3)).toEqual([]);
    });

    it("deletes messages by age in portions: whoever reads there is told from where all is kept", async () => {
      const times = [NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 4];
      const { groupId, device, hashes } = await aGroup(times);
      const before = NOW + 3;
      expect(await store.trimLog(groupId, { before, limit: 2 })).toBe(2);
      expect(await store.log(groupId, device, PAGE)).toEqual({
        entries: [],
        head: 5,
        keptFrom: 3,
      });
      expect(await store.trimLog(groupId, { before, limit: 2 })).toBe(1);
      expect(await store.trimLog(groupId, { before, limit: 2 })).toBe(0);
      const seqs = async (after: number) => {
        const page = await store.log(groupId, device, { ...PAGE, after });
        return page?.keptFrom ?? page?.entries.map(({ seq }) => seq);
      };
      expect(await seqs(2)).toBe(4);
      expect(await seqs(3)).toEqual([4, 5]);
      expect(await seqs(5)).toEqual([]);
      // The same bytes again are where they were, and not taken anew.
      const hash = hashes[0] ?? random(32);
      const again = { groupId, device, epoch: 0n, hash, message: random(20), now: NOW + 9 };
      expect(await store.appendApplication(again)).toMatchObject({ seq: 1 });
    });

    it("keeps the newest messages of a group", async () => {
      const { groupId, device } = await aGroup([NOW, NOW, NOW, NOW]);
      expect(await store.trimLog(groupId, { keep: 1, limit: 100 })).toBe(3);
      expect(await store.trimLog(groupId, { keep: 1, limit: 100 })).toBe(0);
      const page = await store.log(groupId, device, { ...PAGE, after: 3 });
      expect(page?.entries.map(({ seq }) => seq)).toEqual([4]);
      expect(await store.trimLog(groupId, { limit: 100 })).toBe(0);
      expect(await store.trimLog(random(16), { keep: 1, limit: 100 })).toBe(0);
    });

    it("keeps as many messages after a restore, whose gap counts for none", async () => {
      const { groupId, device } = await aGroup(Array.from({ length: 21 }, () => NOW));
      await store.markRestored(NOW);
      expect(await store.trimLog(groupId, { keep: 1000, limit: 100 })).toBe(0);
      expect(await store.trimLog(groupId, { keep: 21, limit: 100 })).toBe(0);
      expect((await store.log(groupId, device, PAGE))?.entries).toHaveLength(21);
      expect(await store.trimLog(groupId, { keep: 5, limit: 100 })).toBe(16);
      expect(await store.trimLog(groupId, { keep: 5, limit: 100 })).toBe(0);
      const page = await store.log(groupId, device, { ...PAGE, after: 16 });
      expect(page?.entries.map(({ seq }) => seq)).toEqual([17, 18, 19, 20, 21]);
    });

    it("asks nobody for messages from before it joined, and tells who was removed nothing of later", async () => {
      const { groupId } = await aGroup([NOW, NOW]);
      const { device } = await aDevice();
      await store.appendCommit(aCommit(groupId, 0, { added: [{ leafIndex: 1, device }] }));
      expect(await store.trimLog(groupId, { keep: 1, limit: 100 })).toBe(2);
      const page = await store.log(groupId, device, PAGE);
      expect(page?.entries.map(({ seq }) => seq)).toEqual([3]);
      await store.appendCommit(aCommit(groupId, 1, { removed: [1] }));
      for (const epoch of [2, 3, 4]) await store.appendCommit(aCommit(groupId, epoch));
      await store.trimLog(groupId, { keep: 1, limit: 100 });
      expect(await store.log(groupId, device, PAGE)).toMatchObject({ head: 4, keptFrom: 5 });
      expect(await store.log(groupId, device, { ...PAGE, after: 4 })).toEqual({
        entries: [],
        head: 4,
      });
    });

    it("counts what there is, and remembers what happened", async () => {
      const { device } = await aGroup();
      await aDevice();
      expect(device).toBeGreaterThan(0);
      const statistics = await store.statistics();
      expect(statistics).toMatchObject({ accounts: 2, devices: 2, groups: 1, welcomes: 0 });
      expect(statistics.bytes).toBeGreaterThan(1000);
      expect(statistics.facts).toEqual({});
      await store.note("swept", NOW);
      await store.note("swept", NOW + 1);
      await store.note("backed-up", NOW);
      const facts = { swept: NOW + 1, "backed-up": NOW };
      expect((await store.statistics()).facts).toEqual(facts);
    });

    it("gives no number, no key package and no token a second time after a restore", async () => {
      const { groupId, device, signInKey } = await aGroup([NOW, NOW]);
      const tokenHash = random(32);
      await store.startSession({ device, signInKey, tokenHash, expiresAt: NOW + 1000, now: NOW });
      const keyPackages = [keyPackage(SECONDS + 1000n)];
      const lastResort = keyPackage(SECONDS + 1000n);
      await store.addKeyPackages(device, { keyPackages, lastResort, limit: 9, now: NOW });
      await store.markRestored(NOW);
      const count = { pools: [{ suite: 1, available: 0, lastResort: true }] };
      expect(await store.countKeyPackages(device, NOW)).toEqual(count);
      const again = { keyPackages, limit: 9, now: NOW };
      expect(await store.addKeyPackages(device, again)).toEqual(count);
      expect(await store.session(tokenHash, NOW)).toBeUndefined();
      const entry = { groupId, device, epoch: 0n, hash: random(32), message: random(9), now: NOW };
      const accepted = { seq: RESTORE_GAP + 3 };
      expect(await store.appendApplication(entry)).toMatchObject(accepted);
      const page = await store.log(groupId, device, PAGE);
      expect(page?.entries.map(({ seq }) => seq)).toEqual([1, 2, RESTORE_GAP + 3]);
      expect(page?.keptFrom).toBeUndefined();
      expect(await store.acknowledge(device, RESTORE_GAP)).toBe("acknowledged");
      expect((await store.statistics()).facts).toEqual({ restored: NOW });
    });
  });
}
