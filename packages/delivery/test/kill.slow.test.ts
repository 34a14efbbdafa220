import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LogResponse } from "@conclave/delivery/protocol";
import { expect, it } from "vitest";
import { bundleBody, newMember, postCommit, postMessage, readLog, startGroup } from "./member.ts";
import { type Answer, type Bytes, call, ORIGIN } from "./world.ts";

const KILLS = 4;
const WRITERS = 4;

async function start(file: string, port: number): Promise<{ child: ChildProcess; port: number }> {
  const script = fileURLToPath(new URL("child.ts", import.meta.url));
  const args = ["--conditions=@conclave/source", script, file, String(port), ORIGIN];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { child, port: Number(line.toString()) };
}

it("a service that is killed has everything it acknowledged, once and at its place", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kill-"));
  const file = join(folder, "store.sqlite");
  let { child, port } = await start(file, 0);
  const place = { url: `http://127.0.0.1:${port}` };
  let acknowledged = 0;
  let ended = false;

  /** Asks until there is an answer: with the same bytes each time. */
  async function persist(attempt: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        return await attempt();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  /** Commits and sends in a group of its own, and remembers what was acknowledged. */
  async function write(name: string): Promise<void> {
    const member = await newMember(place, name);
    const group = await startGroup(place, member);
    const { groupId } = group;
    const places = new Map<number, Bytes>();
    while (!ended) {
      const bundle = await group.commit();
      const body = await bundleBody(group, bundle);
      const committed = await persist(() => postCommit(place, member, groupId, body));
      expect(committed.status).toBe(201);
      places.set(committed.body.seq, bundle.commit);
      await group.receive(bundle.commit);
      const message = await group.send(new Uint8Array(Buffer.from("hello")));
      const sent = await persist(() => postMessage(place, member, groupId, message));
      expect(sent.status).toBe(201);
      places.set(sent.body.seq, message);
      acknowledged += 2;
    }
    const entries: LogResponse["entries"][number][] = [];
    for (let head = 1; entries.length < head; ) {
      const page = await readLog(place, member, groupId, entries.length);
      entries.push(...page.entries);
      head = page.head;
    }
    expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1));
    expect(entries.map(({ seq, message }) => [seq, message])).toEqual([...places]);
    const epochs = entries.flatMap(({ kind, epoch }) => (kind === "commit" ? [epoch] : []));
    expect(epochs).toEqual(epochs.map((_, i) => BigInt(i)));
  }

  try {
    const writers = Array.from({ length: WRITERS }, (_, i) => write(`Writer ${i}`));
    const killing = (async () => {
      for (let kill = 0; kill < KILLS; kill++) {
        const enough = acknowledged + 20 + Math.floor(Math.random() * 20);
        while (acknowledged < enough) await new Promise((resolve) => setTimeout(resolve, 1));
        child.kill("SIGKILL");
        await once(child, "exit");
        ({ child, port } = await start(file, port));
      }
      ended = true;
    })();
    await Promise.all([killing, ...writers]);
    expect((await call(place, "GET", "/health")).status).toBe(200);
    expect(acknowledged).toBeGreaterThan(KILLS * 20);
  } finally {
    ended = true;
    child.kill("SIGKILL");
    await once(child, "exit");
    await rm(folder, { recursive: true });
  }
}, 60_000);
