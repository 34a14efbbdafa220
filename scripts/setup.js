/**
 * What `npm start` and `npm test` need before they can do their work: the dependencies, and the page as built.
 * Runs on whatever Node the machine has; what it starts runs on the one among the dependencies.
 */

import { spawn } from "node:child_process";
import { readdir, readFile, stat } from "node:fs/promises";
import { constants } from "node:os";
import { delimiter, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "node_modules", ".bin");
export const messenger = join(root, "apps", "messenger");

/** Something is missing; the message says what, and what to do. */
export class SetupError extends Error {}

export function say(text) {
  process.stdout.write(`${text}\n`);
}

/** Runs a program and waits for its end; its exit code, as a shell would count it. */
export function run(command, args, { env, cwd = root, quiet = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: quiet ? "ignore" : "inherit",
      shell: process.platform === "win32",
    });
    // A terminal sends Ctrl-C to both: the child decides when it is done. A service manager tells only us.
    const forward = (signal) => child.kill(signal);
    const ignore = () => {};
    process.on("SIGTERM", forward).on("SIGINT", ignore);
    child.on("error", reject).on("close", (code, signal) => {
      process.off("SIGTERM", forward).off("SIGINT", ignore);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** Runs a tool among the dependencies, on the Node among the dependencies. */
export function runTool(name, args, { env, ...options } = {}) {
  const path = `${bin}${delimiter}${process.env.PATH}`;
  return run(join(bin, name), args, { ...options, env: { ...env, PATH: path } });
}

/** `npm ci`, unless what the lock file asks for is there. */
export async function install() {
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (major < 20) {
    throw new SetupError(
      `Conclave needs Node 20 or newer to set itself up; this is ${process.version}.`,
    );
  }
  if (await isInstalled()) return;
  say("Installing the dependencies (npm ci); this takes about a minute …");
  const started = Date.now();
  // npm must not run on the Node that it is about to replace.
  const path = process.env.PATH ?? "";
  const outside = path
    .split(delimiter)
    .filter((entry) => !entry.endsWith(join("node_modules", ".bin")));
  const code = await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    env: { PATH: outside.join(delimiter) },
  });
  if (code !== 0) {
    throw new SetupError("The dependencies could not be installed: see what npm said above.");
  }
  say(`Installed in ${seconds(started)}.`);
}

/** Whether node_modules holds each package that the lock file names, in that version. */
async function isInstalled() {
  const locked = await readJson(join(root, "package-lock.json"));
  if (locked === undefined)
    throw new SetupError("package-lock.json is missing: is this a whole copy?");
  const installed = await readJson(join(root, "node_modules", ".package-lock.json"));
  if (installed === undefined || !(await modified(join(bin, "node")))) return false;
  return Object.entries(locked.packages).every(([path, wanted]) => {
    if (!path.includes("node_modules/") || wanted.link) return true;
    const found = installed.packages[path];
    return found === undefined ? wanted.optional === true : found.version === wanted.version;
  });
}

/** Builds the page, unless it is newer than all that it is made of. */
export async function buildPage() {
  const built = await modified(join(messenger, "dist", "page", "index.html"));
  const sources = [
    join(root, "package-lock.json"),
    join(messenger, "index.html"),
    join(messenger, "vite.config.ts"),
    join(messenger, "public"),
    join(messenger, "src", "page"),
    ...["mls", "csp", "delivery", "client"].map((name) => join(root, "packages", name, "src")),
  ];
  const newest = Math.max(...(await Promise.all(sources.map(newestIn))));
  if (built > newest) return;
  say("Building the page …");
  const started = Date.now();
  const code = await runTool("vite", ["build", "--logLevel", "warn"], { cwd: messenger });
  if (code !== 0) throw new SetupError("The page could not be built: see above.");
  say(`Built in ${seconds(started)}.`);
}

/** When a file changed last, in milliseconds; 0 where there is none. */
async function modified(path) {
  return (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
}

/** The same for a file or all files in a folder. */
async function newestIn(path) {
  const names = await readdir(path, { recursive: true }).catch(() => []);
  const times = await Promise.all(
    [path, ...names.map((name) => join(path, name))]
      .filter((name) => !name.includes(`${sep}node_modules${sep}`))
      .map(modified),
  );
  return Math.max(...times);
}

async function readJson(path) {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return undefined;
  }
}

function seconds(started) {
  return `${((Date.now() - started) / 1000).toFixed(1)} s`;
}

/** Runs a script's main function; its result is the exit code. */
export async function main(steps) {
  try {
    process.exitCode = await steps(process.argv.slice(2));
  } catch (error) {
    process.exitCode = 1;
    console.error(error instanceof SetupError ? `\n${error.message}` : error);
  }
}
