/**
 * A worker that does one thing after the other, sleeps when there is nothing to do, and tries again later
 * and later while something fails.
 * @module
 */

/** Sleep until the bell rings. */
export const IDLE: number = 2 ** 31 - 1;
/** The same again, after a pause that grows. */
export const AGAIN = -1;
/** The next thing at once; whether what failed before goes well now is still to be seen. */
export const ON = -2;

/** No other sleep is longer, in milliseconds, whatever a service or a clock that went back asks for: a timer of more than 2^31 would end at once. */
const LONGEST = 3_600_000;

export interface WorkerOptions {
  /** Does one thing; answers for how many milliseconds to sleep, `IDLE`, `AGAIN`, or `ON`. */
  readonly turn: () => Promise<number>;
  /** The shortest and the longest pause after a failure, in milliseconds. */
  readonly retry: readonly [least: number, most: number];
  /** Judges what a turn threw: how many milliseconds to wait at least, or `stop`. */
  readonly onError: (error: unknown) => number | "stop";
}

/** How long to wait before the next try, in milliseconds: longer after each failure, and never twice the same. */
export function backoff(
  [least, most]: readonly [least: number, most: number],
  failures: number,
): number {
  const wait = Math.min(most, least * 2 ** Math.min(failures, 16));
  return wait * (0.5 + Math.random() / 2);
}

export class Worker {
  readonly #options: WorkerOptions;
  #running: Promise<void> | undefined;
  #closed = false;
  #rung = false;
  #failures = 0;
  #wake: (() => void) | undefined;
  /** The end of what may not run side by side. */
  #busy: Promise<unknown> = Promise.resolve();

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** There is something to do. */
  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** What failed before may succeed now. */
  hurry(): void {
    this.#failures = 0;
    this.ring();
  }

  /** Does `work` while no turn is under way, also when there will be none any more. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => {});
    return done;
  }

  /** Resolves when the last turn is over. */
  async close(): Promise<void> {
    this.#closed = true;
    this.ring();
    await this.#running;
    await this.#busy;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#rung = false;
      let pause: number;
      try {
        pause = await this.alone(this.#options.turn);
        if (pause === AGAIN) pause = this.#backoff(0);
        else if (pause !== ON) this.#failures = 0;
      } catch (error) {
        if (this.#closed) return;
        const least = this.#options.onError(error);
        if (least === "stop") return;
        pause = this.#backoff(least);
      }
      if (pause > 0) await this.#sleep(pause);
    }
  }

  #backoff(atLeast: number): number {
    return Math.max(atLeast, backoff(this.#options.retry, this.#failures++));
  }

  async #sleep(milliseconds: number): Promise<void> {
    if (this.#rung || this.#closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(
      resolve,
      milliseconds === IDLE ? IDLE : Math.min(milliseconds, LONGEST),
    );
    await promise;
    clearTimeout(timer);
    this.#wake = undefined;
  }
}
