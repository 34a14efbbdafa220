import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const run = promisify(execFile);

/** What the scripts call, as far as it matters to them. */
const PROGRAMS = {
  "conclave-delivery": `echo database >"$2"`,
  pg_dump: `for word in "$@"; do case "$word" in --file=*) echo database >"\${word#--file=}";; esac; done`,
  pg_restore: "echo TABLE DATA",
  /** Cut off in the middle of a blob, where that is wanted. */
  cp: `/bin/cp "$@"; if [ -e "$ROOT/cut-off" ]; then printf half >"$ROOT/conclave-backup/blobs/aa/one"; exit 1; fi`,
};

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "back-up-"));
  await mkdir(join(root, "bin"));
  for (const [name, text] of Object.entries(PROGRAMS)) {
    await writeFile(join(root, "bin", name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  await mkdir(join(root, "conclave", "blobs", "aa"), { recursive: true });
  await mkdir(join(root, "conclave-backup"));
});
afterEach(() => rm(root, { recursive: true }));

const blob = (folder: "conclave" | "conclave-backup", name: string): string =>
  join(root, folder, "blobs", "aa", name);

describe.each(["backup", "dump"])("conclave-delivery-%s", (name) => {
  async function backUp(): Promise<unknown> {
    const text = await readFile(
      join(import.meta.dirname, `../../../../docs/delivery/conclave-delivery-${name}`),
      "utf8",
    );
    const PATH = `${join(root, "bin")}${delimiter}${process.env["PATH"]}`;
    return run("/bin/sh", ["-c", text.replaceAll("/var/lib/", `${root}/`)], {
      env: { ...process.env, PATH, ROOT: root },
    });
  }

  it("copies the blobs that are new, and leaves those that it has", async () => {
    await writeFile(blob("conclave", "one"), "whole");
    await backUp();
    await writeFile(blob("conclave-backup", "one"), "as it was");
    await writeFile(blob("conclave", "two"), "new");
    await backUp();
    expect(await readFile(blob("conclave-backup", "one"), "utf8")).toBe("as it was");
    expect(await readFile(blob("conclave-backup", "two"), "utf8")).toBe("new");
    const left = (await readdir(join(root, "conclave-backup"))).filter((one) => !/\d/.test(one));
    expect(left).toEqual(["blobs"]);
  });

  it("copies a blob again at which it was cut off", async () => {
    await writeFile(blob("conclave", "one"), "whole");
    await writeFile(join(root, "cut-off"), "");
    await expect(backUp()).rejects.toThrow("Command failed");
    expect(await readFile(blob("conclave-backup", "one"), "utf8")).toBe("half");
    await rm(join(root, "cut-off"));
    await backUp();
    expect(await readFile(blob("conclave-backup", "one"), "utf8")).toBe("whole");
  });
});
