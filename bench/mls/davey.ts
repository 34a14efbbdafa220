/**
 * `@snazzah/davey` (OpenMLS in Rust, native), which speaks Discord's DAVE protocol: suite 2, and every change is proposed by an
 * external sender, whose part is played here. There is no commit of a path alone: one that removes a member stands in its place, with
 * the verification of that proposal. Messages are frames of sound, not MLS messages: sending and receiving can't be compared.
 * @module
 */

import { createHash, generateKeyPairSync, sign } from "node:crypto";
import {
  type Codec,
  encode,
  opaque,
  struct,
  uint8,
  uint16,
  uint32,
  uint64,
  vector,
} from "@conclave/mls/codec";
import { DAVESession, type ProposalsOperationType } from "@snazzah/davey";
import { type Subject, timed } from "./subject.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const SUITE = 2;
const APPEND = 0 as ProposalsOperationType;
const REVOKE = 1 as ProposalsOperationType;
const CHANNEL = 1n;

/** Bytes that are a structure already. */
const raw: Codec<Bytes> = {
  write: (w, value) => w.bytes(value),
  read: () => {
    throw new TypeError("never read");
  },
};

/** A proposal of the external sender (§6, §12.1.8), and its reference (§5.2). */
function externalSender() {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = publicKey.export({ format: "der", type: "spki" });
  const credential = struct({ type: uint16, identity: opaque });
  const sender = encode(struct({ key: opaque, credential }), {
    key: Uint8Array.from(der.subarray(-65)),
    credential: { type: 1, identity: new TextEncoder().encode("sender") },
  });
  const groupId = encode(uint64, CHANNEL);
  const framed = struct({
    groupId: opaque,
    epoch: uint64,
    senderType: uint8,
    senderIndex: uint32,
    authenticatedData: opaque,
    contentType: uint8,
    proposal: raw,
  });
  const labelled = struct({ label: opaque, content: opaque });
  const version = Uint8Array.of(0, 1);
  const wireFormat = Uint8Array.of(0, 1);
  const propose = (epoch: bigint, proposal: Bytes): { message: Bytes; ref: Bytes } => {
    const content = encode(framed, {
      groupId,
      epoch,
      senderType: 2,
      senderIndex: 0,
      authenticatedData: new Uint8Array(0),
      contentType: 2,
      proposal,
    });
    const label = new TextEncoder().encode("MLS 1.0 FramedContentTBS");
    const tbs = encode(labelled, {
      label,
      content: Uint8Array.from(Buffer.concat([version, wireFormat, content])),
    });
    const signature = encode(opaque, Uint8Array.from(sign("sha256", tbs, privateKey)));
    const authenticated = Uint8Array.from(Buffer.concat([wireFormat, content, signature]));
    const ref = createHash("sha256")
      .update(
        encode(labelled, {
          label: new TextEncoder().encode("MLS 1.0 Proposal Reference"),
          content: authenticated,
        }),
      )
      .digest();
    return {
      message: Uint8Array.from(Buffer.concat([version, authenticated])),
      ref: Uint8Array.from(ref),
    };
  };
  return { sender: Buffer.from(sender), propose };
}

function list(items: readonly Bytes[]): Buffer {
  return Buffer.from(encode(vector(raw), items));
}

export function subject(): Subject {
  const { sender, propose } = externalSender();
  let founder: DAVESession;
  let people: DAVESession[] = [];
  let proposals: Buffer;
  let welcome: Buffer;
  let joined: DAVESession[] = [];
  let enlisted: DAVESession[] = [];
  /** Places that may be removed: of members who never come alive. */
  let removable: number[] = [];
  let open: { readonly message: Bytes; readonly ref: Bytes } | undefined;
  let commit: Buffer;
  let processed = 0;

  const newSession = (user: number): DAVESession => {
    const session = new DAVESession(1, String(1000 + user), String(CHANNEL));
    session.setExternalSender(sender);
    return session;
  };
  const enter = (place: number): DAVESession => {
    const who = people[place - 1];
    if (!who) throw new Error(`nobody at ${place}`);
    who.processWelcome(welcome);
    return who;
  };
  const removal = (place: number): { message: Bytes; ref: Bytes } =>
    propose(
      founder.epoch ?? 0n,
      encode(struct({ type: uint16, removed: uint32 }), { type: 3, removed: place }),
    );
  const commitBy = (session: DAVESession, proposal: { message: Bytes }): Buffer => {
    const made = session.processProposals(APPEND, list([proposal.message])).commit;
    if (!made) throw new Error("no commit");
    return made;
  };

  return {
    suite: SUITE,
    mostCommits: 6,
    setup: async (n) => {
      people = [];
      const adds: Bytes[] = [];
      for (let i = 1; i < n; i++) {
        const session = newSession(i);
        const keyPackage = Uint8Array.from(session.getSerializedKeyPackage());
        const add = Uint8Array.from(Buffer.concat([Uint8Array.of(0, 1), keyPackage]));
        adds.push(propose(0n, add).message);
        people.push(session);
      }
      proposals = list(adds);
    },
    addAll: async () => {
      const { ms, cpuMs, value } = await timed(async () => {
        founder = newSession(0);
        const made = founder.processProposals(APPEND, proposals);
        if (!made.commit || !made.welcome) throw new Error("nothing was made");
        founder.processCommit(made.commit);
        return { commit: made.commit, welcome: made.welcome };
      });
      welcome = value.welcome;
      joined = [];
      enlisted = [];
      open = undefined;
      return { ms, cpuMs, bytes: value.commit.length + welcome.length };
    },
    join: async () => {
      const { ms, cpuMs, value } = await timed(async () => enter(people.length - joined.length));
      joined.push(value);
      return { ms, cpuMs };
    },
    enlist: async (places) => {
      const last = people.length - joined.length;
      for (const place of places) if (place <= last) enlisted.push(enter(place));
      removable = [];
      for (let place = 1; place <= last; place += 2) removable.push(place);
    },
    commit: async () => {
      processed = 0;
      if (open) founder.processProposals(REVOKE, list([encode(opaque, open.ref)]));
      const [place] = removable;
      if (place === undefined) throw new Error("nobody is left to be removed");
      const proposal = removal(place);
      open = proposal;
      const { ms, cpuMs, value } = await timed(async () => commitBy(founder, proposal));
      commit = value;
      return { ms, cpuMs, bytes: commit.length };
    },
    process: async () => {
      const by = joined[processed++];
      if (!by || !open) throw new Error("all have processed this commit");
      by.processProposals(APPEND, list([open.message]));
      const { ms, cpuMs } = await timed(async () => by.processCommit(commit));
      if (processed === joined.length) {
        for (const one of enlisted) {
          one.processProposals(APPEND, list([open.message]));
          one.processCommit(commit);
        }
        founder.processCommit(commit);
        removable.shift();
        open = undefined;
      }
      return { ms, cpuMs };
    },
    populate: async () => {
      const all = [founder, ...joined, ...enlisted];
      for (const by of enlisted) {
        // One is kept for the measurement that follows.
        const place = removable.length > 1 ? removable.shift() : undefined;
        if (place === undefined) return;
        const proposal = removal(place);
        const made = commitBy(by, proposal);
        for (const one of all) {
          if (one !== by) one.processProposals(APPEND, list([proposal.message]));
          one.processCommit(made);
        }
      }
    },
  };
}
