/**
 * What every store promises to several who use it at once, each with a store of its own over the same data.
 * @module
 */

import { type AppendMessage, PAST_EPOCHS, REMEMBERED, type Store } from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bytes, random } from "../world.ts";
import { aCommit, aGroup as aGroupOf, aNewGroup, aRegistration, NOW, SECONDS } from "./fixtures.ts";

const PAGE = { after: 0, limit: 500, bytes: 10_000_000 };

const ALL = { from: 0, bytes: 1_000_000 };

/** `open` gives two stores over the same empty data. */
export function concurrencyContract(name: string, open: () => Promise<[Store, Store]>): void {
  let stores: [Store, Store];
  /** Those at once: every other one through the other store. */
  const storeOf = (i: number): Store => stores[i % 2 === 0 ? 0 : 1];
  const atOnce = <T>(count: number, what: (store: Store, i: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => what(storeOf(i), i)));
  beforeEach(async () => {
    stores = await open();
  });
  afterEach(async () => {
    await Promise.all(stores.map((store) => store.close()));
  });

  async function aDevice(account = aRegistration()): Promise<{
    readonly accountId: Bytes;
    readonly device: number;
    readonly signInKey: Bytes;
  }> {
    await stores[0].register(account);
    const { accountId } = account;
    const [device] = await stores[0].devicesOf(accountId);
    return {
      accountId,
      device: device?.device ?? -1,
      signInKey: device?.signInKey ?? random(0),
    };
  }

  async function aGroup(): Promise<{ readonly groupId: Bytes; readonly device: number }> {
    const { device } = await aDevice();
    const groupId = await aGroupOf(stores[0], device);
    return { groupId, device };
  }

  const aMessage = (groupId: Bytes, device: number, epoch = 0n): AppendMessage => ({
    groupId,
    device,
    epoch,
    hash: random(32),
    message: random(20),
    now: NOW,
  });

  const text = (bytes: Bytes): string => Buffer.from(bytes).toString("hex");

  describe(`${name}, used by two at once`, () => {
    it("takes one commit an epoch, and names it to both", async () => {
      const { groupId, device } = await aGroup();
      for (let epoch = 0; epoch < 5; epoch++) {
        const commits = Array.from({ length: 6 }, () => aCommit(groupId, epoch));
        const results = await atOnce(6, async (store, i) => {
          const commit = commits[i] ?? aCommit(groupId, epoch);
          return { commit, result: await store.appendCommit(commit) };
        });
        const won = results.filter(({ result }) => result !== "moved");
        expect(won).toMatchObject([{ result: { seq: epoch + 1 } }]);
        for (const store of stores) {
          expect(await store.winner(groupId, BigInt(epoch))).toEqual({
            seq: epoch + 1,
            hash: won[0]?.commit.hash,
          });
        }
      }
      const page = await stores[1].log(groupId, device, PAGE);
      expect(page?.entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
    });

    it("lets as many in by a link as it is for, of 100 who come at once", async () => {
      const { groupId } = await aGroup();
      const link = {
        linkId: random(16),
        expiresAt: SECONDS + 10n,
        maxUses: 7,
        sealedGroupInfo: random(60),
      };
      await stores[0].appendCommit(aCommit(groupId, 0, { links: [link] }));
      const results = await atOnce(100, async (store) => {
        for (;;) {
          const { version = 0, epoch = 0n } = (await store.group(groupId)) ?? {};
          const join = { version, links: [link], linkUsed: link.linkId };
          const result = await store.appendCommit(aCommit(groupId, epoch, join));
          if (result !== "moved") return result;
        }
      });
      expect(results.filter((result) => result !== "link-closed")).toHaveLength(7);
      expect(await stores[1].link(link.linkId, NOW)).toBe("closed");
      expect(await stores[1].group(groupId)).toMatchObject({ epoch: 8n });
    });

    it("serves each key package once, and keeps the reserve", async () => {
      const { accountId, device } = await aDevice();
      const aKeyPackage = () => ({
        ref: random(32),
        suite: 1,
        notBefore: SECONDS - 10n,
        notAfter: SECONDS + 10n,
        keyPackage: random(50),
      });
      const keyPackages = Array.from({ length: 30 }, aKeyPackage);
      const lastResort = aKeyPackage();
      await stores[0].addKeyPackages(device, { keyPackages, lastResort, limit: 99, now: NOW });
      const claims = await atOnce(40, (store) =>
        store.claimKeyPackages(accountId, [1], NOW, { reserve: 10 }),
      );
      const served = claims.flat().map(({ keyPackage }) => text(keyPackage));
      const last = text(lastResort.keyPackage);
      const others = served.filter((one) => one !== last);
      expect(served).toHaveLength(40);
      expect(others).toHaveLength(20);
      expect(new Set(others).size).toBe(20);
      const left = { pools: [{ suite: 1, available: 10, lastResort: true }] };
      expect(await stores[1].countKeyPackages(device, NOW)).toMatchObject(left);
    });

    it("numbers what both append without gap or loss, and no reader skips a late one", async () => {
      const { groupId, device } = await aGroup();
      const messages = Array.from({ length: 120 }, () => aMessage(groupId, device));
      let done = false;
      const reading = (async () => {
        const hashes: string[] = [];
        for (let after = 0, last = false; !last; ) {
          last = done;
          const page = await stores[1].log(groupId, device, { ...PAGE, after });
          for (const { seq, message } of page?.entries ?? []) {
            expect(seq).toBe(after + 1);
            after = seq;
            hashes.push(text(message));
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
        return hashes;
      })();
      const results = await atOnce(messages.length, (store, i) =>
        store.appendApplication(messages[i] ?? aMessage(groupId, device)),
      );
      done = true;
      const places = results.map((result) =>
        typeof result === "object" && "seq" in result ? result.seq : 0,
      );
      expect(places.toSorted((a, b) => a - b)).toEqual(messages.map((_, i) => i + 1));
      const read = await reading;
      expect(read).toHaveLength(messages.length);
      for (const [i, { message }] of messages.entries()) {
        expect(read[(places[i] ?? 0) - 1]).toBe(text(message));
      }
    });

    it("gives the same message one place, however it comes", async () => {
      const { groupId, device } = await aGroup();
      for (let round = 0; round < 5; round++) {
        const message = aMessage(groupId, device);
        const results = await atOnce(8, (store) => store.appendApplication(message));
        expect(results).toEqual(results.map(() => ({ seq: round + 1, acceptedAt: NOW })));
      }
    });

    it("gives a message that the other took its place, if it is among the newest of its epoch", async () => {
      const { groupId, device } = await aGroup();
      const messages = Array.from({ length: REMEMBERED + 3 }, () => aMessage(groupId, device));
      await Promise.all(messages.map((message) => stores[0].appendApplication(message)));
      const [oldest, second, , fourth, fifth] = messages;
      const last = messages.at(-1);
      if (!oldest || !second || !fourth || !fifth || !last) throw new Error("there are more");
      expect(await stores[1].appendApplication(fourth)).toEqual({ seq: 4, acceptedAt: NOW });
      expect(await stores[1].appendApplication(last)).toMatchObject({ seq: REMEMBERED + 3 });
      // Nobody remembers it.
      expect(await stores[1].appendApplication(oldest)).toMatchObject({ seq: REMEMBERED + 4 });
      expect(await stores[0].appendApplication(fifth)).toMatchObject({ seq: 5 });
      await stores[0].appendCommit(aCommit(groupId, 0));
      expect(await stores[1].appendApplication(fifth)).toEqual({ seq: 5, acceptedAt: NOW });
      expect(await stores[1].appendApplication(second)).toEqual({ currentEpoch: 1n });
    });

    it("takes no message of an epoch after the commit that ends it", async () => {
      const { groupId, device } = await aGroup();
      const results = await atOnce<unknown>(60, async (store, i) =>
        i === 30
          ? store.appendCommit(aCommit(groupId, 0))
          : store.appendApplication(aMessage(groupId, device)),
      );
      const page = await stores[0].log(groupId, device, PAGE);
      const kinds = page?.entries.map(({ kind }) => kind) ?? [];
      expect(kinds.at(-1)).toBe("commit");
      const refused = results.filter((result) => Object.hasOwn(Object(result), "currentEpoch"));
      expect(kinds.length + refused.length).toBe(60);
    });

    it("refuses messages of a device as of the commit that removes it", async () => {
      const { groupId } = await aGroup();
      const { device: guest } = await aDevice();
      const added = [{ leafIndex: 1, device: guest }];
      await stores[0].appendCommit(aCommit(groupId, 0, { added }));
      const results = await atOnce(40, async (store, i) => {
        if (i === 20) return store.appendCommit(aCommit(groupId, 1, { removed: [1] }));
        return store.appendApplication(aMessage(groupId, guest, i % 3 === 0 ? 2n : 1n));
      });
      const page = await stores[0].log(groupId, guest, PAGE);
      const epochs = page?.entries.map(({ epoch }) => epoch) ?? [];
      expect(epochs).not.toContain(2n);
      expect(page?.entries.at(-1)?.kind).toBe("commit");
      const accepted = results.filter((result) => typeof result === "object" && "seq" in result);
      expect(accepted).toHaveLength(epochs.length - 1);
    });

    it("gives a name and an account once", async () => {
      const account = aRegistration();
      expect(await atOnce(6, (store) => store.register(account))).toEqual(
        Array.from({ length: 6 }, () => "registered"),
      );
      const rivals = Array.from({ length: 6 }, () => ({ ...aRegistration(), name: "rival" }));
      const results = await atOnce(6, (store, i) => store.register(rivals[i] ?? account));
      expect(results.toSorted()).toEqual([
        ...Array.from({ length: 5 }, () => "name-taken"),
        "registered",
      ]);
    });

    it("takes a nonce once", async () => {
      const { device, signInKey } = await aDevice();
      const nonce = { nonce: random(16), expiresAt: NOW + 1000 };
      const results = await atOnce(6, (store) =>
        store.startSession({
          device,
          signInKey,
          nonce,
          tokenHash: random(32),
          expiresAt: NOW + 1000,
          now: NOW,
        }),
      );
      expect(results.filter((result) => typeof result !== "string")).toHaveLength(1);
    });

    it("lets one of several copies of a device's client go on, and keeps the sessions of no other", async () => {
      for (let round = 0; round < 5; round++) {
        const { device, signInKey } = await aDevice();
        const first = random(16);
        const start = { device, signInKey, expiresAt: NOW + 1000, now: NOW };
        const begin = (store: Store, id: Bytes, tokenHash: Bytes) =>
          store.startSession({
            ...start,
            tokenHash,
            instance: { id, succeeds: [first], takeOver: false },
          });
        await begin(stores[0], first, random(32));
        const tokens = Array.from({ length: 6 }, () => random(32));
        const results = await atOnce(6, (store, i) =>
          begin(store, random(16), tokens[i] ?? random(32)),
        );
        expect(results.filter((result) => result !== "in-use")).toHaveLength(1);
        const live = await stores[0].sessionsLive(tokens, NOW);
        expect(live).toEqual(results.map((result) => result !== "in-use"));
      }
    });

    it("keeps no session that began with a key which changes meanwhile", async () => {
      for (let round = 0; round < 5; round++) {
        const account = aRegistration();
        const { device, signInKey } = await aDevice(account);
        const tokens = Array.from({ length: 6 }, () => random(32));
        const next = {
          ...account,
          version: 2n,
          hash: random(32),
          previousHash: account.hash,
          devices: account.devices.map((listed) => ({ ...listed, signInKey: random(32) })),
        };
        const start = { device, signInKey, expiresAt: NOW + 1000, now: NOW };
        await atOnce(7, async (store, i) => {
          if (i === 3) return store.replaceDeviceList(next);
          const tokenHash = tokens[i > 3 ? i - 1 : i] ?? random(32);
          return store.startSession({ ...start, tokenHash });
        });
        expect(await stores[0].sessionsLive(tokens, NOW)).toEqual(tokens.map(() => false));
      }
    });

    it("fills an inbox to its limit, and forgets a Welcome with its last reader", async () => {
      const groups = await Promise.all([1, 2, 3, 4].map(() => aGroup()));
      const [guest, other] = [await aDevice(), await aDevice()];
      const devices = [guest.device, other.device];
      const welcome = { message: random(9), devices, limit: 2 };
      const results = await atOnce(4, (store, i) =>
        store.appendCommit(aCommit(groups[i]?.groupId ?? random(16), 0, { welcome })),
      );
      const full = { full: devices.toSorted((a, b) => a - b) };
      const refused = results.filter((result) => Object.hasOwn(Object(result), "full"));
      expect(refused).toEqual([full, full]);
      const welcomed = groups.filter((_, i) => !refused.includes(results[i] ?? "moved"));
      for (const { groupId } of welcomed) {
        const nodes = [{ nodeIndex: 0, node: random(9) }];
        await stores[0].appendCommit(aCommit(groupId, 1, { nodes }));
        for (let i = 0; i < PAST_EPOCHS; i++) {
          await stores[0].appendCommit(aCommit(groupId, i + 2));
        }
        expect((await stores[1].treePart(groupId, 1n, ALL))?.nodes).toHaveLength(1);
      }
      await atOnce(2, (store, i) => store.acknowledge(devices[i] ?? -1, 2));
      for (const { groupId } of welcomed) {
        expect(await stores[1].treePart(groupId, 1n, ALL)).toBeUndefined();
      }
    });

    it("lets a device into as many groups as it may be in", async () => {
      const groups = await Promise.all([1, 2, 3, 4, 5, 6].map(() => aGroup()));
      const { device } = await aDevice();
      const { device: founder } = await aDevice();
      const create = (store: Store, maker: number): Promise<unknown> =>
        store.createGroup(aNewGroup(maker, { groupLimit: 3 }));
      const results = await atOnce<unknown>(12, async (store, i) => {
        const { groupId } = groups[i] ?? {};
        const added = [{ leafIndex: 1, device }];
        return groupId
          ? store.appendCommit(aCommit(groupId, 0, { added, groupLimit: 3 }))
          : create(store, device);
      });
      results.push(...(await atOnce(16, (store) => create(store, founder))));
      const refused = results.filter((result) => {
        return result === "full" || Object.hasOwn(Object(result), "full");
      });
      expect(refused).toHaveLength(9 + 13);
      for (const one of [device, founder]) {
        expect(await stores[0].currentGroupsOf(one, 99)).toHaveLength(3);
      }
    });

    it("makes one account of one invite, whoever else comes with it", async () => {
      const [hash, other] = [random(32), random(32)];
      await stores[0].addInvites(
        [hash, other].map((one) => ({ hash: one, madeAt: NOW, expiresAt: NOW + 1000 })),
      );
      const results = await atOnce(100, (store) =>
        store.register({ ...aRegistration(), invite: { hash, now: NOW } }),
      );
      expect(results.filter((result) => result === "registered")).toHaveLength(1);
      expect(results.filter((result) => result === "invite-spent")).toHaveLength(99);
      const same = { ...aRegistration(), invite: { hash: other, now: NOW } };
      expect(await atOnce(10, (store) => store.register(same))).toEqual(
        Array.from({ length: 10 }, () => "registered"),
      );
    });

    it("leaves no session of an account that is disabled while its device signs in", async () => {
      for (let round = 0; round < 8; round++) {
        const { accountId, device, signInKey } = await aDevice();
        const [tokenHash, expiresAt] = [random(32), NOW + 1000];
        await Promise.all([
          storeOf(round).startSession({ device, signInKey, tokenHash, expiresAt, now: NOW }),
          storeOf(round + 1).setDisabled(accountId, NOW),
        ]);
        expect(await stores[0].sessionsLive([tokenHash], NOW)).toEqual([false]);
      }
    });

    it("revokes a device before it enters a group, or after, never in between", async () => {
      for (let round = 0; round < 4; round++) {
        const { groupId } = await aGroup();
        const account = aRegistration();
        await stores[0].register(account);
        const [listed] = await stores[0].devicesOf(account.accountId);
        const device = listed?.device ?? -1;
        const [replaced, entered] = await Promise.all([
          stores[0].replaceDeviceList({
            ...account,
            version: 2n,
            previousHash: account.hash,
            hash: random(32),
            devices: account.devices.map((one) => ({ ...one, revokedAt: SECONDS })),
          }),
          stores[1].appendCommit(aCommit(groupId, 0, { added: [{ leafIndex: 1, device }] })),
        ]);
        const both = [replaced === "entered-later", entered === "moved"];
        expect(both.filter((refused) => refused)).toHaveLength(1);
      }
    });
  });
}
