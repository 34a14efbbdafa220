/**
 * Groups as their members read them: the log, the tree, the list of one's own; and links as joiners do.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { encode, opaque } from "@conclave/mls/codec";
import type { Call, Handlers } from "./call.ts";
import type { Limits } from "./limits.ts";
import type { LongPolls } from "./long-poll.ts";
import { type AnswerOf, LIMITS } from "./protocol/index.ts";
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
  readonly longPolls: LongPolls;
  readonly now: () => number;
}): Handlers<"groups" | "log" | "tree" | "link"> {
  const { store, limits, longPolls } = service;
  /** Of a group that does not exist and of one the device has no part in, the same. */
  const notFound = (): Refusal => new Refusal("not-found", "there is nothing here");

  async function log({ session, params, request }: Call<"log">): Promise<AnswerOf<"log">> {
    const { groupId, after = 0, limit = LIMITS.logPage, wait: seconds } = params;
    const { device } = session.device;
    const page = {
      after,
      limit: Math.max(1, Math.min(limit, LIMITS.logPage)),
      bytes: limits.pageBytes,
    };
    return longPolls.until(
      { on: { groupId }, session, seconds, signal: request.signal },
      async () => {
        const read = await store.log(groupId, device, page);
        if (read === undefined) throw notFound();
        if (read.keptFrom !== undefined) {
          throw new Refusal("gone", "what follows there was deleted for its age", {
            members: { keptFrom: read.keptFrom },
          });
        }
        return read;
      },
      // Who is out has nothing to wait for.
      async ({ entries }) =>
        entries.length > 0 || (await store.leafOf(groupId, device)) === undefined,
    );
  }

  /** Members read the tree of their epoch; who has a Welcome waiting, that of the epoch it leads into. */
  async function tree({ device, params }: Call<"tree">): Promise<Response> {
    const { groupId, epoch } = params;
    if (epoch !== undefined && (await store.hasWelcome(device.device, groupId, epoch))) {
      return treeResponse((await store.tree(groupId, epoch))?.nodes ?? []);
    }
    if ((await store.leafOf(groupId, device.device)) === undefined) throw notFound();
    const current = await store.tree(groupId);
    if (current === undefined || (epoch !== undefined && epoch !== current.epoch)) throw notFound();
    return treeResponse(current.nodes);
  }

  async function link({ params }: Call<"link">): Promise<AnswerOf<"link">> {
    const held = await store.link(params.linkId, service.now());
    if (held === undefined) throw notFound();
    if (held === "closed") throw new Refusal("link-closed", "the link is not open any more");
    const { nodes, ...rest } = held;
    return { ...rest, ratchetTree: encodeRatchetTree(nodes) };
  }

  return {
    groups: async ({ device }) => ({ groups: await store.groupsOf(device.device) }),
    log,
    tree,
    link,
  };
}

function treeResponse(nodes: readonly StoredNode[]): Response {
  return new Response(encodeRatchetTree(nodes), {
    headers: { "content-type": "application/octet-stream" },
  });
}
