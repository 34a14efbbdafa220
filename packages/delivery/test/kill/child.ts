/**
 * The service in a process of its own, for tests that kill it: `child.ts STORE PORT ORIGIN` prints its port when it can be reached.
 * @module
 */

import { createDeliveryService, openStore, serve } from "@conclave/delivery";

const [store = "", port = "0", publicOrigin = ""] = process.argv.slice(2);
// All writers come from one address, and are impatient.
const generous = { burst: 1e6, perSecond: 1e6 };
const service = createDeliveryService({
  store: await openStore(store),
  publicOrigin,
  allowedOrigins: [],
  contact: "open",
  limits: {
    address: generous,
    device: generous,
    account: generous,
    groupMessage: generous,
    strangerClaim: generous,
    strangerClaimed: generous,
    reserve: 0,
    registration: generous,
    signIn: generous,
    group: generous,
    claim: generous,
    claimed: generous,
  },
});
const server = await serve(service, { port: Number(port) });
process.stdout.write(`${server.port}\n`);
