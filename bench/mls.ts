/**
 * `npm run bench -- mls`: how long the operations of a group take, against the floor of each and against other implementations, all
 * in the same run: each in a process of its own, taking turns step by step.
 * @module
 */

import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Answer, Order } from "./mls/child.ts";
import { spread, type Timed } from "./mls/subject.ts";

const PEERS = ["ts-mls", "core-crypto", "davey"] as const;
const SIZES = [10, 100, 1000, 5000, 20_000];
/** The largest group that peers are measured in. */
const LARGEST_FOR_PEERS = 5000;
/** Those who commit to populate a tree, at most; each of them has to enter and to process the others' commits. */
const COMMITTERS = 8;

type StepName =
  | "create and add all"
  | "join"
  | "commit, blank tree"
  | "process, blank tree"
  | "commit, some committed"
  | "process, some committed"
  | "commit, all committed"
  | "process, all committed"
  | "send"
  | "receive";

interface Result {
  readonly n: number;
  readonly subject: string;
  readonly suite: number;
  readonly step: string;
  /** The median. */
  readonly ms: number;
  /** Of all processors together, the median. */
  readonly cpuMs: number;
  readonly storageMs: number | undefined;
  readonly bytes: number | undefined;
  readonly runs: number;
  readonly committers: number | undefined;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** A subject's process. Once it fails or takes too long it is gone, and says why. */
class Runner {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #limit: number;
  suite = 0;
  gone: string | undefined;

  private constructor(name: string, child: ChildProcess, limit: number) {
    this.name = name;
    this.#child = child;
    this.#limit = limit;
  }

  static async start(name: string, limit: number): Promise<Runner> {
    const child = fork(new URL("./mls/child.ts", import.meta.url), [name], {
      execArgv: ["--conditions=@conclave/source", "--expose-gc", "--max-old-space-size=6144"],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const runner = new Runner(name, child, limit);
    const answer = await runner.#next(undefined);
    if (answer) runner.suite = answer.suite;
    return runner;
  }

  /** The answer to an order, or undefined from one that is gone. `setup` may take longer: it is not measured. */
  async ask(order: Order): Promise<Exclude<Answer, { failed: string }> | undefined> {
    return this.gone === undefined ? this.#next(order) : undefined;
  }

  async #next(order: Order | undefined): Promise<Exclude<Answer, { failed: string }> | undefined> {
    const limit = this.#limit * (order?.step === "setup" || order?.step === "populate" ? 5 : 1);
    const answer = await new Promise<Answer>((resolve) => {
      const end = (taken: Answer): void => {
        clearTimeout(timer);
        this.#child.removeAllListeners();
        resolve(taken);
      };
      const timer = setTimeout(() => end({ failed: `over ${limit} s` }), limit * 1000);
      this.#child.once("message", (message) => end(message as Answer));
      this.#child.once("exit", () => end({ failed: "its process ended" }));
      this.#child.once("error", (cause) => end({ failed: cause.message }));
      if (order) this.#child.send(order);
    });
    if (!("failed" in answer)) return answer;
    this.gone = `${order?.step ?? "start"}: ${answer.failed}`;
    this.end();
    return undefined;
  }

  end(): void {
    this.#child.kill("SIGKILL");
  }
}

interface Options {
  readonly sizes: readonly number[];
  readonly peers: readonly string[];
  /** Seconds a step may take. */
  readonly limit: number;
  /** Seconds for all; when they are over, no more peers and sizes are begun. */
  readonly budget: number;
  readonly json: boolean;
}

function numbersOf(text: string): number[] {
  return text.split(",").map((part) => {
    const number = Number(part);
    if (!Number.isInteger(number) || number < 4) throw new TypeError(`no size of a group: ${part}`);
    return number;
  });
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      n: { type: "string", default: SIZES.join(",") },
      peers: { type: "string", default: PEERS.join(",") },
      limit: { type: "string", default: "60" },
      budget: { type: "string", default: "3600" },
      json: { type: "boolean", default: false },
    },
  });
  return {
    sizes: numbersOf(values.n),
    peers: values.peers.split(",").filter((name) => name !== "" && name !== "none"),
    limit: Number(values.limit),
    budget: Number(values.budget),
    json: values.json,
  };
}

/** All steps in a group of n; results as they come. */
async function measureSize(n: number, options: Options, endsAt: number): Promise<Result[]> {
  const results: Result[] = [];
  const peers = n <= LARGEST_FOR_PEERS ? options.peers : [];
  const runners: Runner[] = [];
  for (const name of ["ours", "floor", ...peers]) {
    runners.push(await Runner.start(name, options.limit));
  }
  const note = (text: string): void => console.error(text);
  const told = new Set<string>();
  const tell = (): void => {
    for (const { name, gone } of runners) {
      if (gone === undefined || told.has(name)) continue;
      told.add(name);
      note(`n = ${n}: ${name} stopped at ${gone}`);
      results.push({
        n,
        subject: name,
        suite: 0,
        step: `stopped at ${gone}`,
        ms: Number.NaN,
        cpuMs: Number.NaN,
        storageMs: undefined,
        bytes: undefined,
        runs: 0,
        committers: undefined,
      });
    }
  };
  const everyone = async (order: Order): Promise<void> => {
    for (const runner of runners) {
      if (Date.now() > endsAt && peers.includes(runner.name)) {
        runner.gone ??= `${order.step}: the budget is spent`;
        runner.end();
      }
      await runner.ask(order);
    }
    tell();
  };
  /** A step, `rounds` times, the subjects taking turns. */
  const measure = async (
    step: StepName,
    order: Order,
    rounds: number,
    committers?: number,
    only?: readonly string[],
  ): Promise<void> => {
    const times = new Map<string, Timed[]>();
    for (let round = 0; round < rounds; round++) {
      for (const runner of runners) {
        if (only && !only.includes(runner.name)) continue;
        if (Date.now() > endsAt && peers.includes(runner.name)) {
          runner.gone ??= `${step}: the budget is spent`;
          runner.end();
        }
        const answer = await runner.ask(order);
        if (!answer?.timed) continue;
        times.set(runner.name, [...(times.get(runner.name) ?? []), answer.timed]);
      }
    }
    tell();
    for (const { name, suite } of runners) {
      const all = times.get(name);
      if (!all) continue;
      results.push({
        n,
        subject: name,
        suite,
        step,
        ms: median(all.map(({ ms }) => ms)),
        cpuMs: median(all.map(({ cpuMs }) => cpuMs)),
        storageMs:
          all[0]?.storageMs === undefined ? undefined : median(all.map((t) => t.storageMs ?? 0)),
        bytes: all.at(-1)?.bytes,
        runs: all.length,
        committers,
      });
    }
  };

  const few = n >= 5000 ? 3 : n >= 1000 ? 3 : 5;
  const joiners = Math.min(few, n - 2);
  await everyone({ step: "setup", n, joiners });
  await measure("create and add all", { step: "addAll" }, n >= 1000 ? 1 : few);
  await measure("join", { step: "join" }, joiners);
  const places = spread(n, COMMITTERS);
  await everyone({ step: "enlist", places });
  await measure("commit, blank tree", { step: "commit" }, few);
  await measure("process, blank tree", { step: "process" }, joiners);
  await everyone({ step: "populate" });
  const some = places.length + 1;
  await measure("commit, some committed", { step: "commit" }, few, some);
  await measure("process, some committed", { step: "process" }, joiners, some);
  await measure("send", { step: "send" }, few);
  await measure("receive", { step: "receive" }, few > joiners ? joiners : 1);
  for (const runner of runners) runner.end();
  return results;
}

function fixed(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(3);
}

function print(results: readonly Result[], peers: readonly string[]): void {
  const head = ["step", "ours, ms", "floor, ms", "ours/floor", "in cpu", "storage", "bytes"];
  for (const peer of peers) head.push(`${peer}, ms`, `ours/${peer}`);
  const sizes = [...new Set(results.map(({ n }) => n))];
  for (const n of sizes) {
    const here = results.filter((result) => result.n === n);
    const steps = [...new Set(here.filter(({ subject }) => subject === "ours").map((r) => r.step))];
    const rows = steps.map((step) => {
      const of = (subject: string) => here.find((r) => r.subject === subject && r.step === step);
      const ours = of("ours");
      const floor = of("floor");
      if (!ours) return [step];
      const named = ours.committers ? `${step} (${ours.committers})` : step;
      const row = [named, fixed(ours.ms)];
      row.push(floor ? fixed(floor.ms) : "", floor ? (ours.ms / floor.ms).toFixed(2) : "");
      row.push(floor ? (ours.cpuMs / floor.cpuMs).toFixed(2) : "");
      row.push(ours.storageMs === undefined ? "" : fixed(ours.storageMs), `${ours.bytes ?? ""}`);
      for (const peer of peers) {
        const theirs = of(peer);
        row.push(theirs ? fixed(theirs.ms) : "-", theirs ? (ours.ms / theirs.ms).toFixed(3) : "-");
      }
      return row;
    });
    const widths = head.map((title, i) =>
      Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)),
    );
    const line = (row: readonly string[]): string =>
      `| ${widths.map((width, i) => (i === 0 ? (row[i] ?? "").padEnd(width) : (row[i] ?? "").padStart(width))).join(" | ")} |`;
    console.log(`\nn = ${n}\n`);
    console.log(line(head));
    console.log(
      `|${widths.map((width, i) => (i === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`,
    );
    for (const row of rows) console.log(line(row));
    for (const { subject, step } of here.filter(({ runs }) => runs === 0)) {
      console.log(`\n${subject} ${step}`);
    }
  }
}

/** Measures what the options say, and prints tables, or a line of JSON for each figure. */
export async function measureMls(args: readonly string[]): Promise<void> {
  const options = optionsOf(args);
  const endsAt = Date.now() + options.budget * 1000;
  console.error(
    `Node ${process.version}, ${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores`,
  );
  const results: Result[] = [];
  for (const n of options.sizes) {
    if (Date.now() > endsAt) break;
    const measured = await measureSize(n, options, endsAt);
    results.push(...measured);
    if (options.json) for (const result of measured) console.log(JSON.stringify(result));
    else print(measured, options.peers);
  }
}
