/**
 * One device of a Conclave account. Begin with `createClient`, given a storage and a key vault
 * (`openProfile` of "./node"; in a browser use "./browser" instead, which runs the client for all tabs).
 * @module
 */

export type { Fetch } from "@conclave/delivery/client";
export * from "./api.ts";
export { type Client, type ClientOptions, createClient } from "./client.ts";
export type { Timing } from "./environment.ts";
export type { ClientStorage, KeyRange } from "./storage.ts";
export type { KeyName, KeyVault } from "./vault.ts";
