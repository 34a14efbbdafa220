/**
 * The real server as a process of its own, with a data folder that lives as long as the test: it can be killed in
 * the middle of its work and started again on what it left behind.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../free-port.ts";

export interface MessengerProcess {
  readonly pageOrigin: string;
  readonly serviceOrigin: string;
  /** With the token of the newest start. */
  readonly operatorUrl: string;
  readonly dataFolder: string;
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
export async function startMessengerProcess(
  ...options: readonly string[]
): Promise<MessengerProcess> {
  const [port, servicePort, operatorPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const folder = await mkdtemp(join(tmpdir(), "conclave-browser-"));
  const dataFolder = join(folder, "data");
  const args = ["--conditions=@conclave/source", main, "--log", "--data", dataFolder, ...options];
  args.push("--port", String(port), "--service-port", String(servicePort));
  args.push("--operator-port", String(operatorPort));
  let output = "";
  let operatorUrl = "";
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    const begin = output.length;
    const started = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
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
    get output() {
      return output;
    },
    kill: () => end("SIGKILL"),
    start,
    async dispose() {
      await end("SIGTERM");
      await rm(folder, { recursive: true });
    },
  };
}
