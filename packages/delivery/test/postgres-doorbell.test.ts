import { openPostgresDoorbell, type PostgresDoorbell, type Ring } from "@conclave/delivery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres } from "./postgres.ts";
import { eventually, random } from "./world.ts";

let server: PostgresServer;
let url: string;
let here: PostgresDoorbell;
let there: PostgresDoorbell;
const heardHere: Ring[] = [];
const heardThere: Ring[] = [];
beforeAll(async () => {
  server = await startPostgres();
  url = await server.database("empty");
  [here, there] = [await openPostgresDoorbell(url), await openPostgresDoorbell(url)];
  here.listen((ring) => heardHere.push(ring));
  there.listen((ring) => heardThere.push(ring));
});
afterAll(async () => {
  await Promise.all([here.close(), there.close()]);
  await server.stop();
});

/** What the other side hears up to a last ring, and this one did. */
async function passOn(rings: readonly Ring[]): Promise<Ring[]> {
  heardHere.length = 0;
  heardThere.length = 0;
  const last: Ring = { type: "signed-out", tokenHash: random(32) };
  for (const ring of [...rings, last]) here.ring(ring);
  await eventually(() => heardThere.some(({ type }) => type === "signed-out"));
  expect(heardHere).toEqual([...rings, last]);
  expect(heardThere.at(-1)).toEqual(last);
  return heardThere.slice(0, -1);
}

const growth = (head: number, groupId = random(16)): Ring => ({
  type: "group",
  groupId,
  head,
  joined: [],
  left: [],
});

describe("a doorbell over PostgreSQL", () => {
  it("is heard here at once, and in the other process as it was rung, once", async () => {
    const rings: Ring[] = [
      { ...growth(3), joined: [1, 2], left: [3] } as Ring,
      { type: "inbox", devices: [1] },
      { type: "contacts", devices: [1] },
      { type: "key-packages", devices: [1] },
      { type: "revoked", devices: [2, 2 ** 52] },
      { type: "signal", groupId: random(16), from: 5, accountId: random(32), body: random(1024) },
      { type: "all" },
    ];
    expect(await passOn(rings)).toEqual(rings);
  });

  it("says once where a group is that grew often", async () => {
    const groupId = random(16);
    const joined: Ring = { type: "group", groupId, head: 3, joined: [1], left: [] };
    const [one, other] = [growth(7, groupId), growth(2)];
    const rings = [growth(1, groupId), joined, growth(6, groupId), other, one];
    expect(await passOn(rings)).toEqual([joined, other, one]);
  });

  it("carries more than one payload holds, in parts that mean the same", async () => {
    const devices = Array.from({ length: 5000 }, (_, i) => 2 ** 52 + i);
    const [joined, left] = [devices.slice(0, 3000), devices.slice(2900)];
    const groupId = random(16);
    const heard = await passOn([
      { type: "group", groupId, head: 9, joined, left },
      { type: "inbox", devices: joined },
      ...Array.from({ length: 300 }, () => growth(1)),
    ]);
    const commits = heard.flatMap((ring) =>
      ring.type === "group" && ring.head === 9 ? [ring] : [],
    );
    expect(commits.flatMap((ring) => ring.joined)).toEqual(joined);
    expect(commits.flatMap((ring) => ring.left)).toEqual(left);
    // Who leaves and joins at once is told so at once.
    for (const ring of commits) {
      for (const device of ring.left.filter((one) => one < 2 ** 52 + 3000)) {
        expect(ring.joined).toContain(device);
      }
    }
    const inbox = heard.flatMap((ring) => (ring.type === "inbox" ? ring.devices : []));
    expect(inbox).toEqual(joined);
    expect(heard.filter((ring) => ring.type === "group" && ring.head === 1)).toHaveLength(300);
  });

  it("that was rung more often than it can carry tells all to look again", async () => {
    heardThere.length = 0;
    for (let i = 0; i < 5001; i++) here.ring(growth(i));
    await eventually(() => heardThere.length > 0);
    expect(heardThere).toEqual([{ type: "all" }]);
    expect(await passOn([growth(1)])).toMatchObject([{ head: 1 }]);
  });

  it("does not stumble over what it does not understand", async () => {
    for (const payload of ["", "no JSON", '[{"type":"newer"}]', '[{"type":"inbox"}]', "{}"]) {
      await server.query(`SELECT pg_notify('conclave_doorbell', '${payload}')`, url);
    }
    expect(await passOn([growth(4)])).toMatchObject([{ head: 4 }]);
  });

  it("hears all that it understands of what another version said in one", async () => {
    const beside = [{ type: "newer" }, { type: "signal", groupId: "AA", from: 1, body: "AA" }];
    const payload = JSON.stringify([beside[0], { type: "inbox", devices: [77] }, beside[1]]);
    heardThere.length = 0;
    await server.query(`SELECT pg_notify('conclave_doorbell', '${payload}')`, url);
    await eventually(() => heardThere.length > 0);
    expect(heardThere).toEqual([{ type: "inbox", devices: [77] }]);
  });

  it("is known as one, whatever name the URL has", async () => {
    const own = await openPostgresDoorbell(`${url}&application_name=mine`);
    const names = await server.query(
      "SELECT application_name AS name FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'",
      url,
    );
    await own.close();
    expect(names.length).toBeGreaterThan(0);
    expect(new Set(names.map(({ name }) => name))).toEqual(new Set(["conclave-doorbell"]));
  });

  it("connects again, and tells everybody to look at everything, since rings may be lost", async () => {
    heardHere.length = 0;
    heardThere.length = 0;
    await server.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'conclave-doorbell' ORDER BY pid LIMIT 1",
    );
    const isAll = (ring: Ring): boolean => ring.type === "all";
    await eventually(() => heardHere.some(isAll) && heardThere.some(isAll));
    expect(await passOn([growth(5)])).toMatchObject([{ head: 5 }]);
  });

  it("that can't be hung up at first says so", async () => {
    const nowhere = "postgres://someone:secret@localhost:1/nothing?host=/nowhere";
    const error = await openPostgresDoorbell(nowhere).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "StoreUnavailable" });
    expect(String(error)).not.toMatch(/secret|someone|nowhere/);
  });
});
