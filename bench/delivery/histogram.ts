/**
 * How long things took, in buckets that each are two per cent wide: any number of them in the same memory.
 * @module
 */

export interface Summary {
  readonly count: number;
  /** In milliseconds, like the others. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Buckets for each doubling. */
const STEPS = 32;
/** From a microsecond on. */
const DOUBLINGS = 40;

export class Histogram {
  readonly #counts = new Float64Array(STEPS * DOUBLINGS);
  #count = 0;
  #max = 0;

  record(milliseconds: number): void {
    const bucket = Math.floor(Math.log2(Math.max(1, milliseconds * 1000)) * STEPS);
    const at = Math.min(bucket, this.#counts.length - 1);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#count++;
    this.#max = Math.max(this.#max, milliseconds);
  }

  /** The upper end of the bucket below which this share lies. */
  #quantile(share: number): number {
    let left = this.#count * share;
    for (const [bucket, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(2 ** ((bucket + 1) / STEPS) / 1000, this.#max);
    }
    return this.#max;
  }

  summary(): Summary {
    return {
      count: this.#count,
      p50: this.#quantile(0.5),
      p90: this.#quantile(0.9),
      p99: this.#quantile(0.99),
      max: this.#max,
    };
  }
}
