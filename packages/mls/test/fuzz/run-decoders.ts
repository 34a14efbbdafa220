/** Runs decoders over hostile inputs: each ends in a value or an `MlsError`, in bounds of time and memory. */

import { MlsError } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { bytesEqual, toHex } from "../../src/bytes.ts";
import type { Decoder } from "./decoders.ts";
import { hostile } from "./mutation.ts";
import { Random } from "./random.ts";

/** What an input may allocate: so much for each of its bytes, and something for the error or the tables beside. */
const MEMORY = { perByte: 1024, fixed: 512 * 1024 } as const;
/** One input is measured in so many. */
const MEASURED = 64;

export interface Tally {
  inputs: number;
  values: number;
  refused: number;
  measured: number;
  /** The most that an input was seen to allocate, in bytes for each of its own. */
  worst: number;
  slowest: number;
}

function used(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function shown(input: Bytes): string {
  const hex = toHex(input.subarray(0, 4096));
  return input.length > 4096 ? `${hex}… (${input.length} bytes)` : hex;
}

/** The nth input of a seed. Throws with it for whatever is a finding. */
export async function runInput(
  all: readonly Decoder[],
  seed: number,
  n: number,
  tally: Tally,
  options: { readonly measure: boolean; readonly longest: number },
): Promise<void> {
  const random = new Random(seed, n);
  const decoder = random.pick(all);
  const input = hostile(random, decoder.corpus);
  const finding = (what: string, cause?: unknown) =>
    new Error(`${decoder.name}, input ${n} of seed ${seed}: ${what}\n${shown(input)}`, { cause });
  const measure = options.measure && n % MEASURED === 0;
  const before = measure ? used() : 0;
  const started = performance.now();
  let again: Bytes | undefined;
  try {
    again = await decoder.run(input);
    tally.values++;
  } catch (error) {
    if (!(error instanceof MlsError)) throw finding(`ended in ${String(error)}`, error);
    tally.refused++;
  }
  const took = performance.now() - started;
  if (measure) {
    // Negative where the collector came by; then it says nothing.
    const grown = used() - before;
    const allowed = MEMORY.fixed + MEMORY.perByte * input.length;
    if (grown > allowed) throw finding(`${grown} bytes allocated where ${allowed} are allowed`);
    if (grown > 0) tally.measured++;
    if (input.length >= 64) tally.worst = Math.max(tally.worst, grown / input.length);
  }
  tally.slowest = Math.max(tally.slowest, took);
  if (took > options.longest) throw finding(`took ${took} ms`);
  if (again && !bytesEqual(again, input)) throw finding(`read, and written as ${shown(again)}`);
  tally.inputs++;
}

export function emptyTally(): Tally {
  return { inputs: 0, values: 0, refused: 0, measured: 0, worst: 0, slowest: 0 };
}
