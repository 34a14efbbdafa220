/** Blobs of a service that keeps them in a bucket. */

import { s3Bodies } from "@conclave/delivery";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type Answer,
  type Bytes,
  call,
  newPerson,
  random,
  register,
  startWorld,
  type World,
} from "../world.ts";
import { type S3Server, startS3Server } from "./s3-server.ts";

const MEBIBYTE = 1024 * 1024;

let s3: S3Server;
let world: World;
let token: string;
beforeAll(async () => {
  s3 = await startS3Server();
  world = await startWorld({ blobs: s3Bodies(s3.options) });
  token = await register(world, await newPerson("Uploader"));
});
afterAll(async () => {
  await world.close();
  await s3.close();
});

const upload = (content: Bytes, size = content.length): Promise<Answer> =>
  call(world, "POST", "/v1/blobs", {
    token,
    body: content,
    headers: { "content-type": "application/octet-stream", "upload-length": String(size) },
  });
const append = (path: string, offset: number, content: Bytes): Promise<Answer> =>
  call(world, "PATCH", path, {
    token,
    body: content,
    headers: { "content-type": "application/partial-upload", "upload-offset": String(offset) },
  });
const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
  call(world, "GET", path, { token, headers });

it("a blob goes up in parts and comes down in ranges, and nothing of it is left when it is deleted", async () => {
  const content = random(2 * MEBIBYTE + 9);
  const created = await upload(content.slice(0, MEBIBYTE), content.length);
  const path = created.headers.get("location") ?? "";
  expect((await append(path, MEBIBYTE, content.slice(MEBIBYTE))).status).toBe(200);
  expect(Buffer.compare((await get(path)).body, content)).toBe(0);
  const range = await get(path, { range: `bytes=${MEBIBYTE - 1}-${MEBIBYTE}` });
  expect(range.body).toEqual(content.slice(MEBIBYTE - 1, MEBIBYTE + 1));
  // Its id is in no address of the store's.
  const id = path.split("/").at(-1) ?? "no id";
  expect(s3.requests.filter((line) => line.startsWith("PUT "))).toHaveLength(3);
  expect(s3.requests.join()).not.toContain(id);
  expect((await call(world, "DELETE", path, { token })).status).toBe(204);
  const before = s3.requests.length;
  await s3Bodies(s3.options).remove("");
  expect(s3.requests.slice(before).filter((line) => line.startsWith("DELETE "))).toEqual([]);
});

it("the store is away: that is told, what was stored counts, and the upload goes on when it is back", async () => {
  const content = random(200_000);
  const created = await upload(content.slice(0, 100_000), content.length);
  const path = created.headers.get("location") ?? "";
  Object.assign(s3.failing, { count: 1000, status: 503 });
  const away = await append(path, 100_000, content.slice(100_000));
  expect([away.status, away.problem.code]).toEqual([503, "unavailable"]);
  // It can't be removed now: the sweep will.
  const other = (await upload(random(10)).catch(() => undefined))?.status;
  expect(other).toBe(503);
  s3.failing.count = 0;
  expect((await append(path, 100_000, content.slice(100_000))).status).toBe(200);
  s3.failing.count = 1000;
  expect((await get(path)).problem.code).toBe("unavailable");
  expect((await call(world, "DELETE", path, { token })).status).toBe(204);
  s3.failing.count = 0;
  expect((await get(path)).problem.code).toBe("not-found");
  world.clock.now += 16 * 60 * 1000;
  const before = s3.requests.length;
  await world.service.sweep();
  const removed = s3.requests.slice(before).filter((line) => line.startsWith("DELETE "));
  expect(removed).toHaveLength(2);
});
