/** Clients that are slow to send, and to take what they are sent. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  createDeliveryService,
  openSqliteStore,
  type ServeOptions,
  type Server,
  type Store,
  serve,
} from "@conclave/delivery";
import { afterEach, expect, it } from "vitest";

let store: Store;
let server: Server;
afterEach(async () => {
  await server.close();
  await store.close();
});

async function start(options: Partial<ServeOptions>): Promise<void> {
  store = openSqliteStore(":memory:");
  const service = createDeliveryService({
    store,
    publicOrigin: "http://127.0.0.1",
    allowedOrigins: [],
    limits: { address: { burst: 1e6, perSecond: 1e6 } },
  });
  server = await serve(service, { port: 0, ...options });
}

async function connected(): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

const HEALTH = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";

it("who asks and asks and takes nothing is cut off; who takes it is served", async () => {
  await start({ patience: { readers: { still: 100, rate: 1e9, look: 20 } } });
  const [idle, busy] = [await connected(), await connected()];
  let taken = 0;
  busy.on("data", (chunk: Buffer) => {
    taken += chunk.length;
  });
  const ended = new Promise((resolve) => idle.once("close", resolve));
  idle.pause();
  // Until the buffers of both ends are full and the service holds the rest.
  for (let n = 0; !idle.destroyed; n++) {
    if (idle.writableLength < 1e6) idle.write(HEALTH.repeat(100));
    if (n % 10 === 0) busy.write(HEALTH);
    await new Promise((resolve) => setImmediate(resolve));
  }
  idle.resume();
  await ended;
  busy.write(HEALTH);
  const before = taken;
  await once(busy, "data");
  expect(taken).toBeGreaterThan(before);
  busy.destroy();
});

it("who does not finish its headers, or its body, is cut off", async () => {
  await start({ patience: { headers: 50, request: 100 } });
  const [headers, body] = [await connected(), await connected()];
  headers.write("GET /health HTTP/1.1\r\nx");
  body.write("POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
  body.write("content-length: 100\r\n\r\n{");
  for (const socket of [headers, body]) socket.resume();
  await Promise.all([headers, body].map((one) => new Promise((done) => one.once("close", done))));
  expect([headers.destroyed, body.destroyed]).toEqual([true, true]);
});

it("one address has so many connections", async () => {
  await start({ connectionsPerAddress: 2 });
  const held = [await connected(), await connected()];
  const third = await connected();
  await new Promise((resolve) => third.once("close", resolve));
  expect(held.map(({ destroyed }) => destroyed)).toEqual([false, false]);
  held[0]?.destroy();
  // The place is free when the service has noticed.
  for (;;) {
    const socket = await connected();
    socket.write(HEALTH);
    const answered = await Promise.race([
      once(socket, "data").then(() => true),
      once(socket, "close").then(() => false),
    ]);
    socket.destroy();
    if (answered) break;
  }
  held[1]?.destroy();
});

it("whoever was refused a WebSocket and stays is no reason not to end", async () => {
  await start({});
  const socket = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => undefined);
  socket.write("GET /v1/nothing HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
  const [answer] = await once(socket, "data");
  expect(String(answer)).toContain("404");
  await server.close();
  await store.close();
  await start({});
  socket.destroy();
});
