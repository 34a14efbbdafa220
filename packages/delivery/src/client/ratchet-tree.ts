/**
 * The ratchet tree of an epoch, read by parts.
 * @module
 */

import { type Bytes, encode, opaque } from "@conclave/mls/codec";
import { MAX_ANSWER, readBounded } from "./reading.ts";
import { ServiceError } from "./service-error.ts";

/**
 * The encoded `ratchet_tree`, from what `part` answers for each index: `client.tree` or `client.linkTree` of one epoch. Throws
 * `ServiceError`, with `tree-gone` where the group went on meanwhile.
 */
export async function readRatchetTree(part: (from: number) => Promise<Response>): Promise<Bytes> {
  const parts: Bytes[] = [];
  let length = 0;
  let from = 0;
  for (;;) {
    const response = await part(from);
    const bytes = await readBounded(response, MAX_ANSWER - length);
    parts.push(bytes);
    length += bytes.length;
    const next = response.headers.get("tree-next");
    if (next === null) break;
    if (!/^[0-9]{1,15}$/.test(next) || Number(next) <= from) {
      throw new ServiceError("bad-answer", "the parts of the tree do not go on");
    }
    from = Number(next);
  }
  const tree = new Uint8Array(length);
  let at = 0;
  for (const bytes of parts) {
    tree.set(bytes, at);
    at += bytes.length;
  }
  return encode(opaque, tree);
}
