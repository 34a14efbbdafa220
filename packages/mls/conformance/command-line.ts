/**
 * What the commands that test and try have in common: wrong options end in one line and the usage, with exit code 2; `--help` says it.
 * @module
 */

/** A command line that asks for what there isn't. */
class UsageError extends Error {}

/** A whole number that an option says, `least` at least. */
export function wholeNumber(option: string, said: string, least = 0): number {
  const number = Number(said);
  if (said.trim() === "" || !Number.isSafeInteger(number) || number < least) {
    throw new UsageError(`--${option} takes a whole number from ${least} on, not "${said}"`);
  }
  return number;
}

/** One of a few words. */
export function oneOf<T extends string>(option: string, said: string, words: readonly T[]): T {
  const word = words.find((one) => one === said);
  if (word === undefined)
    throw new UsageError(`--${option} is ${words.join(" or ")}, not "${said}"`);
  return word;
}

/** What `parse` makes of the command line; where that asks for the usage, or is wrong, the process ends with it. */
export function orUsage<T>(usage: string, parse: () => T): T {
  if (process.argv.slice(2).some((word) => word === "--help" || word === "-h")) {
    console.log(`usage: ${usage}`);
    return process.exit(0);
  }
  try {
    return parse();
  } catch (error) {
    const isOfOptions =
      error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
    if (!(error instanceof UsageError) && !isOfOptions) throw error;
    console.error(`${error.message}\nusage: ${usage}`);
    return process.exit(2);
  }
}
