/** §2.1, §6: how values stand on the wire. */

import { joinGroup, MlsError, readKeyPackage } from "@conclave/mls";
import {
  type Bytes,
  decode,
  encode,
  enumeration,
  MAX_VECTOR_LENGTH,
  opaque,
  optional,
  Reader,
  uint8,
  vector,
  Writer,
} from "@conclave/mls/codec";
import fc from "fast-check";
import { expect } from "vitest";
import { ContentType, FramedContent, WireFormat } from "../../src/framing/content.ts";
import { decodeMessage, encodeMessage } from "../../src/framing/message.ts";
import { Commit, type ProposalOrRef } from "../../src/framing/proposal.ts";
import { externalSendersOf, requiredCapabilitiesOf } from "../../src/key/extension.ts";
import { KeyPackage } from "../../src/key/key-package.ts";
import { EXTENSION } from "../../src/registry.ts";
import { LeafNode } from "../../src/tree/leaf-node.ts";
import { Node } from "../../src/tree/ratchet-tree.ts";
import * as arbitrary from "../arbitrary.ts";
import { forgeProposal, forgeWelcome, inside } from "../forge.ts";
import {
  expectAccepted,
  hex,
  keyPackageOf,
  person,
  persons,
  room,
  unhex,
  utf8,
} from "../people.ts";
import { accepts, refusedByAll, refuses, rule } from "./rule.ts";

function bytes(...values: readonly number[]): Bytes {
  return Uint8Array.from(values);
}

function lengthOf(digits: string): number {
  return new Reader(unhex(digits)).length();
}

function encodedLength(length: number): string {
  const writer = new Writer();
  writer.length(length);
  return hex(writer.finish());
}

/** One value of a kind, always the same. */
function sample<T>(values: fc.Arbitrary<T>): T {
  const [value] = fc.sample(values, { numRuns: 1, seed: 7 });
  if (value === undefined) throw new Error("a sample");
  return value;
}

/** Someone joins by a Welcome with these bytes behind its GroupInfo. */
async function invited(trailing: Bytes = bytes()): Promise<void> {
  const where = await room(await persons(["alice", "bob"]));
  const eve = await person("eve");
  const keyPackage = readKeyPackage(await keyPackageOf(eve));
  const by = await inside(where.at(0).person);
  const welcome = await forgeWelcome(by, keyPackage, { trailing });
  await joinGroup(eve.context, { welcome, signer: eve.signer });
}

rule("E01", () => {
  const codec = optional(uint8);
  accepts("0 for what is absent, 1 for what is present", () => {
    expect(decode(codec, bytes(0))).toBeUndefined();
    expect(decode(codec, bytes(1, 9))).toBe(9);
    expect(encode(codec, undefined)).toEqual(bytes(0));
    expect(encode(codec, 9)).toEqual(bytes(1, 9));
  });
  for (const octet of [2, 0x80, 255]) {
    refuses(`${octet}`, "decode §2.1.1", () => decode(codec, bytes(octet)));
    refuses(`${octet} with a value behind it`, "decode §2.1.1", () =>
      decode(codec, bytes(octet, 9)),
    );
  }
});

rule("E02", () => {
  accepts("64 in two bytes", () => expect(lengthOf("4040")).toBe(64));
  refuses("63 in two bytes", "decode §2.1.2", () => lengthOf("403f"));
  refuses("0 in two bytes", "decode §2.1.2", () => lengthOf("4000"));
});

rule("E03", () => {
  accepts("16384 in four bytes", () => expect(lengthOf("80004000")).toBe(16384));
  refuses("16383 in four bytes", "decode §2.1.2", () => lengthOf("80003fff"));
  refuses("0 in four bytes", "decode §2.1.2", () => lengthOf("80000000"));
});

rule("E04", () => {
  accepts("the bits 10", () => expect(lengthOf("bfffffff")).toBe(MAX_VECTOR_LENGTH));
  refuses("the bits 11", "decode §2.1.2", () => lengthOf("c000000000000000"));
  refuses("the bits 11 before a vector", "decode §2.1.2", () => decode(opaque, unhex("ff01")));
});

rule("E05", () => {
  for (const [length, digits] of [
    [0, "00"],
    [63, "3f"],
    [64, "4040"],
    [16383, "7fff"],
    [16384, "80004000"],
    [MAX_VECTOR_LENGTH, "bfffffff"],
  ] as const) {
    accepts(`${length} as ${digits}`, () => {
      expect(encodedLength(length)).toBe(digits);
      expect(lengthOf(digits)).toBe(length);
    });
  }
  accepts("2^30 is not written", () => {
    expect(() => encodedLength(MAX_VECTOR_LENGTH + 1)).toThrow(TypeError);
  });
  refuses("a first byte without its second", "decode §2.1", () => lengthOf("40"));
  refuses("a first byte without its other three", "decode §2.1", () => lengthOf("800040"));
  refuses("nothing", "decode §2.1", () => lengthOf(""));
});

rule("E06", () => {
  const huge = unhex("bfffffff00");
  accepts("a vector that ends with its input", () => {
    expect(decode(vector(opaque), bytes(2, 1, 7))).toEqual([bytes(7)]);
  });
  refuses("a gigabyte of bytes in five", "decode §2.1", () => decode(opaque, huge));
  refuses("a gigabyte of numbers in five", "decode §2.1", () => decode(vector(uint8), huge));
  refuses("an inner vector longer than the outer one", "decode §2.1", () =>
    decode(vector(opaque), bytes(2, 2, 7, 7)),
  );
});

rule("E07", () => {
  accepts("a message by itself", async () => {
    const where = await room(await persons(["alice", "bob", "carol", "mallory"]));
    const good = await forgeProposal(await inside(where.at(3).person), {
      proposalType: "remove",
      removed: 1,
    });
    await expectAccepted(where, 3, good);
  });
  refuses("a byte more", "decode §2.1", async () => {
    const where = await room(await persons(["alice", "bob", "carol", "mallory"]));
    const good = await forgeProposal(await inside(where.at(3).person), {
      proposalType: "remove",
      removed: 1,
    });
    await refusedByAll(where, 3, Uint8Array.of(...good, 0));
  });
});

rule("E08", () => {
  const extension = (extensionType: number, data: Bytes) => [
    { extensionType, extensionData: data },
  ];
  const nothing = bytes(0, 0, 0);
  accepts("required_capabilities by itself", () => {
    expect(requiredCapabilitiesOf(extension(EXTENSION.requiredCapabilities, nothing))).toEqual({
      extensionTypes: [],
      proposalTypes: [],
      credentialTypes: [],
    });
  });
  refuses("required_capabilities and a byte", "decode §2.1", () =>
    requiredCapabilitiesOf(extension(EXTENSION.requiredCapabilities, bytes(...nothing, 0))),
  );
  accepts("external_senders by itself", () => {
    expect(externalSendersOf(extension(EXTENSION.externalSenders, bytes(0)))).toEqual([]);
  });
  refuses("external_senders and a byte", "decode §2.1", () =>
    externalSendersOf(extension(EXTENSION.externalSenders, bytes(0, 0))),
  );
  accepts("a key package by itself", async () => {
    const message = await keyPackageOf(await person("eve"));
    expect(decode(KeyPackage, message.slice(4)).version).toBe(1);
  });
  refuses("a key package and a byte", "decode §2.1", async () => {
    const message = await keyPackageOf(await person("eve"));
    decode(KeyPackage, bytes(...message.slice(4), 0));
  });
  accepts("a GroupInfo in a Welcome by itself", () => invited());
  refuses("a GroupInfo in a Welcome and a byte", "decode §2.1", () => invited(bytes(0)));
  refuses("a leaf whose extensions end in half a one", "decode §2.1", () => {
    const leaf = { ...sample(arbitrary.leafNode), extensions: [], signature: bytes() };
    const encoded = encode(LeafNode, leaf);
    // The empty vector of extensions and the empty signature are its last two bytes.
    decode(LeafNode, bytes(...encoded.slice(0, -2), 1, 0, 0));
  });
});

rule("E09", () => {
  const proposal = sample(arbitrary.proposal);
  const references: readonly ProposalOrRef[] = [{ type: "reference", reference: bytes(7) }];
  const content = {
    groupId: utf8("room"),
    epoch: 0n,
    sender: { senderType: "new_member_proposal" },
    authenticatedData: bytes(),
    content: { contentType: "proposal", proposal },
  } as const;
  accepts("what the RFC names", () => {
    expect(decode(WireFormat, bytes(0, 5))).toBe("mls_key_package");
    expect(decode(ContentType, bytes(3))).toBe("commit");
    expect(decode(FramedContent, encode(FramedContent, content))).toEqual(content);
    expect(decode(Commit, encode(Commit, { proposals: references, path: undefined }))).toEqual({
      proposals: references,
      path: undefined,
    });
  });
  for (const number of [0, 6, 0xff00]) {
    refuses(`wire_format ${number}`, "decode §2.1", () =>
      decodeMessage(bytes(0, 1, number >> 8, number & 0xff, 0, 0, 0)),
    );
  }
  for (const number of [0, 4, 255]) {
    refuses(`content_type ${number}`, "decode §2.1", () => decode(ContentType, bytes(number)));
  }
  for (const number of [0, 5, 255]) {
    refuses(`sender_type ${number}`, "decode §2.1", () => {
      const encoded = encode(FramedContent, content);
      // Group id with its length, epoch: the sender's type comes next.
      encoded[5 + 8] = number;
      decode(FramedContent, encoded);
    });
  }
  for (const number of [0, 3, 255]) {
    refuses(`node_type ${number}`, "decode §2.1", () => {
      const leafNode = sample(arbitrary.leafNode);
      decode(Node, encode(Node, { nodeType: "leaf", leafNode }).with(0, number));
    });
    refuses(`ProposalOrRefType ${number}`, "decode §2.1", () => {
      const encoded = encode(Commit, { proposals: references, path: undefined });
      decode(Commit, encoded.with(1, number));
    });
  }
  for (const number of [0, 4, 255]) {
    refuses(`leaf_node_source ${number}`, "decode §2.1", () => {
      const leaf = {
        encryptionKey: bytes(),
        signatureKey: bytes(),
        credential: { credentialType: "basic", identity: bytes() },
        capabilities: {
          versions: [],
          cipherSuites: [],
          extensions: [],
          proposals: [],
          credentials: [],
        },
        source: { leafNodeSource: "update" },
        extensions: [],
        signature: bytes(),
      } as const;
      // Two empty keys, a credential of three bytes, five empty lists: the source comes next.
      decode(LeafNode, encode(LeafNode, leaf).with(1 + 1 + 3 + 5, number));
    });
  }
  refuses("a number without a name", "decode §2.1", () =>
    decode(enumeration(uint8, { red: 1 }), bytes(2)),
  );
});

rule("E10", () => {
  accepts("as many elements as the input has bytes for", () => {
    expect(decode(vector(uint8), bytes(3, 7, 8, 9))).toEqual([7, 8, 9]);
  });
  accepts("no structure holds itself: the deepest message is read without depth", () => {
    const empties = encode(
      vector(opaque),
      Array.from({ length: 100_000 }, () => bytes()),
    );
    expect(decode(vector(opaque), empties)).toHaveLength(100_000);
  });
  refuses("elements that the input has no bytes for", "decode §2.1", () =>
    decode(vector(vector(opaque)), unhex("80100000".padEnd(200, "00"))),
  );
});

rule("E11", () => {
  const again = (message: Bytes): Bytes => encodeMessage(decodeMessage(message));
  accepts("every message, both ways", () => {
    fc.assert(
      fc.property(arbitrary.message, (message) => {
        const encoded = encodeMessage(message);
        expect(arbitrary.rebuilt(decodeMessage(encoded))).toEqual(message);
        expect(again(encoded)).toEqual(encoded);
      }),
      { numRuns: 100 },
    );
  });
  accepts("what else is accepted writes back the same", () => {
    const changed = fc.tuple(arbitrary.message.map(encodeMessage), fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(changed, ([message, at, value]) => {
        const other = message.with(at % message.length, value);
        let same: Bytes;
        try {
          same = again(other);
        } catch (error) {
          expect(error).toBeInstanceOf(MlsError);
          return;
        }
        expect(same).toEqual(other);
      }),
      { numRuns: 300 },
    );
  });
  refuses("a message whose last byte is missing", "decode §2.1", () => {
    again(encodeMessage(sample(arbitrary.message)).slice(0, -1));
  });
});
