/**
 * The delivery service under load: real sockets and HTTP, the service and those who use it in processes of their own.
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureAccept, measureWrites } from "./delivery/accept.ts";
import { measureCommits, measureLoads } from "./delivery/commits.ts";
import { table } from "./delivery/figures.ts";
import { measureIdle } from "./delivery/idle.ts";
import { measureMessages, SETTINGS } from "./delivery/messages.ts";
import { wholeNumber } from "./options.ts";

const PARTS = ["accept", "writes", "commits", "loads", "messages", "idle"] as const;
type Part = (typeof PARTS)[number];

/** Of the groups that are loaded. */
const LEAVES = [5000, 50_000];

type Rows = readonly Readonly<Record<string, string>>[];

interface Options {
  readonly sockets: number;
  readonly seconds: number;
  /** Of the groups that have commits. */
  readonly members: readonly number[];
  /** The URL of a store that nothing is in. */
  readonly newStore: () => Promise<string>;
}

const MEASURES: { readonly [part in Part]: (options: Options) => Promise<Rows> } = {
  accept: async ({ newStore }) => measureAccept(await newStore()),
  writes: async ({ newStore }) => measureWrites(await newStore()),
  commits: async ({ newStore, members }) => measureCommits(await newStore(), members),
  loads: async ({ newStore }) => measureLoads(await newStore(), LEAVES),
  async idle({ newStore, sockets }) {
    const figures = await measureIdle(await newStore(), sockets);
    return figures.map(({ what, value }) => ({ [`${sockets} idle sockets`]: what, value }));
  },
  async messages({ newStore, seconds }) {
    const rows: Record<string, string>[] = [];
    for (const setting of SETTINGS) {
      rows.push(...(await measureMessages(await newStore(), setting, seconds)));
    }
    return rows;
  },
};

function isPart(name: string): name is Part {
  return (PARTS as readonly string[]).includes(name);
}

interface Stores {
  readonly newStore: () => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** Files on this disk, or a server that is started for this. */
async function storesOf(kind: string): Promise<Stores> {
  switch (kind) {
    case "sqlite": {
      const folder = mkdtempSync(join(tmpdir(), "delivery-"));
      let made = 0;
      return {
        newStore: async () => `sqlite:${join(folder, `${++made}.sqlite`)}`,
        stop: async () => rmSync(folder, { recursive: true }),
      };
    }
    case "postgres": {
      const { startPostgres } = await import("../packages/delivery/test/postgres.ts");
      const server = await startPostgres();
      return { newStore: () => server.database(), stop: server.stop };
    }
  }
  throw new RangeError("--store takes sqlite or postgres");
}

/** Prints a table for each part, or, with `--json`, a line for each row. */
export async function measureDelivery(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      store: { type: "string", default: "sqlite" },
      sockets: { type: "string", default: "10000" },
      seconds: { type: "string", default: "10" },
      members: { type: "string", default: "100,1000,10000" },
      json: { type: "boolean", default: false },
    },
  });
  for (const name of positionals) {
    if (!isPart(name)) throw new RangeError(`delivery has no part ${name}`);
  }
  const parts = PARTS.filter((part) => positionals.length === 0 || positionals.includes(part));
  const { newStore, stop } = await storesOf(values.store);
  const options = {
    sockets: wholeNumber(values.sockets, "sockets"),
    seconds: wholeNumber(values.seconds, "seconds"),
    members: values.members.split(",").map((text) => wholeNumber(text, "members")),
    newStore,
  };
  const machine = `Node ${process.versions.node}, ${cpus()[0]?.model}, ${cpus().length} processors, ${values.store}`;
  if (!values.json) console.log(`delivery: ${machine}\n`);
  try {
    for (const part of parts) {
      const rows = await MEASURES[part](options);
      if (!values.json) console.log(`${table(rows)}\n`);
      else for (const row of rows) console.log(JSON.stringify({ part, machine, ...row }));
    }
  } finally {
    await stop();
  }
}
