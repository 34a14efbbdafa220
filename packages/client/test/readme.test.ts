import { execFile } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { createWorld, type World } from "./world.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

it("the example in the README runs as it stands", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [, example = ""] = /```ts\n(.*?)```/su.exec(readme) ?? [];
  const code = example
    .replace("http://localhost:8441", world.origin)
    .replace("ada.db", join(world.folder, "readme.db"));
  // Within the package, so that its name leads to itself.
  const file = fileURLToPath(new URL(`./readme-example-${process.pid}.ts`, import.meta.url));
  writeFileSync(file, code);
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--conditions=@conclave/source", file],
      { timeout: 30_000 },
    );
    expect(stdout).toContain("Write these words down: 12 of them");
    expect(stdout).toContain("The kettle is on. (sent)");
  } finally {
    rmSync(file);
  }
});
