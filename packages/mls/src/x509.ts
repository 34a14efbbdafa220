/**
 * An `AuthenticationService` for X.509 credentials. RFC 9420 §5.3 (their form), §5.3.1 (validation), §5.3.2 (expiry);
 * RFC 5280 for certificates and their paths. Beside this package it takes `@peculiar/x509` and `reflect-metadata`.
 *
 * A chain is verified from a trust anchor down, so no key is used before it was certified. What is not checked is refused:
 * unknown critical extensions, policies, and any name constraints.
 * @module
 */

// The library keeps what it knows of types in metadata, and asks its user for the polyfill.
import "reflect-metadata";
import { sha256 } from "@noble/hashes/sha2.js";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
} from "@peculiar/x509";
import { bytesEqual, concat, EMPTY, toHex } from "./bytes.ts";
import type { Bytes } from "./codec.ts";
import { MlsError } from "./errors.ts";
import type { AuthenticationService, Credential, Credentialed } from "./key/credential.ts";

/** The end-entity certificate of a chain, as far as it says who it is for. */
export interface LeafCertificate {
  readonly der: Bytes;
  /** The subject's distinguished name, as text; empty where there is none. */
  readonly subject: string;
  /** The subjectAltName's entries, in their order: `dns`, `email`, `url`, `ip`, `dn`, `id`, … with the name as text. */
  readonly names: readonly { readonly type: string; readonly value: string }[];
}

/** Whom to trust, and what tells one client from another. */
export interface X509Options {
  /** Certificates of the CAs that are trusted, in PEM or DER. They may be intermediate: a chain may end below any of them. */
  readonly anchors: readonly (string | Bytes)[];
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Certificates in a credential: 4 unless given. */
  readonly maxChainLength?: number;
  /** Bytes of a certificate: 16,384 unless given. */
  readonly maxCertificateSize?: number;
  /** Milliseconds for which the certificates of a member that was there before us still count after they expired: 0 unless given. */
  readonly grace?: number;
  /** Object identifiers, of which the leaf's extended key usage must name one. Unless given, any will do, and none. */
  readonly purposes?: readonly string[];
  /** Verified intermediate certificates that are remembered: 256 unless given. */
  readonly cacheSize?: number;
  /**
   * A name for the client that a certificate is for (§5.3.1, §12.2), empty to refuse it: the subjectAltName as a whole
   * unless given, or the subject where there is none.
   */
  readonly identify?: (leaf: LeafCertificate) => string;
  /** Whether one certificate may follow another (§5.3.1): where both name the same client unless given. */
  readonly isSuccessor?: (
    previous: LeafCertificate,
    next: LeafCertificate,
  ) => boolean | Promise<boolean>;
  /** Asked of each path that is otherwise valid, from leaf to anchor, in DER (§5.3.2). */
  readonly isRevoked?: (path: readonly Bytes[], standing: "new" | "present") => Promise<boolean>;
}

/** An X.509 credential from a chain, the leaf first: PEM text, or DER certificates. Throws `MlsError` with `authentication`. */
export function x509Credential(
  chain: string | readonly Bytes[],
): Extract<Credential, { credentialType: "x509" }> {
  const certificates = typeof chain === "string" ? fromPem(chain) : chain;
  for (const certificate of certificates) parseCertificate(certificate);
  if (certificates.length === 0) refuse("5.3", "no certificate");
  return { credentialType: "x509", certificates };
}

function refuse(section: string, why: string, cause?: unknown): never {
  throw new MlsError("authentication", section, why, { cause });
}

function fromPem(text: string): Bytes[] {
  const decoded = ((): ReturnType<typeof PemConverter.decodeWithHeaders> => {
    try {
      return PemConverter.decodeWithHeaders(text);
    } catch (cause) {
      return refuse("5.3", "no PEM", cause);
    }
  })();
  return decoded.map(({ type, rawData }) => {
    if (type !== "CERTIFICATE") refuse("5.3", `PEM of type ${type} where a certificate is due`);
    return new Uint8Array(rawData);
  });
}

// RFC 5280 §4.1: certificates, their signed bytes read as they stand.

interface Element {
  readonly tag: number;
  /** With tag and length. */
  readonly whole: Bytes;
  readonly content: Bytes;
}

/** The elements of a DER value, one level deep. Throws `MlsError` with `authentication`. */
function elements(bytes: Bytes): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    // Where no length stands it is as one that is not told.
    const [tag = 0, first = 0x80] = bytes.subarray(at, at + 2);
    if ((tag & 0x1f) === 0x1f) refuse("5.3", "no DER");
    const short = first < 0x80;
    const start = at + 2 + (short ? 0 : first - 0x80);
    const digits = bytes.subarray(short ? at + 1 : at + 2, start);
    const length = digits.reduce((value, digit) => value * 256 + digit, 0);
    const shortest = short || (length >= 0x80 && digits[0] !== 0);
    if (!shortest || start + length > bytes.length) refuse("5.3", "no DER");
    const whole = bytes.slice(at, start + length);
    found.push({ tag, whole, content: whole.subarray(start - at) });
    at = start + length;
  }
  return found;
}

const NONE: Element = { tag: 0, whole: EMPTY, content: EMPTY };
const SEQUENCE = 0x30;
/** `[0] EXPLICIT`, in which a version stands. */
const VERSION = 0xa0;
const V3 = "020102";

interface Certificate {
  readonly der: Bytes;
  /** SHA-256, in hexadecimal. */
  readonly digest: string;
  readonly x509: X509Certificate;
  /** Milliseconds since the Unix epoch, both ends included. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Names in DER, in hexadecimal; compared as they stand, which RFC 5280 §7.1 allows. */
  readonly issuer: string;
  readonly subject: string;
  readonly publicKeyInfo: Bytes;
  readonly ca: boolean;
  readonly pathLength: number | undefined;
  readonly usages: KeyUsageFlags | undefined;
  readonly purposes: readonly string[] | undefined;
  readonly alternative: SubjectAlternativeNameExtension | undefined;
}

const NAME_CONSTRAINTS = "2.5.29.30";
const KNOWN_EXTENSIONS = [
  BasicConstraintsExtension,
  KeyUsagesExtension,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
];

/** Reads a certificate. Throws `MlsError` with `authentication` for bytes that are none, or that use what is not checked here. */
function parseCertificate(der: Bytes): Certificate {
  const [outer, ...behind] = elements(der);
  if (outer?.tag !== SEQUENCE || behind.length > 0) refuse("5.3", "no certificate");
  const [signed, algorithm = NONE] = elements(outer.content);
  if (signed?.tag !== SEQUENCE) refuse("5.3", "no certificate");
  const fields = elements(signed.content);
  const version = fields[0]?.tag === VERSION ? fields.shift() : undefined;
  // What is missing, `X509Certificate` misses too.
  const [, signature = NONE, issuer = NONE, , subject = NONE, publicKeyInfo = NONE] = fields;
  try {
    const x509 = new X509Certificate(der);
    if (!bytesEqual(algorithm.whole, signature.whole)) {
      refuse("5.3", "a certificate that names two signature algorithms");
    }
    const { extensions } = x509;
    checkExtensions(extensions, version !== undefined && toHex(version.content) === V3);
    checkAlgorithms(x509);
    const constraints = x509.getExtension(BasicConstraintsExtension);
    return {
      der,
      digest: toHex(sha256(der)),
      x509,
      notBefore: x509.notBefore.getTime(),
      notAfter: x509.notAfter.getTime(),
      issuer: toHex(issuer.whole),
      subject: toHex(subject.whole),
      publicKeyInfo: publicKeyInfo.whole,
      ca: constraints?.ca ?? false,
      pathLength: constraints?.pathLength,
      usages: x509.getExtension(KeyUsagesExtension)?.usages,
      purposes: x509.getExtension(ExtendedKeyUsageExtension)?.usages.map(String),
      alternative: x509.getExtension(SubjectAlternativeNameExtension) ?? undefined,
    };
  } catch (cause) {
    if (cause instanceof MlsError) throw cause;
    return refuse("5.3", "no certificate", cause);
  }
}

/** RFC 5280 §4.2: each once, none critical that is not understood. */
function checkExtensions(extensions: readonly Extension[], allowed: boolean): void {
  if (!allowed) refuse("5.3", "an old certificate, which can have no extensions");
  const types = extensions.map(({ type }) => type);
  if (new Set(types).size !== types.length) refuse("5.3", "a certificate's extension twice");
  if (types.includes(NAME_CONSTRAINTS)) refuse("5.3.1", "name constraints are not enforced here");
  for (const extension of extensions) {
    if (extension.critical && !KNOWN_EXTENSIONS.some((known) => extension instanceof known)) {
      refuse("5.3.1", `a critical extension of type ${extension.type}`);
    }
  }
}

const HASHES = ["SHA-256", "SHA-384", "SHA-512"];
const HASHED = ["ECDSA", "RSASSA-PKCS1-v1_5", "RSA-PSS"];
/** Those that sign without a hash of their own choice. */
const UNHASHED = ["Ed25519", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"];
/** What the library calls Ed448, which it cannot verify: for the leaf's key alone. */
const ED448 = "EdDSA";
const CURVES = ["P-256", "P-384", "P-521"];
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;

/** Nothing that can be forged today signs a certificate, or is certified by one. */
function checkAlgorithms({ signatureAlgorithm, publicKey }: X509Certificate): void {
  const { name, hash } = signatureAlgorithm;
  const signs = HASHED.includes(name)
    ? HASHES.includes(typeof hash === "object" ? hash.name : String(hash))
    : UNHASHED.includes(name);
  if (!signs) refuse("5.3.1", `a signature by ${name} that is not accepted`);
  const key: { name: string; namedCurve?: string; modulusLength?: number } = publicKey.algorithm;
  const { namedCurve = "", modulusLength = 0 } = key;
  const strong = key.name.startsWith("RSA")
    ? modulusLength >= MIN_RSA_BITS && modulusLength <= MAX_RSA_BITS
    : key.name === "ECDSA"
      ? CURVES.includes(namedCurve)
      : UNHASHED.includes(key.name) || key.name === ED448;
  if (!strong) refuse("5.3.1", `a key for ${key.name} that is not accepted`);
}

/** Whether the issuer's key signed the certificate. */
async function isSignedBy({ x509 }: Certificate, issuer: Certificate): Promise<boolean> {
  try {
    return await x509.verify({ publicKey: issuer.x509.publicKey, signatureOnly: true });
  } catch {
    // A key or signature of the wrong form: no valid signature.
    return false;
  }
}

/**
 * What stands before a signature key of each scheme of §5.1.2 in a SubjectPublicKeyInfo, and the key's size in bytes:
 * RFC 8410 (Ed25519, Ed448), RFC 5480 (P-256, P-384, P-521), RFC 9881 (ML-DSA-44, ML-DSA-65, ML-DSA-87).
 */
const KEY_FORMS: readonly (readonly [prefix: string, size: number])[] = [
  ["302a300506032b6570032100", 32],
  ["3043300506032b6571033a00", 57],
  ["3059301306072a8648ce3d020106082a8648ce3d030107034200", 65],
  ["3076301006072a8648ce3d020106052b81040022036200", 97],
  ["30819b301006072a8648ce3d020106052b8104002303818600", 133],
  ["30820532300b06096086480165030403110382052100", 1312],
  ["308207b2300b0609608648016503040312038207a100", 1952],
  ["30820a32300b060960864801650304031303820a2100", 2592],
];

/** §5.3: the certified key is the leaf's, in the encoding that the suite gives it. No two schemes have keys of one size. */
function isKeyOf({ publicKeyInfo }: Certificate, signatureKey: Bytes): boolean {
  const form = KEY_FORMS.find(([, size]) => size === signatureKey.length);
  if (!form) return false;
  const prefix = Uint8Array.from(form[0].match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return bytesEqual(publicKeyInfo, concat(prefix, signatureKey));
}

/** A map that forgets what was added first when it is full. */
class BoundedMap<V> {
  readonly #limit: number;
  readonly #map = new Map<string, V>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): V | undefined {
    return this.#map.get(key);
  }

  set(key: string, value: V): void {
    this.#map.set(key, value);
    const [oldest] = this.#map.keys();
    if (this.#map.size > this.#limit && oldest !== undefined) this.#map.delete(oldest);
  }

  delete(key: string): void {
    this.#map.delete(key);
  }
}

/** Judges leaves by X.509 chains. Throws `MlsError` with `authentication` here for anchors that are no CA certificates. */
export function x509Authentication(options: X509Options): AuthenticationService {
  const { now, maxChainLength = 4, maxCertificateSize = 16_384, grace = 0 } = options;
  const { identify = identityOf, cacheSize = 256 } = options;
  const anchors = options.anchors
    .flatMap((anchor) => (typeof anchor === "string" ? fromPem(anchor) : [anchor]))
    .map(parseCertificate);
  for (const anchor of anchors) checkAuthority(anchor);
  const bySubject = Map.groupBy(anchors, ({ subject }) => subject);
  const anchorDigests = new Set(anchors.map(({ digest }) => digest));
  const parsed = new BoundedMap<Certificate>(cacheSize);
  const verified = new BoundedMap<Promise<boolean>>(cacheSize);
  const leaves = new WeakMap<Credential, Certificate>();

  const authorityOf = (der: Bytes): Certificate => {
    const digest = toHex(sha256(der));
    const known = parsed.get(digest) ?? parseCertificate(der);
    parsed.set(digest, known);
    return known;
  };

  /** The same as `isSignedBy`, remembered where the answer was yes. */
  const isCertifiedBy = async (ca: Certificate, issuer: Certificate): Promise<boolean> => {
    const link = `${ca.digest} ${issuer.digest}`;
    const answer = verified.get(link) ?? isSignedBy(ca, issuer);
    verified.set(link, answer);
    if (!(await answer)) verified.delete(link);
    return answer;
  };

  const leafOf = (credential: Credential): Certificate => {
    if (credential.credentialType !== "x509") refuse("5.3", "no X.509 credential");
    const known = leaves.get(credential);
    if (known) return known;
    const [der] = credential.certificates;
    if (!der) refuse("5.3", "an X.509 credential without certificates");
    const leaf = parseCertificate(der);
    leaves.set(credential, leaf);
    return leaf;
  };

  /**
   * A chain from an anchor down: where its topmost certificate is none itself, from the first that certifies it and makes a path that is
   * fit. A CA that was renewed with its key may be there twice, and one of both be out of its time.
   */
  const pathOf = async (
    chain: readonly Certificate[],
    checkFit: (path: readonly Certificate[]) => void,
  ): Promise<readonly Certificate[]> => {
    const [top] = chain;
    if (!top) return chain;
    const alone = chain.length === 1;
    if (!alone && anchorDigests.has(top.digest)) {
      checkFit(chain);
      return chain;
    }
    let unfit: unknown;
    for (const anchor of bySubject.get(top.issuer) ?? []) {
      if (!(await (alone ? isSignedBy(top, anchor) : isCertifiedBy(top, anchor)))) continue;
      const path = [anchor, ...chain];
      try {
        checkFit(path);
        return path;
      } catch (cause) {
        unfit ??= cause;
      }
    }
    if (unfit !== undefined) throw unfit;
    return refuse("5.3.1", "a chain that leads to no trust anchor");
  };

  const judge = async (
    { credential, signatureKey }: Credentialed,
    standing: "new" | "present",
  ): Promise<void> => {
    const certificates = credential.credentialType === "x509" ? credential.certificates : [];
    if (certificates.length > maxChainLength) {
      refuse("5.3.1", `a chain of ${certificates.length} certificates`);
    }
    const large = certificates.find(({ length }) => length > maxCertificateSize);
    if (large) refuse("5.3", `a certificate of ${large.length} bytes`);
    const leaf = leafOf(credential);
    if (!isKeyOf(leaf, signatureKey)) refuse("5.3", "a certificate for another key");
    checkEndEntity(leaf, options.purposes);
    if (identify(viewOf(leaf)) === "") refuse("5.3.1", "a certificate that names nobody");

    const above = certificates.slice(1).map(authorityOf).toReversed();
    const chain = [...above, leaf];
    const path = await pathOf(chain, (fitting) => {
      checkTimes(fitting, now(), standing === "present" ? grace : 0);
      checkPathLength(fitting.slice(0, -1));
    });
    // What is next to an anchor from outside the chain was found by its signature.
    for (const [i, certificate] of chain.entries()) {
      const issuer = chain[i - 1];
      if (!issuer) continue;
      if (certificate.issuer !== issuer.subject) {
        refuse("5.3.1", "a certificate that is not by the one after it");
      }
      const certified = certificate === leaf ? isSignedBy : isCertifiedBy;
      if (!(await certified(certificate, issuer))) {
        refuse("5.3.1", "a certificate whose signature does not verify");
      }
    }
    const revoked = await options.isRevoked?.(
      path.toReversed().map(({ der }) => der),
      standing,
    );
    if (revoked) refuse("5.3.2", "a certificate that was revoked");
  };

  const clientOf = ({ credential }: Credentialed): string => identify(viewOf(leafOf(credential)));

  return {
    validate: async (credentialed, standing) => {
      await Promise.all(credentialed.map((one) => judge(one, standing)));
    },
    isSuccessor: async (previous, next) => {
      const [before, after] = [leafOf(previous.credential), leafOf(next.credential)];
      return options.isSuccessor
        ? options.isSuccessor(viewOf(before), viewOf(after))
        : clientOf(previous) === clientOf(next);
    },
    clientOf,
  };
}

/** RFC 5280 §6.1.4 (k), (n): a certificate that may certify others. */
function checkAuthority({ ca, usages }: Certificate): void {
  if (!ca) refuse("5.3.1", "a chain through a certificate that is none of a CA");
  if (usages !== undefined && (usages & KeyUsageFlags.keyCertSign) === 0) {
    refuse("5.3.1", "a CA whose key may not sign certificates");
  }
}

/** A certificate whose key signs messages, and certifies nobody. */
function checkEndEntity(leaf: Certificate, purposes: readonly string[] | undefined): void {
  if (leaf.ca) refuse("5.3", "a CA's certificate as an end entity's");
  if (leaf.usages !== undefined && (leaf.usages & KeyUsageFlags.digitalSignature) === 0) {
    refuse("5.3.1", "a certificate whose key may not sign");
  }
  if (purposes && !leaf.purposes?.some((purpose) => purposes.includes(purpose))) {
    refuse("5.3.1", "a certificate for another purpose");
  }
}

/** §5.3.2, for all of a path. */
function checkTimes(path: readonly Certificate[], now: number, grace: number): void {
  for (const { notBefore, notAfter } of path) {
    if (!(now >= notBefore)) refuse("5.3.2", "a certificate that is not valid yet");
    if (!(now <= notAfter + grace)) refuse("5.3.2", "a certificate that has expired");
  }
}

/** RFC 5280 §6.1.4 (k) to (n), for the CAs of a path, the anchor first. */
function checkPathLength(authorities: readonly Certificate[]): void {
  let allowed = Number.POSITIVE_INFINITY;
  for (const [i, authority] of authorities.entries()) {
    checkAuthority(authority);
    if (i > 0 && authority.subject !== authority.issuer) {
      if (allowed === 0) refuse("5.3.1", "a path longer than one of its CAs allows");
      allowed -= 1;
    }
    allowed = Math.min(allowed, authority.pathLength ?? allowed);
  }
}

function viewOf({ der, x509, alternative }: Certificate): LeafCertificate {
  const names = alternative?.names.items ?? [];
  return {
    der,
    subject: x509.subject,
    names: names.map(({ type, value }) => ({ type, value })),
  };
}

/** The subjectAltName as a whole, or the subject: what a certificate says of whom it is for. */
function identityOf({ subject, names }: LeafCertificate): string {
  if (names.length === 0) return subject;
  const entries = names.map(({ type, value }) => JSON.stringify([type, value]));
  return `[${entries.toSorted((a, b) => (a < b ? -1 : 1)).join()}]`;
}
