import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const main = new URL("../../src/server/main.ts", import.meta.url).pathname;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "conclave-main-"));
});
afterEach(() => rm(folder, { recursive: true }));

function run(...args: readonly string[]) {
  const child = spawn(process.execPath, ["--conditions=@conclave/source", main, ...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  return new Promise<{ code: number | null; output: string; errors: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, output, errors }));
  });
}

test("--help lists every option", async () => {
  const { code, output } = await run("--help");
  expect(code).toBe(0);
  for (const option of [
    "--port",
    "--service-port",
    "--operator-port",
    "--host",
    "--data",
    "--tls",
    "--cert",
    "--key",
    "--public-origin",
    "--service-origin",
    "--log",
  ]) {
    expect(output).toContain(option);
  }
});

test("a wrong option is explained, with exit code 2", async () => {
  const { code, output, errors } = await run("--prot", "1");
  expect(code).toBe(2);
  expect(output).toBe("");
  expect(errors).toContain("--prot");
  expect(errors).toContain("--help");
  expect(errors).not.toContain("    at ");
});

test("a certificate that can't be read is explained, with exit code 1", async () => {
  await mkdir(join(folder, "data"));
  await writeFile(join(folder, "c.pem"), "no certificate");
  const { code, errors } = await run("--cert", "c.pem", "--key", "missing.pem");
  expect(code).toBe(1);
  expect(errors).toContain("can't be used");
  expect(errors).not.toContain("    at ");
});
