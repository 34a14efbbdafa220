/** Code that is loaded on demand may not come: then nobody's message was at fault, and it may be read later. */

import { type MlsContext, reportCommit, type SignatureName, webCrypto } from "@conclave/mls";
import { describe, expect, it, vi } from "vitest";
import { loaded } from "../../src/crypto/loading.ts";
import { hex, keyPackageOf, type Person, person, persons, reload, room, utf8 } from "../people.ts";

const platform = vi.hoisted(() => ({ offline: false }));
vi.mock("../../src/crypto/loading.ts", async (original) => {
  const actual = await original<typeof import("../../src/crypto/loading.ts")>();
  const load: typeof loaded = (module) =>
    actual.loaded(platform.offline ? Promise.reject(new TypeError("failed to fetch")) : module);
  return { ...actual, loaded: load };
});

const onWeb = ({ context, ...who }: Person): Person => ({
  ...who,
  context: { ...context, crypto: webCrypto } satisfies MlsContext,
});

/** What a platform that goes offline once there is a signature says of it: then, and when it is back. */
async function verifiedOffline(name: SignatureName): Promise<readonly unknown[]> {
  const message = utf8("hello");
  const keyPair = await webCrypto.generateSignatureKeyPair(name);
  const signature = await webCrypto.signer(name, keyPair)(message);
  const verify = async () => webCrypto.verify(name, keyPair.publicKey, message, signature);
  platform.offline = true;
  const away = await verify().catch((cause: unknown) => cause);
  platform.offline = false;
  return [away, await verify()];
}

describe("a suite whose code does not load", () => {
  it("makes no message unreadable and no commit wrong, and reveals no key", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group, person: bob } = at(1);
    const web = await reload(onWeb(bob), group);
    const message = await at(0).group.send(utf8("hello"));
    const { commit } = await at(0).group.commit();
    const before = hex(web.epochAuthenticator);
    const away = { name: "LoadError" };
    platform.offline = true;
    await expect(web.receive(message)).rejects.toMatchObject(away);
    await expect(web.receive(commit)).rejects.toMatchObject(away);
    await expect(reportCommit(web, commit)).rejects.toMatchObject(away);
    await expect(web.commit()).rejects.toMatchObject(away);
    platform.offline = false;
    expect(hex(web.epochAuthenticator)).toBe(before);
    await expect(web.receive(message)).resolves.toMatchObject({ data: utf8("hello") });
    await expect(web.receive(commit)).resolves.toMatchObject({ epoch: 2n });
  });

  it("makes no signature false, where the platform lacks the curve", async () => {
    const lacking = vi
      .spyOn(crypto.subtle, "generateKey")
      .mockRejectedValue(new Error("no such curve"));
    const said = await verifiedOffline("ed448");
    expect(said).toMatchObject([{ name: "LoadError" }, true]);
    expect(lacking).toHaveBeenCalled();
    lacking.mockRestore();
  });

  it("makes no signature false that is in another form than the platform's", async () => {
    const said = await verifiedOffline("ecdsa_secp256r1_sha256");
    expect(said).toMatchObject([{ name: "LoadError" }, true]);
  });

  it("makes no key package of a NIST curve wrong, and is asked for again", async () => {
    platform.offline = true;
    const bob = person("bob", { suite: 2, crypto: webCrypto });
    await expect(bob).rejects.toMatchObject({ name: "LoadError" });
    platform.offline = false;
    expect(await keyPackageOf(await person("bob", { suite: 2, crypto: webCrypto }))).toBeDefined();
  });
});
