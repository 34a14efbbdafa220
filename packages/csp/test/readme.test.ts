/** Runs every example of the README and the guides; lines after `// →` are what it prints. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const packageFolder = fileURLToPath(new URL("..", import.meta.url));

describe.each([
  "README.md",
  "../../docs/csp.md",
  "../../docs/csp-collector.md",
  "../../docs/csp-comparing.md",
  "../../docs/csp-generate.md",
])("%s", (file) => {
  const text = readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
  const examples = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);

  test("has examples", () => expect(examples.length).toBeGreaterThan(0));

  test.each(examples.entries().toArray())("example %i", { timeout: 30_000 }, async (_, code) => {
    const printed = [...code.matchAll(/^\/\/ → (.*)$/gm)].map(([, line]) => `${line}\n`).join("");
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        "--conditions=@conclave/source",
        "--input-type=module-typescript",
        "--eval",
        // An example with a server would run for ever.
        `${code}\nprocess.exit();`,
      ],
      { cwd: packageFolder },
    );
    expect(stdout).toBe(printed);
  });
});
