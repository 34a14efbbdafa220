import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

it("the README's example serves, and ends when it is told to", async () => {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const readme = await readFile(join(cwd, "README.md"), "utf8");
  const folder = await mkdtemp(join(tmpdir(), "readme-"));
  const example = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? "";
  // Only where it would be in the way of others is it changed.
  const program = example
    .replace("conclave.sqlite", join(folder, "store.sqlite"))
    .replace("port: 8443", "port: 0");
  const args = ["--conditions=@conclave/source", "--input-type=module-typescript", "--eval"];
  const child = spawn(process.execPath, [...args, `${program}\nconsole.log("up", server.port);`], {
    cwd,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const port = /^up (\d+)/.exec(line.toString())?.[1] ?? "";
  expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
  await rm(folder, { recursive: true });
}, 60_000);
