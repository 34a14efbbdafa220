/**
 * What the service acknowledged, written down as it arrives, and what clients met besides.
 * @module
 */

import { createHash } from "node:crypto";
import type { Acknowledgement, Welcomed } from "./check.ts";

export interface Ledger {
  readonly acknowledged: Acknowledgement[];
  readonly welcomesSent: Welcomed[];
  readonly welcomesFound: Welcomed[];
  readonly claimed: string[];
  readonly stuck: string[];
  /** Attempts that had no answer, or one that says to try again, by what it was. */
  readonly retries: Map<string, number>;
  /** Answers that said no, as they may in a race, by their code. */
  readonly refusals: Map<string, number>;
}

export function newLedger(): Ledger {
  return {
    acknowledged: [],
    welcomesSent: [],
    welcomesFound: [],
    claimed: [],
    stuck: [],
    retries: new Map(),
    refusals: new Map(),
  };
}

export function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
