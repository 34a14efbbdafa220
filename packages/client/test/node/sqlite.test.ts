import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { verifyEd25519 } from "@conclave/delivery/protocol";
import { afterEach, describe, expect, it } from "vitest";
import { openProfile } from "../../src/node/index.ts";
import { CASES } from "../storage-contract.ts";

const folders: string[] = [];
function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "conclave-sqlite-"));
  folders.push(folder);
  return join(folder, "profile.db");
}
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

describe("storage in SQLite", () => {
  it.each(Object.entries(CASES))("%s", async (_, run) => {
    const file = newFile();
    await expect(run({ open: async () => openProfile(file).storage })).resolves.toBeUndefined();
  });
});

describe("the vault in SQLite", () => {
  it("signs with the key it made, also after opening again", async () => {
    const file = newFile();
    const first = openProfile(file);
    const made = await first.vault.create("leaf");
    await first.storage.close();
    const { vault, storage } = openProfile(file);
    const opened = await vault.open("leaf");
    expect(opened?.publicKey).toEqual(made.publicKey);
    const message = Uint8Array.of(1, 2, 3);
    const signature = (await opened?.sign(message)) ?? new Uint8Array(0);
    expect(await verifyEd25519(made.publicKey, message, signature)).toBe(true);
    expect(await vault.open("sign-in")).toBeUndefined();
    await storage.close();
  });
});
