/**
 * A member of several groups who commits and sends, whatever happens to the service: repeats what was not answered with the same bytes,
 * goes on from the winner's epoch where a commit lost, reads logs from its cursors, adds and removes others, and joins where it is added.
 * @module
 */

import {
  ClaimKeyPackagesResponse,
  InboxResponse,
  KeyPackageCount,
  type LogEntry,
  LogResponse,
  SignInResponse,
} from "@conclave/delivery/protocol";
import { type Group, joinGroup, type Proposal } from "@conclave/mls";
import { encode, opaque } from "@conclave/mls/codec";
import { addOf, aGroup, aKeyPackage, bundleBody, memberOf, pathOf, SUITE } from "../member.ts";
import {
  type Answer,
  type Bytes,
  newPerson,
  type Person,
  proveSignIn,
  signList,
} from "../world.ts";
import type { Logged, ReadEntry, Reading } from "./check.ts";
import type { Ask } from "./connection.ts";
import { count, hashOf, hex, type Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";

/** Key packages that a writer has at the service, at least and after it brought new ones. */
const SUPPLY = { least: 8, full: 24 };

/** A commit that met one of these is composed anew in the same epoch. */
const REDO: ReadonlySet<string> = new Set(["device-full", "pending-proposals"]);

/** A writer's place in a group, from its joining to its removal. */
interface Seat {
  readonly group: Group;
  readonly groupId: Bytes;
  /** The place in the log before the first entry that it reads. */
  readonly after: number;
  readonly read: ReadEntry[];
  /** What we sent ourselves, by its hash: nobody decrypts their own. */
  readonly sent: Map<string, string | undefined>;
  /** We asked to be removed from this epoch. */
  leaving: bigint | undefined;
  over: boolean;
}

/** Whoever else there is to be added. */
export interface Account {
  readonly accountId: Bytes;
  readonly signatureKey: Bytes;
  readonly name: string;
}

export interface Writer {
  readonly account: Account;
  /** Makes a group with these others in it, and answers with its id. */
  readonly found: (others: readonly Account[]) => Promise<string>;
  /** Does something somewhere, after reading what is new there. */
  readonly act: () => Promise<void>;
  /** Joins where it was added, and reads all logs to their ends. */
  readonly catchUp: () => Promise<void>;
  /** Sends to this group and commits, where it is a member. Answers with what it said. */
  readonly prove: (groupId: string) => Promise<string | undefined>;
  /** The log of a group from its beginning: of one that it founded. */
  readonly wholeLog: (groupId: string) => Promise<readonly Logged[]>;
  readonly readings: () => readonly Reading[];
}

export async function newWriter(
  name: string,
  world: {
    readonly ask: Ask;
    readonly ledger: Ledger;
    readonly random: Random;
    /** How many members a group is to have, about. */
    readonly size: number;
    readonly everybody: readonly Account[];
  },
): Promise<Writer> {
  const { ask, ledger, random } = world;
  const person = await newPerson(name);
  const member = memberOf(person, "");
  let token = await register(ask, person);
  const account = {
    name,
    accountId: person.accountId,
    signatureKey: person.signatureKey.publicKey,
  };
  const seats = new Map<string, Seat>();
  const past: Seat[] = [];
  const founded = new Set<string>();
  let inboxRead = 0;
  let messages = 0;

  async function authorized(method: string, path: string, body?: unknown): Promise<Answer> {
    for (;;) {
      const answer = await ask(method, path, { token, body });
      if (answer.status !== 401) return answer;
      token = await signIn(ask, person);
    }
  }

  async function supply(): Promise<void> {
    const held = await expected(200, authorized("GET", "/v1/key-packages"));
    const available = KeyPackageCount.parse(held).pools[0]?.available ?? 0;
    if (available >= SUPPLY.least) return;
    const keyPackages: Bytes[] = [];
    while (available + keyPackages.length < SUPPLY.full) {
      keyPackages.push(await aKeyPackage(member));
    }
    await expected(200, authorized("POST", "/v1/key-packages", { keyPackages }));
  }

  async function claim({ accountId }: Account): Promise<Bytes | undefined> {
    const body = { accountId, suites: [SUITE] };
    const answer = await expected(200, authorized("POST", "/v1/key-packages/claim", body));
    const [first] = ClaimKeyPackagesResponse.parse(answer).keyPackages;
    if (first !== undefined) ledger.claimed.push(hashOf(first.keyPackage));
    return first?.keyPackage;
  }

  function acknowledged(
    { groupId }: Seat,
    entry: { readonly kind: Logged["kind"]; readonly message: Bytes },
    { seq, acceptedAt }: { readonly seq: number; readonly acceptedAt: number },
  ): void {
    const { kind, message } = entry;
    ledger.acknowledged.push({
      groupId: hex(groupId),
      seq,
      hash: hashOf(message),
      kind,
      acceptedAt,
    });
  }

  /** What the log has beyond our cursor, up to its end or to our removal. */
  async function read(seat: Seat): Promise<void> {
    while (!seat.over) {
      const last = seat.read.at(-1)?.seq ?? seat.after;
      const page = LogResponse.parse(
        await expected(200, authorized("GET", pathOf(seat.groupId, `log?after=${last}`))),
      );
      for (const entry of page.entries) {
        // What follows is for whoever we were when we were added again.
        if (!seat.over) await take(seat, entry);
      }
      if (page.entries.length === 0 || (seat.read.at(-1)?.seq ?? 0) >= page.head) return;
    }
  }

  async function take(seat: Seat, entry: LogEntry): Promise<void> {
    const { seq, kind, message } = entry;
    const hash = hashOf(message);
    const isOwn = seat.sent.has(hash) && kind !== "commit";
    let text = seat.sent.get(hash);
    if (!isOwn) {
      const received = await seat.group.receive(message);
      if (received.type !== kind) throw new Error(`entry ${seq} is no ${kind}`);
      if (received.type === "application") text = Buffer.from(received.data).toString();
      if (received.type === "commit" && received.removed) {
        seat.over = true;
        await seat.group.remove();
        seats.delete(hex(seat.groupId));
        past.push(seat);
      }
    }
    seat.read.push({ seq, hash, text });
  }

  /** Sends to the group, in whatever epoch it takes it. */
  async function send(seat: Seat, text: string): Promise<boolean> {
    while (!seat.over) {
      if (seat.group.pendingProposals.length > 0) return false;
      const message = await seat.group.send(new Uint8Array(Buffer.from(text)));
      seat.sent.set(hashOf(message), text);
      if (await post(seat, "application", message)) return true;
    }
    return false;
  }

  /** Whether it was accepted; otherwise the group has moved on, and we with it. */
  async function post(
    seat: Seat,
    kind: "application" | "proposal",
    message: Bytes,
  ): Promise<boolean> {
    const answer = await authorized("POST", pathOf(seat.groupId, "messages"), message);
    if (answer.status === 201) acknowledged(seat, { kind, message }, answer.body);
    else await lost(seat, answer);
    return answer.status === 201;
  }

  /** Commits until it is accepted or we are out. `proposals` are made anew for each epoch. */
  async function commit(
    seat: Seat,
    propose: () => readonly Proposal[] | undefined = () => [],
  ): Promise<boolean> {
    while (!seat.over) {
      const proposals = propose();
      if (proposals === undefined) return false;
      const { group, groupId } = seat;
      const bundle = await group.commit({ proposals, forcePath: true, groupInfoForJoiners: true });
      const body = await bundleBody(group, bundle);
      const epoch = group.epoch + 1n;
      // The same bytes, until the log has them or something else in their place.
      while (group.pendingCommit !== undefined) {
        const answer = await authorized("POST", pathOf(groupId, "commits"), body);
        if (answer.status === 201) {
          acknowledged(seat, { kind: "commit", message: bundle.commit }, answer.body);
          welcomed(seat, epoch, bundle.welcome, proposals);
          await read(seat);
          if (group.pendingCommit !== undefined) throw new Error("our commit is not in the log");
          return true;
        }
        await lost(seat, answer);
        if (seat.over) return false;
        // What came first may have ended the epoch by now, and our commit with it.
        const waits = group.pendingCommit !== undefined;
        if (waits && REDO.has(answer.problem.code)) await group.discardPendingCommit();
      }
    }
    return false;
  }

  function welcomed(
    { groupId }: Seat,
    epoch: bigint,
    welcome: Bytes | undefined,
    proposals: readonly Proposal[],
  ): void {
    if (welcome === undefined) return;
    for (const proposal of proposals) {
      if (proposal.proposalType !== "add") continue;
      const key = hex(proposal.keyPackage.leafNode.signatureKey);
      const joiner = world.everybody.find(({ signatureKey }) => hex(signatureKey) === key);
      if (joiner === undefined) throw new Error("nobody knows who was added");
      ledger.welcomesSent.push({
        member: joiner.name,
        groupId: hex(groupId),
        epoch,
        hash: hashOf(welcome),
      });
    }
  }

  /** Something else came first: reads what. Throws for an answer that no race explains. */
  async function lost(seat: Seat, { status, problem }: Answer): Promise<void> {
    count(ledger.refusals, problem.code ?? String(status));
    const before = seat.read.length;
    await read(seat);
    const fair =
      REDO.has(problem.code) ||
      (problem.code === "wrong-epoch" && seat.read.length > before) ||
      (status === 404 && seat.over);
    if (!fair) throw new Error(`refused without a reason: ${status} ${problem.code}`);
  }

  /** Somebody who is not in the group, or somebody in it who may be removed. */
  function others(seat: Seat, inside: boolean): readonly Account[] {
    const keys = new Set(seat.group.members().map(({ leafNode }) => hex(leafNode.signatureKey)));
    return world.everybody.filter(({ signatureKey }) => keys.has(hex(signatureKey)) === inside);
  }

  function leafOf(seat: Seat, key: Bytes): number | undefined {
    return seat.group
      .members()
      .find(({ leafNode }) => Buffer.compare(leafNode.signatureKey, key) === 0)?.leafIndex;
  }

  async function add(seat: Seat): Promise<void> {
    const strangers = others(seat, false);
    if (strangers.length === 0) return;
    const stranger = random.of(strangers);
    const keyPackage = await claim(stranger);
    if (keyPackage === undefined) return;
    await commit(seat, () =>
      leafOf(seat, stranger.signatureKey) === undefined ? [addOf(keyPackage)] : undefined,
    );
  }

  async function remove(seat: Seat): Promise<void> {
    const { group } = seat;
    // Who made a group stays, to read its whole log in the end.
    const chosen = group
      .members()
      .filter(({ leafIndex }) => leafIndex !== 0 && leafIndex !== group.ownLeafIndex);
    if (chosen.length === 0) return;
    const { signatureKey } = random.of(chosen).leafNode;
    await commit(seat, () => {
      const removed = leafOf(seat, signatureKey);
      return removed === undefined ? undefined : [{ proposalType: "remove", removed }];
    });
  }

  async function leave(seat: Seat): Promise<void> {
    if (founded.has(hex(seat.groupId))) return;
    const { group } = seat;
    const epoch = group.epoch;
    const proposal = { proposalType: "remove", removed: group.ownLeafIndex } as const;
    const message = await group.propose(proposal);
    seat.sent.set(hashOf(message), undefined);
    if (await post(seat, "proposal", message)) seat.leaving = epoch;
  }

  async function actIn(seat: Seat): Promise<void> {
    await read(seat);
    if (seat.over || seat.leaving === seat.group.epoch) return;
    if (seat.group.pendingProposals.length > 0) {
      await commit(seat);
      return;
    }
    const choice = random.next();
    if (choice < 0.46) await send(seat, `${name} says ${++messages}`);
    else if (choice < 0.9) await commit(seat);
    else if (choice < 0.92) await leave(seat);
    else if (seat.group.members().length < world.size) await add(seat);
    else await remove(seat);
  }

  async function join(): Promise<void> {
    const { entries } = InboxResponse.parse(
      await expected(200, authorized("GET", `/v1/inbox?after=${inboxRead}`)),
    );
    for (const { seq, groupId, epoch, commitSeq, welcome } of entries) {
      const id = hex(groupId);
      ledger.welcomesFound.push({ member: name, groupId: id, epoch, hash: hashOf(welcome) });
      // Whoever is added again was removed before, and reads of that first.
      const before = seats.get(id);
      if (before !== undefined) await read(before);
      if (seats.has(id)) throw new Error(`added to ${id} again, and never removed`);
      const tree = await expected(200, authorized("GET", pathOf(groupId, `tree?epoch=${epoch}`)));
      const group = await joinGroup(member.context, {
        welcome,
        // Small enough to be one part.
        ratchetTree: encode(opaque, tree as Bytes),
        signer: person.signatureKey,
        expected: { groupId, epoch },
      });
      seats.set(id, newSeat(group, commitSeq));
      inboxRead = seq;
    }
    if (entries.length === 0) return;
    await expected(204, authorized("POST", "/v1/inbox/ack", { upTo: inboxRead }));
  }

  return {
    account,
    async found(accounts) {
      const group = await aGroup(member);
      const groupInfo = await group.groupInfo({ externalPub: false });
      const body = { groupInfo, ratchetTree: group.ratchetTree() };
      await expected(201, authorized("POST", "/v1/groups", body));
      const id = hex(group.groupId);
      const seat = newSeat(group, 0);
      seats.set(id, seat);
      founded.add(id);
      const adds: Proposal[] = [];
      for (const other of accounts) {
        const keyPackage = await claim(other);
        if (keyPackage !== undefined) adds.push(addOf(keyPackage));
      }
      await commit(seat, () => adds);
      return id;
    },
    async act() {
      if (random.next() < 0.05) await supply();
      await join();
      if (seats.size > 0) await actIn(random.of([...seats.values()]));
    },
    async catchUp() {
      await supply();
      await join();
      for (const seat of seats.values()) await read(seat);
    },
    async prove(groupId) {
      const seat = seats.get(groupId);
      if (seat === undefined) return undefined;
      await read(seat);
      if (seat.over || seat.leaving === seat.group.epoch) return undefined;
      const text = `${name} is here in ${groupId}`;
      if ((await commit(seat)) && (await send(seat, text))) return text;
      throw new Error("could not commit and send");
    },
    async wholeLog(groupId) {
      const log: Logged[] = [];
      for (let head = 1; (log.at(-1)?.seq ?? 0) < head; ) {
        const after = log.at(-1)?.seq ?? 0;
        const path = pathOf(new Uint8Array(Buffer.from(groupId, "hex")), `log?after=${after}`);
        const page = LogResponse.parse(await expected(200, authorized("GET", path)));
        for (const { message, ...entry } of page.entries) {
          log.push({ ...entry, hash: hashOf(message) });
        }
        if (page.entries.length === 0) return log;
        head = page.head;
      }
      return log;
    },
    readings() {
      const reading = (seat: Seat): Reading => ({
        member: name,
        groupId: hex(seat.groupId),
        after: seat.after,
        entries: seat.read,
        end: seat.over
          ? undefined
          : { epoch: seat.group.epoch, authenticator: hex(seat.group.epochAuthenticator) },
      });
      return [...past, ...seats.values()].map(reading);
    },
  };
}

function newSeat(group: Group, after: number): Seat {
  const { groupId } = group;
  return { group, groupId, after, read: [], sent: new Map(), leaving: undefined, over: false };
}

async function register(ask: Ask, person: Person): Promise<string> {
  const body = { deviceList: await signList(person), signIn: await proveSignIn(person) };
  return SignInResponse.parse(await expected(201, ask("POST", "/v1/accounts", { body }))).token;
}

async function signIn(ask: Ask, person: Person): Promise<string> {
  const body = { signIn: await proveSignIn(person) };
  return SignInResponse.parse(await expected(201, ask("POST", "/v1/sessions", { body }))).token;
}

/** The body of an answer that has to be this one. */
async function expected(status: number, answered: Promise<Answer>): Promise<unknown> {
  const answer = await answered;
  if (answer.status === status) return answer.body;
  throw new Error(`${answer.status} ${answer.problem.code} in place of ${status}`);
}
