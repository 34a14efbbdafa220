/** What the rules X14 and X15 judge, in a large group. */

import type { LeafNode, Member } from "@conclave/mls";
import { checkMultiCredentials, multiCredential } from "@conclave/mls/extensions";
import { describe, expect, it } from "vitest";
import { LIFETIME, utf8 } from "../people.ts";

const MEMBERS = 1000;

/** Members with a credential of two each; one of them supports less. `looks`: how often what a member supports was read. */
function manyMembers(
  kind: "multi" | "weakMulti",
  less?: { readonly leafIndex: number; readonly credentials: readonly number[] },
): { readonly members: readonly Member[]; readonly looks: () => number } {
  let looks = 0;
  const bound = { cipherSuite: 1, credentialKey: utf8("key"), signature: utf8("signature") };
  const credential = multiCredential(kind, [
    { ...bound, credential: { credentialType: "basic", identity: utf8("one") } },
    { ...bound, credential: { credentialType: "x509", certificates: [] } },
  ]);
  const members = Array.from({ length: MEMBERS }, (_, leafIndex): Member => {
    const credentials = leafIndex === less?.leafIndex ? less.credentials : [1, 2];
    const leafNode: LeafNode = {
      encryptionKey: utf8(`encryption ${leafIndex}`),
      signatureKey: utf8(`signature ${leafIndex}`),
      credential,
      get capabilities() {
        looks++;
        return { versions: [1], cipherSuites: [1], extensions: [], proposals: [], credentials };
      },
      source: { leafNodeSource: "key_package", lifetime: LIFETIME },
      extensions: [],
      signature: utf8("signature"),
    };
    return { leafIndex, leafNode };
  });
  return { members, looks: () => looks };
}

function check(members: readonly Member[]): void {
  void checkMultiCredentials({ extensions: [], members: () => members });
}

describe.each(["multi", "weakMulti"] as const)("a group whose credentials are %s", (kind) => {
  it("is judged by what its members support, not each of them for each", () => {
    const { members, looks } = manyMembers(kind);
    check(members);
    expect(looks()).toBeLessThan(4 * MEMBERS);
  });
  it("is refused for the one in it that supports nothing of it, which is named", () => {
    const { members } = manyMembers(kind, { leafIndex: 700, credentials: [9] });
    const message = expect.stringContaining("leaf 700 does not support the bindings of leaf 0");
    const refused = expect.objectContaining({ code: "leaf-capabilities", message });
    expect(() => check(members)).toThrow(refused);
  });
});

describe("one that supports one of two bindings", () => {
  const less = { leafIndex: 700, credentials: [1] };
  it("is enough for a weak credential, and not for one that needs both", () => {
    check(manyMembers("weakMulti", less).members);
    expect(() => check(manyMembers("multi", less).members)).toThrow("leaf 700 does not support");
  });
});
