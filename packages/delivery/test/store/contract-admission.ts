/**
 * What every store promises to the operator: invites that make one account each, and accounts that are found and disabled.
 * Part of the contract.
 * @module
 */

import { INVITE_MEMORY, type Store } from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bytes, random } from "../world.ts";
import { aRegistration, NOW } from "./fixtures.ts";

export function admissionContract(name: string, open: () => Promise<Store>): void {
  let store: Store;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  const anInvite = async (expiresAt = NOW + 1000): Promise<Bytes> => {
    const hash = random(32);
    await store.addInvites([{ hash, madeAt: NOW - 1000, expiresAt }]);
    return hash;
  };

  describe(`${name}: invites`, () => {
    it("make one account each", async () => {
      const hash = await anInvite();
      const first = { ...aRegistration(), invite: { hash, now: NOW } };
      expect(await store.register(first)).toBe("registered");
      expect(await store.register({ ...aRegistration(), invite: { hash, now: NOW } })).toBe(
        "invite-spent",
      );
      // After a lost answer, and for what is there already.
      expect(await store.register(first)).toBe("registered");
      expect(await store.register({ ...first, registration: random(32) })).toBe("account-exists");
      expect(await store.invites({ limit: 9 })).toEqual([
        { hash, madeAt: NOW - 1000, expiresAt: NOW + 1000, spentAt: NOW },
      ]);
    });

    it("are spent by nothing else", async () => {
      const taken = aRegistration();
      await store.register(taken);
      const hash = await anInvite();
      const invite = { hash, now: NOW };
      const again = { ...aRegistration({ name: taken.name }), invite };
      expect(await store.register(again)).toBe("name-taken");
      const sameKey = { ...aRegistration(), devices: taken.devices, invite };
      expect(await store.register(sameKey)).toBe("key-in-use");
      expect(await store.register({ ...aRegistration(), invite })).toBe("registered");
    });

    it("make none when they are over, revoked, or never were", async () => {
      const over = { hash: await anInvite(NOW), now: NOW };
      const refused = aRegistration();
      expect(await store.register({ ...refused, invite: over })).toBe("invite-expired");
      expect(await store.register({ ...refused, invite: { hash: random(32), now: NOW } })).toBe(
        "invite-unknown",
      );
      const revoked = await anInvite();
      expect(await store.revokeInvite(revoked)).toBe(true);
      expect(await store.revokeInvite(revoked)).toBe(false);
      expect(await store.register({ ...refused, invite: { hash: revoked, now: NOW } })).toBe(
        "invite-unknown",
      );
      // Nothing of those attempts is left.
      expect(await store.account(refused.accountId)).toBeUndefined();
      expect(await store.register(refused)).toBe("registered");
    });

    it("stay when they are spent, are listed in pages, and are forgotten long after their time", async () => {
      const hash = await anInvite();
      await store.register({ ...aRegistration(), invite: { hash, now: NOW } });
      expect(await store.revokeInvite(hash)).toBe(false);
      await anInvite();
      await anInvite(NOW + 5000);
      const all = await store.invites({ limit: 9 });
      expect(all).toHaveLength(3);
      const [first] = all;
      expect(await store.invites({ limit: 1 })).toEqual([first]);
      expect(await store.invites({ ...(first && { after: first.hash }), limit: 9 })).toEqual(
        all.slice(1),
      );
      const swept = await store.sweep(NOW + 1000 + INVITE_MEMORY, 10);
      expect(swept).toMatchObject({ invites: 2 });
      expect(await store.invites({ limit: 9 })).toMatchObject([{ expiresAt: NOW + 5000 }]);
    });
  });

  describe(`${name}: accounts, for the operator`, () => {
    it("are found by name in whatever case and by id, and listed by name, but for those deleted", async () => {
      const [ada, bob, cleo] = [
        aRegistration({ name: "Ada" }),
        aRegistration({ name: "bob" }),
        aRegistration({ name: "Cleo" }),
      ];
      for (const one of [cleo, ada, bob]) await store.register(one);
      const named = await store.findAccount({ name: "ADA" });
      expect(named).toMatchObject({ accountId: ada.accountId, name: "Ada" });
      expect(await store.findAccount({ accountId: ada.accountId })).toEqual(named);
      expect(await store.findAccount({ name: "Dora" })).toBeUndefined();
      const names = async (page: { after?: string; limit: number }) =>
        (await store.accounts(page)).map((account) => account.name);
      expect(await names({ limit: 9 })).toEqual(["Ada", "bob", "Cleo"]);
      expect(await names({ limit: 2 })).toEqual(["Ada", "bob"]);
      expect(await names({ after: "bob", limit: 2 })).toEqual(["Cleo"]);
      await store.deleteAccount(bob.accountId, { now: NOW });
      expect(await names({ limit: 9 })).toEqual(["Ada", "Cleo"]);
      expect(await store.findAccount({ accountId: bob.accountId })).toBeUndefined();
      expect(await store.setDisabled(bob.accountId, NOW)).toBe("unknown");
    });

    it("that are disabled have no session and begin none, until they are enabled", async () => {
      const account = aRegistration();
      await store.register(account);
      const [held] = await store.devicesOf(account.accountId);
      const { device, signInKey } = held ?? { device: -1, signInKey: random(32) };
      const tokens: Bytes[] = [];
      const begin = async () => {
        const tokenHash = random(32);
        tokens.push(tokenHash);
        const expiresAt = NOW + 1000;
        const nonce = { nonce: random(16), expiresAt };
        return store.startSession({ device, signInKey, tokenHash, nonce, expiresAt, now: NOW });
      };
      expect(await begin()).toEqual({ ended: [] });
      expect(await store.setDisabled(account.accountId, NOW)).toEqual({ devices: [device] });
      expect(await store.sessionsLive(tokens, NOW)).toEqual([false]);
      expect(await begin()).toBe("disabled");
      expect(await store.sessionsLive(tokens, NOW)).toEqual([false, false]);
      await store.setDisabled(account.accountId, NOW + 5);
      expect(await store.account(account.accountId)).toMatchObject({ disabledAt: NOW });
      expect(await store.setDisabled(account.accountId, undefined)).toEqual({ devices: [device] });
      expect(await store.account(account.accountId)).not.toHaveProperty("disabledAt");
      expect(await begin()).toEqual({ ended: [] });
    });
  });
}
