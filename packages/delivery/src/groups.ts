/**
 * Groups as their members read them: the log, the tree, the list of one's own; and links as joiners do.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { encode, opaque } from "@conclave/mls/codec";
import { type Call, type Handler, json } from "./call.ts";
import type { Limits } from "./limits.ts";
import {
  type GroupsResponse,
  LIMITS,
  type LinkResponse,
  type LogResponse,
} from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { Store, StoredNode } from "./store/store.ts";

/** `optional<Node> ratchet_tree<V>` (RFC 9420 §12.4.3.3) from the nodes that are not blank, in order. */
function encodeRatchetTree(nodes: readonly StoredNode[]): Bytes {
  const chunks: Uint8Array[] = [];
  let next = 0;
  for (const [nodeIndex, node] of nodes) {
    // A blank node is an absent optional: one zero octet. Those at the end are left out.
    chunks.push(new Uint8Array(nodeIndex - next), Uint8Array.of(1), node);
    next = nodeIndex + 1;
  }
  return encode(opaque, new Uint8Array(Buffer.concat(chunks)));
}

export function createGroups(service: {
  readonly store: Store;
  readonly limits: Limits;
  readonly now: () => number;
}): {
  readonly [name in "groups" | "log" | "tree" | "link"]: Handler;
} {
  const { store, limits } = service;
  /** Of a group that does not exist and of one the device has no part in, the same. */
  const notFound = (): Refusal => new Refusal("not-found", "there is nothing here");

  async function groups({ device }: Call): Promise<Response> {
    const caller = await device();
    const list = await store.groupsOf(caller.device);
    return json(200, { groups: [...list] } satisfies GroupsResponse);
  }

  async function log({ id, number, device }: Call): Promise<Response> {
    const caller = await device();
    const page = await store.log(id("groupId"), caller.device, {
      after: number("after") ?? 0,
      limit: Math.max(1, Math.min(number("limit") ?? LIMITS.logPage, LIMITS.logPage)),
      bytes: limits.pageBytes,
    });
    if (page === undefined) throw notFound();
    return json(200, { entries: [...page.entries], head: page.head } satisfies LogResponse);
  }

  /** Members read the tree of their epoch; who has a Welcome waiting, that of the epoch it leads into. */
  async function tree({ id, number, device }: Call): Promise<Response> {
    const caller = await device();
    const groupId = id("groupId");
    const asked = number("epoch");
    const epoch = asked === undefined ? undefined : BigInt(asked);
    if (epoch !== undefined && (await store.hasWelcome(caller.device, groupId, epoch))) {
      return treeResponse((await store.tree(groupId, epoch))?.nodes ?? []);
    }
    if ((await store.leafOf(groupId, caller.device)) === undefined) throw notFound();
    const current = await store.tree(groupId);
    if (current === undefined || (epoch !== undefined && epoch !== current.epoch)) throw notFound();
    return treeResponse(current.nodes);
  }

  async function link({ id, device }: Call): Promise<Response> {
    await device();
    const held = await store.link(id("linkId"), service.now());
    if (held === undefined) throw notFound();
    if (held === "closed") throw new Refusal("link-closed", "the link is not open any more");
    const { nodes, ...rest } = held;
    return json(200, { ...rest, ratchetTree: encodeRatchetTree(nodes) } satisfies LinkResponse);
  }

  return { groups, log, tree, link };
}

function treeResponse(nodes: readonly StoredNode[]): Response {
  return new Response(encodeRatchetTree(nodes), {
    headers: { "content-type": "application/octet-stream" },
  });
}
