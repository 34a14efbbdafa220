/**
 * The Conclave delivery service. Open a store, create the service over it, serve it.
 * What clients share with it is `@conclave/delivery/protocol`.
 * @module
 */

export { type Doorbell, localDoorbell, type Ring } from "./doorbell.ts";
export type { Limits } from "./limits.ts";
export type { Rate } from "./rate-limit.ts";
export { type ServeOptions, type Server, serve } from "./serve.ts";
export {
  createDeliveryService,
  type DeliveryService,
  type DeliveryServiceOptions,
  type LogLine,
} from "./service.ts";
export { openSqliteStore } from "./store/sqlite.ts";
export type * from "./store/store.ts";
