/**
 * One subject in a process of its own, so that it can be ended, and its memory told: it does what it is told to and answers how long
 * that took.
 * @module
 */

import { randomBytes } from "node:crypto";
import { resourceUsage } from "node:process";
import { promisify } from "node:util";
import type { Subject, Timed } from "./subject.ts";

/** What the parent asks for. */
export type Order =
  | { readonly step: "setup"; readonly n: number; readonly joiners: number }
  | { readonly step: "enlist"; readonly places: readonly number[] }
  | { readonly step: "warmUp" }
  | { readonly step: "addAll" | "process"; readonly times: number }
  | { readonly step: "join" | "commit" | "send" | "receive" }
  | { readonly step: "populate" | "populateAll" | "memory" | "others" };

export type Answer =
  | {
      /** One by one, where it was done several times. */
      readonly timed?: readonly Timed[];
      readonly committers?: number | undefined;
      readonly others?: Readonly<Record<string, Timed>> | undefined;
      /** In bytes: of one more member's group, where that can be told, and the most the process ever had. */
      readonly memory?: { readonly member: number | undefined; readonly peak: number };
      readonly suite: number;
    }
  | { readonly failed: string };

/** Seconds of a processor that everything is repeated for in a turn of the warm-up. */
const WARM_UP = 3;
/** Commits in each group: few enough that making groups and joining them is compiled as well. */
const COMMITS = 20;
/** After how many of them messages are sent: a step sends many. */
const COMMITS_A_SEND = 5;

/**
 * Everything, in small groups, at least once: so that what is measured afterwards is compiled, as it is in a process that has run for a
 * while.
 */
async function warmUp(subject: Subject): Promise<void> {
  const before = process.cpuUsage();
  do {
    await subject.setup(24, 3);
    await subject.addAll();
    for (let i = 0; i < 3; i++) await subject.join();
    await subject.enlist([2, 6]);
    for (let i = 0; i < (subject.mostCommits ?? COMMITS); i++) {
      await subject.commit();
      for (let by = 0; by < 3; by++) await subject.process();
      if (i === 0) await subject.populate();
      if (i === COMMITS / 2) {
        await subject.others?.();
        await subject.populateAll?.();
      }
      if (i % COMMITS_A_SEND > 0) continue;
      await subject.send?.();
      await subject.receive?.();
    }
  } while (process.cpuUsage(before).user < WARM_UP * 1e6);
}

async function done(subject: Subject, order: Order): Promise<Omit<Answer, "suite">> {
  switch (order.step) {
    case "setup":
      await subject.setup(order.n, order.joiners);
      return {};
    case "warmUp":
      await warmUp(subject);
      return {};
    case "enlist":
      await subject.enlist(order.places);
      return {};
    case "populate":
      await subject.populate();
      return {};
    case "populateAll":
      return { committers: await subject.populateAll?.() };
    case "memory":
      return { memory: { member: await subject.memory?.(), peak: resourceUsage().maxRSS * 1024 } };
    case "others":
      return { others: await subject.others?.() };
    case "addAll":
    case "process": {
      const timed: Timed[] = [];
      for (let i = 0; i < order.times; i++) timed.push(await subject[order.step]());
      return { timed };
    }
    case "join":
    case "commit":
    case "send":
    case "receive": {
      const timed = await subject[order.step]?.();
      return timed ? { timed: [timed] } : {};
    }
  }
}

const [name] = process.argv.slice(2);
const { subject } = (await import(`./${name}.ts`)) as { subject: () => Subject | Promise<Subject> };
const measured = await subject();
// The threads for work aside begin with the first such work: before this one is kept on a core, which they would be kept on too.
await promisify(randomBytes)(1);

/** What leaves so much garbage, and is not measured, that it would be collected during what is. */
const PREPARING: ReadonlySet<Order["step"]> = new Set([
  "setup",
  "enlist",
  "populate",
  "populateAll",
]);

async function answer(order: Order): Promise<Answer> {
  try {
    const made = await done(measured, order);
    if (PREPARING.has(order.step)) globalThis.gc?.();
    return { suite: measured.suite, ...made };
  } catch (cause) {
    return {
      failed: cause instanceof Error ? `${cause.name}: ${cause.message}` : "an unknown error",
    };
  }
}

process.on("message", (order: Order) => {
  void answer(order).then((given) => process.send?.(given));
});
process.send?.({ suite: measured.suite });
