/** Every decoder of the package, with valid bytes for it and the encoding of what it read. */

import { type Bytes, type Codec, decode, encode } from "@conclave/mls/codec";
import { readGroupInfo, readMessage, readWelcome } from "@conclave/mls/public-group";
import fc, { type Arbitrary } from "fast-check";
import { HpkeCiphertext } from "../../src/crypto/hpke.ts";
import { suiteOf } from "../../src/crypto/suite.ts";
import { AuthenticatedContent, FramedContent } from "../../src/framing/content.ts";
import { decodeMessage, encodeMessage } from "../../src/framing/message.ts";
import { PrivateMessage } from "../../src/framing/private-message.ts";
import { Commit, Proposal } from "../../src/framing/proposal.ts";
import { PublicMessage } from "../../src/framing/public-message.ts";
import { CommitReport } from "../../src/group/report.ts";
import {
  decodePending,
  decodeSecrets,
  decodeState,
  encodeState,
  StoredBundle,
} from "../../src/group/stored-group.ts";
import { decodePublicState, encodePublicState } from "../../src/group/stored-public-group.ts";
import { Credential } from "../../src/key/credential.ts";
import {
  Extensions,
  externalSendersOf,
  RequiredCapabilities,
  requiredCapabilitiesOf,
} from "../../src/key/extension.ts";
import { GroupContext } from "../../src/key/group-context.ts";
import { GroupInfo, GroupSecrets, Welcome } from "../../src/key/group-info.ts";
import { KeyPackage } from "../../src/key/key-package.ts";
import { PreSharedKeyID } from "../../src/key/psk.ts";
import { SecretTree } from "../../src/key/secret-tree.ts";
import { EXTENSION } from "../../src/registry.ts";
import { Capabilities, LeafNode, Lifetime } from "../../src/tree/leaf-node.ts";
import {
  decodeRatchetTree,
  encodeRatchetTree,
  Node,
  ParentNode,
} from "../../src/tree/ratchet-tree.ts";
import { UpdatePath } from "../../src/tree/update-path.ts";
import * as arbitrary from "../arbitrary.ts";
import { inside } from "../forge.ts";
import type { Said } from "./corpus.ts";

export interface Decoder {
  readonly name: string;
  readonly corpus: readonly Bytes[];
  /** Reads, and writes what was read; undefined where nothing is written in that form. */
  readonly run: (bytes: Bytes) => Bytes | undefined | Promise<Bytes>;
}

export async function decoders(said: Said, seed: number): Promise<readonly Decoder[]> {
  const { person } = said.room.at(0);
  const suite = suiteOf(person.context.crypto, person.suite);
  const { state } = await inside(person);
  const leaf = said.room.at(1).group.members()[1]?.leafNode;
  if (!leaf) throw new Error("nobody");

  const struct = <T>(
    name: string,
    codec: Codec<T>,
    values: Arbitrary<T>,
    numRuns = 40,
  ): Decoder => ({
    name,
    corpus: fc.sample(values, { seed, numRuns }).map((value) => encode(codec, value)),
    run: (bytes) => encode(codec, arbitrary.rebuilt(decode(codec, bytes))),
  });
  const stored = (name: string, run: Decoder["run"]): Decoder => {
    const corpus = said.records.get(name) ?? [];
    if (corpus.length === 0) throw new Error(`no record of kind ${name}`);
    return { name: `stored ${name}`, corpus, run };
  };
  const nothing = (read: (bytes: Bytes) => unknown) => (bytes: Bytes) => {
    read(bytes);
    return undefined;
  };
  const messages = [
    ...said.messages,
    ...fc.sample(arbitrary.message, { seed, numRuns: 60 }).map(encodeMessage),
  ];
  const extension = (extensionType: number, extensionData: Bytes) => [
    { extensionType, extensionData },
  ];
  const ratchetTree = (records: ReadonlyMap<string, Bytes>) =>
    SecretTree.load(suite, 8, "", new Map(records));

  return [
    {
      name: "MLSMessage",
      corpus: messages,
      run: (bytes) => encodeMessage(arbitrary.rebuilt(decodeMessage(bytes))),
    },
    {
      name: "heads of messages",
      corpus: messages,
      run: nothing((bytes) => {
        readMessage(bytes);
        for (const read of [readWelcome, readGroupInfo]) {
          try {
            read(bytes);
          } catch (error) {
            if ((error as { code?: string }).code !== "wrong-wire-format") throw error;
          }
        }
      }),
    },
    struct("PublicMessage", PublicMessage, arbitrary.publicMessage),
    struct("PrivateMessage", PrivateMessage, arbitrary.privateMessage),
    struct("FramedContent", FramedContent, arbitrary.framedContent),
    struct(
      "AuthenticatedContent",
      AuthenticatedContent,
      arbitrary.publicMessage.map(({ content, auth }) => ({
        wireFormat: "mls_public_message" as const,
        content,
        auth,
      })),
    ),
    struct("Proposal", Proposal, arbitrary.proposal),
    struct("Commit", Commit, arbitrary.commit),
    struct("UpdatePath", UpdatePath, arbitrary.updatePath),
    struct("KeyPackage", KeyPackage, arbitrary.keyPackage),
    struct("LeafNode", LeafNode, arbitrary.leafNode),
    struct("Capabilities", Capabilities, arbitrary.capabilities),
    struct("Lifetime", Lifetime, arbitrary.lifetime),
    struct("ParentNode", ParentNode, arbitrary.parentNode),
    struct("Credential", Credential, arbitrary.credential),
    struct("extensions", Extensions, fc.array(arbitrary.extension, { maxLength: 4 })),
    struct("GroupContext", GroupContext, arbitrary.groupContext),
    struct("GroupInfo", GroupInfo, arbitrary.groupInfo),
    struct("GroupSecrets", GroupSecrets, arbitrary.groupSecrets),
    struct("Welcome", Welcome, arbitrary.welcome),
    struct("PreSharedKeyID", PreSharedKeyID, arbitrary.preSharedKeyId),
    struct("HPKECiphertext", HpkeCiphertext, arbitrary.hpkeCiphertext),
    struct("CommitReport", CommitReport, arbitrary.commitReport),
    struct("required_capabilities", RequiredCapabilities, arbitrary.requiredCapabilities),
    {
      name: "extensions of the GroupContext",
      corpus: [
        ...fc
          .sample(arbitrary.requiredCapabilities, { seed, numRuns: 20 })
          .map((value) => encode(RequiredCapabilities, value)),
        Uint8Array.of(8, 3, 1, 2, 3, 0, 1, 1, 7),
        Uint8Array.of(16, 3, 1, 2, 3, 0, 1, 1, 7, 3, 1, 2, 3, 0, 2, 1, 0),
      ],
      run: nothing((bytes) => {
        const errors: unknown[] = [];
        const tries = [
          () => requiredCapabilitiesOf(extension(EXTENSION.requiredCapabilities, bytes)),
          () => externalSendersOf(extension(EXTENSION.externalSenders, bytes)),
        ];
        for (const read of tries) {
          try {
            read();
          } catch (error) {
            errors.push(error);
          }
        }
        const other = errors.find((error) => (error as Error).name !== "MlsError");
        if (other ?? errors.length === 2) throw other ?? errors[0];
      }),
    },
    {
      name: "ratchet_tree",
      corpus: said.trees,
      run: async (bytes) => encodeRatchetTree(await decodeRatchetTree(bytes)),
    },
    stored("state", (bytes) => {
      // An older version is read, and written as the newest.
      if (bytes[0] !== said.records.get("state")?.[0]?.[0]) return nothing(decodeState)(bytes);
      const { status, ownLeaf, ...stands } = decodeState(bytes);
      return encodeState({ ...state, ...stands }, status, ownLeaf);
    }),
    // Two versions of it are read, and one is written.
    stored("secrets", nothing(decodeSecrets)),
    stored("node", (bytes) => encode(Node, arbitrary.rebuilt(decode(Node, bytes)))),
    stored("proposal", (bytes) =>
      encode(AuthenticatedContent, arbitrary.rebuilt(decode(AuthenticatedContent, bytes))),
    ),
    stored(
      "pending",
      nothing((bytes) => decodePending(state, bytes)),
    ),
    stored(
      "ratchet",
      nothing((bytes) =>
        ratchetTree(new Map([["r/0/application", bytes]]))
          .next(0, "application")
          .discard(),
      ),
    ),
    stored(
      "message key",
      nothing((bytes) =>
        ratchetTree(new Map([["k/0/application/3", bytes]]))
          .at(0, "application", 3)
          .discard(),
      ),
    ),
    struct(
      "stored bundle",
      StoredBundle,
      fc.record({
        commit: arbitrary.bytes,
        welcome: fc.option(arbitrary.bytes, { nil: undefined }),
        groupInfo: arbitrary.bytes,
        groupInfoForJoiners: fc.option(
          arbitrary.bytes.filter(({ length }) => length > 0),
          { nil: undefined },
        ),
      }),
    ),
    {
      name: "stored public group",
      corpus: said.publicStates,
      run: (bytes) => encodePublicState(decodePublicState(bytes)),
    },
  ];
}
