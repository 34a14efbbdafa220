/**
 * Inboxes: the Welcomes that wait for a device.
 * @module
 */

import type { Call, Handlers } from "./call.ts";
import type { Limits } from "./limits.ts";
import type { AnswerOf } from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { Store } from "./store/store.ts";

const PAGE = 100;

export function createInbox(service: {
  readonly store: Store;
  readonly limits: Limits;
}): Handlers<"inbox" | "acknowledge"> {
  const { store, limits } = service;

  async function inbox({ device, params }: Call<"inbox">): Promise<AnswerOf<"inbox">> {
    const entries = await store.inbox(device.device, {
      after: params.after ?? 0,
      limit: PAGE,
      bytes: limits.pageBytes,
    });
    return { entries };
  }

  async function acknowledge({ device, body }: Call<"acknowledge">): Promise<undefined> {
    const { upTo } = await body();
    const acknowledged = await store.acknowledge(device.device, upTo);
    if (acknowledged === "beyond-end") {
      throw new Refusal("bad-request", "the inbox does not reach that far");
    }
  }

  return { inbox, acknowledge };
}
