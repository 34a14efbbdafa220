/**
 * A primary and two standbys, made and mended with the commands of `docs/delivery-failover.md`, taken from that page as they stand there.
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chown, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../../../scripts/free-port.ts";
import { killServer, owner } from "../postgres.ts";
import { pause } from "./deployment.ts";

/** Its programs: Debian keeps them apart by version; elsewhere they are in the path. */
async function programs(): Promise<string> {
  const root = "/usr/lib/postgresql";
  const versions = await readdir(root).catch(() => []);
  for (const version of versions.sort((a, b) => Number(b) - Number(a))) {
    const folder = join(root, version, "bin");
    if (await exists(join(folder, "pg_rewind"))) return folder;
  }
  for (const folder of (process.env["PATH"] ?? "").split(":")) {
    if (await exists(join(folder, "pg_rewind"))) return folder;
  }
  throw new Error("there is no PostgreSQL with pg_basebackup and pg_rewind here");
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The named commands of the page: blocks that begin with "```sh NAME". */
async function readCommands(): Promise<ReadonlyMap<string, string>> {
  const page = new URL("../../../../docs/delivery-failover.md", import.meta.url);
  const blocks = (await readFile(page, "utf8")).matchAll(/^```sh (\S+)\n(.*?)^```$/gms);
  return new Map(Array.from(blocks, ([, name = "", script = ""]) => [name, script]));
}

export type NodeName = "a" | "b" | "c";

export interface Cluster {
  /** With all three hosts. */
  readonly url: string;
  readonly primary: () => NodeName;
  readonly standbys: () => readonly NodeName[];
  /** SIGKILL to a server and all its processes. */
  readonly kill: (node: NodeName) => Promise<void>;
  readonly start: (node: NodeName) => Promise<void>;
  /**
   * The page's five steps, where the primary is dead or is to die; `meanwhile` comes before the old one is taken back. Resolves when both
   * standbys count again.
   */
  readonly failOver: (meanwhile?: (old: NodeName) => Promise<void>) => Promise<void>;
  /** As if nobody had fenced it. */
  readonly unfence: (node: NodeName) => Promise<void>;
  /** What a statement prints, on that server, as superuser. */
  readonly query: (node: NodeName, sql: string) => Promise<string>;
  readonly close: () => Promise<void>;
}

const NODES: readonly NodeName[] = ["a", "b", "c"];
const ADDRESS = "127.0.0.1";

export async function startCluster(): Promise<Cluster> {
  const [bin, user, commands] = await Promise.all([programs(), owner(), readCommands()]);
  const folder = await mkdtemp(join(tmpdir(), "conclave-cluster-"));
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  const ports = new Map<NodeName, number>();
  for (const node of NODES) ports.set(node, await freePort());
  const data = (node: NodeName) => join(folder, node);
  const conninfo = (node: NodeName) => `host=${ADDRESS} port=${ports.get(node)}`;
  const keeper = await keep(folder, user);
  let primary: NodeName = "a";

  /** Runs commands of the page on a node, as its administrator. */
  async function administer(node: NodeName, ...names: readonly string[]): Promise<string> {
    let printed = "";
    for (const name of names) {
      const script = commands.get(name);
      if (script === undefined) throw new Error(`the page has no commands "${name}"`);
      printed = await shell(node, script);
    }
    return printed.trim();
  }

  async function shell(node: NodeName, script: string): Promise<string> {
    const child = spawn("bash", ["-euo", "pipefail", "-c", script], {
      ...user,
      cwd: folder,
      env: {
        PATH: `${bin}:${process.env["PATH"] ?? ""}`,
        HOME: folder,
        LC_ALL: "C.UTF-8",
        NODE: node,
        ADDRESS,
        PRIMARY: conninfo(primary),
        NETWORK: "127.0.0.1/32",
        PGDATA: data(node),
        PGHOST: ADDRESS,
        PGPORT: String(ports.get(node)),
        PGUSER: "postgres",
        PGCONNECT_TIMEOUT: "10",
        POSTGRES_PASSWORD: "superuser",
        REPLICATOR_PASSWORD: "replicator",
        CONCLAVE_PASSWORD: "conclave",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [output, errors] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0)
      throw new Error(`on ${node}, ended with ${code}: ${script}\n${output}${errors}`);
    return output;
  }

  const standbys = () => NODES.filter((node) => node !== primary);

  /** Until both standbys may be the one that a commit waits for. */
  async function whole(): Promise<void> {
    const all = standbys().map((node) => `${node}|streaming|quorum`);
    while ((await administer(primary, "standbys")) !== all.join("\n")) await pause(50);
  }

  async function query(node: NodeName, sql: string): Promise<string> {
    const psql = `psql --no-psqlrc --tuples-only --no-align --dbname=conclave --command=${quote(sql)}`;
    return (await shell(node, psql)).trim();
  }

  async function failOver(meanwhile?: (old: NodeName) => Promise<void>): Promise<void> {
    const old = primary;
    await administer(old, "fence");
    const places = await Promise.all(
      standbys().map(async (node) => ({ node, lsn: await administer(node, "cut") })),
    );
    const [first, second] = places;
    if (first === undefined || second === undefined) throw new Error("there are no standbys");
    const isFirst = await query(first.node, `SELECT '${first.lsn}'::pg_lsn >= '${second.lsn}'`);
    const [next, other] = isFirst === "t" ? [first, second] : [second, first];
    await administer(next.node, "promote");
    primary = next.node;
    await administer(other.node, "follow");
    await meanwhile?.(old);
    await administer(old, "rejoin");
    await whole();
  }

  const cluster: Cluster = {
    url: `postgres://conclave:conclave@${NODES.map((node) => `${ADDRESS}:${ports.get(node)}`).join()}/conclave`,
    primary: () => primary,
    standbys,
    kill: (node) => killServer(data(node)),
    async start(node) {
      await administer(node, "start");
    },
    failOver,
    unfence: (node) => rm(join(data(node), "standby.signal")),
    query,
    async close() {
      keeper.stdin?.end();
      await once(keeper, "exit");
    },
  };
  try {
    await administer("a", "passwords", "make-primary", "make-database");
    await Promise.all(standbys().map((node) => administer(node, "make-standby")));
    await whole();
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Ends the servers and deletes all when its input ends: the run is over, or was killed. */
const KEEPER = `cat >/dev/null
for file in "$1"/?/postmaster.pid; do
  [ -f "$file" ] && kill -QUIT "$(head -n 1 "$file")" 2>/dev/null
done
for file in "$1"/?/postmaster.pid; do
  for try in $(seq 100); do [ -f "$file" ] && sleep 0.1; done
done
rm -rf "$1"`;

async function keep(
  folder: string,
  user: Awaited<ReturnType<typeof owner>>,
): Promise<ChildProcess> {
  const keeper = spawn("sh", ["-c", KEEPER, "keeper", folder], {
    ...user,
    cwd: "/",
    stdio: ["pipe", "ignore", "ignore"],
    // A signal to the group of the tests does not reach it: their end does.
    detached: true,
  });
  await once(keeper, "spawn");
  return keeper;
}
