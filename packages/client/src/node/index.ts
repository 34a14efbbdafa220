/**
 * What a client in Node is given: a profile in a SQLite file, and Node's cryptography.
 * @module
 */

export { nodeCrypto } from "@conclave/mls/node";
export { openProfile, type Profile } from "./sqlite.ts";
