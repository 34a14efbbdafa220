/**
 * Groups as their members read them: the log, the tree, the list of one's own; and links as joiners do.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Call, Handlers } from "./call.ts";
import type { Limits } from "./limits.ts";
import type { LongPolls } from "./long-poll.ts";
import { type AnswerOf, LIMITS } from "./protocol/index.ts";
import { notFound, Refusal } from "./refusal.ts";
import type { Store, TreePart } from "./store/store.ts";

/** Groups in one answer. */
const PAGE = 500;

/**
 * The tree of an epoch from an index on, as it stands in `optional<Node> ratchet_tree<V>` (RFC 9420 §12.4.3.3): all parts, one behind
 * the other, are the vector without its length.
 */
function partResponse({ nodes, next }: TreePart, from: number): Response {
  const chunks: Uint8Array[] = [];
  let at = from;
  for (const [nodeIndex, node] of nodes) {
    // A blank node is an absent optional: one zero octet. Those at the end are left out.
    chunks.push(new Uint8Array(nodeIndex - at), Uint8Array.of(1), node);
    at = nodeIndex + 1;
  }
  // Between the last node here and the first there may be blanks: they belong to the next part.
  const body = Buffer.concat(chunks);
  return new Response(body, {
    headers: {
      "content-type": "application/octet-stream",
      "content-length": String(body.length),
      ...(next !== undefined && { "tree-next": String(at) }),
    },
  });
}

function treeGone(): Refusal {
  return new Refusal("tree-gone", "the epoch is over, and its tree gone");
}

export function createGroups(service: {
  readonly store: Store;
  readonly limits: Limits;
  readonly longPolls: LongPolls;
  readonly now: () => number;
}): Handlers<"groups" | "giveUpGroup" | "log" | "tree" | "link" | "linkTree"> {
  const { store, limits, longPolls } = service;

  async function groups({ device, params }: Call<"groups">): Promise<AnswerOf<"groups">> {
    const page = await store.groupsOf(device.device, { after: params.after, limit: PAGE });
    const next = page.length === PAGE ? page.at(-1)?.groupId : undefined;
    return { groups: page, ...(next && { next }) };
  }

  async function giveUpGroup({ device, params }: Call<"giveUpGroup">): Promise<undefined> {
    if (!(await store.giveUpGroup(params.groupId, device.device))) throw notFound();
  }

  async function log(call: Call<"log">): Promise<AnswerOf<"log">> {
    const { groupId, after = 0, limit = LIMITS.logPage, wait: seconds } = call.params;
    const { device } = call.device;
    const page = {
      after,
      limit: Math.max(1, Math.min(limit, LIMITS.logPage)),
      bytes: limits.pageBytes,
    };
    return longPolls.until(
      { on: { groupId, after }, seconds, call },
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
    const { groupId, epoch, from = 0 } = params;
    const welcomed = await store.hasWelcome(device.device, groupId, epoch);
    if (!welcomed && (await store.leafOf(groupId, device.device)) === undefined) throw notFound();
    const part = await store.treePart(groupId, epoch, { from, bytes: limits.pageBytes });
    if (part === undefined || !(welcomed || part.current)) throw treeGone();
    return partResponse(part, from);
  }

  async function openLink(linkId: Bytes): Promise<AnswerOf<"link">> {
    const held = await store.link(linkId, service.now());
    if (held === undefined) throw notFound();
    if (held === "closed") throw new Refusal("link-closed", "the link is not open any more");
    return held;
  }

  /** Who holds a link reads the tree of the epoch that its GroupInfo is of. */
  async function linkTree({ params }: Call<"linkTree">): Promise<Response> {
    const { linkId, epoch, from = 0 } = params;
    const { groupId } = await openLink(linkId);
    const part = await store.treePart(groupId, epoch, { from, bytes: limits.pageBytes });
    if (part?.current !== true) throw treeGone();
    return partResponse(part, from);
  }

  return {
    groups,
    giveUpGroup,
    log,
    tree,
    link: ({ params }) => openLink(params.linkId),
    linkTree,
  };
}
