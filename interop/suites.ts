/**
 * The cipher suites that both libraries have.
 * @module
 */

import { SUITES } from "@conclave/mls";
import { ciphersuites } from "ts-mls";

const THEIRS: ReadonlySet<number> = new Set(Object.values(ciphersuites));

/** By number. */
export const SHARED_SUITES: readonly number[] = [...SUITES.keys()].filter((suite) =>
  THEIRS.has(suite),
);
