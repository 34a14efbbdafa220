/**
 * A client in a browser: in a dedicated worker call `startEngineWorker`, in each tab `connectToEngine`.
 * @module
 */

export * from "../api.ts";
export { connectToEngine, type EngineConnection } from "./connection.ts";
export { type BrowserProfile, openBrowserProfile, SCHEMA, type SchemaStep } from "./database.ts";
export { type EngineOptions, startEngineWorker } from "./engine.ts";
