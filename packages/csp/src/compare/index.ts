/**
 * Comparing policies: whether one list allows more than another (`findAllowedBy`), in what they differ (`difference`), what
 * either or both allow (`union`, `intersection`), the same in fewer words (`shorten`), and subsumption as a frame's `csp`
 * attribute has it (`subsumes`).
 * @module
 */
export { intersection, type Union, union } from "./combine.ts";
export {
  type Allowance,
  type CompareOptions,
  type CounterExample,
  difference,
  findAllowedBy,
  type Policies,
  type PolicyDifference,
} from "./compare.ts";
export { ask, describe, type Question, type Setting } from "./question.ts";
export { type Shortened, type Shortening, type ShorteningReason, shorten } from "./shorten.ts";
export { type Subsumption, subsumes } from "./subsumption.ts";
