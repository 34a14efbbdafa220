/**
 * The Conclave delivery service. Open a store, create the service over it, serve it.
 * What clients share with it is `@conclave/delivery/protocol`.
 * @module
 */

export type { BlobBodies } from "./blobs/bodies.ts";
export { diskBodies } from "./blobs/disk-bodies.ts";
export { type S3Options, s3Bodies } from "./blobs/s3-bodies.ts";
export { refuseCopied } from "./database.ts";
export { type Doorbell, localDoorbell, type Ring } from "./doorbell.ts";
export { makeFolder } from "./folder.ts";
export { inviteHash, newInviteCode, type RegistrationRule } from "./invites.ts";
export type { Limits } from "./limits.ts";
export { openPostgresDoorbell, type PostgresDoorbell } from "./postgres-doorbell.ts";
export type { Rate } from "./rate-limit.ts";
export { type Farewell, type ServeOptions, type Server, serve, type Tls } from "./serve.ts";
export {
  createDeliveryService,
  type DeliveryService,
  type DeliveryServiceOptions,
  type LogLine,
  type ServiceStatus,
} from "./service.ts";
export { openSqliteDoorbell, type SqliteDoorbell } from "./sqlite-doorbell.ts";
export { openStore } from "./store/open.ts";
export { openPostgresStore } from "./store/postgres.ts";
export type { PostgresOptions } from "./store/postgres-database.ts";
export { openSqliteStore } from "./store/sqlite.ts";
export { lockSqliteFile, type SqliteLock } from "./store/sqlite-file.ts";
export * from "./store/store.ts";
