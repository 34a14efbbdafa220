/**
 * Inboxes: the Welcomes that wait for a device.
 * @module
 */

import { type Call, type Handler, json, readJson } from "./call.ts";
import { AcknowledgeRequest, type InboxResponse } from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { Store } from "./store/store.ts";

/** A Welcome may be large, so a page has few. */
const PAGE = 20;
const BODY_LIMIT = 1024;

export function createInbox({ store }: { readonly store: Store }): {
  readonly [name in "inbox" | "acknowledge"]: Handler;
} {
  async function inbox({ number, device }: Call): Promise<Response> {
    const caller = await device();
    const entries = await store.inbox(caller.device, number("after") ?? 0, PAGE);
    return json(200, { entries: [...entries] } satisfies InboxResponse);
  }

  async function acknowledge({ request, device }: Call): Promise<Response> {
    const caller = await device();
    const { upTo } = await readJson(request, AcknowledgeRequest, BODY_LIMIT);
    const acknowledged = upTo >= 0 ? await store.acknowledge(caller.device, upTo) : "beyond-end";
    if (acknowledged === "beyond-end") {
      throw new Refusal("bad-request", "the inbox does not reach that far");
    }
    return new Response(null, { status: 204 });
  }

  return { inbox, acknowledge };
}
