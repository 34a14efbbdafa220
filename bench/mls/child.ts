/**
 * One subject in a process of its own, so that it can be ended, and its memory told: it does what it is told to and answers how long
 * that took.
 * @module
 */

import { randomBytes } from "node:crypto";
import { resourceUsage } from "node:process";
import { promisify } from "node:util";
import type { Subject, Timed } from "./subject.ts";

/** What is timed. */
export type Measured = "addAll" | "join" | "commit" | "process" | "send" | "receive";

/** What the parent asks for. */
export type Order =
  | { readonly step: "setup"; readonly n: number; readonly joiners: number }
  | { readonly step: "enlist"; readonly places: readonly number[] }
  | { readonly step: "warmUp" }
  | { readonly step: "addAll"; readonly times: number }
  /** In each round so many commits, of which so many members process the last. */
  | {
      readonly step: "commits";
      readonly rounds: number;
      readonly commits: number;
      readonly joiners: number;
    }
  | { readonly step: "messages"; readonly rounds: number }
  | { readonly step: "join" }
  | { readonly step: "populate" | "populateAll" | "memory" | "others" };

export type Answer =
  | {
      /** One by one, by what was done. */
      readonly timed?: Partial<Record<Measured, readonly Timed[]>>;
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
    case "addAll": {
      const addAll: Timed[] = [];
      for (let i = 0; i < order.times; i++) addAll.push(await subject.addAll());
      return { timed: { addAll } };
    }
    case "join":
      return { timed: { join: [await subject.join()] } };
    case "commits": {
      const [commit, process]: [Timed[], Timed[]] = [[], []];
      for (let round = 0; round < order.rounds; round++) {
        for (let i = 0; i < order.commits; i++) commit.push(await subject.commit());
        for (let i = 0; i < order.joiners; i++) process.push(await subject.process());
      }
      return { timed: { commit, process } };
    }
    case "messages": {
      const [send, receive]: [Timed[], Timed[]] = [[], []];
      for (let round = 0; round < order.rounds; round++) {
        const [sent, received] = [await subject.send?.(), await subject.receive?.()];
        if (sent) send.push(sent);
        if (received) receive.push(received);
      }
      return { timed: { send, receive } };
    }
  }
}

const [name] = process.argv.slice(2);
const { subject } = (await import(`./${name}.ts`)) as { subject: () => Subject | Promise<Subject> };
const measured = await subject();
// The threads for work aside begin with the first such work: before this one is kept on a core, which they would be kept on too.
await promisify(randomBytes)(1);

async function answer(order: Order): Promise<Answer> {
  try {
    return { suite: measured.suite, ...(await done(measured, order)) };
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
