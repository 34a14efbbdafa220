/**
 * Comparing policies: whether one list allows more than another (`findAllowedBy`), in what they differ (`difference`), and
 * subsumption as a frame's `csp` attribute has it (`subsumes`).
 * @module
 */
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
export { type Subsumption, subsumes } from "./subsumption.ts";
