/** Storage whose client dies while it writes: before the batch is there, or when it is and nobody was told. */

import { type Batch, memoryStorage, type Storage } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";

export class Crash extends Error {
  override readonly name = "Crash";
}

export class CrashingStorage implements Storage {
  readonly #inner: Storage = memoryStorage();
  #next: "before" | "after" | undefined;
  #writes = 0;

  get writes(): number {
    return this.#writes;
  }

  /** What happens to the next batch. */
  crashOnce(when: "before" | "after" | undefined): void {
    this.#next = when;
  }

  get(key: string): Promise<Bytes | undefined> {
    return this.#inner.get(key);
  }

  list(prefix: string): Promise<ReadonlyMap<string, Bytes>> {
    return this.#inner.list(prefix);
  }

  async apply(batch: Batch): Promise<void> {
    const when = this.#next;
    this.#next = undefined;
    this.#writes++;
    if (when !== "before") await this.#inner.apply(batch);
    if (when) throw new Crash(`crashed ${when} a batch`);
  }
}
