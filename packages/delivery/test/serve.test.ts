/** The service on a port. */

import { once } from "node:events";
import { connect } from "node:net";
import { createDeliveryService, openSqliteStore, serve } from "@conclave/delivery";
import { expect, it } from "vitest";

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
