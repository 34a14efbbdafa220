/**
 * A process that offers functions to the one that started it.
 * @module
 */

import { fork } from "node:child_process";

interface Asked {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}
type Answered =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failed: string };

/** The functions, and how to end the process. */
export type Started<T> = T & { readonly end: () => void };

type Functions = Readonly<Record<string, (...args: never[]) => Promise<unknown>>>;

/** Starts the process whose main module calls `offer` with functions of the type that is named here. */
export function startProcess<T>(file: URL): Started<T> {
  const child = fork(file, {
    serialization: "advanced",
    execArgv: ["--conditions=@conclave/source", "--expose-gc"],
  });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let last = 0;
  child.on("message", (message) => {
    // Both ends are ours.
    const answer = message as Answered;
    const asked = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ("failed" in answer) asked?.reject(new Error(answer.failed));
    else asked?.resolve(answer.value);
  });
  child.on("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error("the process ended"));
  });
  return new Proxy({} as Started<T>, {
    get(_, name) {
      if (name === "end") return () => void child.kill();
      // A proxy that is awaited is asked for this.
      if (typeof name !== "string" || name === "then") return undefined;
      return (...args: readonly unknown[]) => {
        const answer = Promise.withResolvers<unknown>();
        waiting.set(++last, answer);
        child.send({ id: last, name, args } satisfies Asked);
        return answer.promise;
      };
    },
  });
}

async function answerTo({ id, name, args }: Asked, functions: Functions): Promise<Answered> {
  try {
    const asked = functions[name];
    if (asked === undefined) throw new Error(`there is no ${name}`);
    return { id, value: await asked(...(args as never[])) };
  } catch (error) {
    return { id, failed: error instanceof Error ? (error.stack ?? error.message) : "failed" };
  }
}

/** In the process itself. */
export function offer(functions: object): void {
  process.on("message", (message) => {
    void answerTo(message as Asked, functions as Functions).then((answer) =>
      process.send?.(answer),
    );
  });
  // Who started it is gone.
  process.on("disconnect", () => process.exit());
}

export interface Usage {
  /** Of this process, in seconds of a processor since it began. */
  readonly cpu: number;
  /** In bytes. */
  readonly rss: number;
  readonly heap: number;
  readonly external: number;
}

/** What is in use after garbage was collected. */
export function usage(): Usage {
  globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { cpu: (user + system) / 1e6, rss, heap: heapUsed, external };
}
