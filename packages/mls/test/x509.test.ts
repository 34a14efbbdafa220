/** §5.3, §5.3.1, §5.3.2: X.509 credentials, with certificates made here. */

import { generateKeyPairSync } from "node:crypto";
import {
  type AuthenticationService,
  type Credential,
  type Credentialed,
  createGroup,
  createKeyPackage,
  defaultCapabilities,
  joinGroup,
  type MlsContext,
  MlsError,
  memoryStorage,
  readKeyPackage,
  signerOf,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { type X509Options, x509Authentication, x509Credential } from "@conclave/mls/x509";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { assert, asyncProperty, integer, uint8Array } from "fast-check";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { LIFETIME, NOW, hex as toHex, utf8 } from "./people.ts";

const DAY = 86_400_000;
const ECDSA_SHA256 = "2a8648ce3d040302";
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

interface Authority {
  readonly name: string;
  readonly keys: CryptoKeyPair;
  readonly der: Bytes;
}

interface Shape {
  readonly subject?: string;
  readonly issuer?: Authority;
  readonly issuerName?: string;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly extensions?: readonly Extension[];
  readonly signingAlgorithm?: Algorithm | EcdsaParams;
}

async function issue(
  publicKey: CryptoKey,
  signingKey: CryptoKey,
  { notBefore = NOW - DAY, notAfter = NOW + DAY, ...shape }: Shape,
): Promise<Bytes> {
  const made = await X509CertificateGenerator.create({
    subject: shape.subject ?? "",
    issuer: shape.issuerName ?? shape.issuer?.name ?? shape.subject ?? "",
    publicKey,
    signingKey,
    signingAlgorithm: shape.signingAlgorithm ?? P256,
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
    extensions: [...(shape.extensions ?? [])],
  });
  return new Uint8Array(made.rawData);
}

/** A CA: a root, or certified by another. */
async function authority(
  name: string,
  options: Shape & {
    readonly pathLength?: number;
    readonly ca?: boolean;
    readonly usages?: KeyUsageFlags | "any";
    readonly algorithm?: Algorithm | EcKeyGenParams | RsaHashedKeyGenParams;
  } = {},
): Promise<Authority> {
  const algorithm = options.algorithm ?? P256;
  const keys = (await crypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ])) as CryptoKeyPair;
  const der = await issue(keys.publicKey, (options.issuer?.keys ?? keys).privateKey, {
    ...options,
    subject: `CN=${name}`,
    signingAlgorithm: options.signingAlgorithm ?? (options.issuer ? P256 : algorithm),
    extensions: [
      new BasicConstraintsExtension(options.ca ?? true, options.pathLength, true),
      ...(options.usages === "any"
        ? []
        : [new KeyUsagesExtension(options.usages ?? KeyUsageFlags.keyCertSign, true)]),
      ...(options.extensions ?? []),
    ],
  });
  return { name: `CN=${name}`, keys, der };
}

interface Identity {
  readonly signatureKey: Bytes;
  readonly privateKey: Bytes;
  readonly der: Bytes;
}

/** A client's key, and a certificate for it. */
async function client(by: Authority, shape: Shape & { readonly names?: string[] } = {}) {
  const keyPair = await nodeCrypto.generateSignatureKeyPair("ed25519");
  const key = await crypto.subtle.importKey("raw", keyPair.publicKey, "Ed25519", true, ["verify"]);
  const names = (shape.names ?? ["alice.example"]).map(
    (value) => ({ type: "dns", value }) as const,
  );
  const der = await issue(key, by.keys.privateKey, {
    issuer: by,
    ...shape,
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
      ...(shape.extensions ?? []),
    ],
  });
  return { signatureKey: keyPair.publicKey, privateKey: keyPair.privateKey, der };
}

function leaf(identity: Identity, ...above: readonly (Authority | Bytes)[]): Credentialed {
  const certificates = [identity.der, ...above.map((ca) => ("der" in ca ? ca.der : ca))];
  const credential: Credential = { credentialType: "x509", certificates };
  return { credential, signatureKey: identity.signatureKey };
}

let root: Authority;
let middle: Authority;
let alice: Identity;
beforeAll(async () => {
  root = await authority("root");
  middle = await authority("middle", { issuer: root });
  alice = await client(middle);
});

function service(options: Partial<X509Options> = {}): AuthenticationService {
  return x509Authentication({ anchors: [root.der], now: () => NOW, ...options });
}

async function expectAccepted(
  one: Credentialed,
  options: Partial<X509Options> = {},
): Promise<void> {
  await expect(service(options).validate([one], "new")).resolves.toBeUndefined();
}

async function expectRefused(
  one: Credentialed,
  section: string,
  message: RegExp,
  options: Partial<X509Options> = {},
): Promise<void> {
  const expected = { name: "MlsError", code: "authentication", section };
  const validated = service(options).validate([one], "new");
  await expect(validated).rejects.toMatchObject(expected);
  await expect(validated).rejects.toThrow(message);
}

describe("§5.3 a chain", () => {
  it("is accepted with its anchor, without it, and where an anchor is intermediate", async () => {
    await expectAccepted(leaf(alice, middle));
    await expectAccepted(leaf(alice, middle, root));
    await expectAccepted(leaf(alice), { anchors: [middle.der] });
    await expectAccepted(leaf(await client(root)));
    await expectAccepted(leaf(alice, middle), {
      anchors: [PemConverter.encode(root.der, PemConverter.CertificateTag)],
    });
  });

  it("leads to a CA that was renewed with its key, whichever of its certificates is the first anchor", async () => {
    const old = await issue(root.keys.publicKey, root.keys.privateKey, {
      subject: root.name,
      notBefore: NOW - 2 * DAY,
      notAfter: NOW - 1,
      extensions: [new BasicConstraintsExtension(true, 0, true)],
    });
    for (const anchors of [
      [old, root.der],
      [root.der, old],
    ]) {
      await expectAccepted(leaf(alice, middle), { anchors });
      await expectAccepted(leaf(await client(root)), { anchors });
    }
    await expectRefused(leaf(alice, middle), "5.3.2", /expired/, { anchors: [old] });
    await expectRefused(leaf(await client(root)), "5.3.2", /expired/, { anchors: [old, old] });
  });

  it("has the leaf's certificate first, and each next certifies the one before", async () => {
    const der = (one: { readonly der: Bytes }) => one.der;
    const chain = (...certificates: Bytes[]): Credentialed => ({
      credential: { credentialType: "x509", certificates },
      signatureKey: alice.signatureKey,
    });
    const other = await authority("other", { issuer: root });
    await expectRefused(chain(der(middle), der(alice)), "5.3", /another key/);
    await expectRefused(
      chain(der(alice), der(root), der(middle)),
      "5.3.1",
      /not by the one after it/,
    );
    await expectRefused(chain(der(alice), der(other)), "5.3.1", /not by the one after it/);
    await expectRefused(chain(der(alice)), "5.3.1", /no trust anchor/);
    await expectRefused(chain(), "5.3", /without certificates/);
    await expectAccepted(chain(der(alice), der(middle)));
  });

  it("is for the key of its leaf", async () => {
    const other = await client(middle);
    const wrong = { ...leaf(alice, middle), signatureKey: other.signatureKey };
    await expectRefused(wrong, "5.3", /another key/);
    // A key of the same size for another purpose is not the same key.
    const agreement = (await crypto.subtle.generateKey("X25519", true, [
      "deriveBits",
    ])) as CryptoKeyPair;
    const raw = new Uint8Array(await crypto.subtle.exportKey("raw", agreement.publicKey));
    const der = await issue(agreement.publicKey, middle.keys.privateKey, {
      issuer: middle,
      subject: "CN=x",
    });
    await expectRefused(leaf({ ...alice, der, signatureKey: raw }, middle), "5.3.1", /X25519/);
  });

  it.each([
    ["Ed25519", 32, () => generateKeyPairSync("ed25519")],
    ["Ed448", 57, () => generateKeyPairSync("ed448")],
    ["P-256", 65, () => generateKeyPairSync("ec", { namedCurve: "P-256" })],
    ["P-384", 97, () => generateKeyPairSync("ec", { namedCurve: "P-384" })],
    ["P-521", 133, () => generateKeyPairSync("ec", { namedCurve: "P-521" })],
    ["ML-DSA-44", 1312, () => generateKeyPairSync("ml-dsa-44")],
    ["ML-DSA-65", 1952, () => generateKeyPairSync("ml-dsa-65")],
    ["ML-DSA-87", 2592, () => generateKeyPairSync("ml-dsa-87")],
  ])("may be for a key of %s, in the suite's encoding", async (_, size, generate) => {
    const spki = generate().publicKey.export({ format: "der", type: "spki" });
    const raw = Uint8Array.from(spki.subarray(spki.length - size));
    const made = await X509CertificateGenerator.create({
      subject: "CN=alice",
      issuer: middle.name,
      publicKey: Uint8Array.from(spki),
      signingKey: middle.keys.privateKey,
      signingAlgorithm: P256,
      notBefore: new Date(NOW - DAY),
      notAfter: new Date(NOW + DAY),
    });
    const der = new Uint8Array(made.rawData);
    const one = leaf({ ...alice, der, signatureKey: raw }, middle);
    await expectAccepted(one);
    const signatureKey = raw.map((byte, i) => (i === 9 ? byte ^ 1 : byte));
    await expectRefused({ ...one, signatureKey }, "5.3", /another key/);
  });

  it("is of X.509", async () => {
    const basic: Credential = { credentialType: "basic", identity: utf8("alice") };
    await expectRefused({ ...leaf(alice), credential: basic }, "5.3", /no X\.509 credential/);
  });

  it("is bounded in length and in the size of each certificate", async () => {
    const lower = await authority("lower", { issuer: middle });
    const deep = await client(lower);
    await expectAccepted(leaf(deep, lower, middle, root));
    await expectRefused(leaf(deep, lower, middle, root), "5.3.1", /4 certificates/, {
      maxChainLength: 3,
    });
    await expectRefused(leaf(alice, middle), "5.3", /bytes/, {
      maxCertificateSize: alice.der.length - 1,
    });
    await expectRefused(leaf(alice, middle), "5.3", /bytes/, {
      maxCertificateSize: Math.max(alice.der.length, middle.der.length) - 1,
    });
  });
});

describe("§5.3.1 a path", () => {
  it("leads to an anchor, by its key and not by its name", async () => {
    const impostor = await authority("root");
    const fake = await authority("middle", { issuer: impostor });
    await expectRefused(leaf(await client(fake), fake), "5.3.1", /no trust anchor/);
    await expectRefused(leaf(await client(fake), fake, impostor), "5.3.1", /no trust anchor/);
    await expectRefused(leaf(await client(fake), middle), "5.3.1", /does not verify/);
    await expectAccepted(leaf(await client(fake), fake), { anchors: [root.der, impostor.der] });
  });

  it("goes through CAs alone", async () => {
    const none = await authority("none", { issuer: root, ca: false });
    await expectRefused(leaf(await client(none), none), "5.3.1", /none of a CA/);
    const bob = await client(middle);
    const signer: Authority = { name: "", keys: middle.keys, der: bob.der };
    await expectRefused(leaf(await client(signer), bob.der, middle), "5.3.1", /none of a CA/);
    const any = await authority("any", { issuer: root, usages: "any" });
    await expectAccepted(leaf(await client(any), any));
    const mute = await authority("mute", { issuer: root, usages: KeyUsageFlags.cRLSign });
    await expectRefused(leaf(await client(mute), mute), "5.3.1", /may not sign certificates/);
    expect(() => service({ anchors: [alice.der] })).toThrow(MlsError);
  });

  it("is no longer than its CAs allow", async () => {
    const last = await authority("last", { issuer: root, pathLength: 0 });
    await expectAccepted(leaf(await client(last), last));
    const below = await authority("below", { issuer: last });
    await expectRefused(leaf(await client(below), below, last), "5.3.1", /longer/);
    const strict = await authority("strict", { pathLength: 0 });
    const under = await authority("under", { issuer: strict });
    const anchors = [strict.der];
    await expectAccepted(leaf(await client(strict)), { anchors });
    await expectRefused(leaf(await client(under), under), "5.3.1", /longer/, { anchors });
    await expectRefused(leaf(await client(under), under, strict), "5.3.1", /longer/, { anchors });
  });

  it("ends in a certificate whose key may sign, and certifies nobody", async () => {
    const extensions = [new BasicConstraintsExtension(true)];
    await expectRefused(
      leaf(await client(middle, { extensions }), middle),
      "5.3",
      /a CA's certificate/,
    );
    const agreeing = await issue(
      await crypto.subtle.importKey("raw", alice.signatureKey, "Ed25519", true, ["verify"]),
      middle.keys.privateKey,
      {
        issuer: middle,
        subject: "CN=alice",
        extensions: [new KeyUsagesExtension(KeyUsageFlags.keyAgreement, true)],
      },
    );
    await expectRefused(leaf({ ...alice, der: agreeing }, middle), "5.3.1", /may not sign/);
  });

  it("names the purposes that the application asks for", async () => {
    const purposes = ["1.3.6.1.5.5.7.3.2"];
    const extensions = [new ExtendedKeyUsageExtension(purposes)];
    await expectAccepted(leaf(await client(middle, { extensions }), middle), { purposes });
    await expectRefused(leaf(alice, middle), "5.3.1", /another purpose/, { purposes });
  });

  it("has no critical extension that is not understood, and no name constraints", async () => {
    const unknown = (critical: boolean) => [
      new Extension("1.3.6.1.4.1.99999.1", critical, Uint8Array.of(5, 0)),
    ];
    await expectAccepted(leaf(await client(middle, { extensions: unknown(false) }), middle));
    const critical = await client(middle, { extensions: unknown(true) });
    await expectRefused(leaf(critical, middle), "5.3.1", /critical extension/);
    const ca = await authority("ca", { issuer: root, extensions: unknown(true) });
    await expectRefused(leaf(await client(ca), ca), "5.3.1", /critical extension/);
    const constrained = await authority("constrained", {
      issuer: root,
      extensions: [new Extension("2.5.29.30", false, Uint8Array.of(0x30, 0))],
    });
    await expectRefused(leaf(await client(constrained), constrained), "5.3.1", /name constraints/);
    const twice = [new BasicConstraintsExtension(false), new BasicConstraintsExtension(false)];
    await expectRefused(leaf(await client(middle, { extensions: twice }), middle), "5.3", /twice/);
  });

  it("is signed by algorithms that hold", async () => {
    const bob = await client(middle);
    const key = await crypto.subtle.importKey("raw", bob.signatureKey, "Ed25519", true, ["verify"]);
    const sha1 = await issue(key, middle.keys.privateKey, {
      issuer: middle,
      subject: "CN=bob",
      signingAlgorithm: { name: "ECDSA", hash: "SHA-1" },
    });
    await expectRefused(leaf({ ...bob, der: sha1 }, middle), "5.3.1", /signature by ECDSA/);
    const rsa = (modulusLength: number) => ({
      algorithm: {
        name: "RSASSA-PKCS1-v1_5",
        hash: "SHA-256",
        publicExponent: Uint8Array.of(1, 0, 1),
        modulusLength,
      },
    });
    const weak = await authority("weak", rsa(1024));
    expect(() => service({ anchors: [weak.der] })).toThrow(/RSA/);
    for (const options of [
      rsa(2048),
      { algorithm: { name: "Ed25519" } },
      { algorithm: { name: "ECDSA", namedCurve: "P-521", hash: "SHA-512" } },
      { algorithm: { name: "ML-DSA-65" } },
    ]) {
      const ca = await authority("ca", options);
      const { algorithm: signingAlgorithm } = options;
      const one = leaf(await client(ca, { signingAlgorithm }));
      await expectAccepted(one, { anchors: [ca.der] });
    }
  });

  it("is signed as it stands", async () => {
    const last = alice.der.length - 1;
    const der = alice.der.map((byte, i) => (i === last ? byte ^ 1 : byte));
    await expectRefused(leaf({ ...alice, der }, middle), "5.3.1", /does not verify/);
    // ecdsa-with-SHA256 inside, ecdsa-with-SHA384 outside.
    const outside = alice.der.findLastIndex(
      (_, i) => toHex(alice.der.slice(i, i + 8)) === ECDSA_SHA256,
    );
    const other = alice.der.with(outside + 7, 3);
    await expectRefused(leaf({ ...alice, der: other }, middle), "5.3", /two signature algorithms/);
  });

  it("names somebody", async () => {
    await expectRefused(leaf(await client(middle, { names: [] }), middle), "5.3.1", /names nobody/);
    await expectAccepted(leaf(await client(middle, { names: [], subject: "CN=alice" }), middle));
    const identify = () => "";
    await expectRefused(leaf(alice, middle), "5.3.1", /names nobody/, { identify });
  });
});

describe("§5.3.2 time and revocation", () => {
  it("hold for every certificate of a path", async () => {
    const soon = await client(middle, { notBefore: NOW + 1000 });
    await expectRefused(leaf(soon, middle), "5.3.2", /not valid yet/);
    const old = await client(middle, { notAfter: NOW - 1000 });
    await expectRefused(leaf(old, middle), "5.3.2", /expired/);
    const oldCa = await authority("old", { issuer: root, notAfter: NOW - 1000 });
    await expectRefused(leaf(await client(oldCa), oldCa), "5.3.2", /expired/);
    await expectRefused(leaf(alice, middle), "5.3.2", /expired/, { now: () => NOW + 2 * DAY });
    await expectAccepted(leaf(alice, middle), { now: () => NOW + DAY });
  });

  it("may be stretched for members that were there before", async () => {
    const late = service({ now: () => NOW + DAY + 1000, grace: 2000 });
    await expect(late.validate([leaf(alice, middle)], "present")).resolves.toBeUndefined();
    const { validate } = late;
    await expect(validate([leaf(alice, middle)], "new")).rejects.toThrow(/expired/);
    const later = service({ now: () => NOW + DAY + 3000, grace: 2000 });
    await expect(later.validate([leaf(alice, middle)], "present")).rejects.toThrow(/expired/);
  });

  it("are asked about with the whole path", async () => {
    const seen: (readonly Bytes[])[] = [];
    const isRevoked = async (path: readonly Bytes[]) => {
      seen.push(path);
      return false;
    };
    await expectAccepted(leaf(alice, middle), { isRevoked });
    expect(seen).toEqual([[alice.der, middle.der, root.der]]);
    await expectRefused(leaf(alice, middle), "5.3.2", /revoked/, { isRevoked: async () => true });
  });
});

describe("who is who", () => {
  it("is told by the names of the certificate, in whatever order", async () => {
    const { isSuccessor, clientOf } = service();
    const names = ["alice.example", "phone.alice.example"];
    const before = leaf(await client(middle, { names }), middle);
    const after = leaf(await client(middle, { names: names.toReversed() }), middle);
    const other = leaf(await client(middle, { names: ["bob.example"] }), middle);
    expect(await isSuccessor(before, after)).toBe(true);
    expect(clientOf?.(before)).toBe(clientOf?.(after));
    expect(await isSuccessor(before, other)).toBe(false);
    expect(clientOf?.(before)).not.toBe(clientOf?.(other));
    const named = async (subject: string) =>
      leaf(await client(middle, { names: [], subject }), middle);
    expect(await isSuccessor(await named("CN=a"), await named("CN=a"))).toBe(true);
    expect(await isSuccessor(await named("CN=a"), await named("CN=b"))).toBe(false);
  });

  it("is the application's to say", async () => {
    const before = leaf(alice, middle);
    const after = leaf(await client(middle, { names: ["alice.example", "new.example"] }), middle);
    const first = service({ identify: ({ names }) => names[0]?.value ?? "" });
    expect(first.clientOf?.(after)).toBe("alice.example");
    expect(await first.isSuccessor(before, after)).toBe(true);
    const growing = service({
      isSuccessor: (previous, next) => next.names.length > previous.names.length,
    });
    expect(await growing.isSuccessor(before, after)).toBe(true);
    expect(await growing.isSuccessor(after, before)).toBe(false);
  });
});

describe("many at once", () => {
  it("are judged together, and one that is refused refuses all", async () => {
    const people = await Promise.all(Array.from({ length: 20 }, () => client(middle)));
    const leaves = people.map((one) => leaf(one, middle));
    const one = service({ cacheSize: 1 });
    const verify = vi.spyOn(crypto.subtle, "verify");
    await expect(one.validate(leaves, "new")).resolves.toBeUndefined();
    // Each leaf, and once the CA above them.
    expect(verify).toHaveBeenCalledTimes(21);
    verify.mockRestore();
    const fake = await authority("middle", { issuer: await authority("root") });
    const bad = leaf(await client(fake), fake);
    await expect(one.validate([...leaves, bad], "new")).rejects.toThrow(/no trust anchor/);
    // What was refused is refused again, and does no harm to the others.
    await expect(one.validate([bad], "new")).rejects.toThrow(/no trust anchor/);
    await expect(one.validate(leaves, "new")).resolves.toBeUndefined();
  });
});

describe("a credential", () => {
  it("is made from PEM, or from DER", async () => {
    const pem = [alice, middle]
      .map(({ der }) => PemConverter.encode(der, PemConverter.CertificateTag))
      .join("\n");
    const expected = { credentialType: "x509", certificates: [alice.der, middle.der] };
    expect(x509Credential(pem)).toEqual(expected);
    expect(x509Credential([alice.der, middle.der])).toEqual(expected);
    const key = PemConverter.encode(alice.der, "PRIVATE KEY");
    const noBase64 = "-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----\n";
    for (const bad of ["", "nothing", `${pem}\n${key}`, noBase64, [], [utf8("no")]]) {
      expect(() => x509Credential(bad)).toThrow(MlsError);
    }
  });

  it("is of certificates in DER", () => {
    const { der } = alice;
    const [, , ...content] = der.subarray(0, 4);
    const inner = der.slice(4);
    const wrong: readonly (readonly [string, Bytes])[] = [
      ["empty", new Uint8Array()],
      ["a tag alone", Uint8Array.of(0x30)],
      ["of another tag", der.with(0, 0x31)],
      ["with a byte behind it", Uint8Array.of(...der, 0)],
      ["with another value behind it", Uint8Array.of(...der, 5, 0)],
      ["of no end", Uint8Array.of(0x30, 0x80, ...inner, 0, 0)],
      ["with a length that is too long", Uint8Array.of(0x30, 0x83, 0, ...content, ...inner)],
      ["with a length that is too large", der.with(3, (der[3] ?? 0) + 1)],
      ["empty inside", Uint8Array.of(0x30, 0)],
      ["with nothing that is signed", Uint8Array.of(0x30, 4, 5, 0, 5, 0)],
      ["with nothing in what is signed", Uint8Array.of(0x30, 4, 0x30, 0, 5, 0)],
    ];
    for (const [why, bytes] of wrong) {
      const refusal = (() => {
        try {
          return x509Credential([bytes]).credentialType;
        } catch (error) {
          return String(error);
        }
      })();
      expect(`${why}: ${refusal}`).toMatch(/MlsError: no (DER|certificate) /);
    }
    expect(() => x509Credential([der.with(3, (der[3] ?? 0) + 1)])).toThrow(/no DER /);
    // A tag of more than one byte would be read as if it were one.
    expect(() => x509Credential([der.with(0, 0x3f)])).toThrow(/no DER /);
    const version = der.findIndex((_, i) => toHex(der.slice(i, i + 5)) === "a003020102");
    expect(() => x509Credential([der.with(version + 4, 0)])).toThrow(/old certificate/);
    expect(x509Credential([der]).certificates).toEqual([der]);
  });

  it("of any bytes is judged or refused, with no other error", async () => {
    const one = service();
    const attempt = async (certificates: readonly Bytes[]) => {
      const credential: Credential = { credentialType: "x509", certificates };
      const judged = one.validate([{ ...leaf(alice), credential }], "new");
      const error = await judged.catch((cause: unknown) => cause);
      expect(error === undefined || error instanceof MlsError).toBe(true);
    };
    await assert(
      asyncProperty(uint8Array({ maxLength: 300 }), (bytes) => attempt([Uint8Array.from(bytes)])),
      { numRuns: 150 },
    );
    // A byte of a good chain changed, or all from there on missing.
    const at = integer({ min: 0, max: alice.der.length - 1 });
    const byte = integer({ min: 0, max: 255 });
    await assert(
      asyncProperty(at, byte, integer({ min: 0, max: 1 }), async (i, value, which) => {
        const changed = [alice.der, middle.der].map((der, j) =>
          j === which ? der.with(i, value) : der,
        );
        await attempt(changed);
        await attempt([alice.der.slice(0, i), middle.der]);
      }),
      { numRuns: 150 },
    );
  });
});

describe("a live group", () => {
  it("has members with X.509 credentials, and refuses a stranger's", async () => {
    const context = (): MlsContext => ({
      crypto: nodeCrypto,
      storage: memoryStorage(),
      authentication: service(),
      now: () => NOW,
    });
    const bob = await client(middle, { names: ["bob.example"] });
    const stranger = await authority("stranger");
    const [aliceContext, bobContext] = [context(), context()];
    const of = (identity: Identity, ...above: Authority[]) => ({
      suite: 1,
      credential: leaf(identity, ...above).credential,
      signer: signerOf(nodeCrypto, "ed25519", { ...identity, publicKey: identity.signatureKey }),
      capabilities: defaultCapabilities(nodeCrypto, { credentials: [2] }),
      lifetime: LIFETIME,
    });
    const group = await createGroup(aliceContext, {
      groupId: utf8("room"),
      ...of(alice, middle),
      extensions: [],
    });
    const addOf = async (identity: Identity, ...above: Authority[]) => {
      const { keyPackage } = await createKeyPackage(bobContext, of(identity, ...above));
      return { proposalType: "add", keyPackage: readKeyPackage(keyPackage) } as const;
    };
    const eve = await addOf(await client(stranger), stranger);
    await expect(group.commit({ proposals: [eve] })).rejects.toMatchObject({
      code: "authentication",
    });
    // One name is one client (§12.2).
    const again = await addOf(await client(middle), middle);
    await expect(group.commit({ proposals: [again] })).rejects.toMatchObject({
      code: "proposal-list",
    });
    const { commit, welcome } = await group.commit({ proposals: [await addOf(bob, middle)] });
    await group.receive(commit);
    const other = await joinGroup(bobContext, {
      welcome: welcome ?? new Uint8Array(),
      ratchetTree: group.ratchetTree(),
      signer: of(bob).signer,
    });
    const received = await other.receive(await group.send(utf8("hello")));
    expect(received).toMatchObject({ type: "application", data: utf8("hello") });
    const update = await other.commit({ forcePath: true });
    await group.receive(update.commit);
    await other.receive(update.commit);
    expect(other.epochAuthenticator).toEqual(group.epochAuthenticator);
  });
});
