/**
 * What every store promises about people: their sessions, whom they let reach them, what is held about them and how it goes.
 * Part of the contract.
 * @module
 */

import type { AppendCommit, ContactRule, ListedDevice, Store } from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bytes, random } from "../world.ts";
import {
  aCommit,
  aGroup as aGroupOf,
  aRegistration,
  NOW,
  SECONDS,
  someDevices,
} from "./fixtures.ts";

const PAGE = { after: 0, limit: 100, bytes: 1_000_000 };

type Registration = Parameters<Store["register"]>[0];

export function peopleContract(name: string, open: () => Promise<Store>): void {
  let store: Store;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  interface Held {
    readonly account: Registration;
    readonly accountId: Bytes;
    readonly devices: readonly ListedDevice[];
    /** The number of the first device. */
    readonly device: number;
  }

  async function anAccount(howMany = 1): Promise<Held> {
    const account = aRegistration({ devices: someDevices(howMany) });
    expect(await store.register(account)).toBe("registered");
    const { accountId } = account;
    const devices = await store.devicesOf(accountId);
    return { account, accountId, devices, device: devices[0]?.device ?? -1 };
  }

  async function aSession(listed: ListedDevice | undefined, startedAt = NOW): Promise<Bytes> {
    const tokenHash = random(32);
    const { device, signInKey } = listed ?? { device: -1, signInKey: random(32) };
    const expiresAt = startedAt + 1000;
    await store.startSession({ device, signInKey, tokenHash, expiresAt, now: startedAt });
    return tokenHash;
  }

  /** The list that follows, and revokes all. */
  const finalList = ({ account }: Held, revokedAt = SECONDS) => ({
    ...account,
    version: account.version + 1n,
    deviceList: random(100),
    hash: random(32),
    previousHash: account.hash,
    devices: account.devices.map((device) => ({ ...device, revokedAt })),
  });

  /** A group of these devices, the first of which made it. */
  async function aGroup(first: number, ...others: readonly number[]): Promise<Bytes> {
    const groupId = await aGroupOf(store, first, { now: NOW - 5000 });
    const added = others.map((device, i) => ({ leafIndex: i + 1, device }));
    const linkId = random(32);
    await append(groupId, 0, {
      added,
      links: [{ linkId, expiresAt: SECONDS + 9n, maxUses: 9, sealedGroupInfo: random(9) }],
    });
    return groupId;
  }

  const append = (groupId: Bytes, epoch: number, change: Partial<AppendCommit>) =>
    store.appendCommit(aCommit(groupId, epoch, { acceptedAt: NOW - 5000, ...change }));

  describe(`${name}: sessions of an account`, () => {
    it("are listed by their start, those that go on", async () => {
      const { accountId, devices } = await anAccount(2);
      const [one, two] = devices;
      const later = await aSession(two, NOW + 10);
      const earlier = await aSession(one);
      await aSession((await anAccount()).devices[0]);
      expect(await store.sessionsOf(accountId, NOW + 10)).toEqual([
        {
          tokenHash: earlier,
          deviceId: one?.deviceId,
          startedAt: NOW,
          expiresAt: NOW + 1000,
        },
        {
          tokenHash: later,
          deviceId: two?.deviceId,
          startedAt: NOW + 10,
          expiresAt: NOW + 1010,
        },
      ]);
      expect(await store.sessionsOf(accountId, NOW + 1000)).toHaveLength(1);
      expect(await store.session(earlier, NOW)).toMatchObject({ startedAt: NOW });
    });

    it("end one by one, all of a device, or all, and never another's", async () => {
      const { accountId, devices } = await anAccount(2);
      const [one, two] = devices;
      const other = await anAccount();
      const tokens: Bytes[] = [];
      for (const device of [one, one, two]) tokens.push(await aSession(device));
      const theirs = await aSession(other.devices[0]);
      const [first, second, third] = tokens;
      if (!first || !second || !third) throw new Error("three sessions");
      expect(await store.endSession(other.accountId, first)).toBe(false);
      expect(await store.endSession(accountId, first)).toBe(true);
      expect(await store.endSession(accountId, first)).toBe(false);
      expect(await store.sessionsLive([first, second, third, theirs], NOW)).toEqual([
        false,
        true,
        true,
        true,
      ]);
      expect(await store.endSessions(other.accountId, one?.deviceId)).toEqual([]);
      expect(await store.endSessions(accountId, two?.deviceId)).toEqual([two?.device]);
      expect(await store.endSessions(accountId)).toEqual([one?.device]);
      expect(await store.sessionsLive([second, third, theirs], NOW)).toEqual([false, false, true]);
    });

    it("go on neither past their time nor past the revocation of their device", async () => {
      const held = await anAccount();
      const token = await aSession(held.devices[0]);
      expect(await store.sessionsLive([token, random(32)], NOW)).toEqual([true, false]);
      expect(await store.sessionsLive([token], NOW + 1000)).toEqual([false]);
      await store.replaceDeviceList(finalList(held));
      // A sign-in that was under way when the device was revoked.
      const late = await aSession(held.devices[0]);
      expect(await store.sessionsLive([token, late], NOW)).toEqual([false, false]);
      expect(await store.sessionsOf(held.accountId, NOW)).toEqual([]);
    });
  });

  describe(`${name}: what an account notes about its newest backup`, () => {
    it("is replaced by what has a higher number alone, and goes with the account", async () => {
      const [{ accountId }, other] = [await anAccount(), await anAccount()];
      const set = (number: number, seal = random(44)) =>
        store.setBackupMark(accountId, { number, seal });
      expect(await store.backupMark(accountId)).toBeUndefined();
      const seal = random(44);
      expect(await set(2, seal)).toBe("set");
      for (const again of [seal, seal]) expect(await set(2, again)).toBe("set");
      expect(await set(2)).toBe("older");
      expect(await set(1, seal)).toBe("older");
      expect(await store.backupMark(accountId)).toEqual({ number: 2, seal });
      const answers = await Promise.all([set(3), set(3), set(3)]);
      expect(answers.toSorted()).toEqual(["older", "older", "set"]);
      expect(await store.backupMark(other.accountId)).toBeUndefined();
      await store.deleteAccount(accountId, { now: NOW });
      expect(await store.backupMark(accountId)).toBeUndefined();
      expect(await set(4)).toBe("older");
      expect(await store.backupMark(accountId)).toBeUndefined();
    });
  });

  describe(`${name}: contacts`, () => {
    const reaches = async (
      caller: Held,
      target: Held,
      rule: ContactRule = "ask",
    ): Promise<"known" | "stranger" | "no"> => {
      const byId = await store.reach(caller.accountId, { accountId: target.accountId }, rule);
      const byName = await store.reach(caller.accountId, { name: target.account.name }, rule);
      expect(byName).toEqual(byId);
      if (byId === undefined) return "no";
      expect(byId.account.hash).toEqual(target.account.hash);
      return byId.known ? "known" : "stranger";
    };
    const ask = (from: Held, target: Held, change: { now?: number; limit?: number } = {}) =>
      store.askContact({
        from: from.accountId,
        target: { name: target.account.name },
        now: NOW,
        askedSince: (change.now ?? NOW) - 1000,
        refusedSince: (change.now ?? NOW) - 500,
        limit: 2,
        ...change,
      });
    const say = (
      by: Held,
      about: Held,
      state: "allowed" | "refused" | "blocked",
      change: { changedAt?: number; limit?: number } = {},
    ) =>
      store.setContact(by.accountId, {
        accountId: about.accountId,
        state,
        changedAt: NOW,
        limit: 100,
        ...change,
      });
    const requests = async (of: Held, askedSince = NOW - 1000) =>
      (await store.contactRequests(of.accountId, askedSince)).map(({ account }) => account.name);

    it("reach themselves, who is open, and nobody who is unknown", async () => {
      const [ada, ben] = [await anAccount(), await anAccount()];
      expect(await reaches(ada, ada)).toBe("known");
      expect(await reaches(ada, ben)).toBe("no");
      expect(await reaches(ada, ben, "open")).toBe("stranger");
      await store.setContactRule(ben.accountId, "open");
      expect(await store.contactRule(ben.accountId)).toBe("open");
      expect(await reaches(ada, ben)).toBe("stranger");
      await store.setContactRule(ben.accountId, "ask");
      expect(await reaches(ada, ben, "open")).toBe("no");
      await store.setContactRule(ben.accountId, undefined);
      expect(await store.contactRule(ben.accountId)).toBeUndefined();
      expect(await reaches(ada, ben, "open")).toBe("stranger");
      expect(await store.reach(ada.accountId, { name: "nobody" }, "open")).toBeUndefined();
      expect(await store.reach(ada.accountId, { accountId: random(32) }, "open")).toBeUndefined();
      const shouted = ben.account.name.toUpperCase();
      expect(await store.reach(ada.accountId, { name: shouted }, "open")).toBeUndefined();
    });

    it("reach whom they share a group with, as long as they do", async () => {
      const [ada, ben] = [await anAccount(), await anAccount()];
      const groupId = await aGroup(ada.device, ben.device);
      expect(await reaches(ada, ben)).toBe("known");
      expect(await reaches(ben, ada)).toBe("known");
      await append(groupId, 1, { removed: [1] });
      expect(await reaches(ada, ben)).toBe("no");
      expect(await reaches(ben, ada)).toBe("no");
    });

    it("ask once, are allowed, and may be reached by whom they asked", async () => {
      const [ada, ben] = [await anAccount(), await anAccount()];
      expect(await ask(ada, ben)).toEqual([ben.device]);
      expect(await ask(ada, ben)).toEqual([]);
      expect(await requests(ben)).toEqual([ada.account.name]);
      expect(await reaches(ada, ben)).toBe("no");
      expect(await reaches(ben, ada)).toBe("known");
      expect(await say(ben, ada, "allowed")).toBe("answered");
      expect(await say(ben, ada, "allowed")).toBe("set");
      expect(await requests(ben)).toEqual([]);
      expect(await reaches(ada, ben)).toBe("known");
      await store.forgetContact(ben.accountId, ada.accountId);
      expect(await reaches(ada, ben)).toBe("no");
      expect(await reaches(ben, ada)).toBe("no");
    });

    it("that are blocked are not to add the account to groups, but to those in which it is", async () => {
      const [ada, ben, cem] = [await anAccount(), await anAccount(2), await anAccount()];
      const [first, second] = ben.devices.map(({ device }) => device) as [number, number];
      const [own, shared] = [await aGroup(ada.device), await aGroup(ada.device, first)];
      const all = [first, second, cem.device, ada.device];
      const unwilling = (groupId: Bytes) => store.unwilling(ada.accountId, groupId, all);
      expect(await unwilling(own)).toEqual([]);
      await say(ben, ada, "blocked");
      await say(cem, ada, "allowed");
      expect((await unwilling(own)).toSorted((a, b) => a - b)).toEqual([first, second]);
      expect(await unwilling(shared)).toEqual([]);
      expect(await store.unwilling(cem.accountId, own, all)).toEqual([]);
      await append(shared, 1, { removed: [1] });
      expect(await unwilling(shared)).toHaveLength(2);
      await store.forgetContact(ben.accountId, ada.accountId);
      expect(await unwilling(own)).toEqual([]);
    });

    it("ask nobody who is unknown, nor themselves", async () => {
      const ada = await anAccount();
      expect(await ask(ada, ada)).toEqual([]);
      const nobody = { ...ada, account: { ...ada.account, name: "nobody" } };
      expect(await ask(ada, nobody)).toEqual([]);
      expect(await requests(ada)).toEqual([]);
    });

    it("ask again some time after a refusal, and never after a block", async () => {
      const [ada, ben] = [await anAccount(), await anAccount()];
      await ask(ada, ben);
      await say(ben, ada, "refused");
      expect(await requests(ben)).toEqual([]);
      expect(await reaches(ben, ada)).toBe("no");
      expect(await ask(ada, ben)).toEqual([]);
      expect(await ask(ada, ben, { now: NOW + 501 })).toEqual([ben.device]);
      await say(ben, ada, "blocked");
      expect(await ask(ada, ben, { now: NOW + 9999 })).toEqual([]);
      expect(await requests(ben)).toEqual([]);
    });

    it("take back what waits, and nothing that was answered", async () => {
      const [ada, ben] = [await anAccount(), await anAccount()];
      const withdraw = (from: Held, target: Held) =>
        store.withdrawContact(from.accountId, { name: target.account.name });
      await ask(ada, ben);
      expect(await withdraw(ben, ada)).toEqual([]);
      expect(await withdraw(ada, ben)).toEqual([ben.device]);
      expect(await withdraw(ada, ben)).toEqual([]);
      expect(await requests(ben)).toEqual([]);
      expect(await reaches(ben, ada)).toBe("no");
      expect(await store.withdrawContact(ada.accountId, { name: "nobody" })).toEqual([]);
      await ask(ada, ben);
      await say(ben, ada, "refused");
      expect(await withdraw(ada, ben)).toEqual([]);
      expect(await ask(ada, ben)).toEqual([]);
      await say(ben, ada, "allowed");
      expect(await withdraw(ada, ben)).toEqual([]);
      expect(await reaches(ada, ben)).toBe("known");
    });

    it("that are blocked reach nobody, whatever else holds", async () => {
      const [ada, ben] = [await anAccount(), await anAccount()];
      await aGroup(ada.device, ben.device);
      await say(ben, ada, "blocked");
      expect(await reaches(ada, ben, "open")).toBe("no");
      expect(await reaches(ben, ada)).toBe("known");
      await store.forgetContact(ben.accountId, ada.accountId);
      expect(await reaches(ada, ben)).toBe("known");
    });

    it("are refused only where there was something to refuse", async () => {
      const [ada, ben] = [await anAccount(), await anAccount()];
      expect(await say(ben, ada, "refused")).toBe("set");
      expect(await store.contactsOf(ben.accountId, { limit: 9 })).toEqual([]);
    });

    it("wait in bounded number and time: who asked first has to ask again", async () => {
      const ben = await anAccount();
      const [one, two, three] = [await anAccount(), await anAccount(), await anAccount()];
      await ask(one, ben);
      await ask(two, ben, { now: NOW + 500 });
      expect(await requests(ben)).toEqual([one.account.name, two.account.name]);
      // Who waits already takes nobody's place.
      expect(await ask(two, ben, { now: NOW + 500 })).toEqual([]);
      expect(await requests(ben, NOW + 1)).toEqual([two.account.name]);
      expect(await ask(three, ben, { now: NOW + 500 })).toEqual([ben.device]);
      expect(await requests(ben)).toHaveLength(2);
      expect(await requests(ben)).not.toContain(one.account.name);
      expect(await ask(one, ben, { now: NOW + 600 })).toEqual([ben.device]);
      expect((await requests(ben)).at(-1)).toBe(one.account.name);
      expect(await requests(ben)).toHaveLength(2);
      expect(await ask(three, ben, { now: NOW + 2000 })).toEqual([ben.device]);
      expect(await requests(ben, NOW + 1000)).toEqual([three.account.name]);
    });

    it("are told in pages, and are bounded in number", async () => {
      const [ada, ben, cleo] = [await anAccount(), await anAccount(), await anAccount()];
      await say(ada, ben, "allowed");
      await say(ada, cleo, "blocked", { changedAt: NOW + 1 });
      const sorted = [
        { accountId: ben.accountId, state: "allowed", changedAt: NOW },
        { accountId: cleo.accountId, state: "blocked", changedAt: NOW + 1 },
      ].toSorted((a, b) => Buffer.compare(a.accountId, b.accountId));
      expect(await store.contactsOf(ada.accountId, { limit: 9 })).toEqual(sorted);
      const after = sorted[0]?.accountId ?? random(0);
      expect(await store.contactsOf(ada.accountId, { limit: 1 })).toEqual(sorted.slice(0, 1));
      expect(await store.contactsOf(ada.accountId, { after, limit: 9 })).toEqual(sorted.slice(1));
      const dora = await anAccount();
      expect(await say(ada, dora, "allowed", { limit: 2 })).toBe("full");
      expect(await say(ada, ben, "blocked", { limit: 2 })).toBe("set");
      expect(await reaches(dora, ada)).toBe("no");
    });
  });

  describe(`${name}: key packages for strangers`, () => {
    const aKeyPackage = () => ({
      ref: random(32),
      suite: 1,
      notBefore: SECONDS - 10n,
      notAfter: SECONDS + 10n,
      keyPackage: random(50),
    });

    it("leave a reserve where there is a last resort, whoever asks at once", async () => {
      const { accountId, device, devices } = await anAccount();
      const lastResort = aKeyPackage();
      const keyPackages = Array.from({ length: 5 }, aKeyPackage);
      await store.addKeyPackages(device, { keyPackages, lastResort, limit: 9, now: NOW });
      const claims = await Promise.all(
        Array.from({ length: 6 }, () =>
          store.claimKeyPackages(accountId, [1], NOW, { reserve: 3 }),
        ),
      );
      const claimed = claims.flat();
      expect(claimed.filter((one) => one.lastResort)).toHaveLength(4);
      expect(claimed.map((one) => [one.device, one.deviceId])).toEqual(
        claimed.map(() => [device, devices[0]?.deviceId]),
      );
      expect(await store.countKeyPackages(device, NOW)).toMatchObject({
        pools: [{ available: 3 }],
      });
      const [known] = await store.claimKeyPackages(accountId, [1], NOW);
      expect(known?.lastResort).toBe(false);
    });

    it("are all there are where there is no last resort", async () => {
      const { accountId, device } = await anAccount();
      await store.addKeyPackages(device, { keyPackages: [aKeyPackage()], limit: 9, now: NOW });
      expect(await store.claimKeyPackages(accountId, [1], NOW, { reserve: 3 })).toHaveLength(1);
      expect(await store.claimKeyPackages(accountId, [1], NOW, { reserve: 3 })).toEqual([]);
    });

    it("are read by their owner", async () => {
      const { device } = await anAccount();
      const [one, last] = [aKeyPackage(), aKeyPackage()];
      const added = { keyPackages: [one], lastResort: last, limit: 9, now: NOW };
      await store.addKeyPackages(device, added);
      const held = [
        { ...one, lastResort: false },
        { ...last, lastResort: true },
      ].toSorted((a, b) => Buffer.compare(a.ref, b.ref));
      expect(await store.keyPackagesOf(device)).toEqual(held);
    });
  });

  describe(`${name}: what is held about an account`, () => {
    it("has its devices, also those that are revoked", async () => {
      const held = await anAccount(2);
      expect(held.devices.map(({ deviceId }) => deviceId)).toEqual(
        held.account.devices.map(({ deviceId }) => deviceId),
      );
      await store.replaceDeviceList(finalList(held));
      const revoked = (await store.devicesOf(held.accountId)).map((device) => device.revokedAt);
      expect(revoked).toEqual([SECONDS, SECONDS]);
      expect(await store.devicesOf(random(32))).toEqual([]);
    });

    it("has the groups of a device in pages, with its comings and goings", async () => {
      const [ada, ben] = [await anAccount(), await anAccount()];
      const groups: Bytes[] = [];
      for (let i = 0; i < 3; i++) groups.push(await aGroup(ada.device, ben.device));
      groups.sort((a, b) => Buffer.compare(a, b));
      const [first] = groups;
      if (first === undefined) throw new Error("three groups");
      await append(first, 1, { removed: [1] });
      await append(first, 2, { added: [{ leafIndex: 1, device: ben.device }] });
      const all = await store.membershipsOf(ben.device, { limit: 9 });
      expect(all).toEqual([
        { groupId: first, leafIndex: 1, fromSeq: 1, untilSeq: 2 },
        { groupId: first, leafIndex: 1, fromSeq: 3, untilSeq: undefined },
        ...groups.slice(1).map((groupId) => ({
          groupId,
          leafIndex: 1,
          fromSeq: 1,
          untilSeq: undefined,
        })),
      ]);
      expect(await store.membershipsOf(ben.device, { limit: 1 })).toEqual(all.slice(0, 1));
      const after = { groupId: first, fromSeq: 1 };
      expect(await store.membershipsOf(ben.device, { after, limit: 2 })).toEqual(all.slice(1, 3));
    });
  });

  describe(`${name}: blobs of an account`, () => {
    it("are told in pages, those that are neither deleted nor expired", async () => {
      const [ada, ben] = [await anAccount(), await anAccount()];
      const make = async (held: Held, expiresAt = NOW + 1000): Promise<Bytes> => {
        const blobId = random(32);
        await store.createBlob({
          blobId,
          accountId: held.accountId,
          requestKey: random(32),
          size: 100,
          expiresAt,
          now: NOW,
          quota: { bytes: 10_000, blobs: 10 },
        });
        return blobId;
      };
      const ids = [await make(ada), await make(ada), await make(ada)];
      ids.sort((a, b) => Buffer.compare(a, b));
      await make(ben);
      await make(ada, NOW + 10);
      await store.deleteBlob(await make(ada), ada.accountId, NOW);
      const told = async (page: { after?: Bytes; limit: number }): Promise<Bytes[]> =>
        (await store.blobsOf(ada.accountId, { ...page, now: NOW + 10 })).map((one) => one.blobId);
      expect(await told({ limit: 9 })).toEqual(ids);
      expect(await told({ limit: 2 })).toEqual(ids.slice(0, 2));
      const [after] = ids;
      expect(await told({ ...(after && { after }), limit: 9 })).toEqual(ids.slice(1));
    });
  });

  describe(`${name}: the end of an account`, () => {
    const ends = async (held: Held, final?: ReturnType<typeof finalList>) =>
      store.deleteAccount(held.accountId, { ...(final && { final }), now: NOW });

    it("frees its name, and keeps its ids and keys from others", async () => {
      const held = await anAccount(2);
      const numbers = held.devices.map(({ device }) => device);
      expect(await store.isDeleted(held.accountId)).toBe(false);
      expect(await ends(held)).toEqual({ devices: numbers });
      expect(await store.isDeleted(held.accountId)).toBe(true);
      expect(await store.isDeleted(random(32))).toBe(false);
      expect(await ends(held)).toEqual({ devices: [] });
      expect(await store.deleteAccount(random(32), { now: NOW })).toBe("unknown");
      expect(await store.register(held.account)).toBe("account-exists");
      const other = {
        ...held.account,
        accountId: random(32),
        devices: held.account.devices.map((one) => ({ ...one, deviceId: random(16) })),
      };
      expect(await store.register(other)).toBe("key-in-use");
      const successor = { ...other, accountId: random(32), devices: [] };
      expect(await store.register(successor)).toBe("registered");
      const { accountId } = successor;
      const found = await store.reach(accountId, { name: held.account.name }, "ask");
      expect(found?.account).toMatchObject({ accountId });
    });

    it("takes sessions, nonces, key packages, inboxes and what was said between it and others", async () => {
      const [held, ben] = [await anAccount(), await anAccount()];
      const token = await aSession(held.devices[0]);
      const keyPackages = [
        {
          ref: random(32),
          suite: 1,
          notBefore: SECONDS - 10n,
          notAfter: SECONDS + 10n,
          keyPackage: random(50),
        },
      ];
      await store.addKeyPackages(held.device, { keyPackages, limit: 9, now: NOW });
      const groupId = await aGroup(ben.device);
      const welcome = { message: random(9), devices: [held.device], limit: 9 };
      await append(groupId, 1, { added: [{ leafIndex: 1, device: held.device }], welcome });
      const said = { state: "allowed", changedAt: NOW, limit: 9 } as const;
      await store.setContact(held.accountId, { ...said, accountId: ben.accountId });
      await store.setContact(ben.accountId, { ...said, accountId: held.accountId });
      await ends(held);
      expect(await store.sessionsLive([token], NOW)).toEqual([false]);
      expect(await store.keyPackagesOf(held.device)).toEqual([]);
      expect(await store.claimKeyPackages(held.accountId, [1], NOW)).toEqual([]);
      expect(await store.inbox(held.device, PAGE)).toEqual([]);
      expect(await store.hasWelcome(held.device, groupId, 2n)).toBe(false);
      for (const { accountId } of [held, ben]) {
        expect(await store.contactsOf(accountId, { limit: 9 })).toEqual([]);
      }
      const [device] = await store.devicesOf(held.accountId);
      expect(device?.revokedAt).toBe(SECONDS);
      expect(
        await store.reach(ben.accountId, { accountId: held.accountId }, "open"),
      ).toBeUndefined();
      expect(await store.reach(ben.accountId, { name: held.account.name }, "open")).toBeUndefined();
      const asked = {
        from: ben.accountId,
        target: { accountId: held.accountId },
        now: NOW,
        askedSince: 0,
        refusedSince: 0,
        limit: 9,
      };
      expect(await store.askContact(asked)).toEqual([]);
    });

    it("takes the groups in which nobody else ever was, and leaves what others have", async () => {
      const [held, ben] = [await anAccount(), await anAccount()];
      const alone = await aGroup(held.device);
      const shared = await aGroup(held.device, ben.device);
      await ends(held);
      expect(await store.group(alone)).toBeUndefined();
      expect((await store.log(alone, held.device, PAGE))?.entries ?? []).toEqual([]);
      const taken = {
        groupId: alone,
        device: ben.device,
        leafIndex: 0,
        version: 0,
        groupLimit: 99,
        now: NOW,
      };
      const parts = { state: random(9), groupInfo: random(9), nodes: [] };
      expect(await store.createGroup({ ...taken, ...parts })).toBe("group-exists");
      expect((await store.log(shared, ben.device, PAGE))?.entries).toHaveLength(1);
      expect(await store.group(shared)).toMatchObject({ epoch: 1n });
    });

    it("takes them from commits and proposals too that were judged before: nobody enters what is gone", async () => {
      const [held, ben] = [await anAccount(2), await anAccount()];
      const [first, second] = held.devices.map(({ device }) => device);
      const alone = await aGroup(first ?? -1, second ?? -1);
      const version = (await store.group(alone))?.version ?? -1;
      await ends(held);
      const welcome = { message: random(9), devices: [ben.device], limit: 9 };
      const added = [{ leafIndex: 2, device: ben.device }];
      expect(await append(alone, 1, { version, added, welcome })).toBe("moved");
      expect(await store.inbox(ben.device, PAGE)).toEqual([]);
      const proposal = { hash: random(32), message: random(9), state: random(9) };
      expect(
        await store.appendProposal({
          groupId: alone,
          device: second ?? -1,
          epoch: 1n,
          version,
          nextVersion: version + 1,
          limit: 9,
          now: NOW,
          ...proposal,
        }),
      ).toBe("moved");
      expect(await store.group(alone, version)).toBeUndefined();
    });

    it("leaves the device list where others judge by it, the final one if there is one", async () => {
      const [held, ben] = [await anAccount(), await anAccount()];
      await aGroup(held.device, ben.device);
      const final = finalList(held);
      const wrong = { ...final, previousHash: random(32) };
      expect(await ends(held, wrong)).toBe("device-list-conflict");
      const early = finalList(held, SECONDS - 100n);
      expect(await ends(held, early)).toBe("entered-later");
      expect(await store.account(held.accountId)).toMatchObject({ name: held.account.name });
      expect(await ends(held, final)).toEqual({ devices: [held.device] });
      const { accountId, deviceList, version, hash, expiresAt } = final;
      const left = { accountId, name: "", deviceList, version, hash, expiresAt, deletedAt: NOW };
      expect(await store.account(accountId)).toEqual(left);
      expect(await store.replaceDeviceList({ ...final, version: 3n, previousHash: hash })).toBe(
        "device-list-conflict",
      );
    });

    it("lets nobody in whose list is gone: also by a commit that was judged before, by an earlier time", async () => {
      const [held, ben] = [await anAccount(), await anAccount()];
      const shared = await aGroup(ben.device);
      await ends(held);
      const added = [{ leafIndex: 1, device: held.device }];
      const entering = { acceptedAt: NOW - 5000, added };
      expect(await append(shared, 1, entering)).toBe("moved");
      expect(await store.account(held.accountId)).toBeUndefined();
      expect(await store.leafOf(shared, held.device)).toBeUndefined();
      expect(await store.group(shared)).toMatchObject({ epoch: 1n });
    });

    it("takes the device list too where it shared a group with nobody", async () => {
      const held = await anAccount();
      await aGroup(held.device);
      await ends(held, finalList(held));
      expect(await store.account(held.accountId)).toBeUndefined();
    });
  });
}
