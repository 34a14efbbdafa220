/**
 * This package, as an application uses it, over storage in memory.
 * @module
 */

import {
  createGroup,
  createKeyPackage,
  type Group,
  joinExternally,
  joinGroup,
  loadGroup,
  type MlsContext,
  memoryStorage,
  type Proposal,
  readKeyPackage,
  type Signer,
  type Storage,
  signerOf,
} from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup } from "@conclave/mls/public-group";
import { suiteOf } from "../../packages/mls/src/crypto/suite.ts";
import { populated } from "../../packages/mls/test/populated.ts";
import { DATA, MESSAGES, perMessage, type Subject, type Timed, timed } from "./subject.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const SUITE = 1;
const now = Date.now();
const lifetime = {
  notBefore: BigInt(Math.floor(now / 1000) - 60),
  notAfter: BigInt(Math.floor(now / 1000) + 86_400),
};

/** Milliseconds spent in storage since the last time this was asked. */
let inStorage = 0;
function storageTime(): number {
  const spent = inStorage;
  inStorage = 0;
  return spent;
}

/**
 * In memory it keeps a processor busy all the time, so the clock tells of both. It is read alone: asking for the time of processors
 * would cost as much as storing a message.
 */
function timedStorage(): Storage {
  const inner = memoryStorage();
  const around = async <T>(operation: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const value = await operation();
    inStorage += performance.now() - started;
    return value;
  };
  return {
    get: (key) => around(() => inner.get(key)),
    list: (prefix) => around(() => inner.list(prefix)),
    apply: (batch) => around(() => inner.apply(batch)),
  };
}

interface Person {
  readonly context: MlsContext;
  readonly signer: Signer;
  readonly credential: {
    readonly credentialType: "basic";
    readonly identity: Bytes;
  };
}

async function person(name: string): Promise<Person> {
  const keyPair = await nodeCrypto.generateSignatureKeyPair("ed25519");
  return {
    context: {
      crypto: nodeCrypto,
      storage: timedStorage(),
      authentication: { validate: async () => undefined, isSuccessor: async () => true },
      now: () => now,
    },
    signer: signerOf(nodeCrypto, "ed25519", keyPair),
    credential: { credentialType: "basic", identity: new TextEncoder().encode(name) },
  };
}

async function measured<T>(operation: () => Promise<T>): Promise<{ time: Timed; value: T }> {
  storageTime();
  const { ms, cpuMs, value } = await timed(operation);
  const storageMs = storageTime();
  const time = { ms: ms - storageMs, cpuMs: cpuMs - storageMs, storageMs };
  return { time, value };
}

function collectGarbage(): void {
  globalThis.gc?.();
  globalThis.gc?.();
}

function used(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

export function subject(): Subject {
  let founder: Person;
  let people: Person[] = [];
  let proposals: Proposal[] = [];
  let group: Group;
  let groups = 0;
  let welcome: Bytes;
  let tree: Bytes;
  let observer: PublicGroup;
  /** Who joined, in order, and who entered to commit. */
  let joined: Group[] = [];
  let enlisted: Group[] = [];
  let commit: Bytes;
  let processed = 0;
  let messages: Bytes[] = [];

  const enter = (place: number): Promise<Group> => {
    const who = people[place - 1];
    if (!who) throw new Error(`nobody at ${place}`);
    return joinGroup(who.context, { welcome, ratchetTree: tree, signer: who.signer });
  };

  return {
    suite: SUITE,
    setup: async (n) => {
      founder = await person("member 0");
      people = [];
      proposals = [];
      for (let i = 1; i < n; i++) {
        const who = await person(`member ${i}`);
        const { context, signer, credential } = who;
        const own = { suite: SUITE, credential, signer, lifetime };
        const { keyPackage } = await createKeyPackage(context, own);
        people.push(who);
        proposals.push({ proposalType: "add", keyPackage: readKeyPackage(keyPackage) });
      }
    },
    addAll: async () => {
      const groupId = new Uint8Array(16).fill(groups++);
      const { context, signer, credential } = founder;
      const own = { suite: SUITE, credential, signer, lifetime };
      const { time, value } = await measured(async () => {
        const made = await createGroup(context, { groupId, ...own });
        const bundle = await made.commit({ proposals });
        await made.receive(bundle.commit);
        return { made, bundle };
      });
      if (!value.bundle.welcome) throw new Error("a commit that adds has a Welcome");
      group = value.made;
      welcome = value.bundle.welcome;
      tree = group.ratchetTree();
      joined = [];
      enlisted = [];
      const groupInfo = await group.groupInfo({ externalPub: false });
      observer = await PublicGroup.open(founder.context, { groupInfo, ratchetTree: tree });
      return { ...time, bytes: value.bundle.commit.length + welcome.length };
    },
    join: async () => {
      const { time, value } = await measured(() => enter(people.length - joined.length));
      joined.push(value);
      return { ...time, bytes: tree.length };
    },
    enlist: async (places) => {
      // Those who joined already stand at the last places; they need not enter twice.
      const last = people.length - joined.length;
      for (const place of places) if (place <= last) enlisted.push(await enter(place));
    },
    commit: async () => {
      if (group.pendingCommit) await group.discardPendingCommit();
      const { time, value } = await measured(() => group.commit());
      commit = value.commit;
      processed = 0;
      return { ...time, bytes: commit.length };
    },
    process: async () => {
      const by = joined[processed++];
      if (!by) throw new Error("all have processed this commit");
      const { time } = await measured(() => by.receive(commit));
      if (processed === joined.length) {
        for (const one of [group, ...enlisted]) await one.receive(commit);
        observer = (await observer.process(commit)).group;
      }
      return time;
    },
    populate: async () => {
      const all = [group, ...joined, ...enlisted];
      for (const by of enlisted) {
        const made = await by.commit();
        for (const one of all) await one.receive(made.commit);
        observer = (await observer.process(made.commit)).group;
      }
      // They have done what they entered for: a member's process has no others.
      enlisted = [];
    },
    populateAll: async () => {
      const groupId = new Uint8Array(16).fill(groups++);
      const suite = suiteOf(nodeCrypto, SUITE);
      const own = {
        suite: SUITE,
        credential: founder.credential,
        signer: founder.signer,
        lifetime,
      };
      const { keyPackage } = await createKeyPackage(founder.context, own);
      const members = [founder, ...people].map(({ signer }, place) => {
        const proposal = proposals[place - 1];
        const { leafNode } =
          proposal?.proposalType === "add" ? proposal.keyPackage : readKeyPackage(keyPackage);
        return { leafNode, signer };
      });
      let { groupInfo, ratchetTree } = await populated(suite, groupId, members);
      const alive: Group[] = [];
      /** Somebody takes their own place anew, by an external commit: so their state fits the tree. */
      const resume = async (who: Person, place: number): Promise<Group> => {
        const { context, signer, credential } = who;
        const options = { groupInfo, ratchetTree, signer, credential, resync: place };
        const entered = await joinExternally(context, options);
        for (const one of alive) await one.receive(entered.bundle.commit);
        await entered.group.confirm();
        groupInfo = await entered.group.groupInfo({ externalPub: true });
        ratchetTree = entered.group.ratchetTree();
        alive.push(entered.group);
        return entered.group;
      };
      group = await resume(founder, 0);
      const count = joined.length;
      joined = [];
      enlisted = [];
      for (let place = people.length; joined.length < count; place--) {
        const who = people[place - 1];
        if (who) joined.push(await resume(who, place));
      }
      observer = await PublicGroup.open(founder.context, {
        groupInfo: await group.groupInfo({ externalPub: false }),
        ratchetTree,
      });
      return Math.ceil((people.length + 1) / 2);
    },
    send: async () => {
      const sent: Bytes[] = [];
      const { time } = await measured(async () => {
        for (let i = 0; i < MESSAGES; i++) sent.push(await group.send(DATA));
      });
      messages = sent;
      return perMessage(time, messages[0]?.length ?? 0);
    },
    receive: async () => {
      const by = joined[0];
      if (!by) throw new Error("nobody joined");
      const { time } = await measured(async () => {
        for (const message of messages) await by.receive(message);
      });
      return perMessage(time, messages[0]?.length ?? 0);
    },
    memory: async () => {
      collectGarbage();
      const before = used();
      // One who stands at an odd place, and so has not entered to commit.
      const entered = await enter(1);
      collectGarbage();
      const bytes = used() - before;
      await entered.remove();
      return bytes;
    },
    others: async () => {
      const { groupId } = group;
      const commits = await group.commit();
      const observed = await measured(() => observer.process(commits.commit));
      await group.discardPendingCommit();
      const { context, signer } = founder;
      const loaded = await measured(() => loadGroup(context, { groupId, signer }));
      const tree = await measured(async () => group.ratchetTree());
      return {
        "process, by an observer": observed.time,
        "load from storage": loaded.time,
        "encode the tree": { ...tree.time, bytes: tree.value.length },
      };
    },
  };
}
