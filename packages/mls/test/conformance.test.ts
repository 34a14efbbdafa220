import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { MISSING, vectorsFolder } from "../conformance/fetch.ts";
import { runFolder } from "../conformance/main.ts";
import { runVectors } from "../conformance/run.ts";
import { type Case, kindOf, parseVectors } from "../conformance/vectors.ts";

const folder = vectorsFolder();

/** The places of a case's values, by their path; list indices are left out, so that each kind of field comes once. */
function places(value: unknown, path: readonly string[] = []): Map<string, readonly string[]> {
  if (typeof value !== "object" || value === null) {
    const field = path.filter((step) => !/^\d+$/.test(step)).join(".");
    return value === "" || value === null ? new Map() : new Map([[field, path]]);
  }
  return new Map(
    Object.entries(value).flatMap(([key, inner]) => [...places(inner, [...path, key])]),
  );
}

/** A copy with the first digit of the value at `path` changed. */
function corrupted(value: unknown, [key, ...rest]: readonly string[]): unknown {
  if (typeof value === "number") return value + 1;
  if (typeof value === "bigint") return value + 1n;
  if (typeof value === "string") {
    return (value.startsWith("0") ? "1" : "0") + value.slice(1);
  }
  if (key === undefined) return value;
  if (Array.isArray(value)) {
    return value.map((inner, i) => (String(i) === key ? corrupted(inner, rest) : inner));
  }
  const from = value as Case;
  return { ...from, [key]: corrupted(from[key], rest) };
}

const bench = { crypto: nodeCrypto };

async function passes(vector: Case): Promise<boolean> {
  return (
    kindOf(vector)
      ?.check(bench, vector)
      .then(
        () => true,
        () => false,
      ) ?? false
  );
}

/** The shortest case of each kind. */
async function samples(from: string): Promise<Map<string, Case>> {
  const found = new Map<string, Case>();
  for (const file of readdirSync(from).filter((name) => name.endsWith(".json"))) {
    const cases = parseVectors(readFileSync(join(from, file), "utf8"));
    for (const vector of cases.filter((one) => places(one).size < 100).slice(0, 12)) {
      const name = kindOf(vector)?.name ?? "unknown";
      const known = found.get(name);
      if (known && places(known).size >= places(vector).size) continue;
      if (await passes(vector)) found.set(name, vector);
    }
  }
  return found;
}

/** Where another value is as good: it is only written again as it was read, signs what nobody checks, or is not needed. */
const AS_GOOD: ReadonlySet<string> = new Set([
  "messages: add_proposal",
  "messages: remove_proposal",
  "passive-client: signature_priv",
  "treekem: leaves_private.signature_priv",
  "tree-operations: proposal_sender",
]);

describe("the working group's test vectors", () => {
  it("pass", { timeout: 180_000 }, async (ctx) => {
    if (!folder) return ctx.skip(MISSING);
    const lines: string[] = [];
    const { passed, failed } = await runFolder(folder, (line) => lines.push(line));
    expect(lines.filter((line) => !/, 0 failed, /.test(line))).toEqual([]);
    expect(failed).toBe(0);
    expect(passed).toBeGreaterThanOrEqual(785);
  });

  it("fail when any one value is changed", async (ctx) => {
    if (!folder) return ctx.skip(MISSING);
    const kinds = await samples(folder);
    expect(kinds.size).toBe(14);
    const unnoticed: string[] = [];
    for (const [name, vector] of kinds) {
      for (const [field, path] of places(vector)) {
        if (field === "cipher_suite" || AS_GOOD.has(`${name}: ${field}`)) continue;
        if (await passes(corrupted(vector, path) as Case)) {
          unnoticed.push(`${name}: ${field}`);
        }
      }
    }
    expect(unnoticed).toEqual([]);
  });

  it("count as failed where a file holds none", async () => {
    expect(kindOf({ something: "else" })).toBeUndefined();
    expect(parseVectors("{}")).toEqual([]);
    expect(await runVectors(bench, "{}")).toMatchObject({ passed: 0, failed: 1 });
    const unreadable = { passed: 0, failed: 1, reasons: [expect.stringContaining("SyntaxError")] };
    expect(await runVectors(bench, "[{")).toMatchObject(unreadable);
    expect(await runVectors(bench, '[null, 3, "x"]')).toMatchObject({ passed: 0, failed: 3 });
  });
});
