/** Blobs over HTTP: uploads that are interrupted and go on, ranges, quotas, ends. */

import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { createDeliveryService, diskBodies, serve } from "@conclave/delivery";
import { BlobResponse, bytesToText, ROUTES } from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  type Answer,
  type Bytes,
  call,
  eventually,
  newPerson,
  ORIGIN,
  random,
  register,
  startWorld,
  type World,
} from "../world.ts";

const MEBIBYTE = 1024 * 1024;
const HOUR = 60 * 60 * 1000;

let world: World;
let token: string;
let other: string;
beforeAll(async () => {
  world = await startWorld();
  token = await register(world, await newPerson("Uploader"));
  other = await register(world, await newPerson("Reader"));
});
afterAll(() => world.close());

/** All that is said on the console from now on, until mocks are restored. */
function consoleOf(): unknown[][] {
  const said: unknown[][] = [];
  for (const how of ["error", "info", "log", "warn"] as const) {
    vi.spyOn(console, how).mockImplementation((...words: unknown[]) => void said.push(words));
  }
  return said;
}

interface Place {
  readonly url: string;
}
type Headers = Record<string, string>;

async function create(
  place: Place,
  bearer: string,
  size: number,
  content: Bytes | undefined,
  headers: Headers = {},
): Promise<Answer> {
  return call(place, "POST", "/v1/blobs", {
    token: bearer,
    ...(content && { body: content }),
    headers: {
      "content-type": "application/octet-stream",
      "upload-complete": content?.length === size ? "?1" : "?0",
      "upload-length": String(size),
      ...headers,
    },
  });
}

async function append(
  place: Place,
  bearer: string,
  path: string,
  offset: number,
  content: Bytes,
  headers: Headers = {},
): Promise<Answer> {
  return call(place, "PATCH", path, {
    token: bearer,
    body: content,
    headers: {
      "content-type": "application/partial-upload",
      "upload-complete": "?0",
      "upload-offset": String(offset),
      ...headers,
    },
  });
}

function pathOf(answer: Answer): string {
  return answer.headers.get("location") ?? "";
}

/** A blob that is there; the answer is its path. */
async function upload(place: Place, bearer: string, content: Bytes): Promise<string> {
  const answer = await create(place, bearer, content.length, content);
  expect(answer.status).toBe(201);
  return pathOf(answer);
}

const get = (place: Place, bearer: string, path: string, headers: Headers = {}): Promise<Answer> =>
  call(place, "GET", path, { token: bearer, headers });
const head = (place: Place, bearer: string, path: string): Promise<Response> =>
  fetch(place.url + path, { method: "HEAD", headers: { authorization: `Bearer ${bearer}` } });

/** The files under which the disk has a blob's parts. */
async function filesOf(at: World, path: string): Promise<readonly string[]> {
  const id = Buffer.from(path.split("/").at(-1) ?? "", "base64url");
  const name = createHash("sha256").update(id).digest("hex");
  const folder = join(at.blobs, name.slice(0, 2), name);
  return (await readdir(folder).catch(() => [])).map((file) => join(folder, file));
}

describe("an upload", () => {
  it("in one request is a blob, which every device that has its id can fetch", async () => {
    const content = random(2 * MEBIBYTE + 17);
    const created = await create(world, token, content.length, content);
    expect(created.status).toBe(201);
    expect(created.headers.get("upload-complete")).toBe("?1");
    const { blobId, size, stored, expiresAt } = BlobResponse.parse(created.body);
    expect([size, stored]).toEqual([content.length, content.length]);
    expect(blobId).toHaveLength(32);
    expect(pathOf(created)).toBe(`/v1/blobs/${bytesToText(blobId)}`);
    expect(expiresAt).toBe(world.clock.now + 90 * 24 * HOUR);
    for (const bearer of [token, other]) {
      const { status, headers, body } = await get(world, bearer, pathOf(created));
      expect(status).toBe(200);
      expect(Buffer.compare(body, content)).toBe(0);
      expect(headers.get("content-length")).toBe(String(content.length));
      expect(headers.get("content-type")).toBe("application/octet-stream");
      expect(headers.get("content-disposition")).toBe("attachment");
      expect(headers.get("cache-control")).toBe("no-store");
    }
    expect((await call(world, "GET", pathOf(created))).problem.code).toBe("not-signed-in");
  });

  it("goes on from request to request, at the offset that the service has", async () => {
    const content = random(300_000);
    const created = await create(world, token, content.length, undefined);
    expect(created.status).toBe(201);
    expect(created.headers.get("upload-limit")).toBe(
      `max-size=${100 * MEBIBYTE}, min-append-size=65536, max-age=86400`,
    );
    const path = pathOf(created);
    let offset = 0;
    for (const end of [100_000, 200_000, 300_000]) {
      const asked = await head(world, token, path);
      expect(asked.status).toBe(204);
      expect(asked.headers.get("upload-offset")).toBe(String(offset));
      expect(asked.headers.get("upload-length")).toBe("300000");
      expect(asked.headers.get("upload-complete")).toBe("?0");
      // Nobody else sees it yet, and its own account can't fetch half of it.
      expect((await head(world, other, path)).status).toBe(404);
      expect((await get(world, token, path)).problem.code).toBe("not-found");
      const answer = await append(world, token, path, offset, content.slice(offset, end));
      expect(answer.status).toBe(200);
      offset = end;
      expect(answer.headers.get("upload-offset")).toBe(String(offset));
    }
    const asked = await head(world, other, path);
    expect(asked.status).toBe(200);
    expect(asked.headers.get("content-length")).toBe("300000");
    // Where an upload is, is its account's to know.
    expect(asked.headers.get("upload-offset")).toBeNull();
    expect(Buffer.compare((await get(world, other, path)).body, content)).toBe(0);
  });

  it("that broke off keeps what came, and is complete in the end", async () => {
    const content = random(3 * MEBIBYTE);
    const path = pathOf(await create(world, token, content.length, undefined));
    for (const [offset, sent] of [
      [0, MEBIBYTE + 500_000],
      [MEBIBYTE + 500_000, 70_000],
    ] as const) {
      await brokenAppend(world, token, path, offset, content.slice(offset, offset + sent));
      await eventually(async () => {
        const asked = await head(world, token, path);
        return asked.headers.get("upload-offset") === String(offset + sent);
      });
    }
    const at = MEBIBYTE + 570_000;
    const rest = await append(world, token, path, at, content.slice(at), {
      "upload-complete": "?1",
    });
    expect(rest.headers.get("upload-complete")).toBe("?1");
    expect(Buffer.compare((await get(world, other, path)).body, content)).toBe(0);
  });

  it("that broke off at its very last byte is not complete", async () => {
    const content = random(100_000);
    const path = pathOf(await create(world, token, content.length, undefined));
    const lines = world.lines.length;
    await brokenAppend(world, token, path, 0, content, { "transfer-encoding": "chunked" });
    await eventually(() => world.lines.length > lines);
    expect(world.lines.at(-1)).toMatchObject({ route: "appendBlob", status: 400 });
    const asked = await head(world, token, path);
    expect(asked.headers.get("upload-complete")).toBe("?0");
    expect((await append(world, token, path, 0, content)).status).toBe(200);
  });

  it("is the same upload again, by its idempotency key, wherever it was", async () => {
    const content = random(100_000);
    const key = { "idempotency-key": '"0123456789abcdef"' };
    const first = await create(world, token, content.length, undefined, key);
    const again = await create(world, token, content.length, undefined, key);
    expect(pathOf(again)).toBe(pathOf(first));
    await append(world, token, pathOf(first), 0, content.slice(0, 70_000));
    // The body is not taken a second time.
    const later = await create(world, token, content.length, content, key);
    expect([later.status, later.headers.get("upload-offset")]).toEqual([201, "70000"]);
    await append(world, token, pathOf(first), 70_000, content.slice(70_000));
    const done = await create(world, token, content.length, content, key);
    expect([pathOf(done), done.headers.get("upload-complete")]).toEqual([pathOf(first), "?1"]);
    expect((await create(world, token, 5, undefined, key)).problem.code).toBe("bad-request");
    const foreign = await create(world, other, content.length, undefined, key);
    expect(pathOf(foreign)).not.toBe(pathOf(first));
    expect((await get(world, token, pathOf(first))).body).toEqual(content);
  });

  it("takes one of many appends that meet at an offset, whole", async () => {
    const path = pathOf(await create(world, token, 200_000, undefined));
    const rivals = Array.from({ length: 6 }, () => random(100_000));
    const answers = await Promise.all(rivals.map((body) => append(world, token, path, 0, body)));
    const won = answers.findIndex(({ status }) => status === 200);
    const lost = answers.filter(({ status }) => status !== 200);
    expect(lost).toHaveLength(5);
    for (const { problem, headers } of lost) {
      expect(problem).toMatchObject({ code: "wrong-offset", offset: 100_000 });
      expect(headers.get("upload-offset")).toBe("100000");
      expect(headers.get("upload-complete")).toBe("?0");
    }
    const rest = random(100_000);
    await append(world, token, path, 100_000, rest);
    const { body } = await get(world, token, path);
    expect(body).toEqual(new Uint8Array([...(rivals[won] ?? []), ...rest]));
    // What the others put is gone again.
    expect(await filesOf(world, path)).toHaveLength(2);
  });

  it("is refused with offsets and lengths that are none", async () => {
    for (const length of ["", "-1", "1.5", "0x10", "1e3", "9".repeat(16), "9".repeat(400), "x"]) {
      const answer = await create(world, token, 1, undefined, { "upload-length": length });
      expect(answer.problem.code).toBe("bad-request");
    }
    expect((await create(world, token, 0, undefined)).problem.code).toBe("bad-request");
    const large = await create(world, token, 100 * MEBIBYTE + 1, undefined);
    expect(large.problem).toMatchObject({ code: "too-large", limit: 100 * MEBIBYTE });
    for (const key of ["short", '"short"', `"${"x".repeat(200)}"`, '"0123456789abcdef']) {
      const answer = await create(world, token, 1, undefined, { "idempotency-key": key });
      expect(answer.problem.code).toBe("bad-request");
    }
    const path = pathOf(await create(world, token, 200_000, undefined));
    for (const offset of ["-1", "1.5", "x", "9".repeat(30)]) {
      const answer = await append(world, token, path, 0, random(10), { "upload-offset": offset });
      expect(answer.problem.code).toBe("bad-request");
    }
    for (const offset of [1, 199_999, 200_000, 900_000_000]) {
      const answer = await append(world, token, path, offset, random(1));
      expect(answer.problem).toMatchObject({ code: "wrong-offset", offset: 0 });
    }
    const type = { "content-type": "application/octet-stream" };
    expect((await append(world, token, path, 0, random(9), type)).status).toBe(415);
    expect((await head(world, token, path)).headers.get("upload-offset")).toBe("0");
  });

  it("takes no more than its length, said or unsaid, and no crumbs", async () => {
    const path = pathOf(await create(world, token, 200_000, undefined));
    const long = await append(world, token, path, 0, random(200_001));
    expect(long.problem.code).toBe("bad-request");
    const lines = world.lines.length;
    await brokenAppend(world, token, path, 0, random(200_001), { "transfer-encoding": "chunked" });
    await eventually(() => world.lines.length > lines);
    expect(world.lines.at(-1)).toMatchObject({ route: "appendBlob", code: "bad-request" });
    const crumb = await append(world, token, path, 0, random(65_535));
    expect(crumb.problem).toMatchObject({ code: "bad-request", minAppendSize: 65_536 });
    expect(crumb.headers.get("upload-offset")).toBe("0");
    expect((await append(world, token, path, 0, random(65_536))).status).toBe(200);
    // The last of it may be as small as it is.
    expect((await append(world, token, path, 65_536, random(134_463))).status).toBe(200);
    expect((await append(world, token, path, 199_999, random(1))).status).toBe(200);
    expect((await append(world, token, path, 200_000, random(1))).problem.code).toBe("bad-request");
    const short = await create(world, token, 100_000, random(70_000), { "upload-complete": "?1" });
    expect(short.problem.code).toBe("bad-request");
    expect(short.headers.get("upload-offset")).toBe("70000");
  });

  it("is its account's alone", async () => {
    const path = pathOf(await create(world, token, 100_000, undefined));
    expect((await append(world, other, path, 0, random(100_000))).problem.code).toBe("not-found");
    expect((await call(world, "DELETE", path, { token: other })).problem.code).toBe("not-found");
    const done = await upload(world, token, random(100));
    expect((await call(world, "DELETE", done, { token: other })).problem.code).toBe("not-found");
    expect((await get(world, other, done)).status).toBe(200);
  });

  it("is held by no more than a part of it, however large it is and slow the client", async () => {
    const limited = await startWorld({ limits: { transfers: 3, transfersPerAccount: 2 } });
    const bearer = await register(limited, await newPerson("Slow"));
    const second = await register(limited, await newPerson("Second"));
    const mine = [await slowUpload(limited, bearer), await slowUpload(limited, bearer)];
    const content = random(100);
    // More than two of one account are refused, and of all more than three.
    const refused = await create(limited, bearer, 100, content);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    expect((await create(limited, second, 100, content)).status).toBe(201);
    const theirs = await slowUpload(limited, second);
    expect((await create(limited, second, 100, content)).status).toBe(429);
    for (const end of [...mine, theirs]) end();
    await eventually(async () => (await create(limited, bearer, 100, content)).status === 201);
    await limited.close();
  });

  it("is on its way beside few others of one address, whatever accounts it has", async () => {
    const limited = await startWorld({ limits: { transfersPerAddress: 2 } });
    const bearers: string[] = [];
    for (const name of ["One", "Two", "Three"]) {
      bearers.push(await register(limited, await newPerson(name)));
    }
    const [one = "", two = "", three = ""] = bearers;
    const end = await slowUpload(limited, one);
    await slowUpload(limited, two);
    const content = random(100);
    expect((await create(limited, three, 100, content)).status).toBe(429);
    end();
    await eventually(async () => (await create(limited, three, 100, content)).status === 201);
    await limited.close();
  });
});

/** An upload that goes on until it is ended. */
async function slowUpload(place: Place, bearer: string): Promise<() => void> {
  const path = pathOf(await create(place, bearer, 50 * MEBIBYTE, undefined));
  const outgoing = httpRequest(place.url + path, {
    method: "PATCH",
    headers: {
      authorization: `Bearer ${bearer}`,
      "content-type": "application/partial-upload",
      "content-length": String(50 * MEBIBYTE),
      "upload-offset": "0",
    },
  });
  outgoing.on("error", () => undefined);
  outgoing.write(random(MEBIBYTE + 100));
  await eventually(async () => {
    const asked = await head(place, bearer, path);
    return asked.headers.get("upload-offset") === String(MEBIBYTE);
  });
  return () => void outgoing.destroy();
}

/** An append whose connection breaks after these bytes, of which it promised one more. */
async function brokenAppend(
  place: Place,
  bearer: string,
  path: string,
  offset: number,
  content: Bytes,
  headers: Headers = { "content-length": String(content.length + 1) },
): Promise<void> {
  const outgoing = httpRequest(place.url + path, {
    method: "PATCH",
    headers: {
      authorization: `Bearer ${bearer}`,
      "content-type": "application/partial-upload",
      "upload-offset": String(offset),
      ...headers,
    },
  });
  outgoing.on("error", () => undefined);
  await new Promise((resolve) => outgoing.write(content, resolve));
  await new Promise((resolve) => setTimeout(resolve, 100));
  outgoing.destroy();
}

describe("a range", () => {
  it("is those bytes, over the borders of parts too", async () => {
    const content = random(2 * MEBIBYTE + 1000);
    const path = await upload(world, token, content);
    for (const [asked, from, to] of [
      ["bytes=0-0", 0, 1],
      ["bytes=1048575-1048576", MEBIBYTE - 1, MEBIBYTE + 1],
      ["bytes=500000-2097152", 500_000, 2 * MEBIBYTE + 1],
      ["bytes=2097152-", 2 * MEBIBYTE, content.length],
      ["bytes=-7", content.length - 7, content.length],
    ] as const) {
      const { status, headers, body } = await get(world, other, path, { range: asked });
      expect(status).toBe(206);
      expect(headers.get("content-range")).toBe(`bytes ${from}-${to - 1}/${content.length}`);
      expect(Buffer.compare(body, content.subarray(from, to))).toBe(0);
    }
    const beyond = await get(world, other, path, { range: `bytes=${content.length}-` });
    expect([beyond.status, beyond.problem.code]).toEqual([416, "range-not-satisfiable"]);
    expect(beyond.headers.get("content-range")).toBe(`bytes */${content.length}`);
    for (const headers of [
      { range: "bytes=0-1,5-6" },
      { range: "bytes=0-1", "if-range": '"something"' },
    ]) {
      const whole = await get(world, other, path, headers);
      expect([whole.status, whole.body.length]).toEqual([200, content.length]);
    }
  });
});

describe("a download", () => {
  it("ends where nobody takes from it, and is counted no longer", async () => {
    const limits = { blobPatience: 3_000, transfersPerAccount: 1 };
    const limited = await startWorld({ limits });
    const said = consoleOf();
    const bearer = await register(limited, await newPerson("Sleeper"));
    const path = await upload(limited, bearer, random(16 * MEBIBYTE));
    const outgoing = httpRequest(limited.url + path, {
      headers: { authorization: `Bearer ${bearer}` },
    });
    outgoing.on("error", () => undefined);
    const incoming = await new Promise<import("node:http").IncomingMessage>((resolve) => {
      outgoing.on("response", resolve).end();
    });
    expect(incoming.statusCode).toBe(200);
    expect((await get(limited, bearer, path)).status).toBe(429);
    await eventually(async () => {
      const { status } = await get(limited, bearer, path, { range: "bytes=0-0" });
      return status === 206;
    });
    const broken = new Promise((resolve) => incoming.on("error", resolve));
    incoming.resume();
    expect(await broken).toBeInstanceOf(Error);
    // Nothing failed: nothing is told on the console.
    expect(said).toEqual([]);
    await limited.close();
    vi.restoreAllMocks();
  });

  it("that its reader breaks off is told nowhere", async () => {
    const said = consoleOf();
    const path = await upload(world, token, random(16 * MEBIBYTE));
    for (const wanted of [1, 3 * MEBIBYTE]) {
      const outgoing = httpRequest(world.url + path, {
        headers: { authorization: `Bearer ${token}` },
      });
      outgoing.on("error", () => undefined);
      const incoming = await new Promise<import("node:http").IncomingMessage>((resolve) => {
        outgoing.on("response", resolve).end();
      });
      let taken = 0;
      for await (const chunk of incoming) {
        taken += (chunk as Buffer).length;
        if (taken >= wanted) break;
      }
      expect(taken).toBeLessThan(16 * MEBIBYTE);
      outgoing.destroy();
    }
    await eventually(() => world.service.status().requests === 0);
    // Both transfers ended, which a third and a fourth would have to wait for otherwise.
    expect((await get(world, token, path, { range: "bytes=0-0" })).status).toBe(206);
    expect(said).toEqual([]);
    vi.restoreAllMocks();
  });

  it("ends where somebody takes a little now and then, for hours", async () => {
    const limits = { transfersPerAccount: 1 };
    const limited = await startWorld({ limits });
    const bearer = await register(limited, await newPerson("Dripper"));
    const path = await upload(limited, bearer, random(4 * MEBIBYTE));
    const ask = () =>
      limited.service.fetch(
        new Request(ORIGIN + path, { headers: { authorization: `Bearer ${bearer}` } }),
        { address: "127.0.0.1" },
      );
    const seconds = 30 + (4 * MEBIBYTE) / 16_000;
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const reader = (await ask()).body?.getReader();
      for (let second = 0; second < seconds; second += 29) {
        expect((await reader?.read())?.value).toBeDefined();
        await vi.advanceTimersByTimeAsync(29_000);
      }
      await expect(reader?.read()).rejects.toThrow("too slow");
    } finally {
      vi.useRealTimers();
    }
    const again = await ask();
    expect(again.status).toBe(200);
    await again.body?.cancel();
    await limited.close();
  });

  it("of what was changed on the disk never ends well", async () => {
    const content = random(3 * MEBIBYTE);
    const path = await upload(world, token, content);
    const files = await Promise.all(
      (await filesOf(world, path)).map(async (file) => ({ file, bytes: await readFile(file) })),
    );
    const at = (offset: number): string =>
      files.find(({ bytes }) => bytes.equals(content.subarray(offset, offset + MEBIBYTE)))?.file ??
      "";
    await writeFile(at(2 * MEBIBYTE), random(MEBIBYTE));
    // The parts before it are as they were; then the connection breaks.
    const range = { range: `bytes=0-${2 * MEBIBYTE - 1}` };
    expect((await get(world, other, path, range)).status).toBe(206);
    await expect(get(world, other, path)).rejects.toThrow(TypeError);
    const last = await get(world, other, path, { range: "bytes=-1" });
    expect(last.problem.code).toBe("internal");
    expect(world.lines.at(-1)?.error).toContain("blobs.ts");
  });
});

describe("a quota", () => {
  it("holds exactly when 50 uploads begin at once, and comes back with what is deleted", async () => {
    const limited = await startWorld({ limits: { blobQuota: 1000, transfersPerAccount: 50 } });
    const bearer = await register(limited, await newPerson("Hoarder"));
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => create(limited, bearer, 30, random(30))),
    );
    const taken = answers.filter(({ status }) => status === 201);
    expect(taken).toHaveLength(33);
    const refused = answers.filter(({ status }) => status !== 201);
    expect(new Set(refused.map(({ problem }) => problem.code))).toEqual(new Set(["over-quota"]));
    expect((await create(limited, bearer, 11, random(11))).problem.code).toBe("over-quota");
    const path = pathOf(taken[0] as Answer);
    expect((await call(limited, "DELETE", path, { token: bearer })).status).toBe(204);
    expect((await create(limited, bearer, 40, random(40))).status).toBe(201);
    await limited.close();
  });
});

describe("the end of a blob", () => {
  it("is when its account deletes it: bytes and all", async () => {
    const path = await upload(world, token, random(100));
    expect(await filesOf(world, path)).toHaveLength(1);
    expect((await call(world, "DELETE", path, { token })).status).toBe(204);
    expect(await filesOf(world, path)).toEqual([]);
    for (const bearer of [token, other]) {
      const gone = await get(world, bearer, path);
      const never = await get(world, bearer, `/v1/blobs/${bytesToText(random(32))}`);
      expect(gone.body).toEqual(never.body);
      expect(gone.problem.code).toBe("not-found");
    }
    expect((await call(world, "DELETE", path, { token })).problem.code).toBe("not-found");
  });

  it("is when its time is over, and that of an upload much earlier", async () => {
    const timed = await startWorld();
    const bearer = await register(timed, await newPerson("Timed"));
    const path = await upload(timed, bearer, random(100));
    const begun = pathOf(await create(timed, bearer, 200_000, random(100_000)));
    const { store } = timed;
    const idOf = (at: string): Bytes =>
      new Uint8Array(Buffer.from(at.split("/").at(-1) ?? "", "base64url"));
    const day = timed.clock.now + 25 * HOUR;
    expect(await store.blob(idOf(begun), day)).toBeUndefined();
    expect(await store.blob(idOf(path), day)).toBeDefined();
    timed.clock.now = day;
    await timed.service.sweep();
    expect(await filesOf(timed, begun)).toEqual([]);
    expect(await filesOf(timed, path)).toHaveLength(1);
    timed.clock.now = day + 90 * 24 * HOUR;
    await timed.service.sweep();
    expect(await filesOf(timed, path)).toEqual([]);
    expect(await store.blobsToRemove(Number.MAX_SAFE_INTEGER, 9)).toEqual([]);
    await timed.close();
  });

  it("goes on past one whose bytes can't be removed, and comes back to it", async () => {
    const swept = await startWorld();
    const bearer = await register(swept, await newPerson("Stuck"));
    const paths: string[] = [];
    for (let i = 0; i < 3; i++) paths.push(await upload(swept, bearer, random(100)));
    swept.clock.now += 100 * 24 * HOUR;
    const bodies = diskBodies(swept.blobs);
    let stuck: string | undefined;
    const service = createDeliveryService({
      store: swept.store,
      publicOrigin: ORIGIN,
      allowedOrigins: [],
      now: () => swept.clock.now,
      blobs: {
        ...bodies,
        async remove(name) {
          stuck ??= name;
          if (stuck === name) throw new Error("the bucket says no");
          await bodies.remove(name);
        },
      },
    });
    const left = async () => (await Promise.all(paths.map((path) => filesOf(swept, path)))).flat();
    await expect(service.sweep()).rejects.toThrow("the bucket says no");
    expect(await left()).toHaveLength(1);
    await expect(service.sweep()).rejects.toThrow("the bucket says no");
    stuck = "";
    await service.sweep();
    expect(await left()).toEqual([]);
    await swept.close();
  });

  it("leaves nothing, whatever broke on the way", async () => {
    const swept = await startWorld();
    const { store, service, clock } = swept;
    const bearer = await register(swept, await newPerson("Swept"));
    const path = pathOf(await create(swept, bearer, 200_000, random(100_000)));
    // As after a crash between the file and the transaction: a part that no row knows.
    const [file = ""] = await filesOf(swept, path);
    await writeFile(join(file, "..", "ffff"), random(10));
    await writeFile(join(file, "..", "fffe.unfinished"), random(10));
    const id = new Uint8Array(Buffer.from(path.split("/").at(-1) ?? "", "base64url"));
    // As after one between the deletion and the removal of the bytes.
    const account = (await store.blob(id, clock.now))?.accountId ?? random(0);
    expect(await store.deleteBlob(id, account, clock.now)).toBe(true);
    await service.sweep();
    expect(await filesOf(swept, path)).toHaveLength(3);
    // Whatever was being put when it ended is over by then.
    clock.now += 16 * 60 * 1000;
    await service.sweep();
    expect(await filesOf(swept, path)).toEqual([]);
    expect(await store.blobsToRemove(Number.MAX_SAFE_INTEGER, 9)).toEqual([]);
    await swept.close();
  });
});

describe("a service without a place for blobs", () => {
  it("has none", async () => {
    const service = createDeliveryService({
      store: world.store,
      publicOrigin: ORIGIN,
      allowedOrigins: [],
    });
    const server = await serve(service, { port: 0 });
    const without = { url: `http://127.0.0.1:${server.port}` };
    const answer = await create(without, token, 10, random(10));
    expect(answer.problem.code).toBe("not-found");
    await service.sweep();
    await server.close();
  });
});

describe("the log of the service", () => {
  it("names no blob", async () => {
    const path = await upload(world, token, random(100));
    await get(world, other, path);
    expect(world.lines.at(-1)).toMatchObject({ route: "blob" satisfies keyof typeof ROUTES });
    expect(JSON.stringify(world.lines)).not.toContain(path.split("/").at(-1));
  });
});
