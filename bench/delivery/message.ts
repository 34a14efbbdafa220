/**
 * Messages of a group: an MLSMessage with a PrivateMessage of epoch 1 (RFC 9420 §6.3), whose ciphertext is random but for its end, which
 * says which message it is. The service reads the frame alone.
 * @module
 */

import { randomFillSync } from "node:crypto";
import type { Bytes } from "@conclave/mls/codec";

const MLS10 = 1;
const PRIVATE_MESSAGE = 2;
const APPLICATION = 1;
const SENDER_DATA = 28;

/** How long a vector is (§2.1.2), in two bytes. */
function length16(length: number): readonly number[] {
  return [0x40 | (length >> 8), length & 0xff];
}

/** Makes messages of this group, each with so many bytes of ciphertext. */
export function messagesOf(groupId: Bytes, ciphertext: number): (id: number) => Bytes {
  const frame = [
    [0, MLS10, 0, PRIVATE_MESSAGE],
    [groupId.length, ...groupId],
    [0, 0, 0, 0, 0, 0, 0, 1],
    [APPLICATION],
    [0],
    [SENDER_DATA, ...new Uint8Array(SENDER_DATA)],
    length16(ciphertext),
  ].flat();
  return (id) => {
    const message = new Uint8Array(frame.length + ciphertext);
    message.set(frame);
    randomFillSync(message, frame.length);
    new DataView(message.buffer).setFloat64(message.length - 8, id);
    return message;
  };
}

export function idOf(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getFloat64(message.length - 8);
}
