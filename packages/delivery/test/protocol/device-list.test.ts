import {
  type Device,
  type DeviceList,
  keepsDevices,
  MAX_NAME_LENGTH,
  mayEnter,
  nameKey,
  normalizeName,
  openDeviceList,
} from "@conclave/delivery/protocol";
import { describe, expect, it } from "vitest";
import { newPerson, random, signList } from "../world.ts";

const aDevice = (revokedAt = 0n): Device => ({
  deviceId: random(16),
  signatureKey: random(32),
  signInKey: random(32),
  revokedAt,
});

async function listWith(devices: readonly Device[]): Promise<DeviceList> {
  return openDeviceList(await signList(await newPerson("Ada"), { devices }));
}

describe("a name", () => {
  it("is one form of what was typed", () => {
    expect(normalizeName("  Ada \t A\u030angstro\u0308m ")).toBe("Ada Ångström");
    expect(normalizeName("ﬁ")).toBe("fi");
    expect(normalizeName("a".repeat(MAX_NAME_LENGTH))).toHaveLength(MAX_NAME_LENGTH);
  });

  it("is none where it is empty, too long, or holds what can't be seen", () => {
    for (const name of [
      "",
      " ",
      "a".repeat(MAX_NAME_LENGTH + 1),
      "alice\uFE0F",
      "\u3164",
      "\u2800",
      "a\u200Bb",
      "a\u202Eb",
      "a\0b",
    ]) {
      expect(() => normalizeName(name)).toThrow(TypeError);
    }
  });

  it("is the same as another that only differs in case", () => {
    expect(nameKey("Alice")).toBe(nameKey("alice"));
    expect(nameKey("Alice")).not.toBe(nameKey("Alicia"));
  });
});

describe("a device", () => {
  it("may enter until it is revoked, and until its list ends", () => {
    const list = { expiresAt: 100n };
    expect(mayEnter(list, { revokedAt: 0n }, 99_999)).toBe(true);
    expect(mayEnter(list, { revokedAt: 0n }, 100_000)).toBe(false);
    expect(mayEnter(list, { revokedAt: 50n }, 49_999)).toBe(true);
    expect(mayEnter(list, { revokedAt: 50n }, 50_000)).toBe(false);
  });

  it("stays listed under its key, and revoked as it was", async () => {
    const [live, revoked] = [aDevice(), aDevice(5n)];
    const before = await listWith([live, revoked]);
    const keeps = async (...devices: readonly Device[]): Promise<boolean> =>
      keepsDevices(before, await listWith(devices));
    expect(await keeps(live, revoked)).toBe(true);
    expect(await keeps(aDevice(), { ...live, revokedAt: 9n }, revoked)).toBe(true);
    expect(await keeps({ ...live, signInKey: random(32) }, revoked)).toBe(true);
    expect(await keeps(live)).toBe(false);
    expect(await keeps({ ...live, signatureKey: random(32) }, revoked)).toBe(false);
    expect(await keeps({ ...live, deviceId: random(16) }, revoked)).toBe(false);
    expect(await keeps(live, { ...revoked, revokedAt: 0n })).toBe(false);
    expect(await keeps(live, { ...revoked, revokedAt: 9n })).toBe(false);
  });
});
