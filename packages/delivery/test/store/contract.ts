/**
 * What every store promises, as tests. A store's own test file calls it with a way to open an empty one.
 * @module
 */

import {
  type Account,
  type AppendCommit,
  PAST_EPOCHS,
  REMEMBERED,
  type Store,
  type StoredKeyPackage,
} from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bytes, random } from "../world.ts";
import { admissionContract } from "./contract-admission.ts";
import { blobContract } from "./contract-blobs.ts";
import { peopleContract } from "./contract-people.ts";
import { reportContract } from "./contract-reports.ts";
import {
  aCommit as aCommitOf,
  aGroup as aGroupOf,
  aNewGroup,
  aRegistration,
  NOW,
  SECONDS,
} from "./fixtures.ts";

export function storeContract(name: string, open: () => Promise<Store>): void {
  admissionContract(name, open);
  peopleContract(name, open);
  blobContract(name, open);
  reportContract(name, open);

  let store: Store;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  /** A new account; answers with its one device. */
  async function aDevice(
    account = aRegistration(),
  ): Promise<{ account: Account; device: number; signInKey: Bytes }> {
    expect(await store.register(account)).toBe("registered");
    const deviceId = account.devices[0]?.deviceId ?? random(0);
    const listed = await store.device(account.accountId, deviceId);
    return { account, device: listed?.device ?? -1, signInKey: listed?.signInKey ?? random(0) };
  }

  /** The account of this name, as another finds it. */
  const named = async (caller: Bytes, its: string): Promise<Account | undefined> =>
    (await store.reach(caller, { name: its }, "open"))?.account;

  describe(`${name}: accounts`, () => {
    it("are found by id and by exact name, and their devices by id and key", async () => {
      const account = aRegistration();
      await store.register(account);
      const { accountId, deviceList, version, hash, expiresAt } = account;
      const held = { accountId, name: account.name, deviceList, version, hash, expiresAt };
      expect(await store.account(accountId)).toEqual(held);
      expect(await named(accountId, account.name)).toEqual(held);
      expect(await store.account(random(32))).toBeUndefined();
      expect(await named(accountId, account.name.toUpperCase())).toBeUndefined();
      const [device] = account.devices;
      const listed = await store.device(accountId, device?.deviceId ?? random(0));
      expect(listed).toMatchObject({ ...device, accountId, listExpiresAt: expiresAt });
      const keys = [random(32), device?.signatureKey ?? random(0)];
      expect(await store.devicesBySignatureKey(keys)).toEqual([undefined, listed]);
    });

    it("register once, and the same registration again", async () => {
      const account = aRegistration();
      expect(await store.register(account)).toBe("registered");
      expect(await store.register(account)).toBe("registered");
      const other = { ...account, registration: random(32) };
      expect(await store.register(other)).toBe("account-exists");
    });

    it("have a name each, and keys that no other device has; a refusal leaves nothing", async () => {
      const account = aRegistration();
      await store.register(account);
      const sameName = aRegistration({ name: account.name });
      expect(await store.register(sameName)).toBe("name-taken");
      const sameButForCase = aRegistration({ name: account.name.toUpperCase() });
      expect(await store.register(sameButForCase)).toBe("name-taken");
      const sameKey = aRegistration({
        devices: account.devices.map((device) => ({ ...device, deviceId: random(16) })),
      });
      expect(await store.register(sameKey)).toBe("key-in-use");
      expect(await store.account(sameKey.accountId)).toBeUndefined();
      expect(await named(account.accountId, sameKey.name)).toBeUndefined();
    });

    it("replace their list by the one that follows, of two at once only one", async () => {
      const { account } = await aDevice();
      const next = (): Parameters<Store["replaceDeviceList"]>[0] => ({
        ...account,
        deviceList: random(100),
        version: 2n,
        hash: random(32),
        previousHash: account.hash,
        devices: [
          { deviceId: random(16), signatureKey: random(32), signInKey: random(32), revokedAt: 0n },
        ],
      });
      const wrongHash = { ...next(), previousHash: random(32) };
      expect(await store.replaceDeviceList(wrongHash)).toBe("device-list-conflict");
      const both = await Promise.all([
        store.replaceDeviceList(next()),
        store.replaceDeviceList(next()),
      ]);
      expect(both.filter((result) => result === "device-list-conflict")).toHaveLength(1);
      expect((await store.account(account.accountId))?.version).toBe(2n);
    });

    it("take everything from a device that is revoked, or has another sign-in key", async () => {
      const [kept, rekeyed, gone] = [1, 2, 3].map(() => ({
        deviceId: random(16),
        signatureKey: random(32),
        signInKey: random(32),
        revokedAt: 0n,
      }));
      if (!kept || !rekeyed || !gone) throw new Error("three devices");
      const account = aRegistration({ devices: [kept, rekeyed, gone] });
      await store.register(account);
      const numbers: number[] = [];
      const tokens: Bytes[] = [];
      for (const { deviceId, signInKey } of [kept, rekeyed, gone]) {
        const listed = await store.device(account.accountId, deviceId);
        const device = listed?.device ?? -1;
        const tokenHash = random(32);
        await store.startSession({ device, signInKey, tokenHash, expiresAt: NOW + 1000, now: NOW });
        await store.addKeyPackages(device, { keyPackages: [aKeyPackage()], limit: 9, now: NOW });
        numbers.push(device);
        tokens.push(tokenHash);
      }
      const { groupId } = await aGroup();
      const welcome = { message: node("welcome"), devices: numbers, limit: 9 };
      await store.appendCommit(aCommit(groupId, 0, { welcome }));
      const newKey = random(32);
      const replaced = await store.replaceDeviceList({
        ...account,
        version: 2n,
        hash: random(32),
        previousHash: account.hash,
        expiresAt: account.expiresAt + 1n,
        devices: [kept, { ...rekeyed, signInKey: newKey }, { ...gone, revokedAt: SECONDS }],
      });
      const revoked = typeof replaced === "string" ? [] : replaced.revoked;
      expect(new Set(revoked)).toEqual(new Set(numbers.slice(1)));
      const sessions = await Promise.all(tokens.map((token) => store.session(token, NOW)));
      expect(sessions.map((session) => session !== undefined)).toEqual([true, false, false]);
      expect(await store.claimKeyPackages(account.accountId, [1], NOW)).toHaveLength(1);
      const inboxes = await Promise.all(numbers.map((device) => store.inbox(device, PAGE)));
      expect(inboxes.map((entries) => entries.length)).toEqual([1, 0, 0]);
      const listed = await store.device(account.accountId, gone.deviceId);
      expect(listed).toMatchObject({
        revokedAt: SECONDS,
        listExpiresAt: account.expiresAt + 1n,
      });
      expect(await store.devicesBySignatureKey([gone.signatureKey])).toEqual([listed]);
      // Sign-ins that were under way meanwhile give nothing, and take no nonce.
      const nonce = { nonce: random(16), expiresAt: NOW + 1000 };
      for (const [i, { signInKey }] of [kept, rekeyed, gone].entries()) {
        const late = { device: numbers[i] ?? -1, signInKey, tokenHash: random(32), nonce };
        const started = await store.startSession({ ...late, expiresAt: NOW + 1000, now: NOW });
        expect(started).toEqual(i === 0 ? { ended: [] } : "not-current");
        expect((await store.session(late.tokenHash, NOW)) !== undefined).toBe(i === 0);
      }
      const fresh = { device: numbers[1] ?? -1, signInKey: newKey, tokenHash: random(32), nonce };
      expect(await store.startSession({ ...fresh, expiresAt: NOW + 1000, now: NOW })).toEqual({
        ended: [],
      });
    });
  });

  describe(`${name}: sessions`, () => {
    it("are found by their token's hash until they end", async () => {
      const { account, device, signInKey } = await aDevice();
      const tokenHash = random(32);
      await store.startSession({ device, signInKey, tokenHash, expiresAt: NOW + 1000, now: NOW });
      expect(await store.session(tokenHash, NOW)).toMatchObject({
        device: { device },
        expiresAt: NOW + 1000,
      });
      expect(await store.session(tokenHash, NOW + 1000)).toBeUndefined();
      expect(await store.session(random(32), NOW)).toBeUndefined();
      await store.endSession(account.accountId, tokenHash);
      expect(await store.session(tokenHash, NOW)).toBeUndefined();
    });

    it("start once with a nonce, also with that of the registration", async () => {
      const account = aRegistration();
      const { device, signInKey } = await aDevice(account);
      const start = (nonce: Bytes): ReturnType<Store["startSession"]> =>
        store.startSession({
          device,
          signInKey,
          nonce: { nonce, expiresAt: NOW + 1000 },
          tokenHash: random(32),
          expiresAt: NOW + 1000,
          now: NOW,
        });
      const nonce = random(16);
      expect(await start(nonce)).toEqual({ ended: [] });
      expect(await start(nonce)).toBe("nonce-used");
      expect(await start(account.nonce.nonce)).toBe("nonce-used");
    });

    it("are those of one instance of the device's client, and of those that follow it", async () => {
      const { device, signInKey } = await aDevice();
      const [first, second, copy] = [random(16), random(16), random(16)];
      const start = async (id: Bytes, succeeds: readonly Bytes[] = [], takeOver = false) => {
        const tokenHash = random(32);
        const instance = { id, succeeds: [...succeeds], takeOver };
        const times = { expiresAt: NOW + 1000, now: NOW };
        const nonce = { nonce: random(16), expiresAt: NOW + 1000 };
        const given = { device, signInKey, instance, tokenHash, nonce, ...times };
        return { tokenHash, nonce, outcome: await store.startSession(given) };
      };
      const begun = await start(first, [random(16)]);
      expect(begun.outcome).toEqual({ ended: [] });
      // The same, as after a lost answer.
      const again = await start(first);
      expect(again.outcome).toEqual({ ended: [] });
      const next = await start(second, [random(16), first]);
      const { ended } = typeof next.outcome === "string" ? { ended: [] } : next.outcome;
      const before = [begun.tokenHash, again.tokenHash];
      expect(new Set(ended.map(String))).toEqual(new Set(before.map(String)));
      expect(await store.sessionsLive(before, NOW)).toEqual([false, false]);
      // A copy of the first, and the first itself: neither has what the second did.
      const refused = await start(copy, [first]);
      expect(refused.outcome).toBe("in-use");
      expect((await start(first)).outcome).toBe("in-use");
      expect(await store.sessionsLive([next.tokenHash, refused.tokenHash], NOW)).toEqual([
        true,
        false,
      ]);
      const taken = await start(copy, [first], true);
      expect(taken.outcome).toEqual({ ended: [next.tokenHash] });
      expect((await start(second, [first])).outcome).toBe("in-use");
      // What was refused took no nonce; what was let in did.
      const { nonce, tokenHash } = refused;
      const unnamed = { device, signInKey, nonce, tokenHash, expiresAt: NOW + 1000, now: NOW };
      expect(await store.startSession(unnamed)).toBe("in-use");
      const late = { ...unnamed, instance: { id: copy, succeeds: [], takeOver: false } };
      expect(await store.startSession(late)).toEqual({ ended: [] });
      const used = { ...late, nonce: taken.nonce, tokenHash: random(32) };
      const other = { id: random(16), succeeds: [], takeOver: true };
      expect(await store.startSession({ ...used, instance: other })).toBe("nonce-used");
      expect(await store.sessionsLive([taken.tokenHash], NOW)).toEqual([true]);
    });

    it("are few for a device: the oldest go", async () => {
      const { device, signInKey } = await aDevice();
      const tokens = Array.from({ length: 20 }, () => random(32));
      for (const [i, tokenHash] of tokens.entries()) {
        await store.startSession({
          device,
          signInKey,
          tokenHash,
          expiresAt: NOW + 1000 + i,
          now: NOW,
        });
      }
      expect(await store.session(tokens[0] ?? random(0), NOW)).toBeUndefined();
      expect(await store.session(tokens[19] ?? random(0), NOW)).toBeDefined();
    });
  });

  const aKeyPackage = (change: Partial<StoredKeyPackage> = {}): StoredKeyPackage => ({
    ref: random(32),
    suite: 1,
    notBefore: SECONDS - 10n,
    notAfter: SECONDS + 10n,
    keyPackage: random(50),
    ...change,
  });

  const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

  describe(`${name}: key packages`, () => {
    it("are served once each, whoever asks at once, and then the last resort again and again", async () => {
      const { account, device } = await aDevice();
      const keyPackages = Array.from({ length: 20 }, () => aKeyPackage());
      const lastResort = aKeyPackage();
      const added = { keyPackages, lastResort, limit: 100, now: NOW };
      const counted = { pools: [{ suite: 1, available: 20, lastResort: true }] };
      expect(await store.addKeyPackages(device, added)).toEqual(counted);
      expect(await store.countKeyPackages(device, NOW)).toEqual(counted);
      const claims = await Promise.all(
        Array.from({ length: 23 }, () => store.claimKeyPackages(account.accountId, [1, 3], NOW)),
      );
      const served = claims
        .flat()
        .map((claimed) => Buffer.from(claimed.keyPackage).toString("hex"));
      const hex = (one: StoredKeyPackage): string => Buffer.from(one.keyPackage).toString("hex");
      // In whichever order the claims were carried out.
      const lastResorts = Array.from({ length: 3 }, () => hex(lastResort));
      expect(served.toSorted()).toEqual([...keyPackages.map(hex), ...lastResorts].toSorted());
    });

    it("are not served again when they are added again", async () => {
      const { account, device } = await aDevice();
      const added = { keyPackages: [aKeyPackage()], limit: 100, now: NOW };
      await store.addKeyPackages(device, added);
      expect(await store.addKeyPackages(device, added)).toMatchObject({
        pools: [{ available: 1 }],
      });
      expect(await store.claimKeyPackages(account.accountId, [1], NOW)).toHaveLength(1);
      expect(await store.addKeyPackages(device, added)).toEqual({ pools: [] });
      expect(await store.claimKeyPackages(account.accountId, [1], NOW)).toEqual([]);
    });

    it("are served while they are valid, in a suite that is wanted", async () => {
      const { account, device } = await aDevice();
      const keyPackages = [
        aKeyPackage({ notAfter: SECONDS }),
        aKeyPackage({ notBefore: SECONDS + 1n }),
        aKeyPackage({ suite: 3 }),
      ];
      const lastResort = aKeyPackage({ notAfter: SECONDS });
      await store.addKeyPackages(device, { keyPackages, lastResort, limit: 100, now: NOW - 1000 });
      expect(await store.claimKeyPackages(account.accountId, [1, 2], NOW)).toEqual([]);
      expect(await store.countKeyPackages(device, NOW)).toEqual({
        pools: [
          { suite: 1, available: 1, lastResort: false },
          { suite: 3, available: 1, lastResort: false },
        ],
      });
      expect(await store.claimKeyPackages(account.accountId, [1], NOW + 1000)).toHaveLength(1);
      expect(await store.claimKeyPackages(account.accountId, [3], NOW + 60_000)).toEqual([]);
    });

    it("have a pool and a last resort for each suite, of which the first that is asked for is served", async () => {
      const { account, device } = await aDevice();
      const claim = async (...suites: number[]): Promise<string[]> =>
        (await store.claimKeyPackages(account.accountId, suites, NOW)).map(({ keyPackage }) =>
          hexOf(keyPackage),
        );
      const pool = [1, 3, 1, 3].map((suite) => aKeyPackage({ suite }));
      const [first, third] = [aKeyPackage({ suite: 1 }), aKeyPackage({ suite: 3 })];
      for (const lastResort of [first, third]) {
        await store.addKeyPackages(device, { keyPackages: [], lastResort, limit: 2, now: NOW });
      }
      const counted = [1, 3].map((suite) => ({ suite, available: 2, lastResort: true }));
      expect(await store.addKeyPackages(device, { keyPackages: pool, limit: 2, now: NOW })).toEqual(
        {
          pools: counted,
        },
      );
      const of = (suite: number): string[] =>
        pool.filter((one) => one.suite === suite).map(({ keyPackage }) => hexOf(keyPackage));
      expect([...(await claim(3, 1)), ...(await claim(3, 1))].toSorted()).toEqual(of(3).toSorted());
      expect([...(await claim(3, 1)), ...(await claim(3, 1))].toSorted()).toEqual(of(1).toSorted());
      expect(await claim(3, 1)).toEqual([hexOf(third.keyPackage)]);
      expect(await claim(1)).toEqual([hexOf(first.keyPackage)]);
    });

    it("are served to groups that require what they are capable of, and no other", async () => {
      const { account, device } = await aDevice();
      const claim = async (...requires: string[]): Promise<string[]> =>
        (await store.claimKeyPackages(account.accountId, [1], NOW, { requires })).map(
          ({ keyPackage }) => hexOf(keyPackage),
        );
      const [able, unable] = [
        aKeyPackage({ capabilities: ["extension 61441", "credential 1", 'it\'s "{odd}"'] }),
        aKeyPackage({ capabilities: [] }),
      ];
      const lastResort = aKeyPackage({ capabilities: ["credential 1"] });
      const keyPackages = [unable, able];
      await store.addKeyPackages(device, { keyPackages, lastResort, limit: 9, now: NOW });
      expect(await claim("extension 1")).toEqual([]);
      const odd = ['it\'s "{odd}"', "credential 1", "extension 61441"];
      expect(await claim(...odd)).toEqual([hexOf(able.keyPackage)]);
      expect(await claim(...odd)).toEqual([]);
      expect(await claim("credential 1")).toEqual([hexOf(lastResort.keyPackage)]);
      expect(await claim()).toEqual([hexOf(unable.keyPackage)]);
      // Of those from before it is not known.
      const old = aKeyPackage();
      await store.addKeyPackages(device, { keyPackages: [old], limit: 9, now: NOW });
      expect(await claim("extension 1")).toEqual([hexOf(old.keyPackage)]);
    });

    it("tell when the last resort was served, until another takes its place", async () => {
      const { account, device } = await aDevice();
      const add = (): ReturnType<Store["addKeyPackages"]> =>
        store.addKeyPackages(device, {
          keyPackages: [],
          lastResort: aKeyPackage(),
          limit: 9,
          now: NOW,
        });
      const fresh = { pools: [{ suite: 1, available: 0, lastResort: true }] };
      expect(await add()).toEqual(fresh);
      for (const at of [NOW + 5, NOW + 7]) {
        await store.claimKeyPackages(account.accountId, [1], at);
        expect(await store.countKeyPackages(device, NOW)).toEqual({
          pools: [{ suite: 1, available: 0, lastResort: true, lastResortServedAt: at }],
        });
      }
      expect(await add()).toEqual(fresh);
    });

    it("are bounded for a device; the last resort takes the place of the one before", async () => {
      const { account, device } = await aDevice();
      const two = { keyPackages: [aKeyPackage(), aKeyPackage()], limit: 2, now: NOW };
      await store.addKeyPackages(device, two);
      const more = { keyPackages: [aKeyPackage()], limit: 2, now: NOW };
      expect(await store.addKeyPackages(device, more)).toBe("full");
      expect(await store.countKeyPackages(device, NOW)).toMatchObject({
        pools: [{ available: 2 }],
      });
      for (let i = 0; i < 2; i++) await store.claimKeyPackages(account.accountId, [1], NOW);
      const [first, second] = [aKeyPackage(), aKeyPackage()];
      for (const lastResort of [first, second]) {
        await store.addKeyPackages(device, { keyPackages: [], lastResort, limit: 2, now: NOW });
      }
      const [served] = await store.claimKeyPackages(account.accountId, [1], NOW);
      expect(served?.keyPackage).toEqual(second.keyPackage);
    });

    it("come one from each device of an account", async () => {
      const devices = [1, 2].map(() => ({
        deviceId: random(16),
        signatureKey: random(32),
        signInKey: random(32),
        revokedAt: 0n,
      }));
      const account = aRegistration({ devices });
      await store.register(account);
      for (const { deviceId } of devices) {
        const listed = await store.device(account.accountId, deviceId);
        const keyPackages = [aKeyPackage(), aKeyPackage()];
        await store.addKeyPackages(listed?.device ?? -1, { keyPackages, limit: 9, now: NOW });
      }
      const claimed = await store.claimKeyPackages(account.accountId, [1], NOW);
      const ids = (all: readonly { readonly deviceId: Bytes }[]): string[] =>
        all.map(({ deviceId }) => Buffer.from(deviceId).toString("hex")).toSorted();
      expect(ids(claimed)).toEqual(ids(devices));
      // Or of those that are named.
      const named = { devices: [devices[1]?.deviceId ?? random(16), random(16)] };
      const second = () => store.claimKeyPackages(account.accountId, [1], NOW, named);
      expect(ids(await second())).toEqual(ids(devices.slice(1)));
      expect(await second()).toEqual([]);
      const left = await store.claimKeyPackages(account.accountId, [1], NOW);
      expect(ids(left)).toEqual(ids(devices.slice(0, 1)));
    });
  });

  const node = (text: string): Bytes => new Uint8Array(Buffer.from(text));

  /** A group with one member at leaf 0. */
  async function aGroup(): Promise<{ groupId: Bytes; device: number; account: Account }> {
    const { account, device } = await aDevice();
    const groupId = await aGroupOf(store, device, {
      state: node("state 0"),
      groupInfo: node("info 0"),
      nodes: [[0, node("leaf 0")]],
    });
    return { groupId, device, account };
  }

  /** A commit that changes nothing but the epoch. */
  const aCommit = (
    groupId: Bytes,
    epoch: number,
    change: Partial<AppendCommit> = {},
  ): AppendCommit =>
    aCommitOf(groupId, epoch, {
      state: node(`state ${epoch + 1}`),
      groupInfo: node(`info ${epoch + 1}`),
      ...change,
    });

  const text = (bytes: Bytes): string => Buffer.from(bytes).toString("hex");
  const PAGE = { after: 0, limit: 100, bytes: 1_000_000 };
  const seqs = async (groupId: Bytes, device: number, page = PAGE): Promise<number[] | undefined> =>
    (await store.log(groupId, device, page))?.entries.map((entry) => entry.seq);

  describe(`${name}: groups`, () => {
    it("are made once, and the same group again", async () => {
      const { device } = await aDevice();
      const group = aNewGroup(device, { groupLimit: 1 });
      expect(await store.createGroup(group)).toBe("created");
      expect(await store.createGroup(group)).toBe("created");
      expect(await store.createGroup({ ...group, groupInfo: node("other") })).toBe("group-exists");
      const other = await aDevice();
      expect(await store.createGroup({ ...group, device: other.device })).toBe("group-exists");
    });

    it("are so many a device that it did not give up, however it comes to them; giving up is its own", async () => {
      const { groupId, device } = await aGroup();
      const guest = (await aDevice()).device;
      const parts = { state: node("state"), groupInfo: node("info"), nodes: [] };
      const create = (id: Bytes, groupLimit: number) =>
        store.createGroup(aNewGroup(guest, { groupId: id, groupLimit, ...parts }));
      const [first, second] = [random(16), random(16)];
      expect(await create(first, 1)).toBe("created");
      expect(await create(second, 1)).toBe("full");
      // Nothing is left of it, and what was made is made.
      expect(await store.group(second)).toBeUndefined();
      expect(await create(first, 1)).toBe("created");
      const welcome = { message: node("welcome"), devices: [guest], limit: 9 };
      const added = [{ leafIndex: 1, device: guest }];
      const add = (epoch: number, groupLimit: number) =>
        store.appendCommit(aCommit(groupId, epoch, { added, welcome, groupLimit }));
      expect(await add(0, 1)).toEqual({ full: [guest] });
      expect(await store.inbox(guest, PAGE)).toEqual([]);
      expect(await store.group(groupId)).toMatchObject({ epoch: 0n });
      expect(await add(0, 2)).toMatchObject({ seq: 1 });
      // Whose place is taken by itself takes no more.
      const replace = { removed: [1], added: [{ leafIndex: 2, device: guest }], groupLimit: 2 };
      expect(await store.appendCommit(aCommit(groupId, 1, replace))).toMatchObject({ seq: 2 });
      expect(await create(second, 2)).toBe("full");
      const back = { removed: [2], added, groupLimit: 1 };
      expect(await store.appendCommit(aCommit(groupId, 2, back))).toMatchObject({ seq: 3 });
      // Who proposes to leave gives up, and so does who says it.
      const proposal = { groupId, device: guest, version: 3, nextVersion: 4, epoch: 3n, limit: 9 };
      const proposed = { message: random(9), hash: random(32), state: node("state"), now: NOW };
      await store.appendProposal({ ...proposal, ...proposed });
      expect(await create(second, 2)).toBe("created");
      const third = random(16);
      expect(await create(third, 2)).toBe("full");
      expect(await store.giveUpGroup(first, device)).toBe(false);
      expect(await store.giveUpGroup(third, guest)).toBe(false);
      expect(await create(third, 2)).toBe("full");
      expect(await store.giveUpGroup(first, guest)).toBe(true);
      expect(await store.giveUpGroup(first, guest)).toBe(true);
      expect(await create(third, 2)).toBe("created");
      // Its leaf is as it was, and it is told of what it did not give up first.
      expect(await store.leafOf(groupId, guest)).toBe(1);
      const told = async (limit: number) =>
        (await store.currentGroupsOf(guest, limit)).map((one) => text(one.groupId));
      expect((await told(2)).toSorted()).toEqual([second, third].map(text).toSorted());
      expect(await told(9)).toHaveLength(4);
      // Of what it gave up it has no place to come back to.
      const returning = { version: 4, removed: [1], added: [{ leafIndex: 2, device: guest }] };
      const full = { ...returning, groupLimit: 2 };
      expect(await store.appendCommit(aCommit(groupId, 3, full))).toEqual({ full: [guest] });
      const leave = { version: 4, removed: [1] };
      expect(await store.appendCommit(aCommit(groupId, 3, leave))).toMatchObject({ seq: 5 });
      expect(await told(9)).toHaveLength(3);
      // Who is let in again takes a place again.
      expect(await store.giveUpGroup(groupId, guest)).toBe(true);
      const again = aCommit(groupId, 4, { version: 5, added });
      expect(await store.appendCommit({ ...again, groupLimit: 2 })).toEqual({ full: [guest] });
      expect(await store.appendCommit({ ...again, groupLimit: 3 })).toMatchObject({ seq: 6 });
      expect(await create(random(16), 3)).toBe("full");
    });

    it("are listed in pages, those that a device was in too", async () => {
      const { device } = await aDevice();
      const made: { readonly groupId: Bytes; readonly member: boolean }[] = [];
      for (let i = 0; i < 5; i++) {
        const { groupId } = await aGroup();
        await store.appendCommit(aCommit(groupId, 0, { added: [{ leafIndex: 1, device }] }));
        if (i < 2) await store.appendCommit(aCommit(groupId, 1, { removed: [1] }));
        made.push({ groupId, member: i >= 2 });
      }
      const expected = made.toSorted((a, b) => Buffer.compare(a.groupId, b.groupId));
      const all = await store.groupsOf(device, { limit: 9 });
      expect(all).toMatchObject(expected);
      expect(await store.groupsOf(device, { limit: 2 })).toEqual(all.slice(0, 2));
      const after = all[1]?.groupId;
      expect(await store.groupsOf(device, { after, limit: 2 })).toEqual(all.slice(2, 4));
      expect(await store.groupsOf(device, { after: all[4]?.groupId, limit: 2 })).toEqual([]);
      const now = await store.currentGroupsOf(device, 9);
      expect(now.map(({ groupId }) => text(groupId)).toSorted()).toEqual(
        expected.flatMap(({ groupId, member }) => (member ? [text(groupId)] : [])),
      );
      expect(now.map(({ head, epoch }) => [head, epoch])).toEqual(Array(3).fill([1, 1n]));
    });

    it("are read whole, or only their version where that is held", async () => {
      const { groupId } = await aGroup();
      expect(await store.group(groupId)).toEqual({
        epoch: 0n,
        version: 0,
        acceptedAt: NOW,
        parts: { state: node("state 0"), nodes: [[0, node("leaf 0")]] },
      });
      const unchanged = { epoch: 0n, version: 0, acceptedAt: NOW, parts: undefined };
      expect(await store.group(groupId, 0)).toEqual(unchanged);
      expect((await store.group(groupId, 7))?.parts).toBeDefined();
      expect(await store.group(random(16))).toBeUndefined();
    });

    it("wait to be changed, and are counted while they do", async () => {
      const { groupId, device } = await aGroup();
      expect(store.waiting()).toBe(0);
      const entry = { groupId, device, epoch: 0n, message: random(9), now: NOW };
      const all = Array.from({ length: 50 }, () =>
        store.appendApplication({ ...entry, hash: random(32) }),
      );
      // As far as they are not under way at once.
      expect(store.waiting()).toBeGreaterThan(0);
      expect(store.waiting()).toBeLessThanOrEqual(50);
      await Promise.all(all);
      expect(store.waiting()).toBe(0);
    });

    it("have the versions that they are given", async () => {
      const { device } = await aDevice();
      const groupId = await aGroupOf(store, device, { version: 2 ** 47, groupLimit: 1 });
      expect(await store.group(groupId)).toMatchObject({ version: 2 ** 47 });
      const commit = aCommit(groupId, 0, { version: 2 ** 47, nextVersion: 5 });
      expect(await store.appendCommit(commit)).toMatchObject({ seq: 1 });
      expect(await store.group(groupId)).toMatchObject({ version: 5 });
      const proposal = { groupId, device, version: 5, nextVersion: 2 ** 48, epoch: 1n, limit: 9 };
      const proposed = { message: random(9), hash: random(32), state: node("state"), now: NOW };
      expect(await store.appendProposal({ ...proposal, ...proposed })).toMatchObject({ seq: 2 });
      expect(await store.group(groupId)).toMatchObject({ version: 2 ** 48 });
    });

    it("take one commit an epoch, whoever comes at once", async () => {
      const { groupId, device } = await aGroup();
      for (let epoch = 0; epoch < 3; epoch++) {
        const results = await Promise.all(
          Array.from({ length: 8 }, () => store.appendCommit(aCommit(groupId, epoch))),
        );
        expect(results.filter((result) => result === "moved")).toHaveLength(7);
      }
      expect(await seqs(groupId, device)).toEqual([1, 2, 3]);
      expect(await store.group(groupId)).toMatchObject({
        epoch: 3n,
        version: 3,
        parts: { state: node("state 3") },
      });
    });

    it("name the winner of an epoch, and find an entry by its hash for those who may read it", async () => {
      const { groupId, device } = await aGroup();
      const commit = aCommit(groupId, 0);
      const accepted = await store.appendCommit(commit);
      expect(accepted).toEqual({ seq: 1, acceptedAt: NOW });
      expect(await store.winner(groupId, 0n)).toEqual({ seq: 1, hash: commit.hash });
      expect(await store.winner(groupId, 1n)).toBeUndefined();
      expect(await store.findEntry(groupId, device, commit.hash)).toEqual(accepted);
      expect(await store.findEntry(groupId, device, random(32))).toBeUndefined();
      const stranger = await aDevice();
      expect(await store.findEntry(groupId, stranger.device, commit.hash)).toBeUndefined();
    });

    it("order messages and commits without gaps, and never back in time", async () => {
      const { groupId, device } = await aGroup();
      const message = (now: number): Parameters<Store["appendApplication"]>[0] => ({
        groupId,
        device,
        epoch: 0n,
        hash: random(32),
        message: random(10),
        now,
      });
      const first = message(NOW + 5);
      expect(await store.appendApplication(first)).toEqual({ seq: 1, acceptedAt: NOW + 5 });
      expect(await store.appendApplication(first)).toEqual({ seq: 1, acceptedAt: NOW + 5 });
      expect(await store.appendApplication(message(NOW))).toEqual({ seq: 2, acceptedAt: NOW + 5 });
      expect(await store.group(groupId)).toMatchObject({ acceptedAt: NOW + 5 });
      // It was judged by an earlier time than it could be logged with.
      expect(await store.appendCommit(aCommit(groupId, 0, { acceptedAt: NOW + 4 }))).toBe("moved");
      const acceptedAt = NOW + 5;
      expect(await store.appendCommit(aCommit(groupId, 0, { acceptedAt }))).toEqual({
        seq: 3,
        acceptedAt,
      });
      expect(await store.appendApplication(message(NOW))).toEqual({ currentEpoch: 1n });
      const page = await store.log(groupId, device, PAGE);
      expect(page?.entries.map(({ seq, kind, epoch }) => [seq, kind, epoch])).toEqual([
        [1, "application", 0n],
        [2, "application", 0n],
        [3, "commit", 0n],
      ]);
      expect(page?.entries[0]?.message).toEqual(first.message);
      expect(page?.head).toBe(3);
    });

    it("take proposals into their state, so many an epoch", async () => {
      const { groupId, device } = await aGroup();
      const proposal = (version: number): Parameters<Store["appendProposal"]>[0] => ({
        groupId,
        device,
        epoch: 0n,
        hash: random(32),
        message: random(10),
        now: NOW,
        version,
        nextVersion: version + 1,
        state: node("with proposal"),
        limit: 2,
      });
      expect(await store.appendProposal(proposal(1))).toBe("moved");
      expect(await store.appendProposal(proposal(0))).toMatchObject({ seq: 1 });
      expect(await store.appendProposal(proposal(0))).toBe("moved");
      expect(await store.appendProposal(proposal(1))).toMatchObject({ seq: 2 });
      expect(await store.appendProposal(proposal(2))).toBe("full");
      const held = await store.group(groupId);
      expect(held).toMatchObject({ version: 2, parts: { state: node("with proposal") } });
      // A commit that was checked before the proposal came is checked again.
      expect(await store.appendCommit(aCommit(groupId, 0))).toBe("moved");
      expect(await store.appendCommit(aCommit(groupId, 0, { version: 2 }))).toMatchObject({
        seq: 3,
      });
      const stranger = await aDevice();
      const others = { ...proposal(3), epoch: 1n, device: stranger.device };
      expect(await store.appendProposal(others)).toBe("not-member");
    });

    it("are read by a device from the commit that added it to the one that removed it", async () => {
      const { groupId, device } = await aGroup();
      const { device: guest } = await aDevice();
      await store.appendCommit(aCommit(groupId, 0));
      const added = { added: [{ leafIndex: 1, device: guest }] };
      await store.appendCommit(aCommit(groupId, 1, added));
      expect(await store.leafOf(groupId, guest)).toBe(1);
      expect(await store.deviceOfLeaf(groupId, 1)).toBe(guest);
      expect(await store.movedBy(groupId, 2)).toEqual({ joined: [guest], left: [] });
      await store.appendCommit(aCommit(groupId, 2));
      expect(await store.movedBy(groupId, 3)).toEqual({ joined: [], left: [] });
      expect(await seqs(groupId, guest)).toEqual([2, 3]);
      await store.appendCommit(aCommit(groupId, 3, { removed: [1] }));
      expect(await store.movedBy(groupId, 2)).toEqual({ joined: [], left: [] });
      expect(await store.movedBy(groupId, 4)).toEqual({ joined: [], left: [guest] });
      const hidden = aCommit(groupId, 4);
      await store.appendCommit(hidden);
      expect(await seqs(groupId, guest)).toEqual([2, 3, 4]);
      expect((await store.log(groupId, guest, PAGE))?.head).toBe(4);
      expect(await store.findEntry(groupId, guest, hidden.hash)).toBeUndefined();
      expect(await store.leafOf(groupId, guest)).toBeUndefined();
      expect(await store.deviceOfLeaf(groupId, 1)).toBeUndefined();
      expect(await store.groupsOf(guest, { limit: 9 })).toEqual([
        { groupId, head: 4, epoch: 3n, member: false },
      ]);
      expect(await store.groupsOf(device, { limit: 9 })).toEqual([
        { groupId, head: 5, epoch: 5n, member: true },
      ]);
      const out = {
        groupId,
        device: guest,
        epoch: 5n,
        hash: random(32),
        message: random(9),
        now: NOW,
      };
      expect(await store.appendApplication(out)).toBe("not-member");
      expect(await store.appendApplication({ ...out, groupId: random(16) })).toBe("not-member");
      // Back again, it reads from its return, and still what it could read before.
      await store.appendCommit(aCommit(groupId, 5, added));
      expect(await seqs(groupId, guest)).toEqual([2, 3, 4, 6]);
      expect(await store.movedBy(groupId, 4)).toEqual({ joined: [], left: [] });
      expect(await store.movedBy(groupId, 6)).toEqual({ joined: [guest], left: [] });
      const stranger = await aDevice();
      expect(await seqs(groupId, stranger.device)).toBeUndefined();
      expect(await seqs(random(16), device)).toBeUndefined();
      expect(await store.groupsOf(stranger.device, { limit: 9 })).toEqual([]);
    });

    it("give a message one place, whoever sends it and however late", async () => {
      const { groupId, device } = await aGroup();
      const [{ device: other }, { device: guest }] = [await aDevice(), await aDevice()];
      const add = (epoch: number, leafIndex: number, added: number) =>
        store.appendCommit(aCommit(groupId, epoch, { added: [{ leafIndex, device: added }] }));
      await add(0, 1, other);
      const [first, second] = [random(32), random(32)].map((hash) => ({
        groupId,
        device,
        epoch: 1n,
        hash,
        message: random(9),
        now: NOW,
      }));
      if (first === undefined || second === undefined) throw new Error("there are two");
      expect(await store.appendApplication(first)).toMatchObject({ seq: 2 });
      expect(await store.appendApplication(second)).toMatchObject({ seq: 3 });
      expect(await store.appendApplication({ ...first, device: other })).toMatchObject({ seq: 2 });
      await add(1, 2, guest);
      for (const message of [first, second, { ...second, device: other }]) {
        const seq = message.hash === first.hash ? 2 : 3;
        expect(await store.appendApplication({ ...message, now: NOW + 9 })).toEqual({
          seq,
          acceptedAt: NOW,
        });
      }
      // Where it can't read nothing is found for it.
      const theirs = { ...first, device: guest };
      expect(await store.appendApplication(theirs)).toEqual({ currentEpoch: 2n });
      const stranger = (await aDevice()).device;
      expect(await store.appendApplication({ ...first, device: stranger })).toBe("not-member");
      // Who is out since finds what it could read.
      await store.appendCommit(aCommit(groupId, 2, { removed: [1] }));
      expect(await store.appendApplication({ ...first, device: other })).toMatchObject({ seq: 2 });
      const late = { ...first, device: other, hash: random(32) };
      expect(await store.appendApplication(late)).toBe("not-member");
      expect(await store.appendApplication({ ...late, device })).toEqual({ currentEpoch: 3n });
    });

    it("remember the newest messages of an epoch, however many came", async () => {
      const { groupId, device } = await aGroup();
      const messages = Array.from({ length: REMEMBERED + 10 }, () => ({
        groupId,
        device,
        epoch: 0n,
        hash: random(32),
        message: random(9),
        now: NOW,
      }));
      await Promise.all(messages.map((message) => store.appendApplication(message)));
      const newest = messages.slice(-REMEMBERED);
      const again = () =>
        Promise.all(newest.map((message) => store.appendApplication({ ...message, now: NOW + 1 })));
      const places = newest.map((_, i) => ({ seq: i + 11, acceptedAt: NOW }));
      expect(await again()).toEqual(places);
      await store.appendCommit(aCommit(groupId, 0));
      expect(await again()).toEqual(places);
      // An older one has its place, or none: not another.
      const answers = [{ seq: 1, acceptedAt: NOW }, { currentEpoch: 1n }];
      const [oldest = messages.at(-1)] = messages;
      expect(answers).toContainEqual(oldest && (await store.appendApplication(oldest)));
    });

    it("let no device in after it is revoked, nor be revoked as of before it came in", async () => {
      const { groupId } = await aGroup();
      const account = aRegistration();
      const { device } = await aDevice(account);
      const revoke = (version: bigint, revokedAt: bigint, previousHash: Bytes, hash: Bytes) =>
        store.replaceDeviceList({
          ...account,
          version,
          previousHash,
          hash,
          devices: account.devices.map((listed) => ({ ...listed, revokedAt })),
        });
      const added = [{ leafIndex: 1, device }];
      await store.appendCommit(aCommit(groupId, 0, { added }));
      await store.appendCommit(aCommit(groupId, 1, { removed: [1] }));
      const hash = random(32);
      expect(await revoke(2n, SECONDS, account.hash, hash)).toBe("entered-later");
      expect(await store.account(account.accountId)).toMatchObject({ version: 1n });
      expect(await revoke(2n, SECONDS + 1n, account.hash, hash)).toEqual({ revoked: [device] });
      const entering = (acceptedAt: number) =>
        store.appendCommit(aCommit(groupId, 2, { added, acceptedAt }));
      expect(await entering(NOW + 1000)).toBe("moved");
      expect(await entering(NOW + 999)).toMatchObject({ seq: 3 });
    });

    it("let a device change its leaf in one commit", async () => {
      const { groupId, device } = await aGroup();
      const change = { removed: [0], added: [{ leafIndex: 1, device }] };
      await store.appendCommit(aCommit(groupId, 0, change));
      expect(await store.leafOf(groupId, device)).toBe(1);
      expect(await seqs(groupId, device)).toEqual([1]);
      expect(await store.groupsOf(device, { limit: 9 })).toMatchObject([{ member: true, head: 1 }]);
    });

    it("are read in pages of so many entries and so many bytes, one at least", async () => {
      const { groupId, device } = await aGroup();
      for (let i = 0; i < 5; i++) {
        const message = random(1000);
        const entry = { groupId, device, epoch: 0n, hash: random(32), message, now: NOW };
        await store.appendApplication(entry);
      }
      expect(await seqs(groupId, device, { ...PAGE, limit: 2 })).toEqual([1, 2]);
      expect(await seqs(groupId, device, { ...PAGE, after: 3 })).toEqual([4, 5]);
      expect(await seqs(groupId, device, { ...PAGE, bytes: 2500 })).toEqual([1, 2]);
      expect(await seqs(groupId, device, { ...PAGE, bytes: 10 })).toEqual([1]);
      expect(await seqs(groupId, device, { ...PAGE, after: 9 })).toEqual([]);
    });

    it("are read for many at once, within so many entries and bytes, and not what was deleted", async () => {
      const { groupId, device } = await aGroup();
      const sent = await Promise.all(
        Array.from({ length: 5 }, (_, i) => {
          const message = random(1000);
          const entry = { groupId, device, epoch: 0n, hash: random(32), message, now: NOW + i };
          return store.appendApplication(entry).then((accepted) => ({ accepted, message }));
        }),
      );
      const newest = async (page: Partial<typeof PAGE> = {}) =>
        (await store.newest(groupId, { ...PAGE, ...page })).map(({ seq }) => seq);
      expect(await newest()).toEqual([1, 2, 3, 4, 5]);
      expect(await newest({ after: 2, limit: 2 })).toEqual([3, 4]);
      expect(await newest({ after: 1, bytes: 2500 })).toEqual([2, 3]);
      expect(await newest({ bytes: 10 })).toEqual([]);
      expect(await newest({ after: 5 })).toEqual([]);
      expect(await store.newest(random(16), PAGE)).toEqual([]);
      const { entries } = (await store.log(groupId, device, PAGE)) ?? {};
      expect(await store.newest(groupId, PAGE)).toEqual(entries);
      expect(entries?.map(({ message }) => message)).toEqual(sent.map(({ message }) => message));
      await store.trimLog(groupId, { keep: 2, limit: 10 });
      expect(await newest()).toEqual([4, 5]);
    });

    it("tell who is a member now, and from where on", async () => {
      const { groupId, device } = await aGroup();
      const [one, other] = [await aDevice(), await aDevice()];
      const all = [device, one.device, other.device];
      const among = async (devices: readonly number[]) => {
        const { epoch, fromSeq } = (await store.membersAmong(groupId, devices)) ?? {};
        return [epoch, Object.fromEntries(fromSeq ?? [])];
      };
      expect(await among(all)).toEqual([0n, { [device]: 1 }]);
      const added = [
        { leafIndex: 1, device: one.device },
        { leafIndex: 2, device: other.device },
      ];
      await store.appendCommit(aCommit(groupId, 0, { added }));
      const both = { [device]: 1, [one.device]: 1, [other.device]: 1 };
      expect(await among(all)).toEqual([1n, both]);
      await store.appendCommit(aCommit(groupId, 1, { removed: [1] }));
      expect(await among(all)).toEqual([2n, { [device]: 1, [other.device]: 1 }]);
      await store.appendCommit(aCommit(groupId, 2, { added: added.slice(0, 1) }));
      expect(await among(all)).toEqual([3n, { ...both, [one.device]: 3 }]);
      expect(await among([other.device])).toEqual([3n, { [other.device]: 1 }]);
      expect(await among([])).toEqual([3n, {}]);
      expect(await store.membersAmong(random(16), all)).toBeUndefined();
    });
  });

  describe(`${name}: trees`, () => {
    const treeAt = async (groupId: Bytes, epoch?: bigint): Promise<unknown> => {
      const at = epoch ?? (await store.group(groupId))?.epoch ?? 0n;
      const part = await store.treePart(groupId, at, { from: 0, bytes: 1_000_000 });
      return part?.nodes.map(([i, bytes]) => [i, Buffer.from(bytes).toString()]);
    };

    it("follow the changes of each commit", async () => {
      const { groupId } = await aGroup();
      const nodes = [
        { nodeIndex: 0, node: node("leaf 0, new") },
        { nodeIndex: 2, node: node("leaf 1") },
      ];
      await store.appendCommit(aCommit(groupId, 0, { nodes }));
      expect(await treeAt(groupId)).toEqual([
        [0, "leaf 0, new"],
        [2, "leaf 1"],
      ]);
      const blank = [{ nodeIndex: 2, node: undefined }];
      await store.appendCommit(aCommit(groupId, 1, { nodes: blank }));
      expect(await treeAt(groupId)).toEqual([[0, "leaf 0, new"]]);
      const all = { from: 0, bytes: 1_000_000 };
      expect(await store.treePart(groupId, 2n, all)).toMatchObject({ current: true });
      expect(await store.treePart(groupId, 1n, all)).toBeUndefined();
      expect(await store.treePart(groupId, 3n, all)).toBeUndefined();
      expect(await store.treePart(random(16), 0n, all)).toBeUndefined();
    });

    it("are read by parts of bounded size, each from where the one before ended", async () => {
      const { groupId } = await aGroup();
      const nodes = [0, 1, 5, 9000].map((nodeIndex) => ({ nodeIndex, node: random(100) }));
      await store.appendCommit(aCommit(groupId, 0, { nodes }));
      const part = async (from: number, bytes: number): Promise<unknown> => {
        const read = await store.treePart(groupId, 1n, { from, bytes });
        return [read?.nodes.map(([i]) => i), read?.next !== undefined];
      };
      expect(await part(0, 1000)).toEqual([[0, 1, 5, 9000], false]);
      expect(await part(0, 250)).toEqual([[0, 1], true]);
      expect(await part(2, 250)).toEqual([[5, 9000], false]);
      expect(await part(0, 1)).toEqual([[0], true]);
      expect(await part(6, 1)).toEqual([[9000], false]);
      expect(await part(9001, 1)).toEqual([[], false]);
    });

    it("of an earlier epoch stay to be read while a Welcome into it waits", async () => {
      const { groupId } = await aGroup();
      const { device: guest } = await aDevice();
      const change = (text: string): Partial<AppendCommit> => ({
        nodes: [{ nodeIndex: 0, node: node(text) }],
      });
      await store.appendCommit(aCommit(groupId, 0, change("at 1")));
      expect(await treeAt(groupId, 0n)).toBeUndefined();
      await store.appendCommit(
        aCommit(groupId, 1, {
          ...change("at 2"),
          added: [{ leafIndex: 1, device: guest }],
          welcome: { message: node("welcome"), devices: [guest], limit: 9 },
        }),
      );
      const last = PAST_EPOCHS + 3;
      for (let epoch = 2; epoch < last; epoch++) {
        await store.appendCommit(aCommit(groupId, epoch, change(`at ${epoch + 1}`)));
      }
      expect(await treeAt(groupId, 2n)).toEqual([[0, "at 2"]]);
      expect(await treeAt(groupId, 1n)).toBeUndefined();
      expect(await treeAt(groupId)).toEqual([[0, `at ${last}`]]);
      expect(await store.acknowledge(guest, 1)).toBe("acknowledged");
      expect(await treeAt(groupId, 2n)).toBeUndefined();
      expect(await treeAt(groupId)).toEqual([[0, `at ${last}`]]);
    });
  });

  describe(`${name}: links`, () => {
    const aLink = (
      change: Partial<AppendCommit["links"][number]> = {},
    ): AppendCommit["links"][number] => ({
      linkId: random(16),
      expiresAt: SECONDS + 10n,
      maxUses: 2,
      sealedGroupInfo: random(60),
      ...change,
    });

    it("open with a commit, and close when the next has them no more", async () => {
      const { groupId } = await aGroup();
      const link = aLink();
      await store.appendCommit(aCommit(groupId, 0, { links: [link] }));
      expect(await store.link(link.linkId, NOW)).toEqual({
        groupId,
        epoch: 1n,
        sealedGroupInfo: link.sealedGroupInfo,
        usesLeft: 2,
      });
      expect(await store.link(random(16), NOW)).toBeUndefined();
      expect(await store.link(link.linkId, NOW + 10_000)).toBe("closed");
      expect(await store.link(link.linkId, NOW + 9_999)).toMatchObject({ usesLeft: 2 });
      await store.appendCommit(aCommit(groupId, 1));
      expect(await store.link(link.linkId, NOW)).toBe("closed");
    });

    it("are closed by the log's time too, should the clock go back", async () => {
      const { groupId } = await aGroup();
      const link = aLink();
      const acceptedAt = NOW + 10_000;
      await store.appendCommit(aCommit(groupId, 0, { links: [link], acceptedAt }));
      expect(await store.link(link.linkId, NOW)).toBe("closed");
    });

    it("are counted, however many come at once, and over epochs", async () => {
      const { groupId } = await aGroup();
      const link = aLink();
      await store.appendCommit(aCommit(groupId, 0, { links: [link] }));
      const results: unknown[] = [];
      for (let epoch = 1; epoch < 4; epoch++) {
        const join = aCommit(groupId, epoch, { links: [link], linkUsed: link.linkId });
        results.push(await store.appendCommit(join));
      }
      expect(results).toMatchObject([{ seq: 2 }, { seq: 3 }, "link-closed"]);
      expect(await store.group(groupId)).toMatchObject({ epoch: 3n });
      expect(await store.link(link.linkId, NOW)).toBe("closed");
    });

    it("let nobody in by one that expired, was revoked or is another group's", async () => {
      const { groupId } = await aGroup();
      const { groupId: otherId } = await aGroup();
      const [open, other] = [aLink(), aLink()];
      await store.appendCommit(aCommit(groupId, 0, { links: [open] }));
      await store.appendCommit(aCommit(otherId, 0, { links: [other] }));
      const join = (linkUsed: Bytes, acceptedAt = NOW): Promise<unknown> =>
        store.appendCommit(aCommit(groupId, 1, { links: [open], linkUsed, acceptedAt }));
      expect(await join(other.linkId)).toBe("link-closed");
      expect(await join(open.linkId, NOW + 10_000)).toBe("link-closed");
      expect(await store.appendCommit(aCommit(groupId, 1, { links: [other] }))).toBe("link-taken");
      expect(await store.link(other.linkId, NOW)).toMatchObject({ groupId: otherId });
      expect(await join(open.linkId)).toMatchObject({ seq: 2 });
    });
  });

  describe(`${name}: inboxes`, () => {
    it("get a Welcome with its commit or not at all, each device in its order", async () => {
      const { groupId } = await aGroup();
      const { device: guest } = await aDevice();
      const { device: other } = await aDevice();
      const welcome = { message: node("welcome"), devices: [guest, other], limit: 9 };
      expect(await store.appendCommit(aCommit(groupId, 7, { welcome }))).toBe("moved");
      expect(await store.inbox(guest, PAGE)).toEqual([]);
      await store.appendCommit(aCommit(groupId, 0, { welcome }));
      const entry = { seq: 1, groupId, epoch: 1n, commitSeq: 1, welcome: node("welcome") };
      expect(await store.inbox(guest, PAGE)).toEqual([entry]);
      expect(await store.inbox(other, PAGE)).toEqual([entry]);
      expect(await store.hasWelcome(guest, groupId, 1n)).toBe(true);
      expect(await store.hasWelcome(guest, groupId, 2n)).toBe(false);
      await store.acknowledge(guest, 1);
      expect(await store.inbox(guest, PAGE)).toEqual([]);
      expect(await store.inbox(other, PAGE)).toEqual([entry]);
      expect(await store.hasWelcome(guest, groupId, 1n)).toBe(false);
    });

    it("are read in pages, acknowledged to their end at most, and number on afterwards", async () => {
      const { groupId } = await aGroup();
      const { device: guest } = await aDevice();
      const welcome = { message: node("welcome"), devices: [guest], limit: 9 };
      for (let epoch = 0; epoch < 3; epoch++) {
        await store.appendCommit(aCommit(groupId, epoch, { welcome }));
      }
      const read = async (page: object = {}): Promise<number[]> =>
        (await store.inbox(guest, { ...PAGE, ...page })).map((entry) => entry.seq);
      expect(await read({ limit: 2 })).toEqual([1, 2]);
      expect(await read({ after: 2 })).toEqual([3]);
      expect(await read({ bytes: 2 * welcome.message.length })).toEqual([1, 2]);
      expect(await read({ bytes: 1 })).toEqual([1]);
      expect(await store.acknowledge(guest, 4)).toBe("beyond-end");
      expect(await store.acknowledge(guest, 3)).toBe("acknowledged");
      expect(await store.acknowledge(guest, 3)).toBe("acknowledged");
      await store.appendCommit(aCommit(groupId, 3, { welcome }));
      expect(await read()).toEqual([4]);
    });

    it("are bounded: a commit that would overfill one is refused whole", async () => {
      const { groupId } = await aGroup();
      const { device: guest } = await aDevice();
      const welcome = { message: node("welcome"), devices: [guest], limit: 1 };
      await store.appendCommit(aCommit(groupId, 0, { welcome }));
      expect(await store.appendCommit(aCommit(groupId, 1, { welcome }))).toEqual({
        full: [guest],
      });
      expect(await store.group(groupId)).toMatchObject({ epoch: 1n });
    });
  });
}
