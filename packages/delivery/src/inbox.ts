/**
 * Inboxes: the Welcomes that wait for a device.
 * @module
 */

import { type Call, type Handler, json, readJson } from "./call.ts";
import type { Limits } from "./limits.ts";
import { AcknowledgeRequest, type InboxResponse } from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { Store } from "./store/store.ts";

const PAGE = 100;
const BODY_LIMIT = 1024;

export function createInbox(service: { readonly store: Store; readonly limits: Limits }): {
  readonly [name in "inbox" | "acknowledge"]: Handler;
} {
  const { store, limits } = service;

  async function inbox({ number, device }: Call): Promise<Response> {
    const caller = await device();
    const entries = await store.inbox(caller.device, {
      after: number("after") ?? 0,
      limit: PAGE,
      bytes: limits.pageBytes,
    });
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
