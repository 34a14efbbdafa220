/** What the tests call in a tab. */

import {
  connectToEngine,
  type EngineConnection,
  openBrowserProfile,
  SCHEMA,
} from "../../../src/browser/index.ts";
import { CASES } from "../../storage-contract.ts";

declare global {
  var conclave: {
    readonly startWorker: (serviceOrigin: string, version?: string) => void;
    readonly engine: EngineConnection;
    /** What the engine said of the connection, in order. */
    readonly connections: readonly string[];
    readonly runCase: (name: string) => Promise<void>;
    readonly vault: () => Promise<{ readonly extractable: boolean; readonly verified: boolean }>;
  };
}

const isNext = location.search.startsWith("?next");
const engine = connectToEngine(isNext ? { version: SCHEMA.length + 1 } : {});
const connections: string[] = [];
engine.subscribe((event) => {
  if (event.type === "connection") connections.push(event.connection);
});

globalThis.conclave = {
  startWorker: (serviceOrigin, version = "now") => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.postMessage({ serviceOrigin, version });
  },
  engine,
  connections,
  runCase: async (name) => {
    const database = `case ${crypto.randomUUID()}`;
    await CASES[name]?.({ open: async () => (await openBrowserProfile(database)).storage });
  },
  vault: async () => {
    const name = `vault ${crypto.randomUUID()}`;
    await (await openBrowserProfile(name)).vault.create("leaf");
    const opened = await (await openBrowserProfile(name)).vault.open("leaf");
    if (!opened) throw new Error("the key is gone");
    const message = Uint8Array.of(1, 2, 3);
    const key = await crypto.subtle.importKey("raw", opened.publicKey, "Ed25519", false, [
      "verify",
    ]);
    const signature = (await opened.sign(message)) as Uint8Array<ArrayBuffer>;
    const verified = await crypto.subtle.verify("Ed25519", key, signature, message);
    const stored = await new Promise<{ privateKey: CryptoKey }>((resolve, reject) => {
      const request = indexedDB.open(name);
      request.onerror = reject;
      request.onsuccess = () => {
        const get = request.result.transaction("keys").objectStore("keys").get("leaf");
        get.onsuccess = () => resolve(get.result);
      };
    });
    return { extractable: stored.privateKey.extractable, verified };
  },
};
