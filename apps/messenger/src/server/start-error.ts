/** The messenger can't start, for a reason that the person who starts it can mend: the message is for them. */
export class StartError extends Error {
  override readonly name = "StartError";
}
