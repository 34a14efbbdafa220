import { MlsError } from "@conclave/mls";
import { type Bytes, type Codec, decode, encode } from "@conclave/mls/codec";
import { readGroupInfo, readMessage, readWelcome } from "@conclave/mls/public-group";
import fc, { type Arbitrary } from "fast-check";
import { describe, expect, it } from "vitest";
import { AuthenticatedContent, FramedContent } from "../../src/framing/content.ts";
import { decodeMessage, encodeMessage } from "../../src/framing/message.ts";
import { Commit, Proposal } from "../../src/framing/proposal.ts";
import { Credential } from "../../src/key/credential.ts";
import { Extension, RequiredCapabilities } from "../../src/key/extension.ts";
import { GroupContext } from "../../src/key/group-context.ts";
import { GroupInfo, GroupSecrets } from "../../src/key/group-info.ts";
import { KeyPackage } from "../../src/key/key-package.ts";
import { PreSharedKeyID } from "../../src/key/psk.ts";
import { LeafNode } from "../../src/tree/leaf-node.ts";
import { decodeRatchetTree, Node, ParentNode } from "../../src/tree/ratchet-tree.ts";
import * as arbitrary from "../arbitrary.ts";

const node = arbitrary.leafNode.map((leafNode) => ({ nodeType: "leaf" as const, leafNode }));
const authenticated = arbitrary.publicMessage.map(({ content, auth }) => ({
  wireFormat: "mls_public_message" as const,
  content,
  auth,
}));
const required = fc.record({
  extensionTypes: fc.array(fc.nat(0xffff), { maxLength: 4 }),
  proposalTypes: fc.array(fc.nat(0xffff), { maxLength: 4 }),
  credentialTypes: fc.array(fc.nat(0xffff), { maxLength: 4 }),
});

interface Row {
  readonly name: string;
  readonly roundTrips: () => void;
  readonly isTotal: (bytes: Bytes) => void;
}

function row<T>(name: string, codec: Codec<T>, values: Arbitrary<T>): Row {
  return {
    name,
    roundTrips: () =>
      fc.assert(
        fc.property(values, (value) => {
          const bytes = encode(codec, value);
          expect(arbitrary.rebuilt(decode(codec, bytes))).toEqual(value);
          // A strict prefix and a longer string are nothing.
          expect(() => decode(codec, bytes.slice(0, -1))).toThrow(MlsError);
          expect(() => decode(codec, Uint8Array.of(...bytes, 0))).toThrow(MlsError);
        }),
        { numRuns: 60 },
      ),
    isTotal: (bytes) => {
      let value: T;
      try {
        value = decode(codec, bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(MlsError);
        return;
      }
      // One encoding for each value: what was accepted is written the same way.
      expect(encode(codec, value)).toEqual(bytes);
      expect(encode(codec, arbitrary.rebuilt(value))).toEqual(bytes);
    },
  };
}

const CODECS: readonly Row[] = [
  row("Extension", Extension, arbitrary.extension),
  row("RequiredCapabilities", RequiredCapabilities, required),
  row("Credential", Credential, arbitrary.credential),
  row("LeafNode", LeafNode, arbitrary.leafNode),
  row("ParentNode", ParentNode, arbitrary.parentNode),
  row("Node", Node, node),
  row("KeyPackage", KeyPackage, arbitrary.keyPackage),
  row("PreSharedKeyID", PreSharedKeyID, arbitrary.preSharedKeyId),
  row("Proposal", Proposal, arbitrary.proposal),
  row("Commit", Commit, arbitrary.commit),
  row("FramedContent", FramedContent, arbitrary.framedContent),
  row("AuthenticatedContent", AuthenticatedContent, authenticated),
  row("GroupContext", GroupContext, arbitrary.groupContext),
  row("GroupInfo", GroupInfo, arbitrary.groupInfo),
  row("GroupSecrets", GroupSecrets, arbitrary.groupSecrets),
  row(
    "MLSMessage",
    { write: (w, value) => w.bytes(encodeMessage(value)), read: readRest },
    arbitrary.message,
  ),
];

function readRest(reader: Parameters<Codec<unknown>["read"]>[0]) {
  const rest: number[] = [];
  while (!reader.done) rest.push(reader.uint(1));
  return decodeMessage(Uint8Array.from(rest));
}

/** Bytes that were valid until a few of them were changed, dropped or doubled. */
const mutated: Arbitrary<Bytes> = fc
  .tuple(
    arbitrary.message.map(encodeMessage),
    fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.nat(2)), { minLength: 1, maxLength: 4 }),
  )
  .map(([bytes, changes]) => {
    const list = [...bytes];
    for (const [at, value, kind] of changes) {
      list.splice(at % list.length, kind === 0 ? 0 : 1, ...(kind === 1 ? [] : [value]));
    }
    return Uint8Array.from(list);
  });

describe("every structure", { timeout: 30_000 }, () => {
  it.each(CODECS)("$name reads back as it was written", ({ roundTrips }) => {
    expect(roundTrips).not.toThrow();
  });

  it.each(CODECS)("$name from hostile bytes is a value or an MlsError", ({ isTotal }) => {
    fc.assert(fc.property(fc.oneof(arbitrary.bytes, mutated), isTotal), { numRuns: 200 });
    expect(() => isTotal(new Uint8Array(0))).not.toThrow();
  });
});

/** What stands for no error at all. */
const AN_ERROR = new MlsError("decode", "2.1", "none");

async function errorOf(act: () => unknown): Promise<unknown> {
  try {
    await act();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("§6 MLSMessage", { timeout: 30_000 }, () => {
  it("is looked at without trust", async () => {
    const readers = [readMessage, readWelcome, readGroupInfo, decodeRatchetTree];
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, arbitrary.bytes), async (bytes) => {
        for (const read of readers) {
          expect((await errorOf(() => read(bytes))) ?? AN_ERROR).toBeInstanceOf(MlsError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("of another version is refused", () => {
    const [bytes] = fc.sample(arbitrary.message.map(encodeMessage), 1);
    if (!bytes) throw new Error("a sample");
    expect(() => decodeMessage(bytes)).not.toThrow();
    bytes[1] = 2;
    expect(() => decodeMessage(bytes)).toThrow(
      expect.objectContaining({ code: "unsupported-version" }),
    );
  });
});
