/**
 * What a device encrypts: a versioned frame with the content and, around it, what lets the others
 * notice gaps, repeats, forks and old device lists.
 * @module
 */

import { type DeviceListHead, sha256 } from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";
import { encode } from "cborg";
import { concat, hex } from "../bytes.ts";
import {
  bytesOf,
  ContentError,
  MAX_CONTENT_LENGTH,
  naturalOf,
  readCbor,
  tuple,
} from "./content.ts";

const VERSION = 1;
/** Above the content: the envelope and the array around both. */
const MAX_FRAME_LENGTH: number = MAX_CONTENT_LENGTH + 512;

export interface Envelope {
  /** Of this device in this conversation, from 1 on; the same when a frame is encrypted again. */
  readonly sequence: number;
  /** How far into the epoch the sender had read when it encrypted, and the chain's hash there. */
  readonly lastSeen: { readonly length: number; readonly hash: Bytes };
  /** The sender's own device list, as it knows it. */
  readonly deviceList: DeviceListHead;
}

export interface Frame {
  readonly envelope: Envelope;
  /** Encoded; its bytes are what the message's id is made of. */
  readonly content: Bytes;
}

/** Frames are padded to a multiple of this, so that a ciphertext's length says little. */
export const PADDING_BLOCK = 128;
/** From here on to 255 bytes, the length of a CBOR byte string takes one byte more than that of an empty one. */
const LEAST_PADDING = 24;

export function encodeFrame({ envelope, content }: Frame): Bytes {
  const { sequence, lastSeen, deviceList } = envelope;
  const fields = [
    VERSION,
    [sequence, [lastSeen.length, lastSeen.hash], [Number(deviceList.version), deviceList.hash]],
    content,
  ];
  const least = encode([...fields, new Uint8Array(LEAST_PADDING)]).length;
  const more = (PADDING_BLOCK - (least % PADDING_BLOCK)) % PADDING_BLOCK;
  return encode([...fields, new Uint8Array(LEAST_PADDING + more)]) as Bytes;
}

/** Throws `ContentError`. */
export function decodeFrame(bytes: Bytes): Frame {
  const [version, envelope, content, padding] = tuple(readCbor(bytes, MAX_FRAME_LENGTH), 4, 4);
  if (version !== VERSION) throw new ContentError("a frame of another version");
  bytesOf(padding, 0, LEAST_PADDING + PADDING_BLOCK);
  const [sequence, lastSeen, deviceList] = tuple(envelope, 3, 3);
  const [length, hash] = tuple(lastSeen, 2, 2);
  const [listVersion, listHash] = tuple(deviceList, 2, 2);
  return {
    envelope: {
      sequence: naturalOf(sequence),
      lastSeen: { length: naturalOf(length), hash: bytesOf(hash, 32, 32) },
      deviceList: { version: BigInt(naturalOf(listVersion)), hash: bytesOf(listHash, 32, 32) },
    },
    content: bytesOf(content, 0, MAX_CONTENT_LENGTH),
  };
}

/**
 * The id of a message, 32 bytes in hex: the same for all who have it, and another for the same content
 * of another sender or in another conversation. The salt stands in the content.
 */
export async function messageIdOf(
  accountId: Bytes,
  groupId: Bytes,
  content: Bytes,
): Promise<string> {
  const hash = await sha256(concat(lengthPrefixed(accountId), lengthPrefixed(groupId), content));
  return `01${hex(hash.subarray(0, 31))}`;
}

function lengthPrefixed(bytes: Bytes): Bytes {
  const length = new Uint8Array(2);
  new DataView(length.buffer).setUint16(0, bytes.length);
  return concat(length, bytes);
}
