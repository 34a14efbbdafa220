/**
 * The service in a process of its own, for tests that kill it: `child.ts FILE PORT ORIGIN` prints its port when it can be reached.
 * @module
 */

import { createDeliveryService, openSqliteStore, serve } from "@conclave/delivery";

const [file = "", port = "0", publicOrigin = ""] = process.argv.slice(2);
const generous = { burst: 1e6, perSecond: 1e6 };
const service = createDeliveryService({
  store: openSqliteStore(file),
  publicOrigin,
  allowedOrigins: [],
  limits: { address: generous, device: generous },
});
const server = await serve(service, { port: Number(port) });
process.stdout.write(`${server.port}\n`);
