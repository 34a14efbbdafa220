import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type Certificate,
  fingerprint,
  keptCertificate,
  makeCertificate,
} from "../../src/server/certificate.ts";

const DAY = 24 * 60 * 60 * 1000;
const now = Date.UTC(2026, 10, 23, 12);

describe("what is made", async () => {
  const names = [
    "localhost",
    "chat.local",
    "127.0.0.1",
    "192.168.1.20",
    "::1",
    "fe80::1:2",
    "2001:db8::7:0:0:1",
  ];
  const certificate = new X509Certificate((await makeCertificate(names, now)).cert);

  test.each(names)("names %s", (name) => {
    const matched = /[:]|^[0-9.]+$/.test(name)
      ? certificate.checkIP(name)
      : certificate.checkHost(name);
    expect(matched).toBeDefined();
  });

  test("names nobody else", () => {
    expect(certificate.checkHost("chat.example")).toBeUndefined();
    expect(certificate.checkIP("10.0.0.1")).toBeUndefined();
    expect(certificate.checkIP("fe80::1:3")).toBeUndefined();
  });

  test("is signed by its own key, is no CA, and is for servers", () => {
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  });

  test("is valid from yesterday, for no longer than systems accept", () => {
    expect(certificate.validFromDate.getTime()).toBe(now - DAY);
    expect(certificate.validToDate.getTime() - certificate.validFromDate.getTime()).toBe(397 * DAY);
  });

  test("more names than fit a short length", async () => {
    const many = Array.from({ length: 40 }, (_, i) => `host-${i}.example.internal`);
    const { subjectAltName } = new X509Certificate((await makeCertificate(many, now)).cert);
    expect(subjectAltName?.split(", ")).toEqual(many.map((name) => `DNS:${name}`));
  });

  test("a TLS client that trusts it connects, and refuses another name", async () => {
    const pair = await makeCertificate(["localhost"], Date.now());
    expect(await status(pair, "localhost")).toBe(200);
    await expect(status(pair, "elsewhere.example")).rejects.toThrow(/altnames/);
  });
});

async function status(pair: Certificate, servername: string): Promise<number | undefined> {
  const server = createServer(pair, (_, response) => response.end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return await new Promise((resolve, reject) => {
      const sent = request({ host: "127.0.0.1", port, servername, ca: pair.cert, agent: false });
      sent.on("response", (response) => resolve(response.resume().statusCode)).on("error", reject);
      sent.end();
    });
  } finally {
    server.close();
  }
}

describe("what is kept", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "conclave-certificate-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("the same comes back, from a folder that nobody else may read the key in", async () => {
    const inner = join(folder, "data");
    const made = await keptCertificate(inner, ["localhost"], now);
    expect(await keptCertificate(inner, ["localhost"], now + DAY)).toEqual(made);
    expect((await stat(join(inner, "certificate-key.pem"))).mode & 0o777).toBe(0o600);
  });

  test("a name more, or its last month, makes a new one", async () => {
    const made = await keptCertificate(folder, ["localhost"], now);
    const wider = await keptCertificate(folder, ["localhost", "10.0.0.7"], now);
    expect(fingerprint(wider)).not.toBe(fingerprint(made));
    const later = await keptCertificate(folder, ["localhost"], now + 370 * DAY);
    expect(fingerprint(later)).not.toBe(fingerprint(wider));
  });

  test("a damaged file, or another's key, makes a new one", async () => {
    const made = await keptCertificate(folder, ["localhost"], now);
    await writeFile(join(folder, "certificate.pem"), made.cert.slice(0, 200));
    const second = await keptCertificate(folder, ["localhost"], now);
    await writeFile(
      join(folder, "certificate-key.pem"),
      (await makeCertificate(["localhost"], now)).key,
    );
    const third = await keptCertificate(folder, ["localhost"], now);
    expect(new Set([made, second, third].map(fingerprint)).size).toBe(3);
    expect(await readFile(join(folder, "certificate-key.pem"), "utf8")).toBe(third.key);
  });
});
