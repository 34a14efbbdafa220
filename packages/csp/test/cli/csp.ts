/** The real command, in a process of its own. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export function start(args: readonly string[], { env, cwd }: Surroundings = {}) {
  return spawn(process.execPath, ["--conditions=@conclave/source", main, ...args], {
    cwd,
    env: {
      PATH: process.env["PATH"],
      CHROMIUM: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      ...env,
    },
  });
}

export async function csp(args: readonly string[], surroundings: Surroundings = {}): Promise<Ran> {
  const child = start(args, surroundings);
  child.stdin.end(surroundings.input ?? "");
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}
