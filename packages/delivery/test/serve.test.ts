/** The service on a port. */

import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createDeliveryService, type LogLine, openSqliteStore, serve } from "@conclave/delivery";
import { expect, it } from "vitest";
import { type Reply, Wire } from "./hostile/wire.ts";
import { eventually } from "./world.ts";

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

const HEALTH = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";

/** A service whose connections may be idle for a moment, and what it was asked. */
async function impatient(keepAlive: number) {
  const store = openSqliteStore(":memory:");
  const lines: LogLine[] = [];
  const service = createDeliveryService({
    store,
    publicOrigin: "http://127.0.0.1",
    allowedOrigins: [],
    log: (line) => void lines.push(line),
  });
  const server = await serve(service, { port: 0, patience: { keepAlive } });
  return {
    port: server.port,
    lines,
    close: async (): Promise<void> => {
      await server.close();
      await store.close();
    },
  };
}

it("says how long a connection may be idle, and takes a request until a second later", async () => {
  const { port, lines, close } = await impatient(1000);
  let answers: readonly (Reply | undefined)[] = [];
  for (let late = true; late; ) {
    lines.length = 0;
    const wire = await Wire.open(port);
    wire.send(HEALTH);
    const first = await wire.reply(10_000);
    const since = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    wire.send(HEALTH);
    answers = [first, await wire.reply(10_000)];
    // Where the machine itself held it up for the rest of that second, it is asked again.
    late = performance.now() - since > 1700;
    wire.close();
  }
  expect(answers[0]?.headers.get("keep-alive")).toBe("timeout=1");
  expect(answers[1]?.status).toBe(200);
  expect(lines).toHaveLength(2);
  await close();
});

it("does not begin with a request on a connection that it has ended for being idle, nor answer a part of it", async () => {
  const { port, lines, close } = await impatient(1);
  // It sees no end before it has sent: as where the request is on its way meanwhile.
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => undefined);
  let came = 0;
  socket.on("data", (chunk: Buffer) => {
    came += chunk.length;
  });
  const over = once(socket, "end");
  socket.write(HEALTH);
  await over;
  expect(came).toBeGreaterThan(0);
  came = 0;
  socket.write(HEALTH);
  // Who reads no more learns of the end by writing.
  await eventually(() => {
    if (!socket.destroyed) socket.write(HEALTH);
    return socket.destroyed;
  });
  expect(came).toBe(0);
  expect(lines).toHaveLength(1);
  await close();
});
