/**
 * How a transaction is given up with an answer.
 * @module
 */

/** Thrown in a transaction: undoes it, and `result` is its answer. */
export class Undo extends Error {
  readonly result: unknown;

  constructor(result: unknown) {
    super("the transaction is undone");
    this.result = result;
  }
}
