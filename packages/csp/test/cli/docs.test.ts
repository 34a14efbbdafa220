/** Runs what the guide shows, and compares what is printed. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sitesFolder } from "../make/site.ts";
import { csp, type Ran } from "./csp.ts";

const guide = readFileSync(new URL("../../../../docs/csp-cli.md", import.meta.url), "utf8");
const [, cases = ""] = /^```json\n(.*?)^```$/ms.exec(guide) ?? [];
const blocks = Array.from(guide.matchAll(/^```console\n(.*?)^```$/gms), ([, block = ""]) => block);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "csp-guide-"));
  writeFileSync(join(folder, "cases.json"), cases);
  cpSync(join(sitesFolder, "old"), join(folder, "site"), { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** As a shell does, as far as the guide needs it. */
function words(line: string): string[] {
  return Array.from(
    line.matchAll(/"([^"]*)"|(\S+)/g),
    ([, quoted, plain]) => quoted ?? plain ?? "",
  );
}

describe("docs/csp-cli.md", () => {
  test("shows commands", () => expect(blocks.length).toBeGreaterThan(6));

  test.each(blocks)("%s", async (block) => {
    let shown = "";
    let last: Ran | null = null;
    for (const [command = ""] of block.matchAll(/^\$ .*$/gm)) {
      shown += `${command}\n`;
      if (command === "$ echo $?") {
        shown += `${last?.code}\n`;
        continue;
      }
      const [name, ...args] = words(command.slice(2));
      expect(name).toBe("csp");
      last = await csp(args, { cwd: folder });
      shown += last.stdout + last.stderr;
    }
    expect(shown).toBe(block);
  });
});
