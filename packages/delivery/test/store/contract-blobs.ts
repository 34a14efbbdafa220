/**
 * What every store promises of blobs, as tests.
 * @module
 */

import type { BlobPart, Store } from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { random } from "../world.ts";
import { aRegistration, NOW } from "./fixtures.ts";

const QUOTA = { bytes: 1000, blobs: 5 };

type NewBlob = Parameters<Store["createBlob"]>[0];

export function blobContract(name: string, open: () => Promise<Store>): void {
  let store: Store;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  const aBlob = (change: Partial<NewBlob> = {}): NewBlob => ({
    blobId: random(32),
    accountId: random(32),
    requestKey: random(32),
    size: 100,
    expiresAt: NOW + 1000,
    now: NOW,
    quota: QUOTA,
    ...change,
  });
  const aPart = (start: number, length: number): BlobPart => {
    return { start, length, hash: random(32), name: `part at ${start} ${random(4).join("")}` };
  };
  const times = { now: NOW, keepUntil: NOW + 5000 };

  describe(`${name}: blobs`, () => {
    it("are created once by their request, and found until they expire", async () => {
      const blob = aBlob();
      const { blobId, accountId, requestKey, size, expiresAt } = blob;
      const held = { blobId, accountId, size, stored: 0, expiresAt };
      expect(await store.createBlob(blob)).toEqual(held);
      expect(await store.blob(blobId, NOW)).toEqual(held);
      const again = aBlob({ accountId, requestKey });
      expect(await store.createBlob(again)).toEqual(held);
      expect(await store.blob(again.blobId, NOW)).toBeUndefined();
      expect(await store.createBlob({ ...again, size: 101 })).toBe("key-in-use");
      // Another account's keys are its own.
      expect(await store.createBlob(aBlob({ requestKey }))).toMatchObject({ stored: 0 });
      expect(await store.blob(blobId, NOW + 999)).toEqual(held);
      expect(await store.blob(blobId, NOW + 1000)).toBeUndefined();
      expect(await store.createBlob({ ...again, now: NOW + 1000 })).toBe("key-in-use");
      expect(await store.blob(random(32), NOW)).toBeUndefined();
    });

    it("grow by the part that begins where they are, of several at once by one", async () => {
      const { blobId } = aBlob();
      await store.createBlob(aBlob({ blobId }));
      const first = aPart(0, 60);
      expect(await store.appendBlobPart(blobId, first, times)).toMatchObject({ stored: 60 });
      for (const part of [aPart(0, 60), aPart(59, 41), aPart(61, 39), aPart(60, 41)]) {
        expect(await store.appendBlobPart(blobId, part, times)).toBe("moved");
      }
      const rivals = Array.from({ length: 8 }, () => aPart(60, 40));
      const answers = await Promise.all(
        rivals.map((part) => store.appendBlobPart(blobId, part, times)),
      );
      const won = answers.findIndex((answer) => answer !== "moved");
      expect(answers.filter((answer) => answer !== "moved")).toHaveLength(1);
      // With its last part it is a blob, and is kept as one.
      expect(answers[won]).toMatchObject({ stored: 100, size: 100, expiresAt: NOW + 5000 });
      expect(await store.blobParts(blobId, 0, 9)).toEqual([first, rivals[won]]);
      expect(await store.blobParts(blobId, 0, 1)).toEqual([first]);
      expect(await store.blobParts(blobId, 59, 9)).toEqual([first, rivals[won]]);
      expect(await store.blobParts(blobId, 60, 9)).toEqual([rivals[won]]);
      expect(await store.blobParts(blobId, 100, 9)).toEqual([]);
      expect(await store.appendBlobPart(blobId, aPart(100, 1), times)).toBe("moved");
    });

    it("take no part when they are gone, or never were", async () => {
      const blob = aBlob();
      await store.createBlob(blob);
      const { blobId, accountId } = blob;
      const late = { ...times, now: NOW + 1000 };
      expect(await store.appendBlobPart(blobId, aPart(0, 1), late)).toBeUndefined();
      expect(await store.deleteBlob(blobId, accountId, NOW)).toBe(true);
      expect(await store.appendBlobPart(blobId, aPart(0, 1), times)).toBeUndefined();
      expect(await store.appendBlobPart(random(32), aPart(0, 1), times)).toBeUndefined();
      expect(await store.blobParts(blobId, 0, 9)).toEqual([]);
    });

    it("count against their account's quota exactly, however many come at once", async () => {
      const accountId = random(32);
      const each = (size: number): NewBlob =>
        aBlob({ accountId, size, quota: { bytes: 1000, blobs: 50 } });
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => store.createBlob(each(30))),
      );
      expect(answers.filter((answer) => answer !== "over-quota")).toHaveLength(33);
      expect(await store.createBlob(each(11))).toBe("over-quota");
      expect(await store.createBlob(each(10))).toMatchObject({ size: 10 });
      expect(await store.createBlob(each(1))).toBe("over-quota");
      expect(await store.createBlob(aBlob({ size: 1000 }))).toMatchObject({ size: 1000 });
      expect(await store.createBlob(aBlob({ size: 1001 }))).toBe("over-quota");
    });

    it("are so many for an account", async () => {
      const accountId = random(32);
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => store.createBlob(aBlob({ accountId, size: 1 }))),
      );
      expect(answers.filter((answer) => answer !== "over-quota")).toHaveLength(5);
    });

    it("are deleted by their account alone, once, and give back what they took", async () => {
      const blob = aBlob({ size: 1000 });
      await store.createBlob(blob);
      const { blobId, accountId } = blob;
      expect(await store.deleteBlob(blobId, random(32), NOW)).toBe(false);
      expect(await store.createBlob(aBlob({ accountId }))).toBe("over-quota");
      expect(await store.deleteBlob(blobId, accountId, NOW)).toBe(true);
      expect(await store.deleteBlob(blobId, accountId, NOW)).toBe(false);
      expect(await store.blob(blobId, NOW)).toBeUndefined();
      // The clock may go back, the deletion does not.
      expect(await store.blob(blobId, NOW - 5)).toBeUndefined();
      expect(await store.createBlob(aBlob({ accountId, size: 1000 }))).toMatchObject({ stored: 0 });
      await store.forgetBlob(blobId);
      expect(await store.createBlob(aBlob({ accountId, size: 1 }))).toBe("over-quota");
    });

    it("end with their account", async () => {
      const accountId = random(32);
      await store.register(aRegistration({ accountId }));
      const [mine, other] = [aBlob({ accountId }), aBlob()];
      for (const blob of [mine, other]) await store.createBlob(blob);
      await store.deleteAccount(accountId, { now: NOW });
      expect(await store.blob(mine.blobId, NOW)).toBeUndefined();
      expect(await store.blob(other.blobId, NOW)).toBeDefined();
      expect(await store.blobsToRemove(NOW, 9)).toEqual([mine.blobId]);
      await store.forgetBlob(mine.blobId);
    });

    it("wait to be removed when they are deleted or expired, and are forgotten after", async () => {
      const [expired, deleted, kept] = [aBlob(), aBlob({ expiresAt: NOW + 9000 }), aBlob()];
      for (const blob of [expired, deleted, kept]) await store.createBlob(blob);
      await store.appendBlobPart(expired.blobId, aPart(0, 50), times);
      await store.appendBlobPart(kept.blobId, aPart(0, 100), times);
      expect(await store.blobsToRemove(NOW + 999, 9)).toEqual([]);
      await store.deleteBlob(deleted.blobId, deleted.accountId, NOW + 500);
      expect(await store.blobsToRemove(NOW + 499, 9)).toEqual([]);
      expect(await store.blobsToRemove(NOW + 999, 9)).toEqual([deleted.blobId]);
      const both = await store.blobsToRemove(NOW + 1000, 9);
      expect(new Set(both)).toEqual(new Set([expired.blobId, deleted.blobId]));
      expect(await store.blobsToRemove(NOW + 1000, 1)).toHaveLength(1);
      for (const blobId of both) await store.forgetBlob(blobId);
      await store.forgetBlob(random(32));
      expect(await store.blobsToRemove(NOW + 1000, 9)).toEqual([]);
      expect(await store.blobParts(expired.blobId, 0, 9)).toEqual([]);
      expect(await store.blob(kept.blobId, NOW + 1000)).toMatchObject({ stored: 100 });
      // What it took is the account's again, and so is its key.
      const { accountId, requestKey } = expired;
      const whole = aBlob({ accountId, requestKey, size: 1000 });
      expect(await store.createBlob(whole)).toMatchObject({ size: 1000 });
    });
  });
}
