/**
 * The one range of bytes that a request asks for. RFC 9110 §14.
 * @module
 */

/** From `from` up to and without `to`. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/**
 * What `Range` asks of so many bytes. `undefined`: of all of them, as for a field that is none, or that asks for several
 * ranges (§14.2 lets a server ignore it). "unsatisfiable": none of them is there (§15.5.17).
 */
export function byteRange(
  field: string | null,
  size: number,
): ByteRange | "unsatisfiable" | undefined {
  const [, first = "", last = ""] =
    /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(field?.trim() ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "unsatisfiable" : { from: size - length, to: size };
  }
  const from = Number(first);
  if (last !== "" && Number(last) < from) return undefined;
  if (from >= size) return "unsatisfiable";
  return { from, to: last === "" ? size : Math.min(Number(last) + 1, size) };
}
