/**
 * Comparing policies.
 * @module
 */
export { type Subsumption, subsumes } from "./subsumption.ts";
