/** Something stands in the way that the operator can remove: the message is for them, and holds nothing secret. */
export class OperatorError extends Error {
  override readonly name: string = "OperatorError";
}
