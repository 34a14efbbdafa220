import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { ORIGIN, startWorld } from "./world.ts";

const cwd = fileURLToPath(new URL("..", import.meta.url));
const readme = await readFile(join(cwd, "README.md"), "utf8");
const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, example = ""]) => example);

function run(program: string) {
  const args = ["--conditions=@conclave/source", "--input-type=module-typescript", "--eval"];
  return spawn(process.execPath, [...args, program], { cwd, stdio: ["ignore", "pipe", "inherit"] });
}

it("the README's example serves, and ends when it is told to", async () => {
  const folder = await mkdtemp(join(tmpdir(), "readme-"));
  // Only where it would be in the way of others is it changed.
  const program = (examples[0] ?? "")
    .replace("conclave.sqlite", join(folder, "store.sqlite"))
    .replace("port: 8443", "port: 0");
  const child = run(`${program}\nconsole.log("up", server.port);`);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const port = /^up (\d+)/.exec(line.toString())?.[1] ?? "";
  expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
  await rm(folder, { recursive: true });
}, 60_000);

it("the guide's example serves", async () => {
  const guide = await readFile(join(cwd, "../../docs/delivery.md"), "utf8");
  const [, example = ""] = /```ts\n(import .*?)```/s.exec(guide) ?? [];
  const folder = await mkdtemp(join(tmpdir(), "guide-"));
  const program = example
    .replace("conclave.sqlite", join(folder, "store.sqlite"))
    .replace("port: 8443", "port: 0");
  const child = run(`${program}\nconsole.log("up", server.port);`);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const port = /^up (\d+)/.exec(line.toString())?.[1] ?? "";
  expect((await fetch(`http://127.0.0.1:${port}/ready`)).status).toBe(200);
  child.kill("SIGKILL");
  await once(child, "exit");
  await rm(folder, { recursive: true });
}, 60_000);

it("the README's client registers, asks, and is refused with a code", async () => {
  const world = await startWorld();
  const program = against(world.url, examples[1] ?? "");
  const child = run(program);
  expect(await text(child.stdout)).toBe("0 groups\nnot-found false\n");
  await world.close();
});

it("the README's two devices have a group, and one reads what the other wrote", async () => {
  const world = await startWorld();
  const child = run(against(world.url, examples[2] ?? ""));
  expect(await text(child.stdout)).toBe("Hello\n");
  await world.close();
});

/** The example, as it asks the service at this address. */
function against(url: string, example: string): string {
  const there = `{ origin: "${ORIGIN}", fetch: (url, init) => fetch(url.replace("${ORIGIN}", "${url}"), init) }`;
  const program = example.replace('{ origin: "https://delivery.example.org" }', there);
  expect(program).not.toBe(example);
  return program;
}
