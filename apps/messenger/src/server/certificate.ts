/**
 * A self-signed certificate for use in a local network, made once and kept in the data folder: browsers give a
 * page its cryptography only in a secure context. One fixed form (ECDSA P-256, X.509 v3) needs ten DER
 * constructs, so they stand here. RFC 5280 (form), RFC 5480 (key), RFC 5758 (signature).
 * @module
 */

import {
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";

/** PEM, as `node:https` takes it. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const DAY = 24 * 60 * 60 * 1000;
/** Some systems refuse to trust a server's certificate that lives longer, also one trusted by hand. */
const LIFETIME = 397 * DAY;
/** Made anew at the first start in the last month. */
const RENEWAL = 30 * DAY;

/**
 * The certificate kept in `folder`, or a new one where that is missing, about to expire, or doesn't name all of
 * `names` (host names and IP addresses).
 */
export async function keptCertificate(
  folder: string,
  names: readonly string[],
  now: number,
): Promise<Certificate> {
  const certFile = join(folder, "certificate.pem");
  const keyFile = join(folder, "certificate-key.pem");
  const kept = await readPair(certFile, keyFile);
  if (kept && isUsable(kept, names, now)) return kept;
  const made = makeCertificate(names, now);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(keyFile, made.key, { mode: 0o600 });
  await writeFile(certFile, made.cert);
  return made;
}

/** SHA-256 of the certificate, as browsers show it: a person can compare the two before trusting. */
export function fingerprint(certificate: Certificate): string {
  return new X509Certificate(certificate.cert).fingerprint256;
}

async function readPair(certFile: string, keyFile: string): Promise<Certificate | undefined> {
  try {
    return { cert: await readFile(certFile, "utf8"), key: await readFile(keyFile, "utf8") };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function isUsable({ cert, key }: Certificate, names: readonly string[], now: number): boolean {
  try {
    const certificate = new X509Certificate(cert);
    return (
      certificate.checkPrivateKey(createPrivateKey(key)) &&
      certificate.validFromDate.getTime() <= now &&
      certificate.validToDate.getTime() - RENEWAL > now &&
      names.every((name) => (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)))
    );
  } catch {
    // Not PEM, or cut off: a new one takes its place.
    return false;
  }
}

/** Exported for tests: a fresh key pair and the certificate that names it. */
export function makeCertificate(names: readonly string[], now: number): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsaWithSha256 = sequence(oid(1, 2, 840, 10045, 4, 3, 2));
  const name = sequence(set(sequence(oid(2, 5, 4, 3), der(0x0c, Buffer.from("Conclave")))));
  // RFC 5280 §4.1.2.2: positive, at most 20 octets.
  const serialNumber = randomBytes(16);
  serialNumber[0] = 0x40 | ((serialNumber[0] ?? 0) & 0x3f);

  // RFC 5280 §4.1, field by field.
  const tbsCertificate = sequence(
    der(0xa0, integer(Buffer.from([2]))), // version: v3
    integer(serialNumber),
    ecdsaWithSha256,
    name, // issuer
    sequence(time(now - DAY), time(now - DAY + LIFETIME)),
    name, // subject
    publicKey.export({ type: "spki", format: "der" }),
    der(
      0xa3,
      sequence(
        extension(oid(2, 5, 29, 19), sequence()), // basicConstraints: no CA
        extension(oid(2, 5, 29, 15), der(0x03, Buffer.from([7, 0x80]))), // keyUsage: digitalSignature
        extension(oid(2, 5, 29, 37), sequence(oid(1, 3, 6, 1, 5, 5, 7, 3, 1))), // serverAuth
        extension(oid(2, 5, 29, 17), sequence(...names.map(generalName))), // subjectAltName
      ),
    ),
  );
  const signature = sign("sha256", tbsCertificate, privateKey);
  const certificate = sequence(
    tbsCertificate,
    ecdsaWithSha256,
    der(0x03, Buffer.from([0]), signature),
  );
  return {
    cert: pem("CERTIFICATE", certificate),
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const value = Buffer.concat(content);
  const length = value.length;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), value]);
}

function sequence(...items: readonly Buffer[]): Buffer {
  return der(0x30, ...items);
}

function set(...items: readonly Buffer[]): Buffer {
  return der(0x31, ...items);
}

/** `magnitude`: big-endian, its top bit clear. */
function integer(magnitude: Buffer): Buffer {
  return der(0x02, magnitude);
}

function oid(first: number, second: number, ...rest: readonly number[]): Buffer {
  const base128 = (value: number): number[] => {
    const digits = [value & 0x7f];
    for (let left = value >> 7; left > 0; left >>= 7) digits.unshift(0x80 | (left & 0x7f));
    return digits;
  };
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** UTCTime, which RFC 5280 §4.1.2.5 demands for dates before 2050. */
function time(at: number): Buffer {
  const digits = new Date(at).toISOString().replace(/[-:T]/g, "").slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}

function extension(id: Buffer, value: Buffer): Buffer {
  return sequence(id, der(0x04, value));
}

/** RFC 5280 §4.2.1.6: dNSName [2] or iPAddress [7]. */
function generalName(name: string): Buffer {
  return isIP(name) ? der(0x87, ipBytes(name)) : der(0x82, Buffer.from(name));
}

function ipBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  // The URL parser writes an address in its shortest form: one "::" at most, no dotted tail.
  const [head = "", tail = ""] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const missing = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(missing).fill("0"), ...groups(tail)];
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex");
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
