/**
 * `npm run rules:deletion`: deletes each check of packages/mls in turn, in the source as a test run loads it, and shows
 * that a test then fails. Prints those that no test misses, and how many there were.
 *
 *     --class checks|conditions|wipes   what is deleted (checks)
 *     --file PATTERN                    only in files whose path matches this
 *     --limit N                         only so many
 *     --jobs N                          so many at a time (2)
 *     --quick                           delete nothing: print those that refuse nothing in any test
 *
 * A first run, with every check watched, finds the tests in which it refuses something: only those can miss it. A check
 * that refuses nothing in any test is missed by none. Deletions that never end are ended, and count as noticed: `ENDLESS`.
 */

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startVitest } from "vitest/node";
import { oneOf, orUsage, wholeNumber } from "../../../conformance/command-line.ts";
import { type Check, CLASSES, checkKey, findChecks } from "./checks.ts";

const SOURCE = new URL("../../../src/", import.meta.url);
const CONFIG = fileURLToPath(new URL("vitest.config.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../../../", import.meta.url));
/** For how many milliseconds a run may go on, and how many times as long as its tests took when nothing was deleted. */
const PATIENCE = { least: 120_000, times: 10 };
/** Tests that are tried by name before whole files are run. */
const FIRST = 6;

const USAGE =
  "npm run rules:deletion -- [--class checks|conditions|wipes] [--file PATTERN] [--limit N] [--jobs N] [--quick]";
const options = orUsage(USAGE, () => {
  const { values } = parseArgs({
    options: {
      class: { type: "string", default: "checks" },
      file: { type: "string", default: "" },
      limit: { type: "string", default: "100000" },
      jobs: { type: "string", default: "2" },
      quick: { type: "boolean", default: false },
    },
  });
  return {
    ...values,
    file: new RegExp(values.file),
    class: oneOf("class", values.class, CLASSES),
    limit: wholeNumber("limit", values.limit, 1),
    jobs: wholeNumber("jobs", values.jobs, 1),
  };
});

interface Witness {
  readonly file: string;
  readonly name: string;
  readonly duration: number;
  /** Of all tests in the file. */
  readonly wholeFile: number;
}

function allChecks(): readonly Check[] {
  const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" }).sort();
  return files
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => findChecks(file, readFileSync(new URL(file, SOURCE), "utf8")));
}

/** The tests in which each check refuses something, by the check's key; tests of rules first, then the quickest. */
async function witnesses(): Promise<ReadonlyMap<string, readonly Witness[]>> {
  process.env["DELETION"] = JSON.stringify("watch");
  const vitest = await startVitest("test", [], {
    watch: false,
    config: CONFIG,
    reporters: ["dot"],
  });
  const modules = vitest.state.getTestModules();
  const found = new Map<string, Witness[]>();
  for (const module of modules) {
    const wholeFile = module.diagnostic().duration;
    for (const test of module.children.allTests()) {
      if (!test.ok()) {
        // Whoever fails with nothing deleted can't miss anything.
        process.stderr.write(`fails with nothing deleted: ${test.fullName}\n`);
        continue;
      }
      const { moduleId: file } = module;
      const name = test.fullName;
      const witness = { file, name, duration: test.diagnostic()?.duration ?? 0, wholeFile };
      for (const key of test.meta().fired ?? []) {
        found.set(key, [...(found.get(key) ?? []), witness]);
      }
    }
  }
  await vitest.close();
  const rank = ({ file, duration }: Witness): number =>
    (file.includes("/rules/") ? 0 : 1_000_000) + duration;
  for (const all of found.values()) all.sort((a, b) => rank(a) - rank(b));
  return found;
}

/** What tests say of a check that is gone. */
type Outcome = "SURVIVES" | "noticed" | "ENDLESS";

function run(
  check: Check,
  tests: readonly Witness[],
  names: readonly string[] = [],
): Promise<Outcome> {
  const { file, start, end, without } = check;
  const files = new Map(tests.map((test) => [test.file, test.wholeFile]));
  const due = [...files.values()].reduce((sum, duration) => sum + duration, 0);
  const pattern = names.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const child = spawn(
    process.execPath,
    [
      `${ROOT}node_modules/vitest/vitest.mjs`,
      "run",
      `--config=${CONFIG}`,
      "--bail=1",
      "--reporter=dot",
      ...(pattern ? [`--testNamePattern=^(?:${pattern})$`] : []),
      ...files.keys(),
    ],
    {
      cwd: ROOT,
      detached: true,
      stdio: "ignore",
      env: { ...process.env, DELETION: JSON.stringify({ file, start, end, without }) },
    },
  );
  return new Promise((resolve, reject) => {
    const end = setTimeout(
      () => {
        // The whole group: a worker in an endless loop hears nothing else.
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      },
      PATIENCE.least + PATIENCE.times * due,
    );
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      clearTimeout(end);
      resolve(code === 0 ? "SURVIVES" : signal === "SIGKILL" ? "ENDLESS" : "noticed");
    });
  });
}

async function outcomeOf(check: Check, seen: readonly Witness[]): Promise<Outcome> {
  if (seen.length === 0) return "SURVIVES";
  const first = seen.slice(0, FIRST);
  const names = first.map(({ name }) => name);
  const outcome = await run(check, first, names);
  return outcome === "SURVIVES" ? run(check, seen) : outcome;
}

async function main(): Promise<void> {
  const wanted = options.class;
  const checks = allChecks()
    .filter((check) => check.class === wanted && options.file.test(check.file))
    .slice(0, options.limit);
  if (checks.length === 0) {
    console.error(`no ${wanted} in a file whose path matches ${options.file.source}`);
    process.exitCode = 2;
    return;
  }
  const seen = await witnesses();
  const [some] = checks.filter((check) => seen.has(checkKey(check)));
  // A run in which nothing is deleted must notice nothing.
  if (some && !options.quick) {
    const whole = { ...some, end: some.start, without: "" };
    const outcome = await outcomeOf(whole, seen.get(checkKey(some)) ?? []);
    if (outcome !== "SURVIVES") throw new Error("tests fail with nothing deleted");
  }
  const survivors: Check[] = [];
  let next = 0;
  const job = async (): Promise<void> => {
    for (let check = checks[next++]; check; check = checks[next++]) {
      const tests = seen.get(checkKey(check)) ?? [];
      const quick = tests.length > 0 ? "noticed" : "SURVIVES";
      const outcome = options.quick ? quick : await outcomeOf(check, tests);
      if (outcome === "SURVIVES") survivors.push(check);
      const { file, line, text } = check;
      process.stdout.write(`${outcome.padEnd(8)} ${file}:${line}  ${text}\n`);
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, job));
  process.stdout.write(`\n${checks.length} ${wanted} deleted, ${survivors.length} survived\n`);
  for (const { file, line, text } of survivors) {
    process.stdout.write(`  packages/mls/src/${file}:${line}  ${text}\n`);
  }
  process.exitCode = survivors.length > 0 ? 1 : 0;
}

await main();
