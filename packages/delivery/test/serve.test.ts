/** The service on a port. */

import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createDeliveryService, openSqliteStore, serve } from "@conclave/delivery";
import { expect, it } from "vitest";

async function aCertificate(): Promise<{ readonly key: string; readonly cert: string }> {
  const folder = await mkdtemp(join(tmpdir(), "serve-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  const args = ["req", "-x509", ...kind, "-keyout", key, "-out", cert, "-subj", "/CN=a.example"];
  await promisify(execFile)("openssl", args);
  const pair = { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
  await rm(folder, { recursive: true });
  return pair;
}

it("ends although somebody never shakes hands", async () => {
  const store = openSqliteStore(":memory:");
  const service = createDeliveryService({
    store,
    publicOrigin: "https://127.0.0.1",
    allowedOrigins: [],
  });
  const server = await serve(service, { port: 0, tls: await aCertificate() });
  const silent = connect(server.port, "127.0.0.1");
  silent.on("error", () => undefined);
  await once(silent, "connect");
  const ended = once(silent, "close");
  silent.resume();
  await server.close({ grace: 100 });
  await ended;
  expect(silent.destroyed).toBe(true);
  await store.close();
});

it("ends although somebody holds a connection on which nothing was asked", async () => {
  const store = openSqliteStore(":memory:");
  const service = createDeliveryService({
    store,
    publicOrigin: "http://127.0.0.1",
    allowedOrigins: [],
  });
  const server = await serve(service, { port: 0 });
  const silent = connect(server.port, "127.0.0.1");
  await once(silent, "connect");
  const ended = once(silent, "close");
  silent.resume();
  await server.close();
  await ended;
  expect(silent.destroyed).toBe(true);
  await store.close();
});
