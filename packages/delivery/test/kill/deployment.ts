/**
 * Service processes that are killed and started again, over whatever store.
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { ORIGIN } from "../world.ts";
import type { Random } from "./random.ts";

/** A service as clients find it, and what may happen to it. */
export interface Deployment {
  /** Where its processes can be reached, while they run. */
  readonly urls: readonly string[];
  /** Kills until `until` is aborted; what was killed is started again. Rejects where something does not come back. */
  readonly plague: (random: Random, until: AbortSignal) => Promise<void>;
  /** How often what was killed. */
  readonly kills: ReadonlyMap<string, number>;
  /** Ends all, and deletes what it left. */
  readonly close: () => Promise<void>;
}

export interface ServiceProcess {
  readonly url: string;
  /** SIGKILL; resolves when it can be reached again. */
  readonly kill: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Starts a service over the store of this URL; resolves when it can be reached. */
export async function startServiceProcess(store: string): Promise<ServiceProcess> {
  const port = await freePort();
  let child = await start(store, port);
  let over = false;
  async function end(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  return {
    url: `http://127.0.0.1:${port}`,
    async kill() {
      await end();
      if (!over) child = await start(store, port);
    },
    async close() {
      over = true;
      await end();
    },
  };
}

async function start(store: string, port: number): Promise<ChildProcess> {
  const script = fileURLToPath(new URL("child.ts", import.meta.url));
  const args = ["--conditions=@conclave/source", script, store, String(port), ORIGIN];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ready = once(child.stdout, "data");
  const ended = once(child, "exit").then(([code, signal]) => {
    throw new Error(`the service ended with ${code ?? signal} before it could be reached`);
  });
  await Promise.race([ready, ended]);
  ended.catch(() => undefined);
  return child;
}

/** One that nothing listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address !== "object" || address === null) throw new Error("there is no port");
  return address.port;
}

/** Resolves after so many milliseconds, or when it is aborted. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
  });
}
