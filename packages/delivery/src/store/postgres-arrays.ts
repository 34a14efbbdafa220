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
  let size = HEADER;
  let type = INT8;
  let hasNull = 0;
  for (const element of elements) {
    size += 4 + lengthOf(element);
    if (element === null) hasNull = 1;
    else if (typeof element === "object") type = BYTEA;
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
  for (const element of elements) {
    const length = lengthOf(element);
    view.setInt32(at, element === null ? -1 : length);
    at += 4;
    if (element !== null) {
      if (typeof element === "object") array.set(element, at);
      else writeWhole(view, at, element);
    }
    at += length;
  }
  return array;
}

function lengthOf(element: ArrayElement): number {
  if (element === null) return 0;
  return typeof element === "object" ? element.length : 8;
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
