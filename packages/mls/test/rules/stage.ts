/** Where rules are broken: a group of four whose last member, mallory, has a member's keys and keeps to no rule. */

import { EXTENSION } from "@conclave/mls";
import { type Bytes, encode, opaque, vector } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import type { PrivateMessage } from "../../src/framing/private-message.ts";
import type { PublicMessage } from "../../src/framing/public-message.ts";
import { Credential } from "../../src/key/credential.ts";
import { type Inside, inside } from "../forge.ts";
import { type Person, person, persons, type Room, room } from "../people.ts";

export interface Stage {
  readonly where: Room;
  readonly mallory: Inside;
  /** Whose key stands in the group's external_senders, first. */
  readonly outsider: Person;
}

/** Mallory's leaf index. */
export const MALLORY = 3;

/** `external_senders` with these people. */
export function externalSenders(people: readonly Person[]) {
  const senders = vector<Person>({
    write: (w, who) => {
      opaque.write(w, who.signer.publicKey);
      Credential.write(w, who.credential);
    },
    read: () => {
      throw new Error("only written");
    },
  });
  return { extensionType: EXTENSION.externalSenders, extensionData: encode(senders, people) };
}

export async function stage(options: Parameters<typeof person>[1] = {}): Promise<Stage> {
  const outsider = await person("the outsider");
  const people = await persons(["alice", "bob", "carol", "mallory"], options);
  const where = await room(people, { extensions: [externalSenders([outsider])] });
  return { where, mallory: await inside(where.at(MALLORY).person), outsider };
}

export function changedPublic(
  message: Bytes,
  change: (message: PublicMessage) => PublicMessage,
): Bytes {
  const { publicMessage } = decodeMessageOf(message, "mls_public_message");
  return encodeMessage({ wireFormat: "mls_public_message", publicMessage: change(publicMessage) });
}

export function changedPrivate(
  message: Bytes,
  change: (message: PrivateMessage) => PrivateMessage,
): Bytes {
  const { privateMessage } = decodeMessageOf(message, "mls_private_message");
  return encodeMessage({
    wireFormat: "mls_private_message",
    privateMessage: change(privateMessage),
  });
}

/** The bytes with one bit of one of them turned over. */
export function flipped(bytes: Bytes, at: number): Bytes {
  return bytes.with(at, (bytes.at(at) ?? 0) ^ 1);
}

/** A member who encrypts what `change` makes of each plaintext: of a message's content, and of its sender data. */
export function encrypting(
  by: Inside,
  change: (plaintext: Bytes, of: "content" | "sender data") => Bytes,
): Inside {
  const provider = {
    ...nodeCrypto,
    seal: (...args: Parameters<typeof nodeCrypto.seal>) => {
      const [aead, key, nonce, aad, plaintext] = args;
      const of = plaintext.length === 12 ? "sender data" : "content";
      return nodeCrypto.seal(aead, key, nonce, aad, change(plaintext, of));
    },
  };
  return { ...by, suite: { ...by.suite, provider } };
}
