/**
 * How much is written to storage for a message, sent and received: it must not grow with the group.
 * The first message of a sender in an epoch uses up its path in the secret tree, so that may grow with log n.
 * @module
 */

import {
  type Batch,
  createGroup,
  createKeyPackage,
  type Group,
  joinGroup,
  type MlsContext,
  memoryStorage,
  readKeyPackage,
  type Signer,
  type Storage,
  signerOf,
} from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";

const SIZES = [5, 50, 500, 5000];
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
function counting(): { readonly storage: Storage; readonly take: () => Written } {
  const inner = memoryStorage();
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

async function member(name: string): Promise<Member> {
  const { storage, take } = counting();
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

/** A group of n, of whom the first and the last are alive. */
async function groupOf(
  n: number,
): Promise<{ first: Group; last: Group; members: readonly [Member, Member] }> {
  const founder = await member("member 0");
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

/** Prints a table: bytes and records for the first and for later messages, sent and received. */
export async function measureStorage(): Promise<void> {
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
    const { commit } = await last.commit();
    receiver.take();
    await first.receive(commit);
    await last.receive(commit);
    const again = await first.commit();
    sender.take();
    const begun = performance.now();
    await last.receive(again.commit);
    console.log(
      `  processing the second commit of the group: ${show(receiver.take())}, ${(performance.now() - begun).toFixed(1)} ms`,
    );
  }
}
