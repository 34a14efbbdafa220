import fc from "fast-check";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ArrayElement, toBinaryArray } from "../../src/store/postgres-arrays.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";

let server: PostgresServer;
let client: pg.Client;
beforeAll(async () => {
  server = await startPostgres();
  client = new pg.Client({ connectionString: await server.database("empty") });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await server.stop();
});

/** What the server reads, as text. */
async function read(type: string, elements: readonly ArrayElement[]): Promise<unknown> {
  const { rows } = await client.query<{ element: string | null }>(
    `SELECT element::text FROM unnest($1::${type}) AS element`,
    [toBinaryArray(elements)],
  );
  return rows.map(({ element }) => element);
}

describe("arrays as parameters", () => {
  it("of bytes are what they were", async () => {
    const elements = fc.array(fc.option(fc.uint8Array(), { freq: 9 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(elements, async (given) => {
        // With nothing else in it, there is nothing to tell the type by.
        const bytes = [new Uint8Array([1]), ...given].map((one) => one && new Uint8Array(one));
        const text = bytes.map((one) => one && `\\x${Buffer.from(one).toString("hex")}`);
        expect(await read("bytea[]", bytes)).toEqual(text);
      }),
      { numRuns: 30 },
    );
  });

  it("of whole numbers are what they were", async () => {
    const numbers = fc.oneof(
      fc.maxSafeInteger(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    );
    const elements = fc.array(fc.option(numbers, { freq: 9 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(elements, async (given) => {
        expect(await read("bigint[]", given)).toEqual(given.map((one) => one?.toString() ?? null));
      }),
      { numRuns: 30 },
    );
    const edges = [
      0,
      -1,
      2 ** 32 - 1,
      2 ** 32,
      -(2 ** 32),
      -(2 ** 32) - 1,
      2 ** 53 - 1,
      -(2 ** 53) + 1,
    ];
    expect(await read("bigint[]", edges)).toEqual(edges.map(String));
  });

  it("have no number that would become another", () => {
    for (const number of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2n ** 63n]) {
      expect(() => toBinaryArray([number])).toThrow(RangeError);
    }
  });
});
