import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { conversation, createWorld, gather, texts, until, type World } from "./world.ts";

const RUNS = 4;

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

it("a process killed in the middle of sending loses nothing that it said it had, and doubles nothing", async () => {
  const [ada, ben] = [await world.person("Ada"), await world.person("Ben")];
  const id = await gather(ada, [ben]);
  await ben.close();
  const taken: string[] = [];
  for (let run = 0; run < RUNS; run++) {
    const child = spawn(
      process.execPath,
      [
        "--conditions=@conclave/source",
        fileURLToPath(new URL("./kill-child.ts", import.meta.url)),
        world.origin,
        join(world.folder, "Ben.db"),
        id,
        String(run),
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const enough = taken.length + 5 + 6 * run;
    for await (const line of createInterface(child.stdout)) {
      taken.push(line);
      if (taken.length >= enough) break;
    }
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  const again = await world.device("Ben");
  await until(again, async () => {
    const messages = await again.messages(id, { limit: 1000 });
    return messages.every(({ state }) => state !== "waiting");
  });
  const order = await texts(again, id);
  // What it had taken without having said so may be there as well, in its place.
  expect(order.filter((text) => taken.includes(text))).toEqual(taken);
  expect(new Set(order).size).toBe(order.length);
  await until(ada, async () => (await texts(ada, id)).join("\n") === order.join("\n"));
  expect((await conversation(ada, id)).warnings).toEqual([]);
});
