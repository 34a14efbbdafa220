import { ServiceError } from "@conclave/delivery/client";
import {
  accountIdOf,
  encodeDeviceIdentity,
  headOf,
  openDeviceList,
  sha256,
  signDeviceList,
} from "@conclave/delivery/protocol";
import { memoryStorage } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { hex, randomBytes } from "../src/bytes.ts";
import { Directory } from "../src/directory.ts";
import { signerOfSeed } from "../src/phrase.ts";

const SECONDS = 1_000n;
const NOW = Number(SECONDS) * 1000;
type Bytes = Uint8Array<ArrayBuffer>;

/** An account, its chain of device lists, and the leaf of its first device. */
async function account(name: string) {
  const root = signerOfSeed(randomBytes(32));
  const signatureKey = randomBytes(32);
  const deviceId = randomBytes(16);
  const device = { deviceId, signatureKey, signInKey: randomBytes(32), revokedAt: 0n };
  const list = (
    version: bigint,
    previousHash: Bytes,
    { devices = [device], expiresAt = SECONDS + 60n, as = name } = {},
  ) =>
    signDeviceList(
      { name: as, version, previousHash, issuedAt: SECONDS, expiresAt, devices },
      root,
    );
  const first = await list(1n, new Uint8Array(0));
  const second = await list(2n, await sha256(first));
  const identity = encodeDeviceIdentity({ rootKey: root.publicKey, deviceId, signatureKey });
  const leaf = { credential: { credentialType: "basic", identity } as const, signatureKey };
  const accountId = await accountIdOf(root.publicKey);
  return { root, accountId, device, list, first, second, leaf };
}

/** A directory before a service that shows `lists` by account, and what it warned of. */
function directory(storage = memoryStorage()) {
  const lists = new Map<string, Bytes>();
  const names = new Map<string, Bytes>();
  const warned: string[] = [];
  const find = (map: Map<string, Bytes>, key: string) => {
    const list = map.get(key);
    if (!list) throw new ServiceError("not-found", "nothing here");
    return list;
  };
  const made = new Directory({
    storage,
    service: {
      deviceList: async ({ accountId }) => ({ deviceList: find(lists, hex(accountId)) }),
      lookUp: async ({ body }) => ({ deviceList: find(names, body.name) }),
    },
    warn: ({ code }) => warned.push(code),
  });
  return { directory: made, lists, names, warned, storage };
}

const refusedAs = (code: string) => expect.objectContaining({ name: "Refusal", code });

describe("a leaf", () => {
  it("is accepted if its account's list has its device with its key", async () => {
    const ben = await account("Ben");
    const { directory: at, lists, warned } = directory();
    lists.set(hex(ben.accountId), ben.first);
    await at.authentication(() => NOW).validate([ben.leaf], "new");
    expect(at.nameOf(hex(ben.accountId))).toBe("Ben");
    expect(warned).toEqual([]);
  });

  it("is refused without a list, with another key, or in another form", async () => {
    const ben = await account("Ben");
    const { directory: at, lists } = directory();
    const { validate } = at.authentication(() => NOW);
    const unlisted = refusedAs("unlisted-device");
    await expect(validate([ben.leaf], "new")).rejects.toThrow(unlisted);
    lists.set(hex(ben.accountId), ben.first);
    const wrong = [
      { ...ben.leaf, signatureKey: randomBytes(32) },
      { ...ben.leaf, credential: { credentialType: "basic", identity: randomBytes(9) } as const },
      { ...ben.leaf, credential: { credentialType: "x509", certificates: [] } as const },
    ];
    for (const leaf of wrong)
      await expect(validate([ben.leaf, leaf], "new")).rejects.toThrow(unlisted);
    const rogue = randomBytes(32);
    const identity = encodeDeviceIdentity({
      rootKey: ben.root.publicKey,
      deviceId: ben.device.deviceId,
      signatureKey: rogue,
    });
    const credential = { credentialType: "basic", identity } as const;
    await expect(validate([{ credential, signatureKey: rogue }], "new")).rejects.toThrow(unlisted);
  });

  it("is refused once its list has expired, and accepted again with a new one", async () => {
    const ben = await account("Ben");
    const { directory: at, lists } = directory();
    lists.set(hex(ben.accountId), ben.first);
    const later = at.authentication(() => NOW + 60_000);
    await expect(later.validate([ben.leaf], "new")).rejects.toThrow(refusedAs("unlisted-device"));
    const renewed = await ben.list(2n, await sha256(ben.first), { expiresAt: SECONDS + 999n });
    lists.set(hex(ben.accountId), renewed);
    await later.validate([ben.leaf], "new");
  });

  it("of a revoked device enters no group from then on; where it is, it stays", async () => {
    const ben = await account("Ben");
    const { directory: at, lists, warned } = directory();
    const devices = [{ ...ben.device, revokedAt: SECONDS + 10n }];
    await at.accept(ben.first);
    lists.set(hex(ben.accountId), await ben.list(2n, await sha256(ben.first), { devices }));
    await at.fetch(ben.accountId);
    await at.authentication(() => NOW + 9_000).validate([ben.leaf], "new");
    const later = at.authentication(() => NOW + 10_000);
    await expect(later.validate([ben.leaf], "new")).rejects.toThrow(refusedAs("unlisted-device"));
    expect(warned).toEqual([]);
    await later.validate([ben.leaf], "present");
    expect(warned).toEqual(["unlisted-device"]);
  });

  it("that was never listed is refused where it stands, too", async () => {
    const [ben, eve] = [await account("Ben"), await account("Eve")];
    const { directory: at, lists } = directory();
    lists.set(hex(ben.accountId), ben.first);
    const { rootKey } = await openDeviceList(ben.first);
    const { deviceId, signatureKey } = eve.device;
    const identity = encodeDeviceIdentity({ rootKey, deviceId, signatureKey });
    const leaf = { credential: { credentialType: "basic", identity } as const, signatureKey };
    await expect(at.authentication(() => NOW).validate([leaf], "present")).rejects.toThrow(
      refusedAs("unlisted-device"),
    );
  });

  it("is not refused for want of an answer", async () => {
    const ben = await account("Ben");
    const storage = memoryStorage();
    const at = new Directory({
      storage,
      service: {
        deviceList: () => Promise.reject(new ServiceError("offline", "none", { transient: true })),
        lookUp: () => Promise.reject(new TypeError("not asked")),
      },
      warn: () => {},
    });
    await expect(at.authentication(() => NOW).validate([ben.leaf], "new")).rejects.toMatchObject({
      code: "offline",
    });
  });

  it("is succeeded by one of the same device alone", async () => {
    const ben = await account("Ben");
    const { isSuccessor, clientOf } = directory().directory.authentication(() => NOW);
    const leafWith = (rootKey: Bytes, deviceId: Bytes) => {
      const signatureKey = randomBytes(32);
      const identity = encodeDeviceIdentity({ rootKey, deviceId, signatureKey });
      return { credential: { credentialType: "basic", identity } as const, signatureKey };
    };
    const { publicKey } = ben.root;
    const { deviceId } = ben.device;
    expect(await isSuccessor(ben.leaf, leafWith(publicKey, deviceId))).toBe(true);
    expect(clientOf?.(leafWith(publicKey, deviceId))).toBe(clientOf?.(ben.leaf));
    expect(clientOf?.(leafWith(publicKey, randomBytes(16)))).not.toBe(clientOf?.(ben.leaf));
    expect(await isSuccessor(ben.leaf, leafWith(publicKey, randomBytes(16)))).toBe(false);
    expect(await isSuccessor(ben.leaf, leafWith(randomBytes(32), deviceId))).toBe(false);
  });
});

describe("a device list", () => {
  it("that is newer takes the place of the one that is known; an older one doesn't, and is told", async () => {
    const ben = await account("Ben");
    const { directory: at, warned } = directory();
    await at.accept(ben.first);
    expect((await at.accept(ben.second)).head.version).toBe(2n);
    expect(warned).toEqual([]);
    expect((await at.accept(ben.first)).head.version).toBe(2n);
    expect(warned).toEqual(["device-list-old"]);
  });

  it("is told as a fork where there is another of its version, or it doesn't follow", async () => {
    const ben = await account("Ben");
    const { directory: at, warned } = directory();
    await at.accept(ben.first);
    const twin = await ben.list(1n, new Uint8Array(0), { expiresAt: SECONDS + 61n });
    expect((await at.accept(twin)).signed).toEqual(ben.first);
    const elsewhere = await ben.list(2n, await sha256(twin));
    expect((await at.accept(elsewhere)).signed).toEqual(ben.first);
    expect(warned).toEqual(["device-list-fork", "device-list-fork"]);
  });

  it("that forgets a device, or takes a revocation back, is told as a fork", async () => {
    const ben = await account("Ben");
    for (const devices of [[], [{ ...ben.device, signatureKey: randomBytes(32) }]]) {
      const { directory: at, warned } = directory();
      await at.accept(ben.first);
      await at.accept(await ben.list(2n, await sha256(ben.first), { devices }));
      expect(warned).toEqual(["device-list-fork"]);
    }
  });

  it("that nobody signed, or of another account, is refused", async () => {
    const [ben, eve] = [await account("Ben"), await account("Eve")];
    const { directory: at } = directory();
    const forged = ben.first.slice();
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    await expect(at.accept(forged)).rejects.toThrow(refusedAs("unlisted-device"));
    const { accountId } = ben;
    await expect(at.accept(eve.first, { accountId })).rejects.toThrow(
      refusedAs("root-key-changed"),
    );
  });

  it("under a known name with another root is refused and told, also after a restart", async () => {
    const [ben, imposter] = [await account("Ben"), await account("Ben")];
    const before = directory();
    await before.directory.accept(ben.first);
    const { directory: at, names, warned } = directory(before.storage);
    await at.load();
    names.set("Ben", imposter.first);
    await expect(at.lookUp("Ben")).rejects.toThrow(refusedAs("root-key-changed"));
    expect(warned).toEqual(["root-key-changed"]);
    names.set("ben", (await account("ben")).first);
    await expect(at.lookUp("ben")).rejects.toThrow(refusedAs("root-key-changed"));
    names.set("Ben", ben.second);
    expect((await at.lookUp("Ben")).accountId).toBe(hex(ben.accountId));
  });

  it("under a known name with another root is told, not refused, where a group's members must decide alike", async () => {
    const [ben, imposter] = [await account("Ben"), await account("Ben")];
    const { directory: at, lists, names, warned } = directory();
    await at.accept(ben.first);
    lists.set(hex(imposter.accountId), imposter.first);
    await at.authentication(() => NOW).validate([imposter.leaf], "new");
    expect(warned).toEqual(["root-key-changed"]);
    // The first one keeps the name.
    names.set("Ben", imposter.first);
    await expect(at.lookUp("Ben")).rejects.toThrow(refusedAs("root-key-changed"));
    names.set("Ben", ben.first);
    expect((await at.lookUp("Ben")).accountId).toBe(hex(ben.accountId));
  });

  it("that is older than one that comes at the same time does not take its place", async () => {
    const ben = await account("Ben");
    const { directory: at, storage, warned } = directory();
    const third = await ben.list(3n, await sha256(ben.second));
    await at.accept(ben.first);
    await Promise.all([at.accept(third), at.accept(ben.second)]);
    expect(at.known(hex(ben.accountId))?.head.version).toBe(3n);
    expect(warned).toEqual(["device-list-old"]);
    const { directory: again } = directory(storage);
    await again.load();
    expect(again.known(hex(ben.accountId))?.head.version).toBe(3n);
  });

  it("that its owner speaks of is fetched; a service that has it not is told of", async () => {
    const ben = await account("Ben");
    const { directory: at, lists, warned } = directory();
    const headOfList = async (signed: Bytes) => headOf(signed, await openDeviceList(signed));
    lists.set(hex(ben.accountId), ben.second);
    await at.accept(ben.first);
    await at.noticeHead(ben.accountId, await headOfList(ben.second));
    expect(at.known(hex(ben.accountId))?.head.version).toBe(2n);
    expect(warned).toEqual([]);
    const third = await ben.list(3n, await sha256(ben.second));
    await at.noticeHead(ben.accountId, await headOfList(third));
    expect(warned).toEqual(["device-list-old"]);
    const twin = await ben.list(2n, await sha256(ben.first), { expiresAt: SECONDS + 61n });
    await at.noticeHead(ben.accountId, await headOfList(twin));
    expect(warned).toEqual(["device-list-old", "device-list-fork"]);
    // An older one that a message on its way still names is nothing.
    await at.noticeHead(ben.accountId, await headOfList(ben.first));
    expect(warned).toHaveLength(2);
  });

  it("that a member made up costs one question; the next true one is asked for all the same", async () => {
    const ben = await account("Ben");
    let answer: () => Promise<Bytes> = () => Promise.resolve(ben.first);
    let asked = 0;
    const warned: string[] = [];
    const at = new Directory({
      storage: memoryStorage(),
      service: {
        deviceList: async () => {
          asked++;
          return { deviceList: await answer() };
        },
        lookUp: () => Promise.reject(new TypeError("not asked")),
      },
      warn: ({ code }) => warned.push(code),
    });
    await at.accept(ben.first);
    const bogus = { version: 1000n, hash: randomBytes(32) };
    answer = () => Promise.reject(new ServiceError("offline", "none", { transient: true }));
    await expect(at.noticeHead(ben.accountId, bogus)).rejects.toMatchObject({ code: "offline" });
    answer = () => Promise.resolve(ben.first);
    for (let i = 0; i < 5; i++) await at.noticeHead(ben.accountId, bogus);
    expect(asked).toBe(2);
    expect(warned).toEqual(["device-list-old"]);
    answer = () => Promise.resolve(ben.second);
    await at.noticeHead(ben.accountId, await headOf(ben.second, await openDeviceList(ben.second)));
    expect(at.known(hex(ben.accountId))?.head.version).toBe(2n);
    expect(warned).toHaveLength(1);
  });
});

describe("whom the person verified", () => {
  it("is remembered, until it is taken back", async () => {
    const ben = await account("Ben");
    const id = hex(ben.accountId);
    const { directory: at, storage } = directory();
    expect(at.isVerified(id)).toBe(false);
    await at.setVerified(id, true);
    const again = directory(storage).directory;
    await again.load();
    expect(again.isVerified(id)).toBe(true);
    await again.setVerified(id, false);
    expect(again.isVerified(id)).toBe(false);
  });
});
