/** §7.2, §7.3, §10: key packages and the leaves in them. */

import { createKeyPackage, type MlsErrorCode, readKeyPackage, webCrypto } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { validateKeyPackage } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { suiteOf } from "../../src/crypto/suite.ts";
import { encodeMessage } from "../../src/framing/message.ts";
import { keyPackageRef } from "../../src/key/key-package.ts";
import { type ForgedKeyPackage, forgeKeyPackage } from "../forge.ts";
import { found, keyPackageOf, LIFETIME, NOW, person, utf8 } from "../people.ts";

const extension = (extensionType: number) => ({ extensionType, extensionData: utf8("") });

const RULES: readonly (readonly [rule: string, ForgedKeyPackage, MlsErrorCode])[] = [
  ["§10.1 another version", { content: () => ({ version: 2 }) }, "key-package-version"],
  ["§10.1 another suite", { content: () => ({ cipherSuite: 1 }) }, "key-package-suite"],
  [
    "§10.1 an init key that is the encryption key",
    { content: ({ leafNode }) => ({ initKey: leafNode.encryptionKey }) },
    "key-package-init-key",
  ],
  [
    "§10 an init key that is no key of the suite",
    { content: () => ({ initKey: new Uint8Array(31) }) },
    "crypto",
  ],
  [
    "§7.3 an encryption key that is no key of the suite",
    { leaf: () => ({ encryptionKey: new Uint8Array(33) }) },
    "crypto",
  ],
  [
    "§7.3 an encryption key of small order, which would stop every later commit",
    { leaf: () => ({ encryptionKey: new Uint8Array(32) }) },
    "crypto",
  ],
  [
    "§13.4 an extension twice",
    { content: () => ({ extensions: [extension(9), extension(9)] }) },
    "duplicate-extension",
  ],
  [
    "§7.3 a leaf of source update",
    { leaf: () => ({ source: { leafNodeSource: "update" } }) },
    "leaf-source",
  ],
  [
    "§7.3 a leaf of source commit",
    { leaf: () => ({ source: { leafNodeSource: "commit", parentHash: utf8("") } }) },
    "leaf-source",
  ],
  [
    "§7.2 a credential of a type that it does not list",
    { leaf: () => ({ credential: { credentialType: "x509", certificates: [] } }) },
    "leaf-capabilities",
  ],
  [
    "§7.3 an extension that it does not list",
    { leaf: () => ({ extensions: [extension(0xf001)] }) },
    "leaf-extensions",
  ],
  [
    "§13.4 a leaf extension twice",
    { leaf: () => ({ extensions: [extension(1), extension(1)] }) },
    "duplicate-extension",
  ],
];

describe("a key package", () => {
  it("is checked by the service as a member would, lifetime included", async () => {
    const eve = await person("eve");
    const good = await keyPackageOf(eve);
    for (const crypto of [nodeCrypto, webCrypto]) {
      const { ref, suite, leafNode, lifetime } = await validateKeyPackage(
        { crypto, now: () => NOW },
        good,
      );
      expect(ref).toEqual(keyPackageRef(suiteOf(crypto, 3), readKeyPackage(good)));
      expect([suite, lifetime]).toEqual([3, LIFETIME]);
      expect(leafNode.signatureKey).toEqual(eve.signer.publicKey);
    }
    const context = { crypto: nodeCrypto, now: () => Number(LIFETIME.notAfter + 1n) * 1000 };
    await expect(validateKeyPackage(context, good)).rejects.toMatchObject({
      code: "leaf-lifetime",
    });
    const strict = { crypto: nodeCrypto, now: () => NOW, maxLifetime: 3600n };
    await expect(validateKeyPackage(strict, good)).rejects.toMatchObject({ code: "leaf-lifetime" });
    for (const [_, options, code] of RULES) {
      const keyPackage = await forgeKeyPackage(eve, options);
      const bad = encodeMessage({ wireFormat: "mls_key_package", keyPackage });
      const alone = { crypto: nodeCrypto, now: () => NOW };
      // By itself a key package is of the suite that it names.
      if (code === "key-package-suite") continue;
      await expect(validateKeyPackage(alone, bad)).rejects.toMatchObject({ code });
    }
  });

  it("of a suite that the provider doesn't have is refused", async () => {
    const eve = await person("eve");
    const options = {
      suite: 0x0bad,
      credential: eve.credential,
      signer: eve.signer,
      lifetime: LIFETIME,
    };
    await expect(createKeyPackage(eve.context, options)).rejects.toMatchObject({
      code: "unsupported-suite",
    });
    await expect(found({ ...eve, suite: 0xf001 })).rejects.toMatchObject({
      code: "unsupported-suite",
    });
  });

  it("stores the application's records beside its own, or neither", async () => {
    const eve = await person("eve");
    const options = {
      suite: 3,
      credential: eve.credential,
      signer: eve.signer,
      lifetime: LIFETIME,
    };
    await createKeyPackage(eve.context, {
      ...options,
      and: ({ ref }) => ({ put: new Map([["mine", ref]]) }),
    });
    expect((await eve.storage.list("")).size).toBe(2);
    const no = new Error("no");
    const refused = createKeyPackage(eve.context, {
      ...options,
      and: () => {
        throw no;
      },
    });
    await expect(refused).rejects.toBe(no);
    expect((await eve.storage.list("")).size).toBe(2);
  });
});
