/**
 * The delivery service as a device sees it: each route of the table as a function. It signs in when it must, reads answers
 * within bounds, and says whether trying again later may help. It needs `fetch` alone, so it runs in browsers and in Node.
 * @module
 */

export { type CarriedEntries, createCarriedEntries } from "./carried-entries.ts";
export {
  type ClientInstance,
  createDeliveryClient,
  type DeliveryClient,
  type DeliveryClientOptions,
  type Fetch,
  type RequestName,
  type RequestOptions,
  type SignInIdentity,
} from "./client.ts";
export { readRatchetTree } from "./ratchet-tree.ts";
export { readBounded } from "./reading.ts";
export { ServiceError, type ServiceErrorCode } from "./service-error.ts";
