/**
 * `npm run bench -- mls`: how long the operations of a group take, against the floor of each and against other implementations, all
 * in the same run: each in a process of its own, taking turns step by step.
 * @module
 */

import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Answer, Measured, Order } from "./mls/child.ts";
import { spread, type Timed } from "./mls/subject.ts";
import { wholeNumber } from "./options.ts";

const PEERS = ["ts-mls", "core-crypto", "davey"] as const;
const SIZES = [10, 100, 1000, 5000, 20_000];
/** The largest group that peers are measured in. */
const LARGEST_FOR_PEERS = 5000;
/**
 * Those who commit to populate a tree, at most; each of them has to enter and to process the others' commits. Where the group is
 * larger than peers can make it they are fewer: a member who enters checks the whole tree, and holds it.
 */
const COMMITTERS = 8;
const COMMITTERS_AMONG_MANY = 2;

/**
 * Short steps take many rounds, at least and at most so many, and between those until the seconds are over; ours and the floor one after the
 * other, so many rounds a turn: with one alone, what is measured is how long a process takes to find its own in the caches again.
 */
const ROUNDS = { least: 5, most: 240, seconds: 15, aTurn: 5 } as const;

/**
 * Everything is repeated in so many turns: a process that sleeps through all of the others' warming up collects its garbage meanwhile, again
 * and again, and V8 drops compiled code with it.
 */
const WARM_UP_TURNS = 10;

/** How often a small group is made in a turn: enough for what a process lost while it waited for its first turn to be compiled again. */
const SHORT_MAKINGS = 20;

/**
 * V8 compiles a function for good when it has run 3,000 times, and 500 times since it met what it hadn't met before: as often as hardly
 * anything runs here that runs once in a commit. All subjects have it done earlier, and so are measured as they are in a process that has
 * run for a while.
 */
const COMPILED = [
  "--invocation-count-for-maglev=50",
  "--invocation-count-for-turbofan=200",
  "--minimum-invocations-after-ic-update=50",
] as const;

/** What a step took, as a line of `--json` tells it. */
interface Result {
  readonly n: number;
  readonly subject: string;
  readonly suite: number;
  readonly step: string;
  /** Medians: of time, of all processors' time together, and of the time in storage beside those. */
  readonly ms: number;
  readonly cpuMs: number;
  readonly storageMs: number | undefined;
  readonly bytes: number | undefined;
  /** One by one. */
  readonly turns: readonly Timed[];
  /** How many had committed, where that matters. */
  readonly committers: number | undefined;
}

/** What the tables call what is timed. */
type Names = Partial<Record<Measured, string>>;

/** What there is to say of one subject beside its times. */
interface Remark {
  readonly n: number;
  readonly subject: string;
  readonly remark: string;
}

/** The number below which a part of them lies. */
function quantile(numbers: readonly number[], part: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)] ?? Number.NaN;
}

function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5);
}

/**
 * Keeps a process's first thread on the last core that it may use, where the system has a way: one core is often slower than the next, for
 * what others do there, and those who are compared should not stand on different ones. Its threads for work aside stay free.
 */
function keepOnOneCore(pid: number): void {
  const taskset = (...args: readonly string[]): string =>
    spawnSync("taskset", [...args], { encoding: "utf8" }).stdout ?? "";
  const last = /(\d+)\s*$/.exec(taskset("-cp", `${pid}`))?.[1];
  if (last !== undefined) taskset("-cp", last, `${pid}`);
}

/** How many steps an order may take as long as: what is not measured may take longer. */
function allowance(order: Order): number {
  switch (order.step) {
    case "setup":
    case "warmUp":
    case "populate":
    case "populateAll":
      return 5;
    case "addAll":
      return order.times;
    case "commits":
      return order.rounds * (order.commits + order.joiners);
    case "messages":
      return order.rounds * 2;
    case "join":
    case "enlist":
    case "memory":
    case "others":
      return 1;
  }
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
      execArgv: [
        "--conditions=@conclave/source",
        "--expose-gc",
        "--max-old-space-size=6144",
        "--single-threaded-gc",
        ...COMPILED,
      ],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const runner = new Runner(name, child, limit);
    const answer = await runner.#next(undefined);
    if (answer) runner.suite = answer.suite;
    return runner;
  }

  /** From now on: what takes long and is done on all cores is measured before. */
  stayOnOneCore(): void {
    if (this.#child.pid !== undefined) keepOnOneCore(this.#child.pid);
  }

  /** The answer to an order, or undefined from one that is gone. */
  async ask(order: Order): Promise<Exclude<Answer, { failed: string }> | undefined> {
    return this.gone === undefined ? this.#next(order) : undefined;
  }

  async #next(order: Order | undefined): Promise<Exclude<Answer, { failed: string }> | undefined> {
    const limit = this.#limit * (order ? allowance(order) : 1);
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
    this.stop(`${order?.step ?? "start"}: ${answer.failed}`);
    return undefined;
  }

  /** Ends the process; with a reason where that is before its time. */
  stop(reason: string | undefined): void {
    this.gone = reason ?? "done";
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

function sizesOf(text: string): number[] {
  return text.split(",").map((part) => {
    const size = wholeNumber(part, "n");
    if (size < 4) throw new RangeError(`--n takes sizes from 4 on, not ${part}`);
    return size;
  });
}

function peersOf(text: string): string[] {
  const names = text.split(",").filter((name) => name !== "" && name !== "none");
  const unknown = names.find((name) => !(PEERS as readonly string[]).includes(name));
  if (unknown === undefined) return names;
  throw new RangeError(`--peers takes ${PEERS.join(", ")} or none, not ${unknown}`);
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
    sizes: sizesOf(values.n),
    peers: peersOf(values.peers),
    limit: wholeNumber(values.limit, "limit"),
    budget: wholeNumber(values.budget, "budget"),
    json: values.json,
  };
}

/** The measurement in groups of one size. */
class Sizing {
  readonly #n: number;
  readonly #runners: readonly Runner[];
  /** When peers may no longer begin anything, in milliseconds since the epoch. */
  readonly #endsAt: number;
  /** By step, then by subject. */
  readonly #times = new Map<string, Map<Runner, Timed[]>>();
  readonly #committers = new Map<string, number>();
  readonly remarks: Remark[] = [];

  constructor(n: number, runners: readonly Runner[], endsAt: number) {
    this.#n = n;
    this.#runners = runners;
    this.#endsAt = endsAt;
  }

  #note(step: string, runner: Runner, timed: Timed): void {
    const bySubject = this.#times.get(step) ?? new Map<Runner, Timed[]>();
    this.#times.set(step, bySubject);
    bySubject.set(runner, [...(bySubject.get(runner) ?? []), timed]);
  }

  /** Who still takes part: when the budget is spent, peers don't. */
  #present(): readonly Runner[] {
    if (Date.now() > this.#endsAt) {
      for (const runner of this.#runners) {
        if (isPeer(runner.name) && runner.gone === undefined) runner.stop("the budget is spent");
      }
    }
    return this.#runners.filter(({ gone }) => gone === undefined);
  }

  /** Something that is not measured, done by all. */
  async everyone(order: Order): Promise<void> {
    for (const runner of this.#present()) await runner.ask(order);
  }

  /** Has a runner do what it is told, once; noted under the names in `as`. */
  async #turn(runner: Runner, order: Order, as: Names): Promise<void> {
    const timed = (await runner.ask(order))?.timed ?? {};
    for (const [measured, step] of Object.entries(as)) {
      for (const one of timed[measured as Measured] ?? []) this.#note(step, runner, one);
    }
  }

  /** A step, `rounds` times, the subjects taking turns; peers as often as they are to. */
  async measure(as: Names, order: Order, rounds: number, byPeers = rounds): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      for (const runner of this.#present()) {
        if (round < byPeers || !isPeer(runner.name)) await this.#turn(runner, order, as);
      }
    }
  }

  /** Rounds of short steps, ours and the floor's, until they have had their time: so many a turn; and once what peers do. */
  async #untilEnough(as: Names, order: Order, byPeers: Order): Promise<void> {
    const enough = Date.now() + ROUNDS.seconds * 1000;
    for (let i = 0; i < ROUNDS.least || (i < ROUNDS.most && Date.now() < enough); ) {
      for (const runner of this.#present()) {
        if (!isPeer(runner.name)) await this.#turn(runner, order, as);
        else if (i === 0) await this.#turn(runner, byPeers, as);
      }
      i += ROUNDS.aTurn;
    }
  }

  /**
   * Commits, each processed by all who joined before the next one, one after the other. By peers `few` commits, of which the last is
   * processed.
   */
  async measurePaths(
    tree: string,
    few: number,
    joiners: number,
    committers?: number,
  ): Promise<void> {
    const as = { commit: `commit, ${tree}`, process: `process, ${tree}` };
    if (committers !== undefined) {
      for (const step of Object.values(as)) this.#committers.set(step, committers);
    }
    const order = { step: "commits", rounds: ROUNDS.aTurn, commits: 1, joiners } as const;
    await this.#untilEnough(as, order, { ...order, rounds: 1, commits: few });
  }

  /** A message is read once, so each round sends its own. */
  async measureMessages(few: number): Promise<void> {
    const as = { send: "send", receive: "receive" };
    const order = { step: "messages", rounds: ROUNDS.aTurn } as const;
    await this.#untilEnough(as, order, { ...order, rounds: few });
  }

  /** What only some can do: other operations, a tree that is populated throughout; and memory, which collects all garbage. */
  async measureMore(few: number, joiners: number): Promise<void> {
    for (const runner of this.#present()) {
      const answer = await runner.ask({ step: "others" });
      for (const [step, timed] of Object.entries(answer?.others ?? {})) {
        this.#note(step, runner, timed);
      }
    }
    let all = 0;
    for (const runner of this.#present()) {
      if (isPeer(runner.name)) {
        await this.#measureMemory(runner);
        this.#end(runner);
        continue;
      }
      all = (await runner.ask({ step: "populateAll" }))?.committers ?? all;
    }
    await this.measurePaths("all committed", few, joiners, all);
    for (const runner of this.#present()) await this.#measureMemory(runner);
  }

  async #measureMemory(runner: Runner): Promise<void> {
    const memory = (await runner.ask({ step: "memory" }))?.memory;
    if (!memory) return;
    // What is less than collecting the garbage leaves now and then isn't told.
    const told = memory.member !== undefined && memory.member >= 2 ** 20;
    const member = told ? `, one member's group ${mib(memory.member)}` : "";
    this.#remark(runner, `process at most ${mib(memory.peak)}${member}`);
  }

  #remark({ name }: Runner, remark: string): void {
    this.remarks.push({ n: this.#n, subject: name, remark });
  }

  #end(runner: Runner): void {
    if (runner.gone === undefined) runner.stop(undefined);
    else if (runner.gone !== "done") this.#remark(runner, `stopped at ${runner.gone}`);
  }

  end(): Result[] {
    for (const runner of this.#runners) this.#end(runner);
    return [...this.#times].flatMap(([step, bySubject]) =>
      [...bySubject].map(([{ name, suite }, times]): Result => {
        const storage = times.flatMap(({ storageMs }) => storageMs ?? []);
        return {
          n: this.#n,
          subject: name,
          suite,
          step,
          ms: median(times.map(({ ms }) => ms)),
          cpuMs: median(times.map(({ cpuMs }) => cpuMs)),
          storageMs: storage.length > 0 ? median(storage) : undefined,
          bytes: times.at(-1)?.bytes,
          turns: times,
          committers: this.#committers.get(step),
        };
      }),
    );
  }
}

function isPeer(name: string): boolean {
  return name !== "ours" && name !== "floor";
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** All steps in groups of n. */
async function measureSize(
  n: number,
  options: Options,
  endsAt: number,
): Promise<{ readonly results: readonly Result[]; readonly remarks: readonly Remark[] }> {
  const peers = n <= LARGEST_FOR_PEERS ? options.peers : [];
  const runners: Runner[] = [];
  for (const name of ["ours", "floor", ...peers]) {
    runners.push(await Runner.start(name, options.limit));
  }
  const sizing = new Sizing(n, runners, endsAt);
  const few = n >= 1000 ? 3 : 5;
  const joiners = Math.min(few, n - 2);
  for (let turn = 0; turn < WARM_UP_TURNS; turn++) await sizing.everyone({ step: "warmUp" });
  await sizing.everyone({ step: "setup", n, joiners });
  const times = n >= 1000 ? 1 : SHORT_MAKINGS;
  const adding = { addAll: "create and add all" };
  await sizing.measure(adding, { step: "addAll", times }, few, n >= 1000 ? 1 : few);
  await sizing.measure({ join: "join" }, { step: "join" }, joiners);
  const places = spread(n, n <= LARGEST_FOR_PEERS ? COMMITTERS : COMMITTERS_AMONG_MANY);
  await sizing.everyone({ step: "enlist", places });
  for (const runner of runners) runner.stayOnOneCore();
  await sizing.measurePaths("blank tree", few, joiners);
  await sizing.everyone({ step: "populate" });
  await sizing.measurePaths("some committed", few, joiners, places.length + 1);
  await sizing.measureMessages(few);
  await sizing.measureMore(few, joiners);
  return { results: sizing.end(), remarks: sizing.remarks };
}

function fixed(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(3);
}

/** A table in Markdown; the first column is text, the others are numbers. */
function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): void => {
    const padded = widths.map((width, i) =>
      i === 0 ? (cells[i] ?? "").padEnd(width) : (cells[i] ?? "").padStart(width),
    );
    console.log(`| ${padded.join(" | ")} |`);
  };
  line(head);
  line(widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)));
  for (const row of rows) line(row);
}

/** How many times longer ours took: of turns that were taken in pairs, the median and where the middle half of them lies. */
function ratioOf(ours: Result, theirs: Result, of: "ms" | "cpuMs"): [ratio: string, half: string] {
  if (ours.turns.length !== theirs.turns.length) return [(ours[of] / theirs[of]).toFixed(2), ""];
  const ratios = ours.turns.map((turn, i) => turn[of] / (theirs.turns[i]?.[of] ?? Number.NaN));
  const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => quantile(ratios, part).toFixed(2));
  return [middle ?? "", `${low}–${high}`];
}

/** One table of times, by the clock or of processors, with the ratios of ours to each of the others. */
function printTimes(
  results: readonly Result[],
  of: "ms" | "cpuMs",
  others: readonly string[],
): void {
  const head = ["step", "ours", "storage", "bytes"];
  for (const other of others) {
    head.push(other, "ours/it");
    if (other === "floor") head.push("half of the turns");
  }
  const rows = results
    .filter(({ subject }) => subject === "ours")
    .map((ours) => {
      const row = [ours.committers ? `${ours.step} (${ours.committers})` : ours.step];
      const { storageMs, bytes } = ours;
      row.push(fixed(ours[of]), storageMs === undefined ? "" : fixed(storageMs), `${bytes ?? ""}`);
      for (const other of others) {
        const theirs = results.find(({ subject, step }) => subject === other && step === ours.step);
        const [ratio, half] = theirs ? ratioOf(ours, theirs, of) : ["", ""];
        row.push(theirs ? fixed(theirs[of]) : "", ratio);
        if (other === "floor") row.push(half);
      }
      return row;
    });
  printTable(head, rows);
}

function print(n: number, results: readonly Result[], remarks: readonly Remark[]): void {
  const others = [...new Set(results.map(({ subject }) => subject))].filter(
    (one) => one !== "ours",
  );
  console.log(`\n## n = ${n}\n\nBy the clock, in ms:\n`);
  printTimes(results, "ms", others);
  console.log("\nOf processors, in ms:\n");
  printTimes(results, "cpuMs", others);
  console.log("");
  for (const { subject, remark } of remarks) console.log(`- ${subject}: ${remark}`);
}

/** Measures what the options say, and prints tables, or a line of JSON for each figure. */
export async function measureMls(args: readonly string[]): Promise<void> {
  const options = optionsOf(args);
  const endsAt = Date.now() + options.budget * 1000;
  console.error(
    `Node ${process.version}, ${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores`,
  );
  for (const n of options.sizes) {
    if (Date.now() > endsAt) break;
    const { results, remarks } = await measureSize(n, options, endsAt);
    if (options.json) {
      for (const line of [...results, ...remarks]) console.log(JSON.stringify(line));
    } else print(n, results, remarks);
  }
}
