/**
 * Code that is loaded when it is first used, and may not come: the network may be away, or the page older than what its server has.
 * @module
 */

/** It reaches the caller as it is: no message is at fault, and the same may succeed later. */
class LoadError extends Error {
  override readonly name = "LoadError";
}

/** A module, or an error that nobody takes for what a key or a message brought about. */
export async function loaded<T>(module: Promise<T>): Promise<T> {
  try {
    return await module;
  } catch (cause) {
    throw new LoadError("code that is needed could not be loaded", { cause });
  }
}

/** For who takes what a primitive throws as the fault of its input: throws what is not. */
export function passLoadError(cause: unknown): void {
  if (cause instanceof LoadError) throw cause;
}
