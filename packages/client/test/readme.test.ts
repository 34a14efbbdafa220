import { execFile } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { sharedWorld } from "./shared-world.ts";

const world = sharedWorld();

/** The first example of a document; what it prints. */
async function run(document: string, files: readonly string[]): Promise<string> {
  const text = readFileSync(new URL(document, import.meta.url), "utf8");
  const [, example = ""] = /```ts\n(.*?)```/su.exec(text) ?? [];
  let code = example.replace("http://localhost:8441", world.origin);
  for (const name of files) code = code.replaceAll(`"${name}"`, `"${join(world.folder, name)}"`);
  // Within the package, so that its name leads to itself.
  const file = fileURLToPath(new URL(`./readme-example-${process.pid}.ts`, import.meta.url));
  writeFileSync(file, code);
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--conditions=@conclave/source", file],
      { timeout: 30_000 },
    );
    return stdout;
  } finally {
    rmSync(file);
  }
}

it("the example in the README runs as it stands", async () => {
  const stdout = await run("../README.md", ["ada.db"]);
  expect(stdout).toContain("Write these words down: 12 of them");
  expect(stdout).toContain("The kettle is on. (sent)");
});

it("the example of a backup runs as it stands", async () => {
  const files = ["old.db", "fresh.db", "grace.backup"];
  const stdout = await run("../../../docs/client.md", files);
  expect(stdout).toContain("1 of 1 messages are new here");
});
