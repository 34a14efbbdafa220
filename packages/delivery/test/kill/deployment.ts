/**
 * Service processes, `conclave-delivery serve` each, that are killed and started again, over whatever store.
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../../../../scripts/free-port.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { ORIGIN } from "../world.ts";
import { count } from "./ledger.ts";
import type { Random } from "./random.ts";

/** A service as clients find it, and what may happen to it. */
export interface Deployment {
  /** Where its processes can be reached, while they run. */
  readonly urls: readonly string[];
  /** Kills until `until` is aborted; what was killed is started again. Rejects where something does not come back. */
  readonly plague: (random: Random, until: AbortSignal) => Promise<void>;
  /** How often what was killed. */
  readonly kills: ReadonlyMap<string, number>;
  /** What ended by itself, and why. */
  readonly crashes: readonly string[];
  /** Ends all, and deletes what it left. */
  readonly close: () => Promise<void>;
}

export interface ServiceProcess {
  readonly url: string;
  /** SIGKILL; resolves when it can be reached again. */
  readonly kill: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** In milliseconds. */
export interface Rhythm {
  /** From one kill of the database to the next. */
  readonly database: number;
  /** Between two kills of a service process, at most. */
  readonly service: number;
}

/** Kills one of them after the other, until it is over. */
export async function plagueServices(
  services: readonly ServiceProcess[],
  { service: longest }: Pick<Rhythm, "service">,
  kills: Map<string, number>,
  random: Random,
  until: AbortSignal,
): Promise<void> {
  for (;;) {
    await pause(random.between(longest / 10, longest), until);
    if (until.aborted) return;
    await random.of(services).kill();
    count(kills, "service");
  }
}

/** To start a service. */
const ATTEMPTS = 100;

/**
 * Starts a service over the store of this URL; resolves when it can be reached. One that ends by itself is started again, as a supervisor would, but
 * `crashed` is told what it said.
 */
export async function startServiceProcess(
  store: string,
  crashed: (why: string) => void,
): Promise<ServiceProcess> {
  const port = await freePort();
  const data = await mkdtemp(join(tmpdir(), "conclave-kill-data-"));
  const environment = {
    ...SETTINGS,
    ...limits(),
    CONCLAVE_DATA: data,
    CONCLAVE_DATABASE_URL: store,
  };
  let over = false;
  let running: Promise<Running>;

  function begin(): Promise<Running> {
    const next = start(environment, port);
    next.then(
      ({ child, errors }) => {
        child.once("exit", (code) => {
          if (code === null || over) return;
          crashed(`a service ended by itself with ${code}: ${errors()}`);
          running = begin();
        });
      },
      () => undefined,
    );
    return next;
  }

  async function end(): Promise<void> {
    const { child } = await running;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  running = begin();
  await running;
  return {
    url: `http://127.0.0.1:${port}`,
    async kill() {
      await end();
      running = begin();
      await running;
    },
    async close() {
      over = true;
      await end();
      await rm(data, { recursive: true });
    },
  };
}

interface Running {
  readonly child: ChildProcess;
  /** What it wrote last where errors go. */
  readonly errors: () => string;
}

type Environment = Readonly<Record<string, string>>;

const SETTINGS: Environment = {
  CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
  CONCLAVE_CONTACT: "open",
  CONCLAVE_LOG_LEVEL: "event",
};

/** All writers come from one address, and are impatient: so every rate is generous. */
function limits(): Environment {
  const found: Record<string, string> = { CONCLAVE_LIMITS_RESERVE: "1" };
  for (const [limit, value] of Object.entries(DEFAULT_LIMITS)) {
    if (typeof value === "number") continue;
    const name = `CONCLAVE_LIMITS_${limit.replace(/[A-Z]/g, "_$&").toUpperCase()}`;
    found[`${name}_BURST`] = "1000000";
    found[`${name}_PER_SECOND`] = "1000000";
  }
  return found;
}

/** Again and again: the database may be away. */
async function start(environment: Environment, port: number): Promise<Running> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await startOnce(environment, port);
    } catch (error) {
      if (attempts === ATTEMPTS) throw error;
      await pause(200);
    }
  }
}

async function startOnce(environment: Environment, port: number): Promise<Running> {
  const command = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const child = spawn(process.execPath, ["--conditions=@conclave/source", command, "serve"], {
    env: { ...process.env, ...environment, CONCLAVE_LISTEN: `127.0.0.1:${port}` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let written = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    written = (written + text).slice(-4000);
  });
  const ready = new Promise<void>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (text.includes('"started"')) resolve();
    });
  });
  const ended = once(child, "exit").then(([code, signal]) => {
    throw new Error(
      `a service ended with ${code ?? signal} before it could be reached: ${written}`,
    );
  });
  await Promise.race([ready, ended]);
  return { child, errors: () => written };
}

/** Resolves each time so many milliseconds after the time before, where that took less; but not without a moment of peace. */
export function beat(milliseconds: number): (signal: AbortSignal) => Promise<void> {
  let next = Date.now() + milliseconds;
  return async (signal) => {
    await pause(Math.max(next - Date.now(), milliseconds / 5), signal);
    next = Date.now() + milliseconds;
  };
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
