/**
 * The real server as a process of its own, with a data folder that lives as long as the test: it can be killed in
 * the middle of its work and started again on what it left behind.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PostgresServer, startPostgres } from "../../../../packages/delivery/test/postgres.ts";
import { freePort } from "../../../../scripts/free-port.ts";

/** What the service stores in. All the browser tests run on the one that the variable STORE names; some on both. */
export type StoreKind = "sqlite" | "postgres";
export const STORES: readonly StoreKind[] = ["sqlite", "postgres"];
const STORE: StoreKind = process.env["STORE"] === "postgres" ? "postgres" : "sqlite";

export interface MessengerProcess {
  readonly pageOrigin: string;
  readonly serviceOrigin: string;
  /** With the token of the newest start. */
  readonly operatorUrl: string;
  readonly dataFolder: string;
  /** Where the database is: the data folder, or PostgreSQL's. */
  readonly databaseFolder: string;
  /** Everything it printed and logged, at all its starts. */
  readonly output: string;
  /** SIGKILL: nothing is flushed, nothing is closed. */
  kill(): Promise<void>;
  /** Starts it again on the same ports and data. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  dispose(): Promise<void>;
}

const main = new URL("../../src/server/main.ts", import.meta.url).pathname;

/** `options`: beside ports, data folder and log. */
export function startMessengerProcess(...options: readonly string[]): Promise<MessengerProcess> {
  return startMessengerProcessOn(STORE, ...options);
}

export async function startMessengerProcessOn(
  store: StoreKind,
  ...options: readonly string[]
): Promise<MessengerProcess> {
  const [port, servicePort, operatorPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const folder = await mkdtemp(join(tmpdir(), "conclave-browser-"));
  const dataFolder = join(folder, "data");
  const args = ["--conditions=@conclave/source", main, "--log", "--data", dataFolder, ...options];
  args.push("--port", String(port), "--service-port", String(servicePort));
  args.push("--operator-port", String(operatorPort));
  let postgres: PostgresServer | undefined;
  let database: string | undefined;
  if (store === "postgres") {
    postgres = await startPostgres();
    database = await postgres.database("empty");
  }
  let output = "";
  let operatorUrl = "";
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    const begin = output.length;
    const started = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, DATABASE_URL: database },
    });
    child = started;
    await new Promise<void>((resolve, reject) => {
      const read = (text: string) => {
        output += text;
        const url = /http:\/\/localhost:\d+\/#[\w-]+/.exec(output.slice(begin));
        if (url) {
          operatorUrl = url[0];
          resolve();
        }
      };
      started.stdout.setEncoding("utf8").on("data", read);
      started.stderr.setEncoding("utf8").on("data", read);
      started.on("exit", () => reject(new Error(`the server ended:\n${output.slice(begin)}`)));
    });
  }

  async function end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const ending = child;
    child = undefined;
    if (!ending || ending.exitCode !== null) return;
    const ended = new Promise((resolve) => ending.on("exit", resolve));
    ending.kill(signal);
    await ended;
  }

  await start();
  const scheme = options.includes("--tls") ? "https" : "http";
  return {
    pageOrigin: `${scheme}://localhost:${port}`,
    serviceOrigin: `${scheme}://localhost:${servicePort}`,
    get operatorUrl() {
      return operatorUrl;
    },
    dataFolder,
    databaseFolder: postgres === undefined ? dataFolder : join(postgres.folder, "data"),
    get output() {
      return output;
    },
    kill: () => end("SIGKILL"),
    start,
    async dispose() {
      await end("SIGTERM");
      await postgres?.stop();
      await rm(folder, { recursive: true });
    },
  };
}
