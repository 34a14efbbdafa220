import { spawn } from "node:child_process";
import { once } from "node:events";
import { access } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { eventually } from "./world.ts";

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

it("a server for tests ends with the process that started it, however that ends", async () => {
  const script = fileURLToPath(new URL("postgres.ts", import.meta.url));
  const code = `const { startPostgres } = await import(${JSON.stringify(script)});
    const { pid, folder } = await startPostgres();
    process.stdout.write(JSON.stringify({ pid, folder }));
    setInterval(() => undefined, 1000);`;
  const args = ["--conditions=@conclave/source", "--input-type=module", "--eval", code];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const { pid, folder } = JSON.parse(line.toString()) as { pid: number; folder: string };
  expect(isThere(pid)).toBe(true);
  child.kill("SIGKILL");
  await eventually(() => !isThere(pid));
  await eventually(() =>
    access(folder).then(
      () => false,
      () => true,
    ),
  );
});
