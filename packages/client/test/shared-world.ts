/**
 * One world for all tests of a file.
 */

import { afterAll, beforeAll } from "vitest";
import { createWorld, type World } from "./world.ts";

/** It is there from before the first test to behind the last. */
export function sharedWorld(options?: Parameters<typeof createWorld>[0]): World {
  let made: World | undefined;
  beforeAll(async () => {
    made = await createWorld(options);
  });
  afterAll(() => made?.close());
  const world = (): World => {
    if (!made) throw new Error("there is a world while tests run");
    return made;
  };
  return {
    get origin() {
      return world().origin;
    },
    get folder() {
      return world().folder;
    },
    device: (...given) => world().device(...given),
    person: (...given) => world().person(...given),
    startService: () => world().startService(),
    stopService: () => world().stopService(),
    close: () => world().close(),
  };
}
