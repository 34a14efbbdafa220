/**
 * Hostile requests against a service in a process of its own, while honest members talk.
 * @module
 */

import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seeded } from "../kill/random.ts";
import { call } from "../world.ts";
import { talk } from "./honest.ts";
import { type Attacker, anAttacker, isCode, type Target, targetOf } from "./people.ts";
import { requestsFrom, type Try } from "./requests.ts";
import type { Order, Usage } from "./victim.ts";
import { type Reply, Wire } from "./wire.ts";

export interface Place {
  readonly url: string;
}

export interface Settings {
  readonly count: number;
  readonly seed: number;
  /** The URL of an empty store; a SQLite file of its own unless given. */
  readonly store?: string;
  readonly workers: number;
  /** Told now and then how many were sent. */
  readonly progress?: (sent: number, usage: Usage) => void;
}

export interface Report {
  /** What must not be. */
  readonly findings: readonly string[];
  readonly sent: number;
  /** Of each kind of request: its answers, by status and code. */
  readonly answers: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly before: Usage;
  readonly after: Usage;
  readonly honest: { readonly sent: number; readonly median: number; readonly longest: number };
  readonly seconds: number;
}

const ATTACKERS = 6;
/** How long an answer may take, in milliseconds. */
const PATIENCE = 20_000;
/** Slow connections at a time. */
const SLOW = 40;
/** How much more the service may hold after the run, in bytes: what it remembers is bounded, and full by then. */
const GROWTH = 96 * 1024 * 1024;

export async function run(settings: Settings): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), "hostile-"));
  const child = fork(join(import.meta.dirname, "victim.ts"), {
    execArgv: ["--conditions=@conclave/source", "--expose-gc"],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const findings: string[] = [];
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  let stopping = false;
  child.once("exit", (code, signal) => {
    if (!stopping) findings.push(`the service ended with ${code ?? signal}: ${complaint}`);
  });
  const gone = once(child, "exit");
  const order = async <T>(what: Order): Promise<T> => {
    child.send(what);
    const [answer] = await Promise.race([
      once(child, "message"),
      gone.then(() => Promise.reject(new Error(`the service ended: ${complaint}`))),
    ]);
    return answer;
  };
  try {
    const store = settings.store ?? `sqlite:${join(folder, "store.sqlite")}`;
    const { port } = await order<{ port: number }>({ order: "start", store, folder });
    const usage = () => order<Usage>({ order: "usage" });
    const report = await attack(settings, port, usage, findings);
    stopping = true;
    child.send({ order: "stop" } satisfies Order);
    await gone;
    judgeLog(await readFile(join(folder, "log"), "utf8"), report.target, findings);
    if (complaint !== "") findings.push(`it complained: ${complaint.slice(0, 2000)}`);
    const { target: _, ...rest } = report;
    return { ...rest, findings };
  } finally {
    stopping = true;
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
}

async function attack(
  { count, seed, workers, progress }: Settings,
  port: number,
  usage: () => Promise<Usage>,
  findings: string[],
): Promise<Omit<Report, "findings"> & { readonly target: Target }> {
  const place = { url: `http://127.0.0.1:${port}` };
  const random = seeded(seed);
  const conversation = await talk(place, ["Canary Ada", "Canary Ben", "Canary Cleo"]);
  const target = await targetOf(place, conversation);
  const attackers: Attacker[] = [];
  let names = 0;
  const another = () => anAttacker(place, `Attacker ${++names}`);
  for (let i = 0; i < ATTACKERS; i++) attackers.push(await another());
  const next = requestsFrom(random, attackers, target);
  const answers = new Map<string, Map<string, number>>();
  const found = (what: string) => void (findings.length < 200 && findings.push(what));
  const slow = new Set<Promise<void>>();

  function count1(kind: string, what: string): void {
    const ofKind = answers.get(kind) ?? new Map<string, number>();
    answers.set(kind, ofKind.set(what, (ofKind.get(what) ?? 0) + 1));
  }

  function judge(kind: string, reply: Reply, allowed?: (status: number) => boolean): void {
    const { status, body, headers } = reply;
    const text = body.toString("latin1");
    const isProblem = headers.get("content-type") === "application/problem+json" && body.length > 0;
    const code: unknown = isProblem ? codeOf(text) : undefined;
    count1(kind, typeof code === "string" ? `${status} ${code}` : String(status));
    const said = `${kind}: ${status} ${text.slice(0, 200)}`;
    if (status === 0 || (status >= 500 && status !== 503)) found(said);
    if (status < 100 || status > 599 || (allowed !== undefined && !allowed(status))) found(said);
    if (isProblem && !isCode(code)) found(`an unknown code: ${said}`);
    // What Node itself refuses has no type.
    if (headers.has("content-type") && headers.get("cache-control") !== "no-store") {
      found(`without its headers: ${said}`);
    }
    const all = text + [...headers.values()].join("\n");
    for (const { what, text: secret } of target.secrets) {
      if (all.includes(secret)) found(`${what} in an answer: ${said}`);
    }
  }

  /** Whether both said the same, but for what stands in an answer to no request in particular. */
  function alike(kind: string, one: Reply, other: Reply): void {
    const text = ({ status, body }: Reply) => `${status} ${body.toString("latin1")}`;
    const names = ({ headers }: Reply) => [...headers.keys()].toSorted().join();
    if (text(one) === text(other) && names(one) === names(other)) return;
    // The attacker's session ended in between: what it tried elsewhere did that.
    if (one.status === 401 || other.status === 401) return;
    found(`${kind}: told apart by ${text(one).slice(0, 200)} and ${text(other).slice(0, 200)}`);
  }

  /** Byte by byte, until it is cut off or has taken ten seconds. */
  async function drip(bytes: Uint8Array, pause: number): Promise<void> {
    const wire = await Wire.open(port);
    const until = performance.now() + 10_000;
    for (const byte of bytes) {
      if (wire.ended || performance.now() > until) break;
      wire.send(Uint8Array.of(byte));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    wire.close();
  }

  async function shake(one: Extract<Try, { readonly handshake: Uint8Array }>): Promise<void> {
    const wire = await Wire.open(port);
    wire.send(one.handshake);
    const reply = await wire.reply(PATIENCE);
    if (reply === undefined) count1(one.kind, "none");
    else judge(one.kind, reply);
    if (reply?.status === 101) {
      wire.send(one.frames);
      await new Promise((resolve) => setTimeout(resolve, 5));
      const heard = wire.rest().toString("latin1");
      for (const { what, text } of target.secrets) {
        if (heard.includes(text)) found(`${what} on a socket`);
      }
    }
    wire.close();
  }

  let sent = 0;
  let before: Usage | undefined;

  /** Attackers may end their own sessions and accounts by what they try: others take their place. */
  async function refresh(): Promise<void> {
    for (const [i, { member }] of attackers.entries()) {
      const { status } = await call(place, "GET", "/v1/groups", { token: member.token });
      if (status === 401) attackers[i] = await another();
    }
  }

  /**
   * A whole request has an answer. It is asked again, on a new connection, where one that was used before ends without a byte, and where one that
   * was open for long is answered with 408, which is what came of the time before (RFC 9110 §15.5.9).
   */
  async function ask(
    wire: Wire,
    kind: string,
    bytes: Uint8Array,
    isHead = false,
  ): Promise<Reply | undefined> {
    wire.send(bytes);
    let reply = await wire.reply(PATIENCE, isHead);
    if (reply === undefined ? wire.endedIdle : reply.status === 408) {
      count1(kind, "asked again");
      const fresh = await Wire.open(port);
      fresh.send(bytes);
      reply = await fresh.reply(PATIENCE, isHead);
      fresh.close();
    }
    if (reply === undefined) {
      const came = wire.rest().subarray(0, 100).toString("latin1");
      found(
        `${kind}: no answer${wire.ended ? ", and the end of the connection" : ""}, to ${
          Buffer.from(bytes.subarray(0, 200)).toString("latin1").split("\r\n")[0]
        }: ${came}`,
      );
    }
    return reply;
  }

  async function perform(wire: Wire, one: Try): Promise<void> {
    if ("slow" in one) {
      if (slow.size >= SLOW) return;
      const dripping = drip(one.slow, one.pause).finally(() => slow.delete(dripping));
      slow.add(dripping);
      count1(one.kind, "none");
      return;
    }
    if ("handshake" in one) return shake(one);
    if ("alike" in one) {
      const replies: Reply[] = [];
      for (const bytes of one.alike) {
        const reply = await ask(wire, one.kind, bytes);
        if (reply === undefined) return;
        judge(one.kind, reply);
        replies.push(reply);
      }
      const [theirs, nobodys] = replies;
      if (theirs && nobodys) alike(one.kind, theirs, nobodys);
      return;
    }
    const isHead = Buffer.from(one.bytes.subarray(0, 5)).toString() === "HEAD ";
    if (one.answers === 1 && one.last !== true) {
      const reply = await ask(wire, one.kind, one.bytes, isHead);
      if (reply !== undefined) judge(one.kind, reply, one.allowed);
      return;
    }
    wire.send(one.bytes);
    let got = 0;
    for (; got < Math.max(1, one.answers); got++) {
      const reply = await wire.reply(one.answers === 0 ? 10 : PATIENCE, isHead);
      if (reply === undefined) break;
      judge(one.kind, reply, one.allowed);
    }
    if (got === 0) count1(one.kind, wire.ended ? "closed" : "none");
    if (one.last) wire.close();
  }

  async function work(): Promise<void> {
    let wire = await Wire.open(port);
    while (sent < count) {
      const number = ++sent;
      if (wire.ended) {
        wire.close();
        wire = await Wire.open(port);
      }
      const one = next();
      try {
        await perform(wire, one);
      } catch (error) {
        found(`${one.kind}: ${error instanceof Error ? error.stack : String(error)}`);
      }
      if ("last" in one || "handshake" in one) {
        wire.close();
        wire = await Wire.open(port);
      }
      if (number % 100 === 0) await refresh();
      if (number === Math.min(1000, Math.floor(count / 2))) before = await usage();
      if (number % 5000 === 0) progress?.(number, await usage());
    }
    wire.close();
  }

  const began = performance.now();
  await Promise.all(Array.from({ length: workers }, work));
  await Promise.all(slow);
  const seconds = (performance.now() - began) / 1000;
  const { wrong, ...honest } = await conversation.end();
  for (const what of wrong) found(`an honest member: ${what}`);
  const after = await usage();
  before ??= after;
  if (after.heap > before.heap + GROWTH) found(`it holds ${after.heap} bytes`);
  return { sent, answers, before, after, honest, seconds, target };
}

function codeOf(text: string): unknown {
  try {
    const problem: unknown = JSON.parse(text);
    return typeof problem === "object" && problem !== null && "code" in problem
      ? problem.code
      : undefined;
  } catch {
    return undefined;
  }
}

/** The log says nothing of anybody, and of no failure. */
function judgeLog(log: string, target: Target, findings: string[]): void {
  for (const { what, text } of target.secrets) {
    if (what !== "a file of ours" && log.includes(text)) findings.push(`${what} in the log`);
  }
  const failed = log.split("\n").filter((line) => line.includes('"error":'));
  for (const line of new Set(failed.map((one) => one.replace(/"(time|duration)":\d+/g, "")))) {
    findings.push(`the log has ${line}`);
  }
}
