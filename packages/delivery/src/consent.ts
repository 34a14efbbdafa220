/**
 * Consent before first contact: who may look an account up and claim its key packages. Its own devices may, accounts that are in a
 * group with it, that it allowed or asked; and anybody, where it is open. Others ask, and are told the same whatever becomes of that.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type Call, type Handlers, readStructure } from "./call.ts";
import type { Doorbell } from "./doorbell.ts";
import type { Limits } from "./limits.ts";
import {
  bytesToText,
  type ContactRequestsResponse,
  type ContactsResponse,
  normalizeName,
} from "./protocol/index.ts";
import { addressKey, createRateLimiter } from "./rate-limit.ts";
import { notFound, Refusal } from "./refusal.ts";
import type { AccountName, ContactRule, Store } from "./store/store.ts";

/** Contacts in one answer. */
const PAGE = 500;
/** An account's id, in bytes. */
const ACCOUNT_ID = 32;

export function createConsent(service: {
  readonly store: Store;
  readonly doorbell: Doorbell;
  readonly limits: Limits;
  /** The rule of accounts that made none. */
  readonly contact: ContactRule;
  readonly now: () => number;
}): Handlers<
  | "askContact"
  | "withdrawContact"
  | "contactRequests"
  | "contacts"
  | "setContact"
  | "forgetContact"
  | "setContactRule"
> {
  const { store, contact: unlessSet, doorbell, limits, now } = service;
  const asks = createRateLimiter(limits.ask, now);
  const asksFrom = createRateLimiter(limits.asksPerAddress, now);

  async function targetOf(given: AccountName): Promise<AccountName> {
    if (!("name" in given)) return given;
    return { name: await readStructure(() => normalizeName(given.name), "this is no name") };
  }

  async function askContact({ device, address, body }: Call<"askContact">): Promise<undefined> {
    asks.take(bytesToText(device.accountId));
    asksFrom.take(addressKey(address));
    const target = await targetOf(await body());
    const at = now();
    const devices = await store.askContact({
      from: device.accountId,
      target,
      now: at,
      askedSince: at - limits.requestLifetime,
      refusedSince: at - limits.refusalLifetime,
      limit: limits.requests,
    });
    if (devices.length > 0) doorbell.ring({ type: "contacts", devices });
  }

  async function withdrawContact({ device, body }: Call<"withdrawContact">): Promise<undefined> {
    const devices = await store.withdrawContact(device.accountId, await targetOf(await body()));
    if (devices.length > 0) doorbell.ring({ type: "contacts", devices });
  }

  async function contactRequests({
    device,
  }: Call<"contactRequests">): Promise<ContactRequestsResponse> {
    const since = now() - limits.requestLifetime;
    const requests = await store.contactRequests(device.accountId, since);
    return {
      requests: requests.map(({ account: { accountId, deviceList }, askedAt }) => ({
        accountId,
        deviceList,
        askedAt,
      })),
    };
  }

  async function contacts({ device, params }: Call<"contacts">): Promise<ContactsResponse> {
    const { accountId } = device;
    const { after } = params;
    const page = await store.contactsOf(accountId, { ...(after && { after }), limit: PAGE });
    const next = page.length === PAGE ? page.at(-1)?.accountId : undefined;
    const contact = (await store.contactRule(accountId)) ?? "default";
    return { contact, unlessSet, contacts: [...page], ...(next && { next }) };
  }

  /** Whether there is such an account is not said, here or anywhere: what is said of nobody waits for nobody. */
  function checkId(accountId: Bytes): void {
    if (accountId.length !== ACCOUNT_ID) throw notFound();
  }

  async function setContact({ device, params, body }: Call<"setContact">): Promise<undefined> {
    checkId(params.accountId);
    const { state } = await body();
    const { accountId } = params;
    const contact = { accountId, state, changedAt: now(), limit: limits.contacts };
    const said = await store.setContact(device.accountId, contact);
    if (said === "full") {
      throw new Refusal("too-large", "an account has no more contacts than that", {
        members: { limit: limits.contacts },
      });
    }
    // Who asked may look now. Others are told nothing: nobody rings whom they like.
    if (said !== "answered") return;
    const devices = (await store.devicesOf(accountId)).map((listed) => listed.device);
    if (devices.length > 0) doorbell.ring({ type: "contacts", devices });
  }

  async function forgetContact({ device, params }: Call<"forgetContact">): Promise<undefined> {
    checkId(params.accountId);
    await store.forgetContact(device.accountId, params.accountId);
  }

  async function setContactRule({ device, body }: Call<"setContactRule">): Promise<undefined> {
    const { contact } = await body();
    const rule = contact === "default" ? undefined : contact;
    await store.setContactRule(device.accountId, rule);
  }

  return {
    askContact,
    withdrawContact,
    contactRequests,
    contacts,
    setContact,
    forgetContact,
    setContactRule,
  };
}
