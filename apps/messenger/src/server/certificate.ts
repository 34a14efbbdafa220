/**
 * A self-signed certificate for use in a local network, made once and kept in the data folder: browsers give a
 * page its cryptography only in a secure context.
 * @module
 */

// The library keeps what it knows of types in metadata, and asks its user for the polyfill.
import "reflect-metadata";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

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
  const made = await makeCertificate(names, now);
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

/** A fresh key pair and the certificate that names it: no CA, for servers alone. */
export async function makeCertificate(names: readonly string[], now: number): Promise<Certificate> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: "CN=Conclave",
    notBefore: new Date(now - DAY),
    notAfter: new Date(now - DAY + LIFETIME),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(false),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) ? ("ip" as const) : ("dns" as const), value })),
      ),
    ],
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  return {
    cert: `${certificate.toString("pem")}\n`,
    key: key.export({ type: "pkcs8", format: "pem" }),
  };
}
