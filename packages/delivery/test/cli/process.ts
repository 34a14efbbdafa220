/**
 * The command: as a process of its own where signals matter, in this one otherwise.
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { runCli } from "../../src/cli/cli.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export type Environment = Readonly<Record<string, string>>;

export function spawnCommand(
  args: readonly string[],
  environment: Environment,
  /** Another user's, where this one may become it. */
  uid = process.getuid?.(),
): ChildProcess {
  const { PATH, HOME, TMPDIR } = process.env;
  return spawn(process.execPath, ["--conditions=@conclave/source", MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    ...(uid !== undefined && { uid }),
    // Nothing of the test's own surroundings but where programs and folders are.
    env: { PATH, HOME, TMPDIR, ...environment },
  });
}

/** Runs a command whose files may have so many KiB each. */
export async function runLimited(
  args: readonly string[],
  environment: Environment,
  kib: number,
): Promise<{ readonly code: number; readonly stderr: string }> {
  const { PATH, HOME, TMPDIR } = process.env;
  // Not ended by the signal: the write fails, as on a full disk.
  const script = `trap "" XFSZ; ulimit -f ${kib}; exec "$@"`;
  const command = [process.execPath, "--conditions=@conclave/source", MAIN, ...args];
  const child = spawn("bash", ["-c", script, "bash", ...command], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH, HOME, TMPDIR, ...environment },
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = (await once(child, "close")) as [number];
  return { code, stderr };
}

/** Runs a command whose standard output goes to a file that is there. */
export async function runInto(
  path: string,
  args: readonly string[],
  environment: Environment = {},
): Promise<{ readonly code: number; readonly stderr: string }> {
  const { PATH, HOME, TMPDIR } = process.env;
  const file = await open(path, "w");
  const child = spawn(process.execPath, ["--conditions=@conclave/source", MAIN, ...args], {
    stdio: ["ignore", file.fd, "pipe"],
    env: { PATH, HOME, TMPDIR, ...environment },
  });
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = (await once(child, "close")) as [number];
  await file.close();
  return { code, stderr };
}

/** Runs a command that ends by itself, in this process. */
export async function runCommand(
  args: readonly string[],
  environment: Environment = {},
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const output = { stdout: "", stderr: "" };
  const code = await runCli({
    args,
    environment,
    write: (text) => {
      output.stdout += text;
    },
    complain: (text) => {
      output.stderr += text;
    },
    now: Date.now,
    onSignal: () => undefined,
  });
  return { code, ...output };
}

export interface Running {
  readonly child: ChildProcess;
  /** The lines it wrote, each parsed. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** The exit code. */
  readonly ended: Promise<number | null>;
}

/** `serve`; resolves when it says that it has started. */
export async function startCommand(environment: Environment): Promise<Running> {
  const child = spawnCommand(["serve"], environment);
  const lines: Record<string, unknown>[] = [];
  const started = Promise.withResolvers<void>();
  let rest = "";
  let complaints = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  child.stdout?.on("data", (chunk: Buffer) => {
    rest += chunk.toString();
    const whole = rest.split("\n");
    rest = whole.pop() ?? "";
    for (const line of whole) {
      const entry = JSON.parse(line) as Record<string, unknown>;
      lines.push(entry);
      if (entry.event === "started") started.resolve();
    }
  });
  const ended = once(child, "close").then(([code]) => code as number | null);
  void ended.then((code) => started.reject(new Error(`ended with ${code}: ${complaints}`)));
  await started.promise;
  return { child, lines, ended };
}
