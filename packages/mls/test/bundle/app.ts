/** A small application in suite 1, as a browser would load it: what `bundle.test.ts` measures. */

import {
  createGroup,
  createKeyPackage,
  joinGroup,
  memoryStorage,
  readKeyPackage,
  signerOf,
  webCrypto,
} from "@conclave/mls";

const LIFETIME = { notBefore: 0n, notAfter: 2n ** 62n };

async function member(name: string) {
  const signer = signerOf(
    webCrypto,
    "ed25519",
    await webCrypto.generateSignatureKeyPair("ed25519"),
  );
  const context = {
    crypto: webCrypto,
    storage: memoryStorage(),
    authentication: { validate: async () => undefined, isSuccessor: async () => true },
    now: Date.now,
    maxLifetime: 2n ** 63n,
  };
  const identity = new TextEncoder().encode(name);
  const credential = { credentialType: "basic", identity } as const;
  return { context, signer, suite: 1, credential, lifetime: LIFETIME };
}

/** Creates a group, adds someone, sends, and gives what was received. */
export async function main(): Promise<string> {
  const [alice, bob] = [await member("alice"), await member("bob")];
  const group = await createGroup(alice.context, { ...alice, groupId: new Uint8Array(8) });
  const { keyPackage } = await createKeyPackage(bob.context, bob);
  const { commit, welcome } = await group.commit({
    proposals: [{ proposalType: "add", keyPackage: readKeyPackage(keyPackage) }],
  });
  await group.receive(commit);
  if (!welcome) throw new Error("no welcome");
  const { signer } = bob;
  const joined = await joinGroup(bob.context, {
    welcome,
    ratchetTree: group.ratchetTree(),
    signer,
  });
  const received = await joined.receive(await group.send(new TextEncoder().encode("hello")));
  return received.type === "application" ? new TextDecoder().decode(received.data) : received.type;
}
