/**
 * What a member has seen, as one hash: the epoch's transcript, then every entry of the log behind the
 * commit that began the epoch. A member says in each message how far it had read and what hash it had
 * there, so that two members who were shown different histories find out.
 * @module
 */

import { sha256 } from "@conclave/delivery/protocol";
import { type Bytes, type Codec, fixed, struct, uint64 } from "@conclave/mls/codec";
import { concat, utf8Bytes } from "./bytes.ts";
import { count } from "./storage.ts";

const LABEL = utf8Bytes("Conclave 1 chain");

/** How many places of the epoch are remembered; what a message says of one further back is not compared. */
export const CHAIN_MEMORY = 1024;

export interface ChainPosition {
  readonly epoch: bigint;
  /** How many entries of the epoch came before. */
  readonly length: number;
  readonly hash: Bytes;
}
export const ChainPosition: Codec<ChainPosition> = struct({
  epoch: uint64,
  length: count,
  hash: fixed(32),
});

/** The chain at the commit that began `epoch`. */
export async function chainStart(
  epoch: bigint,
  confirmedTranscriptHash: Bytes,
): Promise<ChainPosition> {
  return { epoch, length: 0, hash: await sha256(concat(LABEL, confirmedTranscriptHash)) };
}

/** Behind the next entry: the hash of its bytes as the log has them. */
export async function chainNext(chain: ChainPosition, entryHash: Bytes): Promise<ChainPosition> {
  return {
    epoch: chain.epoch,
    length: chain.length + 1,
    hash: await sha256(concat(chain.hash, entryHash)),
  };
}
