/**
 * Arrays as parameters, in PostgreSQL's own binary form. As text, bytes would be hexadecimal digits in quotes: written here,
 * twice as long on their way, and read there.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";

const BYTEA = 17;
const INT8 = 20;
/** Bytes before the first element. */
const HEADER = 20;

export type ArrayElement = Bytes | number | bigint | null;

/** Of type `bytea[]`, or `bigint[]` where they are whole numbers. Throws `RangeError` for a number that can't be one. */
export function toBinaryArray(elements: readonly ArrayElement[]): Bytes {
  let size = HEADER + elements.length * 4;
  let type = INT8;
  let hasNull = 0;
  // By their places: an iterator of such mixed lists makes an object for each.
  for (let i = 0; i < elements.length; i++) {
    const element = elements[i] ?? null;
    if (element === null) hasNull = 1;
    else if (typeof element === "object") {
      type = BYTEA;
      size += element.length;
    } else size += 8;
  }
  // All of it is written: small ones share memory that is there already.
  const array = Buffer.allocUnsafe(size);
  const view = new DataView(array.buffer, array.byteOffset, size);
  // One dimension, and whether any is NULL.
  view.setInt32(0, 1);
  view.setInt32(4, hasNull);
  view.setInt32(8, type);
  view.setInt32(12, elements.length);
  // The index of the first.
  view.setInt32(16, 1);
  let at = HEADER;
  for (let i = 0; i < elements.length; i++) {
    const element = elements[i] ?? null;
    if (element === null) {
      view.setInt32(at, -1);
      at += 4;
    } else if (typeof element === "object") {
      view.setInt32(at, element.length);
      array.set(element, at + 4);
      at += 4 + element.length;
    } else {
      view.setInt32(at, 8);
      writeWhole(view, at + 4, element);
      at += 12;
    }
  }
  return array;
}

function writeWhole(view: DataView, at: number, value: number | bigint): void {
  if (typeof value === "bigint") {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError("a number is too large");
    view.setBigInt64(at, value);
    return;
  }
  if (!Number.isSafeInteger(value)) throw new RangeError("a number is not whole, or too large");
  view.setInt32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value >>> 0);
}
