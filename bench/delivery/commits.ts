/**
 * Commits of groups of many, by one member who is alive: what the service takes for one, what it writes, what it holds in memory, and how
 * long it takes to load a group that it doesn't hold.
 * @module
 */

import { createHash } from "node:crypto";
import { createDeliveryService, openStore, type Store } from "@conclave/delivery";
import {
  accountIdOf,
  bytesToText,
  encodeDeviceIdentity,
  LINKS_EXTENSION,
  toJson,
} from "@conclave/delivery/protocol";
import {
  createKeyPackage,
  defaultCapabilities,
  type Group,
  joinExternally,
  type MlsContext,
  memoryStorage,
  readKeyPackage,
  signerOf,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup } from "@conclave/mls/public-group";
import { suiteOf } from "../../packages/mls/src/crypto/suite.ts";
import { populated } from "../../packages/mls/test/populated.ts";
import { openBench } from "./databases.ts";
import { kilobytes, milliseconds, rounded } from "./figures.ts";
import { inParts, ORIGIN, random, type SeededGroup, seedGroup } from "./people.ts";

const SUITE = 1;
const COMMITS = 10;
const YEAR = 365 * 24 * 60 * 60 * 1000;
const UNLIMITED = { burst: 1e9, perSecond: 1e9 };

type Rows = readonly Readonly<Record<string, string>>[];

const authentication = { validate: async () => undefined, isSuccessor: async () => true };

function contextOf(): MlsContext {
  return { crypto: nodeCrypto, storage: memoryStorage(), authentication, now: Date.now };
}

/** A device with keys that sign, of an account in the store. */
async function member(store: Store, name: string) {
  const keyPair = await nodeCrypto.generateSignatureKeyPair("ed25519");
  const signer = signerOf(nodeCrypto, "ed25519", keyPair);
  const rootKey = random(32);
  const deviceId = random(16);
  const accountId = await accountIdOf(rootKey);
  const signatureKey = signer.publicKey;
  const signInKey = random(32);
  const now = Date.now();
  await store.register({
    accountId,
    name,
    deviceList: random(300),
    version: 1n,
    hash: random(32),
    expiresAt: BigInt(Math.floor((now + YEAR) / 1000)),
    devices: [{ deviceId, signatureKey, signInKey, revokedAt: 0n }],
    registration: random(32),
    nonce: { nonce: random(16), expiresAt: now },
  });
  const device = (await store.device(accountId, deviceId))?.device ?? 0;
  const identity = encodeDeviceIdentity({ rootKey, deviceId, signatureKey });
  const seconds = BigInt(Math.floor(now / 1000));
  const made = await createKeyPackage(contextOf(), {
    suite: SUITE,
    credential: { credentialType: "basic", identity },
    signer,
    capabilities: defaultCapabilities(nodeCrypto, { extensions: [LINKS_EXTENSION] }),
    lifetime: { notBefore: seconds - 60n, notAfter: seconds + 86_400n },
  });
  const { leafNode } = readKeyPackage(made.keyPackage);
  return { device, signInKey, signer, leafNode, credential: leafNode.credential };
}

type Member = Awaited<ReturnType<typeof member>>;

/** A group of these in which every second one has committed, as the first one holds it, and as the service does. */
async function groupOf(
  members: readonly Member[],
): Promise<{ readonly group: Group; readonly followed: PublicGroup; readonly groupInfo: Bytes }> {
  const [first] = members;
  if (first === undefined) throw new Error("nobody");
  const made = await populated(suiteOf(nodeCrypto, SUITE), random(16), members);
  const { signer, credential } = first;
  const { group } = await joinExternally(contextOf(), {
    ...made,
    signer,
    credential,
    capabilities: first.leafNode.capabilities,
    resync: 0,
  });
  await group.confirm();
  const groupInfo = await group.groupInfo({ externalPub: false });
  const context = { crypto: nodeCrypto, authentication, now: Date.now };
  const ratchetTree = group.ratchetTree();
  const followed = await PublicGroup.open(context, { groupInfo, ratchetTree });
  return { group, followed, groupInfo };
}

async function sizeOfHeap(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Puts the group into the store, in the epoch that it is in. */
async function keep(
  store: Store,
  setEpoch: (groupId: Bytes, epoch: bigint) => Promise<void>,
  { epoch, ...group }: SeededGroup & { readonly epoch: bigint },
  devices: readonly number[],
): Promise<void> {
  await seedGroup(store, devices, group);
  await setEpoch(group.groupId, epoch);
}

/** Sizes in members. */
export async function measureCommits(url: string, sizes: readonly number[]): Promise<Rows> {
  const store = await openStore(url);
  const bench = await openBench(url);
  const service = createDeliveryService({
    store,
    publicOrigin: ORIGIN,
    allowedOrigins: [],
    limits: { address: UNLIMITED, device: UNLIMITED, groupCommit: UNLIMITED },
  });
  const members: Member[] = [];
  const rows: Readonly<Record<string, string>>[] = [];
  for (const size of sizes) {
    const more = Array.from({ length: size - members.length }, (_, n) => members.length + n);
    members.push(...(await inParts(more, (n) => member(store, `member ${n}`))));
    const { group, followed, groupInfo } = await groupOf(members);
    const devices = members.map(({ device }) => device);
    const { groupId, epoch } = followed;
    const held = { groupId, epoch, state: followed.state(), groupInfo };
    await keep(store, bench.setEpoch, { ...held, nodes: [...followed.nodes()] }, devices);

    const token = bytesToText(random(32));
    const tokenHash = new Uint8Array(createHash("sha256").update(`${ORIGIN}\n${token}`).digest());
    const { device = 0, signInKey = random(32) } = members[0] ?? {};
    const now = Date.now();
    await store.startSession({ device, signInKey, tokenHash, expiresAt: now + YEAR, now });

    const times: number[] = [];
    let cpu = 0;
    let bytes = 0;
    const commitOnce = async (): Promise<void> => {
      const bundle = await group.commit();
      const body = toJson({ commit: bundle.commit, groupInfo: bundle.groupInfo, links: [] });
      bytes = bundle.commit.length;
      const path = `/v1/groups/${bytesToText(group.groupId)}/commits`;
      const request = new Request(`${ORIGIN}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body,
      });
      const before = process.cpuUsage();
      const begun = performance.now();
      const response = await service.fetch(request, { address: "127.0.0.1" });
      times.push(performance.now() - begun);
      const { user, system } = process.cpuUsage(before);
      cpu += (user + system) / 1000;
      if (response.status !== 201) throw new Error(await response.text());
      await group.receive(bundle.commit);
    };
    await commitOnce();
    const [cold = 0] = times.splice(0);
    cpu = 0;
    const written = await bench.written(async () => {
      for (let n = 0; n < COMMITS; n++) await commitOnce();
    });
    const median = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
    rows.push({
      members: String(size),
      "the first, group not held": milliseconds(cold),
      "a commit": milliseconds(median),
      "processor for one": milliseconds(cpu / times.length),
      "the commit": kilobytes(bytes),
      "rows written": rounded(written.rows / COMMITS),
      "write-ahead log": kilobytes(written.bytes / COMMITS),
    });
  }
  await service.close();
  await bench.close();
  await store.close();
  return rows;
}

/** Nothing of what was read stays, but the group. Times in ms. */
async function load(store: Store, groupId: Bytes) {
  const begun = performance.now();
  const stored = await store.group(groupId);
  const read = performance.now();
  if (stored?.parts === undefined) throw new Error("the group is not there");
  const group = await PublicGroup.load(
    { crypto: nodeCrypto, authentication, now: Date.now },
    stored.parts,
  );
  return { group, read: read - begun, made: performance.now() - read };
}

/** Sizes in leaves. The keys in the nodes are made up: loading a group looks at none. */
export async function measureLoads(url: string, sizes: readonly number[]): Promise<Rows> {
  const store = await openStore(url);
  const bench = await openBench(url);
  const few = await inParts(
    Array.from({ length: 8 }, (_, n) => n),
    (n) => member(store, `pattern ${n}`),
  );
  const { followed, groupInfo } = await groupOf(few);
  const patterns = [...followed.nodes()];
  const leaf = patterns.find(([index]) => index % 2 === 0)?.[1];
  const parent = patterns.find(([index]) => index % 2 === 1)?.[1];
  if (leaf === undefined || parent === undefined) throw new Error("a node of each kind");
  const rows: Readonly<Record<string, string>>[] = [];
  for (const size of sizes) {
    const nodes = Array.from({ length: 2 * size - 1 }, (_, index) => {
      const node = Uint8Array.from(index % 2 === 0 ? leaf : parent);
      // Behind the length of the encryption key, which comes first; of a leaf, the signature key after it.
      node.set(random(32), 2);
      if (index % 2 === 0) node.set(random(32), 35);
      return [index, node] as const;
    });
    const groupId = random(16);
    const place = { groupId, epoch: followed.epoch };
    const parts = { state: followed.state(), groupInfo, nodes };
    const [founder] = few;
    await keep(store, bench.setEpoch, { ...place, ...parts }, [founder?.device ?? 0]);
    const before = await sizeOfHeap();
    const { group, read, made } = await load(store, groupId);
    const held = (await sizeOfHeap()) - before;
    rows.push({
      leaves: String(size),
      "read from the store": milliseconds(read),
      "made a group of": milliseconds(made),
      "held in memory": kilobytes(held),
      "of that a leaf": kilobytes(held / group.members().length),
    });
  }
  await bench.close();
  await store.close();
  return rows;
}
