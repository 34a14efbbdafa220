import { expect, it } from "vitest";
import { byteRange } from "../../src/blobs/range.ts";

it("reads the one range that is asked for (RFC 9110 §14.1.2)", () => {
  expect(byteRange("bytes=0-0", 10)).toEqual({ from: 0, to: 1 });
  expect(byteRange("bytes=2-5", 10)).toEqual({ from: 2, to: 6 });
  expect(byteRange("Bytes=2-", 10)).toEqual({ from: 2, to: 10 });
  expect(byteRange("bytes=2-99", 10)).toEqual({ from: 2, to: 10 });
  expect(byteRange("bytes=-3", 10)).toEqual({ from: 7, to: 10 });
  expect(byteRange("bytes=-99", 10)).toEqual({ from: 0, to: 10 });
});

it("takes what is no range, or several, for none", () => {
  for (const field of [
    null,
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=5-2",
    "bytes=0-1,3-4",
    "bytes=a-b",
    "bytes=1e3-",
    "bytes=0x1-",
    "bytes= 1-2",
    "bytes=1.5-2",
    "lines=0-1",
    `bytes=${"9".repeat(400)}-`,
  ]) {
    expect(byteRange(field, 10)).toBeUndefined();
  }
});

it("says which ranges can't be satisfied", () => {
  for (const field of ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=999999999999999-"]) {
    expect(byteRange(field, 10)).toBe("unsatisfiable");
  }
});
