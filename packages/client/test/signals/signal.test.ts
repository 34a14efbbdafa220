import {
  createGroup,
  defaultCapabilities,
  type Group,
  type MlsContext,
  memoryStorage,
} from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { randomBytes } from "../../src/bytes.ts";
import { nodeCrypto } from "../../src/node/index.ts";
import { signerOfSeed } from "../../src/phrase.ts";
import { openSignal, type Signal, sealSignal } from "../../src/signals/signal.ts";

const leafKey = signerOfSeed(randomBytes(32));
const SIGNAL: Signal = { leafIndex: 0, number: 7, typing: 3, read: 5, asks: true };

function aGroup(): Promise<Group> {
  const context: MlsContext = {
    crypto: nodeCrypto,
    storage: memoryStorage(),
    authentication: { validate: async () => undefined, isSuccessor: async () => true },
    now: Date.now,
  };
  const now = BigInt(Math.floor(Date.now() / 1000));
  return createGroup(context, {
    groupId: randomBytes(16),
    suite: 0x0003,
    credential: { credentialType: "basic", identity: randomBytes(8) },
    signer: leafKey,
    capabilities: defaultCapabilities(nodeCrypto),
    lifetime: { notBefore: now - 60n, notAfter: now + 3600n },
  });
}

const keyOf = (leafIndex: number) => (leafIndex === 0 ? leafKey.publicKey : undefined);
const seal = (group: Group, signal: Signal = SIGNAL, key = leafKey) =>
  sealSignal(nodeCrypto, group, signal, key);
const open = (group: Group, bytes: Uint8Array<ArrayBuffer>) =>
  openSignal(nodeCrypto, group, bytes, keyOf);

describe("a signal", () => {
  it("is read by who is in the epoch", async () => {
    const group = await aGroup();
    expect(await open(group, await seal(group))).toEqual(SIGNAL);
  });

  it("has one length, whatever it says, and never the same bytes", async () => {
    const group = await aGroup();
    const nothing = { leafIndex: 0, number: 1, typing: 0, read: 0, asks: false };
    const sealed = [
      await seal(group),
      await seal(group),
      await seal(group, nothing),
      await seal(group, { ...SIGNAL, number: 2 ** 53 - 1, read: 2 ** 53 - 1 }),
    ];
    expect(new Set(sealed.map(({ length }) => length)).size).toBe(1);
    // The salts, from which the keys are.
    const salts = sealed.map((bytes) => Buffer.from(bytes.subarray(8, 40)).toString("hex"));
    expect(new Set(salts).size).toBe(4);
  });

  it("is refused in another group and in another epoch", async () => {
    const [group, other] = [await aGroup(), await aGroup()];
    const sealed = await seal(group);
    expect(await open(other, sealed)).toBeUndefined();
    const bundle = await group.commit();
    await group.receive(bundle.commit);
    expect(group.epoch).toBe(1n);
    expect(await open(group, sealed)).toBeUndefined();
    expect(await open(group, await seal(group))).toEqual(SIGNAL);
    // The number of the epoch alone makes no key of it.
    const renamed = sealed.slice();
    renamed[7] = 1;
    expect(await open(group, renamed)).toBeUndefined();
  });

  it("is refused where a byte was changed, or is missing, or is too many", async () => {
    const group = await aGroup();
    const sealed = await seal(group);
    for (let i = 0; i < sealed.length; i++) {
      const changed = sealed.slice();
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(await open(group, changed)).toBeUndefined();
    }
    expect(await open(group, sealed.slice(0, -1))).toBeUndefined();
    expect(await open(group, new Uint8Array([...sealed, 0]))).toBeUndefined();
    expect(await open(group, new Uint8Array(0))).toBeUndefined();
  });

  it("is believed of no leaf but the one whose key signed it", async () => {
    const group = await aGroup();
    const forger = signerOfSeed(randomBytes(32));
    expect(await open(group, await seal(group, SIGNAL, forger))).toBeUndefined();
    expect(await open(group, await seal(group, { ...SIGNAL, leafIndex: 1 }))).toBeUndefined();
  });

  it("has no numbers beyond 2^53", async () => {
    const group = await aGroup();
    const sealed = await seal(group, { ...SIGNAL, read: 2 ** 53 });
    expect(await open(group, sealed)).toBeUndefined();
  });
});
