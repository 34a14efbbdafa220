/**
 * All that a store holds, table by table, in a form that both databases have: how it is taken from one to another.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "../bytes.ts";
import type { CopyMark } from "./store.ts";

/** What is yes or no is 1 or 0; a list of texts is JSON. */
export type Value = Bytes | bigint | string | null;
/** In the order of the table's columns. */
export type Row = readonly Value[];
export type ColumnType = "bytes" | "integer" | "text" | "boolean" | "texts";

export interface Table {
  readonly name: string;
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** The columns by which its rows are ordered, and told apart. None is a text: databases order them differently. */
  readonly key: readonly string[];
}

const DEVICE = { device: "integer" } as const;
const GROUP = { group_id: "bytes" } as const;

/**
 * Whatever a table refers to comes before it. `facts` is not here: what happened to a database, its last back-up for one, didn't
 * happen to another.
 */
export const TABLES: readonly Table[] = [
  {
    name: "accounts",
    columns: {
      account_id: "bytes",
      name: "text",
      name_key: "text",
      device_list: "bytes",
      version: "integer",
      hash: "bytes",
      expires_at: "integer",
      registration: "bytes",
      contact: "text",
      deleted_at: "integer",
      asked_at: "integer",
      disabled_at: "integer",
    },
    key: ["account_id"],
  },
  {
    name: "contacts",
    columns: {
      account_id: "bytes",
      peer_id: "bytes",
      state: "text",
      asked_at: "integer",
      changed_at: "integer",
    },
    key: ["account_id", "peer_id"],
  },
  {
    name: "backup_marks",
    columns: { account_id: "bytes", number: "integer", seal: "bytes" },
    key: ["account_id"],
  },
  {
    name: "invites",
    columns: { hash: "bytes", made_at: "integer", expires_at: "integer", spent_at: "integer" },
    key: ["hash"],
  },
  {
    name: "devices",
    columns: {
      ...DEVICE,
      account_id: "bytes",
      device_id: "bytes",
      signature_key: "bytes",
      sign_in_key: "bytes",
      revoked_at: "integer",
      inbox_head: "integer",
      instance: "bytes",
    },
    key: ["device"],
  },
  {
    name: "nonces",
    columns: { ...DEVICE, nonce: "bytes", expires_at: "integer" },
    key: ["device", "nonce"],
  },
  {
    name: "sessions",
    columns: { token_hash: "bytes", ...DEVICE, started_at: "integer", expires_at: "integer" },
    key: ["token_hash"],
  },
  {
    name: "key_packages",
    columns: {
      ref: "bytes",
      ...DEVICE,
      suite: "integer",
      not_before: "integer",
      not_after: "integer",
      last_resort: "boolean",
      key_package: "bytes",
      capabilities: "texts",
      served_at: "integer",
    },
    key: ["ref"],
  },
  {
    name: "key_package_refs",
    columns: { ref: "bytes", ...DEVICE, not_after: "integer" },
    key: ["ref"],
  },
  {
    name: "groups",
    columns: {
      ...GROUP,
      epoch: "integer",
      version: "integer",
      head: "integer",
      accepted_at: "integer",
      kept_from: "integer",
    },
    key: ["group_id"],
  },
  {
    name: "group_states",
    columns: { ...GROUP, state: "bytes", group_info: "bytes" },
    key: ["group_id"],
  },
  {
    name: "group_nodes",
    columns: {
      ...GROUP,
      node_index: "integer",
      from_epoch: "integer",
      to_epoch: "integer",
      node: "bytes",
    },
    key: ["group_id", "node_index", "from_epoch"],
  },
  {
    name: "past_states",
    columns: { ...GROUP, epoch: "integer", state: "bytes" },
    key: ["group_id", "epoch"],
  },
  {
    name: "log",
    columns: {
      ...GROUP,
      seq: "integer",
      epoch: "integer",
      kind: "text",
      hash: "bytes",
      message: "bytes",
      accepted_at: "integer",
    },
    key: ["group_id", "seq"],
  },
  {
    name: "members",
    columns: {
      ...GROUP,
      leaf_index: "integer",
      ...DEVICE,
      from_seq: "integer",
      until_seq: "integer",
      given_up: "boolean",
    },
    key: ["group_id", "leaf_index", "from_seq"],
  },
  {
    name: "links",
    columns: {
      link_id: "bytes",
      ...GROUP,
      expires_at: "integer",
      max_uses: "integer",
      uses: "integer",
      sealed_group_info: "bytes",
    },
    key: ["link_id"],
  },
  {
    name: "welcomes",
    columns: { ...GROUP, epoch: "integer", commit_seq: "integer", welcome: "bytes" },
    key: ["group_id", "epoch"],
  },
  {
    name: "inbox",
    columns: { ...DEVICE, seq: "integer", ...GROUP, epoch: "integer" },
    key: ["device", "seq"],
  },
  {
    name: "reports",
    columns: {
      ...GROUP,
      leaf_index: "integer",
      seq: "integer",
      report: "bytes",
      proven: "boolean",
    },
    key: ["group_id", "leaf_index"],
  },
  { name: "barred", columns: { ...GROUP, ...DEVICE }, key: ["group_id", "device"] },
  { name: "ended_groups", columns: GROUP, key: ["group_id"] },
  {
    name: "blobs",
    columns: {
      blob_id: "bytes",
      account_id: "bytes",
      request_key: "bytes",
      size: "integer",
      stored: "integer",
      expires_at: "integer",
      deleted_at: "integer",
    },
    key: ["blob_id"],
  },
  {
    name: "blob_parts",
    columns: { blob_id: "bytes", start: "integer", length: "integer", hash: "bytes", name: "text" },
    key: ["blob_id", "start"],
  },
  {
    name: "blob_usage",
    columns: { account_id: "bytes", bytes: "integer", blobs: "integer" },
    key: ["account_id"],
  },
];

/** How many rows are in memory at a time. A message of 1 MiB is the largest that most of them hold. */
export const ROWS = 64;

/** The tables of one database, in a transaction in which nobody else writes to them. */
export interface Contents {
  /** All rows in the order of the key, `ROWS` at a time. */
  readonly rows: (table: Table) => AsyncIterable<readonly Row[]>;
  readonly add: (table: Table, rows: readonly Row[]) => Promise<void>;
  /** Once all is there: the numbers that are given from now on were never given, and the service may run on it. */
  readonly complete: () => Promise<void>;
  /** When the copy was begun by which all came here; undefined where none was. */
  readonly arrival: () => Promise<number | undefined>;
  readonly noteArrival: (begun: number) => Promise<void>;
  /**
   * That all of it is on its way: durable at once, whatever becomes of the transaction; before anything was written in it. Where there is
   * a mark already, that is the answer, and stays.
   */
  readonly markCopying: (to: string, now: number) => Promise<CopyMark | undefined>;
  /** All of it is there for certain. */
  readonly markCopied: () => Promise<void>;
}

/** The marks, which are facts by the name of where all goes. */
const [COPYING, COPIED] = ["copying to ", "copied to "] as const;
const IS_MARK = `(name LIKE '${COPYING}%' OR name LIKE '${COPIED}%')`;
export const FIND_MARK: string = `SELECT name, at FROM facts WHERE ${IS_MARK}`;
export const UNMARK: string = `DELETE FROM facts WHERE ${IS_MARK}`;
export const END_MARK: string = `UPDATE facts SET name = '${COPIED}' || substr(name, ${COPYING.length + 1})
  WHERE name LIKE '${COPYING}%'`;

export function markName(to: string): string {
  return COPYING + to;
}

/** What `FIND_MARK` found. */
export function markOf(
  fact: { readonly name: string; readonly at: number } | undefined,
): CopyMark | undefined {
  if (fact === undefined) return undefined;
  const ended = fact.name.startsWith(COPIED);
  return { to: fact.name.slice((ended ? COPIED : COPYING).length), at: fact.at, ended };
}

/** The first table that has rows. */
export async function firstTaken(contents: Contents): Promise<string | undefined> {
  for (const table of TABLES) {
    for await (const rows of contents.rows(table)) if (rows.length > 0) return table.name;
  }
  return undefined;
}

export interface Progress {
  readonly table: string;
  readonly rows: number;
  readonly what: "copied" | "compared";
}

/**
 * Copies every row, then reads both sides again and compares every value. How many rows there are of each table. Throws where
 * the two differ: then the transaction of `to` is to be undone.
 */
export async function copyContents(
  from: Contents,
  to: Contents,
  onProgress: (progress: Progress) => void,
): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (const table of TABLES) {
    let count = 0;
    for await (const rows of from.rows(table)) {
      await to.add(table, rows);
      count += rows.length;
      onProgress({ table: table.name, rows: count, what: "copied" });
    }
    counts[table.name] = count;
  }
  await to.complete();
  for (const table of TABLES) {
    let count = 0;
    const copies = to.rows(table)[Symbol.asyncIterator]();
    for await (const rows of from.rows(table)) {
      const copied = await copies.next();
      if (copied.done === true || !isSame(rows, copied.value)) throw new Difference(table, count);
      count += rows.length;
      onProgress({ table: table.name, rows: count, what: "compared" });
    }
    if ((await copies.next()).done !== true) throw new Difference(table, count);
  }
  return counts;
}

/** The copy is not what was copied. */
export class Difference extends Error {
  override readonly name = "Difference";
  constructor({ name }: Table, row: number) {
    super(`${name} differs behind row ${row}`);
  }
}

function isSame(rows: readonly Row[], others: readonly Row[]): boolean {
  if (rows.length !== others.length) return false;
  return rows.every((row, i) => row.every((value, j) => isSameValue(value, others[i]?.[j])));
}

function isSameValue(value: Value, other: Value | undefined): boolean {
  if (value instanceof Uint8Array) return other instanceof Uint8Array && sameBytes(value, other);
  return value === other;
}
