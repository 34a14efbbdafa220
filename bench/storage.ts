/**
 * How much is written to storage for a message, sent and received: it must not grow with the group.
 * The first message of a sender in an epoch uses up its path in the secret tree, so that may grow with log n, as what a commit writes
 * in a populated tree does. And how long a message takes where storage is a database on disk.
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import {
  type Batch,
  createGroup,
  createKeyPackage,
  type Group,
  joinExternally,
  joinGroup,
  type MlsContext,
  memoryStorage,
  readKeyPackage,
  type Signer,
  type Storage,
  signerOf,
} from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { suiteOf } from "../packages/mls/src/crypto/suite.ts";
import { populated } from "../packages/mls/test/populated.ts";

const SIZES = [5, 50, 500, 5000];
const POPULATED_SIZES = [16, 128, 1024];
const SUITE = 3;
const now = Date.now();
const lifetime = {
  notBefore: BigInt(Math.floor(now / 1000) - 60),
  notAfter: BigInt(Math.floor(now / 1000) + 86_400),
};

interface Written {
  puts: number;
  deletes: number;
  bytes: number;
}

/** Storage that counts what is written: values with their keys, and the keys of what is deleted. */
function counting(inner: Storage): { readonly storage: Storage; readonly take: () => Written } {
  let written: Written = { puts: 0, deletes: 0, bytes: 0 };
  const apply = (batch: Batch): Promise<void> => {
    for (const [key, value] of batch.put ?? []) {
      written.puts++;
      written.bytes += key.length + value.length;
    }
    for (const key of batch.delete ?? []) {
      written.deletes++;
      written.bytes += key.length;
    }
    return inner.apply(batch);
  };
  const take = (): Written => {
    const taken = written;
    written = { puts: 0, deletes: 0, bytes: 0 };
    return taken;
  };
  return { storage: { ...inner, apply }, take };
}

interface Member {
  readonly context: MlsContext;
  readonly signer: Signer;
  readonly credential: {
    readonly credentialType: "basic";
    readonly identity: Uint8Array<ArrayBuffer>;
  };
  readonly take: () => Written;
}

async function member(name: string, inner: Storage = memoryStorage()): Promise<Member> {
  const { storage, take } = counting(inner);
  const keyPair = await nodeCrypto.generateSignatureKeyPair("ed25519");
  return {
    context: {
      crypto: nodeCrypto,
      storage,
      authentication: { validate: async () => undefined, isSuccessor: async () => true },
      now: () => now,
    },
    signer: signerOf(nodeCrypto, "ed25519", keyPair),
    credential: { credentialType: "basic", identity: new TextEncoder().encode(name) },
    take,
  };
}

/** Storage in a file of SQLite, durable when a batch is applied. */
function sqliteStorage(file: string): { readonly storage: Storage; readonly close: () => void } {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON");
  database.exec("CREATE TABLE records (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID");
  const select = database.prepare("SELECT value FROM records WHERE key = ?");
  const range = database.prepare(
    "SELECT key, value FROM records WHERE key >= ? AND key < ? ORDER BY key",
  );
  const put = database.prepare("INSERT OR REPLACE INTO records VALUES (?, ?)");
  const remove = database.prepare("DELETE FROM records WHERE key = ?");
  const bytesOf = (value: unknown) => Uint8Array.from(value as Uint8Array);
  return {
    storage: {
      get: async (key) => {
        const found = select.get(key);
        return found && bytesOf(found["value"]);
      },
      list: async (prefix) =>
        new Map(
          range
            .all(prefix, `${prefix}\u{10ffff}`)
            .map(({ key, value }) => [String(key), bytesOf(value)]),
        ),
      apply: async (batch) => {
        database.exec("BEGIN");
        for (const key of batch.delete ?? []) remove.run(key);
        for (const [key, value] of batch.put ?? []) put.run(key, value);
        database.exec("COMMIT");
      },
    },
    close: () => database.close(),
  };
}

/** A group of n, of whom the first and the last are alive. */
async function groupOf(
  n: number,
  storage?: Storage,
): Promise<{ first: Group; last: Group; members: readonly [Member, Member] }> {
  const founder = await member("member 0", storage);
  const { context, signer, credential } = founder;
  const first = await createGroup(context, {
    groupId: new Uint8Array(16),
    suite: SUITE,
    credential,
    signer,
    lifetime,
  });
  let joiner = founder;
  const proposals = [];
  for (let i = 1; i < n; i++) {
    joiner = await member(`member ${i}`);
    const made = await createKeyPackage(joiner.context, {
      suite: SUITE,
      credential: joiner.credential,
      signer: joiner.signer,
      lifetime,
    });
    proposals.push({ proposalType: "add", keyPackage: readKeyPackage(made.keyPackage) } as const);
  }
  const { commit, welcome } = await first.commit({ proposals });
  await first.receive(commit);
  if (!welcome) throw new Error("a commit that adds has a welcome");
  const ratchetTree = first.ratchetTree();
  const last = await joinGroup(joiner.context, { welcome, ratchetTree, signer: joiner.signer });
  return { first, last, members: [founder, joiner] };
}

function show(written: Written): string {
  return `${written.bytes} B in ${written.puts} puts, ${written.deletes} deletes`;
}

/** The same, with a tree in which every second member has committed. */
async function populatedGroupOf(
  n: number,
): Promise<{ first: Group; last: Group; members: readonly [Member, Member] }> {
  const people: Member[] = [];
  for (let i = 0; i < n; i++) people.push(await member(`member ${i}`));
  const placed = await Promise.all(
    people.map(async ({ context, signer, credential }) => {
      const options = { suite: SUITE, credential, signer, lifetime };
      const { keyPackage } = await createKeyPackage(context, options);
      return { leafNode: readKeyPackage(keyPackage).leafNode, signer };
    }),
  );
  const [founder, joiner] = [people[0], people[n - 1]];
  if (!founder || !joiner) throw new Error("two at least");
  const made = await populated(suiteOf(nodeCrypto, SUITE), new Uint8Array(16), placed);
  const enter = async (
    { context, signer, credential }: Member,
    at: typeof made,
    resync: number,
  ) => {
    const { group, bundle } = await joinExternally(context, { ...at, signer, credential, resync });
    await group.confirm();
    return { group, commit: bundle.commit };
  };
  const { group: first } = await enter(founder, made, 0);
  const groupInfo = await first.groupInfo({ externalPub: true });
  const at = { groupInfo, ratchetTree: first.ratchetTree() };
  const { group: last, commit } = await enter(joiner, at, n - 1);
  await first.receive(commit);
  return { first, last, members: [founder, joiner] };
}

/** Prints a table: bytes and records for the first and for later messages, sent and received. */
export async function measureStorage([unknown]: readonly string[]): Promise<void> {
  if (unknown !== undefined) throw new RangeError(`storage takes no ${unknown}`);
  console.log("storage: what a 100-byte message writes (keys and values)\n");
  const data = new Uint8Array(100);
  for (const n of SIZES) {
    const started = performance.now();
    const { first, last, members } = await groupOf(n);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const [sender, receiver] = members;
    console.log(`n = ${n} (made in ${seconds} s)`);
    for (const which of ["first", "second", "third"]) {
      sender.take();
      receiver.take();
      const begun = performance.now();
      const message = await first.send(data);
      const sent = performance.now();
      await last.receive(message);
      const received = performance.now();
      console.log(`  ${which} message of the epoch`);
      console.log(`    sent:     ${show(sender.take())}, ${(sent - begun).toFixed(2)} ms`);
      console.log(`    received: ${show(receiver.take())}, ${(received - sent).toFixed(2)} ms`);
    }
  }
  await measureCommits();
  await measureDatabase();
}

/** What a commit writes in a populated tree: to be made, to be processed, and where it is one's own and was accepted. */
async function measureCommits(): Promise<void> {
  console.log("\nstorage: what a commit writes in a populated tree\n");
  for (const n of POPULATED_SIZES) {
    const { first, last, members } = await populatedGroupOf(n);
    const [committer, receiver] = members;
    const warm = await last.commit();
    for (const group of [first, last]) await group.receive(warm.commit);
    committer.take();
    const { commit } = await first.commit();
    const made = committer.take();
    await first.receive(commit);
    const entered = committer.take();
    receiver.take();
    await last.receive(commit);
    console.log(`n = ${n}`);
    console.log(`  made:      ${show(made)}`);
    console.log(`  accepted:  ${show(entered)}`);
    console.log(`  processed: ${show(receiver.take())}`);
  }
}

/** Messages of a member whose storage is on disk. */
async function measureDatabase(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const { storage, close } = sqliteStorage(join(folder, "group.db"));
  const { first } = await groupOf(100, storage);
  const data = new Uint8Array(100);
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    const begun = performance.now();
    await first.send(data);
    times.push(performance.now() - begun);
  }
  const median = times.toSorted((a, b) => a - b)[25] ?? 0;
  console.log(`\nstorage: a message sent over SQLite on disk takes ${median.toFixed(2)} ms`);
  close();
  rmSync(folder, { recursive: true });
}
