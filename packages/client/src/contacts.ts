/**
 * Consent before first contact: who asks to reach this account and what it answers, whom it asked itself, and the rule for all others.
 * What the service says of others is their device lists, which are judged like any.
 * @module
 */

import { type DeliveryClient, ServiceError } from "@conclave/delivery/client";
import { sha256 } from "@conclave/delivery/protocol";
import { type Bytes, type Codec, decode, struct, utf8 } from "@conclave/mls/codec";
import {
  type AccountId,
  type AskedContact,
  ClientError,
  type Contact,
  type ContactAnswer,
  type ContactBook,
  type ContactRequest,
} from "./api.ts";
import { fromHex, hex, utf8Bytes } from "./bytes.ts";
import type { Directory } from "./directory.ts";
import { refusalOf } from "./refusal.ts";
import { boolean, type ClientStorage, changes, count, put } from "./storage.ts";

/** Those that wait for an answer, in the order of asking. One whose list does not hold is left out. Throws `ServiceError`. */
export async function contactRequests(
  service: DeliveryClient,
  directory: Directory,
): Promise<readonly ContactRequest[]> {
  const { requests } = await service.contactRequests();
  const known: ContactRequest[] = [];
  for (const { accountId, deviceList, askedAt } of requests) {
    try {
      const { list } = await directory.accept(deviceList, { accountId });
      known.push({ accountId: hex(accountId), name: list.name, at: askedAt });
    } catch (error) {
      if (!refusalOf(error)) throw error;
    }
  }
  return known;
}

/** How many accounts of a book are looked up because this device never met them. */
const MAX_FETCHES = 100;

/** The account's rule, and what it said to others, the newest answer first. Throws `ServiceError`. */
export async function contactBook(
  service: DeliveryClient,
  directory: Directory,
): Promise<ContactBook> {
  const found: Omit<Contact, "name">[] = [];
  let page = await service.contacts();
  for (;;) {
    for (const { accountId, state, changedAt } of page.contacts) {
      found.push({ accountId: hex(accountId), answer: state, at: changedAt });
    }
    if (page.next === undefined) break;
    page = await service.contacts({ after: page.next });
  }
  let fetches = MAX_FETCHES;
  const contacts: Contact[] = [];
  for (const contact of found.sort((a, b) => b.at - a.at)) {
    const { accountId } = contact;
    const known =
      directory.known(accountId) ??
      (fetches-- > 0 ? await directory.find(fromHex(accountId)) : undefined);
    contacts.push({ ...contact, ...(known && { name: known.list.name }) });
  }
  return { rule: page.contact, unlessSet: page.unlessSet, contacts };
}

/** `setContact` takes those who did not ask as well. Throws `ServiceError`, and `ClientError` for what is no account's id. */
export async function answerContact(
  service: DeliveryClient,
  accountId: AccountId,
  answer: ContactAnswer,
): Promise<void> {
  await service.setContact({ accountId: idOf(accountId), body: { state: answer } });
}

/** Throws as `answerContact` does. */
export async function forgetContact(service: DeliveryClient, accountId: AccountId): Promise<void> {
  await service.forgetContact({ accountId: idOf(accountId) });
}

function idOf(accountId: AccountId): Bytes {
  if (!/^[0-9a-f]{64}$/u.test(accountId)) {
    throw new ClientError("refused", "this is no account's id");
  }
  return fromHex(accountId);
}

const PREFIX = "asked/";
/** Those that are remembered: each is looked up when somebody allowed this account to reach them. */
const MAX_ASKED = 20;
/** As long as the service keeps a request, in milliseconds. */
const LIFETIME: number = 30 * 24 * 60 * 60 * 1000;

const StoredAsked: Codec<AskedContact> = struct({ name: utf8, at: count, allowed: boolean });

export interface AskedContactsOptions {
  readonly storage: ClientStorage;
  readonly service: DeliveryClient;
  readonly directory: Directory;
  readonly now: () => number;
  /** Whom the account asked has changed. */
  readonly changed: (asked: readonly AskedContact[]) => void;
  readonly log: (error: unknown) => void;
}

/**
 * Whom this account asked. The service says to nobody whether there is such a request, so it is remembered here, by name; that one
 * was allowed shows in that the name can be looked up.
 */
export class AskedContacts {
  readonly #options: AskedContactsOptions;
  #byName = new Map<string, AskedContact>();
  #looking = false;
  #lookAgain = false;

  constructor(options: AskedContactsOptions) {
    this.#options = options;
  }

  async load(): Promise<void> {
    const stored = await this.#options.storage.list(PREFIX);
    const asked = [...stored.values()].map((bytes) => decode(StoredAsked, bytes));
    this.#byName = new Map(
      asked.sort((a, b) => a.at - b.at).map((contact) => [contact.name, contact]),
    );
  }

  /** In the order of asking; without those whom the service has forgotten. */
  all(): readonly AskedContact[] {
    const since = this.#options.now() - LIFETIME;
    return [...this.#byName.values()].filter(({ at, allowed }) => allowed || at >= since);
  }

  /** Asks, then remembers it. Throws `ServiceError`. */
  async ask(name: string): Promise<void> {
    const { service, now } = this.#options;
    await service.askContact({ body: { name } });
    const asked = { name, at: now(), allowed: false };
    const oldest = [...this.#byName.keys()].filter((other) => other !== name);
    await this.#keep(asked, oldest.slice(0, Math.max(0, oldest.length - MAX_ASKED + 1)));
    this.look();
  }

  /** Takes the request back, if it still waits. Throws `ServiceError`. */
  async withdraw(name: string): Promise<void> {
    await this.#options.service.withdrawContact({ body: { name } });
    await this.forget(name);
  }

  /** There is nothing to wait for any more. */
  async forget(name: string): Promise<void> {
    if (this.#byName.has(name)) await this.#keep(undefined, [name]);
  }

  /** Somebody may have allowed it. What can't be asked now is asked with the next connection. */
  look(): void {
    this.#lookAgain = true;
    if (this.#looking) return;
    this.#looking = true;
    void this.#lookAtAll()
      .catch(this.#options.log)
      .finally(() => {
        this.#looking = false;
      });
  }

  async #lookAtAll(): Promise<void> {
    while (this.#lookAgain) {
      this.#lookAgain = false;
      for (const asked of this.all()) {
        if (asked.allowed || !(await this.#isReached(asked.name))) continue;
        // It may have been taken back meanwhile.
        if (this.#byName.get(asked.name) === asked)
          await this.#keep({ ...asked, allowed: true }, []);
      }
    }
  }

  async #isReached(name: string): Promise<boolean> {
    try {
      await this.#options.directory.lookUp(name);
      return true;
    } catch (error) {
      if (error instanceof ServiceError || refusalOf(error)) return false;
      throw error;
    }
  }

  async #keep(asked: AskedContact | undefined, dropped: readonly string[]): Promise<void> {
    const batch = changes();
    for (const name of dropped) batch.delete.push(await keyOf(name));
    if (asked) put(batch, await keyOf(asked.name), StoredAsked, asked);
    await this.#options.storage.apply(batch);
    for (const name of dropped) this.#byName.delete(name);
    if (asked) {
      if (!asked.allowed) this.#byName.delete(asked.name);
      this.#byName.set(asked.name, asked);
    }
    this.#options.changed(this.all());
  }
}

/** Names are not ASCII, so their hash stands in the key. */
async function keyOf(name: string): Promise<string> {
  return PREFIX + hex(await sha256(utf8Bytes(name)));
}
