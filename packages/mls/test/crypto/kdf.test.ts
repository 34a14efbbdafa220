/** HKDF: what its vectors, which stand with HPKE's, don't show. */

import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { hkdfExpand } from "../../src/crypto/kdf.ts";
import { ledgerOf } from "../ledger.ts";
import { utf8 } from "../people.ts";

describe("RFC 5869 §2.3 an expansion", () => {
  it.each([7, 32, 70])("of %i bytes leaves none of its blocks", (length) => {
    const { crypto, left } = ledgerOf(nodeCrypto);
    const output = hkdfExpand(crypto, "sha256", new Uint8Array(32), length, utf8("in"), utf8("fo"));
    expect(output).toHaveLength(length);
    const [wanted] = [output.slice()];
    if (length !== 32) output.fill(0);
    // A block of its own is what is given out.
    expect(left(length === 32 ? [wanted] : [])).toEqual([]);
  });
});
