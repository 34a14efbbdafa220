import { openSqliteStore, type Store } from "@conclave/delivery";
import {
  accountIdOf,
  type DeviceIdentity,
  encodeDeviceIdentity,
} from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deviceAuthentication } from "../src/device-authentication.ts";
import { type Bytes, random } from "./world.ts";

type Identity = Omit<DeviceIdentity, "label">;

let store: Store;
let identity: Identity;
beforeAll(async () => {
  store = openSqliteStore(":memory:");
  identity = { rootKey: random(32), deviceId: random(16), signatureKey: random(32) };
  const { deviceId, signatureKey } = identity;
  await store.register({
    accountId: await accountIdOf(identity.rootKey),
    name: "Ada",
    deviceList: random(9),
    version: 1n,
    hash: random(32),
    expiresAt: 4_000_000_000n,
    devices: [{ deviceId, signatureKey, signInKey: random(32), revokedAt: 0n }],
    registration: random(32),
    nonce: { nonce: random(16), expiresAt: 0 },
  });
});
afterAll(() => store.close());

function leaf(change: Partial<Identity> = {}, signatureKey: Bytes = identity.signatureKey) {
  const encoded = encodeDeviceIdentity({ ...identity, ...change });
  return { credential: { credentialType: "basic", identity: encoded }, signatureKey } as const;
}

describe("a leaf", () => {
  it("is that of a registered device where credential and key say so", async () => {
    await expect(
      deviceAuthentication(store).validate([leaf(), leaf()], "new"),
    ).resolves.toBeUndefined();
  });

  it("is refused where one of them says otherwise", async () => {
    const other = random(32);
    const wrong = [
      leaf({ rootKey: random(32) }),
      leaf({ deviceId: random(16) }),
      leaf({ signatureKey: other }),
      leaf({ signatureKey: other }, other),
      { ...leaf(), credential: { credentialType: "basic", identity: random(50) } as const },
      { ...leaf(), credential: { credentialType: "x509", certificates: [] } as const },
    ];
    for (const one of wrong) {
      const validated = deviceAuthentication(store).validate([leaf(), one], "new");
      await expect(validated).rejects.toMatchObject({ code: "not-allowed" });
    }
  });

  it("follows one of the same device, whatever its key, and no other", async () => {
    const { isSuccessor } = deviceAuthentication(store);
    const next = random(32);
    expect(await isSuccessor(leaf(), leaf({ signatureKey: next }, next))).toBe(true);
    expect(await isSuccessor(leaf(), leaf({ rootKey: random(32) }))).toBe(false);
    expect(await isSuccessor(leaf(), leaf({ deviceId: random(16) }))).toBe(false);
    const x509 = { credentialType: "x509", certificates: [] } as const;
    expect(await isSuccessor(leaf(), { ...leaf(), credential: x509 })).toBe(false);
  });

  it("names its device, whatever its key", () => {
    const { clientOf } = deviceAuthentication(store);
    const next = random(32);
    expect(clientOf?.(leaf({ signatureKey: next }, next))).toBe(clientOf?.(leaf()));
    expect(clientOf?.(leaf({ deviceId: random(16) }))).not.toBe(clientOf?.(leaf()));
  });
});
