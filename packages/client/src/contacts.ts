/**
 * Consent before first contact: who asks to reach this account, what it answers, and asking others. What the service says of others is
 * their device lists, which are judged like any.
 * @module
 */

import type { DeliveryClient } from "@conclave/delivery/client";
import { type AccountId, ClientError, type ContactAnswer, type ContactRequest } from "./api.ts";
import { fromHex, hex } from "./bytes.ts";
import type { Directory } from "./directory.ts";
import { refusalOf } from "./refusal.ts";

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

/** `setContact` takes those who did not ask as well. Throws `ServiceError`, and `ClientError` for what is no account's id. */
export async function answerContact(
  service: DeliveryClient,
  accountId: AccountId,
  answer: ContactAnswer,
): Promise<void> {
  if (!/^[0-9a-f]{64}$/u.test(accountId)) {
    throw new ClientError("refused", "this is no account's id");
  }
  await service.setContact({ accountId: fromHex(accountId), body: { state: answer } });
}
