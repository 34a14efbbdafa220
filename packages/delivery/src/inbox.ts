/**
 * Inboxes: the Welcomes that wait for a device.
 * @module
 */

import type { Call, Handlers } from "./call.ts";
import type { Limits } from "./limits.ts";
import type { LongPolls } from "./long-poll.ts";
import type { AnswerOf } from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { Store } from "./store/store.ts";

const PAGE = 100;

export function createInbox(service: {
  readonly store: Store;
  readonly limits: Limits;
  readonly longPolls: LongPolls;
}): Handlers<"inbox" | "acknowledge"> {
  const { store, limits, longPolls } = service;

  async function inbox(call: Call<"inbox">): Promise<AnswerOf<"inbox">> {
    const { after = 0, wait: seconds } = call.params;
    const { device } = call.device;
    const page = { after, limit: PAGE, bytes: limits.pageBytes };
    const entries = await longPolls.until(
      { on: "inbox", seconds, call },
      () => store.inbox(device, page),
      ({ length }) => length > 0,
    );
    return { entries };
  }

  async function acknowledge({ device, body }: Call<"acknowledge">): Promise<undefined> {
    const { upTo } = await body();
    const acknowledged = await store.acknowledge(device.device, upTo);
    if (acknowledged === "beyond-end") {
      throw new Refusal("beyond-end", "the inbox does not reach that far");
    }
  }

  return { inbox, acknowledge };
}
