/**
 * Work that goes over everything, and is asked for more often than it is needed: one pass at a time, and one more for whatever came
 * while it went.
 * @module
 */

/** Asks for a pass. One that fails is tried again when it is asked for the next time. */
export function createPasses(pass: () => Promise<void>): () => void {
  let asked = false;
  let running = false;

  async function run(): Promise<void> {
    running = true;
    try {
      while (asked) {
        asked = false;
        await pass();
      }
    } catch {
      // The store does not answer: the next time it may.
    } finally {
      running = false;
    }
  }

  return () => {
    asked = true;
    if (!running) void run();
  };
}
