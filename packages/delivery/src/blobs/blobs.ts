/**
 * Blobs: attachments that clients encrypted. The service sees bytes, how many, and whose device brought them.
 *
 * Uploads have the shape of draft-ietf-httpbis-resumable-upload: created with their length, appended to at an offset,
 * asked for it. Where an upload is, one row says, and a part counts with the transaction that moves it on, after
 * its bytes are durable: of appends that meet at one offset one wins, in whatever process they are.
 * @module
 */

import { createHash, randomBytes } from "node:crypto";
import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "../bytes.ts";
import type { Call, Handlers } from "../call.ts";
import type { Limits } from "../limits.ts";
import { createPermits } from "../permits.ts";
import { type BlobResponse, bytesToText, toJson } from "../protocol/index.ts";
import { addressKey } from "../rate-limit.ts";
import { notFound, Refusal } from "../refusal.ts";
import { sha256 } from "../sha256.ts";
import { BrokenOff } from "../slow-readers.ts";
import type { BlobPart, ListedDevice, Store, StoredBlob } from "../store/store.ts";
import type { BlobBodies } from "./bodies.ts";
import { byteRange } from "./range.ts";

/** The largest part, in bytes: what an upload or a download holds in memory. */
const PART = 1024 * 1024;
/** Of what a slow client is handed at a time, in bytes. */
const SLICE = 64 * 1024;
/** Parts that are looked up at a time. */
const PAGE = 64;
/** Blobs that a sweep looks up at a time. */
const SWEEP = 500;
/** Blobs that can't be removed, after which a sweep gives up. The next one begins behind them. */
const TROUBLE = 20;
/** What a download has to take, over all of it: bytes a millisecond. */
const RATE = 16;
/** No timer lasts longer, in milliseconds. */
const LONGEST = 2 ** 31 - 1;
/**
 * Between the end of a blob and the removal of the last of it, in milliseconds: longer than a part that is being put
 * meanwhile can take, so that nothing comes after it.
 */
const GRACE = 15 * 60 * 1000;

export interface Blobs {
  readonly handlers: Handlers<"createBlob" | "appendBlob" | "blob" | "deleteBlob">;
  /** Removes what is expired or deleted. Rejects where some of it could not be removed: what else there was is. */
  readonly sweep: () => Promise<void>;
}

/** By which the bodies know a blob. It is not its id: who sees the names of files can fetch nothing. */
function bodyOf(blobId: Bytes): string {
  return createHash("sha256").update(blobId).digest("hex");
}

export function createBlobs(service: {
  readonly store: Store;
  readonly bodies: BlobBodies | undefined;
  readonly limits: Limits;
  readonly now: () => number;
}): Blobs {
  const { store, limits, now } = service;
  /** Each holds one part in memory, for as long as its client is slow. */
  const transfers = createPermits(limits.transfers);
  /** Blobs that could not be removed since all were last tried. */
  const troubled = new Set<string>();

  /** Where this service keeps blobs; one that keeps none has no such routes. */
  function bodies(): BlobBodies {
    if (service.bodies === undefined) throw notFound();
    return service.bodies;
  }

  function stateHeaders({ blobId, stored, size, expiresAt }: StoredBlob): Record<string, string> {
    const age = Math.max(0, Math.floor((expiresAt - now()) / 1000));
    return {
      location: `/v1/blobs/${bytesToText(blobId)}`,
      "upload-complete": stored === size ? "?1" : "?0",
      "upload-offset": String(stored),
      "upload-length": String(size),
      "upload-limit": `max-size=${limits.blobSize}, min-append-size=${limits.blobAppend}, max-age=${age}`,
    };
  }

  function stateResponse(status: 200 | 201, blob: StoredBlob): Response {
    const { blobId, size, stored, expiresAt } = blob;
    return new Response(toJson({ blobId, size, stored, expiresAt } satisfies BlobResponse), {
      status,
      headers: { ...stateHeaders(blob), "content-type": "application/json" },
    });
  }

  async function own(device: ListedDevice, blobId: Bytes): Promise<StoredBlob> {
    const blob = await store.blob(blobId, now());
    if (blob === undefined || !sameBytes(blob.accountId, device.accountId)) throw notFound();
    return blob;
  }

  function wrongOffset(blob: StoredBlob): Refusal {
    return new Refusal("wrong-offset", "the upload is at another offset", {
      members: { offset: blob.stored },
      headers: stateHeaders(blob),
    });
  }

  /** Makes the bytes durable, then moves the upload on. */
  async function putPart(blob: StoredBlob, bytes: Bytes): Promise<StoredBlob> {
    const body = bodyOf(blob.blobId);
    const name = randomBytes(16).toString("hex");
    const part = { start: blob.stored, length: bytes.length, hash: sha256(bytes), name };
    await bodies().put(body, name, bytes);
    const at = now();
    const times = { now: at, keepUntil: at + limits.blobRetention };
    const next = await store.appendBlobPart(blob.blobId, part, times);
    if (next !== undefined && next !== "moved") return next;
    await bodies().removePart(body, name);
    const there = await store.blob(blob.blobId, at);
    throw there === undefined ? notFound() : wrongOffset(there);
  }

  /** Appends what comes, part by part. What came before a connection broke off stays, but for a last bit. */
  async function append(
    { request, stillSignedIn }: Call<"createBlob" | "appendBlob">,
    begun: StoredBlob,
  ): Promise<StoredBlob> {
    const left = begun.size - begun.stored;
    const tooLong = (): Refusal =>
      new Refusal("bad-request", "that is more than the blob has", { headers: stateHeaders(blob) });
    let blob = begun;
    if (Number(request.headers.get("content-length") ?? 0) > left) throw tooLong();
    let seen = 0;
    let filled = 0;
    const buffer = new Uint8Array(Math.min(PART, left));
    const flush = async (): Promise<void> => {
      await stillSignedIn();
      blob = await putPart(blob, buffer.slice(0, filled));
      filled = 0;
    };
    try {
      for await (const chunk of request.body ?? []) {
        seen += chunk.length;
        if (seen > left) throw tooLong();
        for (let at = 0; at < chunk.length; ) {
          // Full, and more comes: the part that completes a blob waits for the end of the request.
          if (filled === buffer.length) await flush();
          const taken = Math.min(buffer.length - filled, chunk.length - at);
          buffer.set(chunk.subarray(at, at + taken), filled);
          filled += taken;
          at += taken;
        }
      }
    } catch (error) {
      if (error instanceof Refusal) throw error;
      const completes = blob.stored + filled === blob.size;
      if (filled >= limits.blobAppend && !completes) await flush();
      throw new Refusal("bad-request", "the body broke off");
    }
    const completes = blob.stored + filled === blob.size;
    if (filled >= limits.blobAppend || (filled > 0 && completes)) await flush();
    else if (filled > 0) {
      throw new Refusal("bad-request", "too little was appended", {
        members: { minAppendSize: limits.blobAppend },
        headers: stateHeaders(blob),
      });
    }
    if (request.headers.get("upload-complete") === "?1" && blob.stored < blob.size) {
      throw new Refusal("bad-request", "that is less than the blob has", {
        headers: stateHeaders(blob),
      });
    }
    return blob;
  }

  function beginTransfer({ device, address }: Call<keyof Blobs["handlers"]>): () => void {
    const end = transfers.take([
      [`account ${bytesToText(device.accountId)}`, limits.transfersPerAccount],
      [`address ${addressKey(address)}`, limits.transfersPerAddress],
    ]);
    if (end !== undefined) return end;
    throw new Refusal("too-many-requests", "too many blobs are on their way", {
      headers: { "retry-after": "1" },
    });
  }

  async function transfer<T>(
    given: Call<"createBlob" | "appendBlob">,
    work: () => Promise<T>,
  ): Promise<T> {
    const end = beginTransfer(given);
    try {
      return await work();
    } finally {
      end();
    }
  }

  async function createBlob(given: Call<"createBlob">): Promise<Response> {
    const { request, device } = given;
    bodies();
    const length = numberFromHeader(request, "upload-length");
    const whole = request.headers.get("upload-complete") === "?1";
    const size = length ?? (whole ? numberFromHeader(request, "content-length") : undefined);
    if (size === undefined || size === 0) {
      throw new Refusal("bad-request", "an upload begins with its length, in Upload-Length");
    }
    const limit = `max-size=${limits.blobSize}, min-append-size=${limits.blobAppend}`;
    if (size > limits.blobSize) {
      throw new Refusal("too-large", "the blob is too large", {
        members: { limit: limits.blobSize },
        headers: { "upload-limit": limit },
      });
    }
    const key = request.headers.get("idempotency-key");
    if (key !== null && !/^"[\x21\x23-\x5b\x5d-\x7e]{16,128}"$/.test(key)) {
      throw new Refusal("bad-request", "an idempotency key is a string of 16 to 128 characters");
    }
    // Before there is anything: an upload that could not begin would take of the quota.
    return transfer(given, async () => {
      const at = now();
      const created = await store.createBlob({
        blobId: new Uint8Array(randomBytes(32)),
        accountId: device.accountId,
        requestKey: key === null ? new Uint8Array(randomBytes(32)) : sha256(Buffer.from(key)),
        size,
        expiresAt: at + limits.blobUpload,
        now: at,
        quota: { bytes: limits.blobQuota, blobs: limits.blobs },
      });
      if (created === "over-quota") {
        throw new Refusal("over-quota", "the account has as many blobs as it may have");
      }
      if (created === "key-in-use") {
        throw new Refusal("bad-request", "the idempotency key was used for another upload");
      }
      // The same request again, whose first part was taken: the answer says where to go on.
      if (created.stored > 0) return stateResponse(201, created);
      return stateResponse(201, await append(given, created));
    });
  }

  async function appendBlob(given: Call<"appendBlob">): Promise<Response> {
    const { request, params, device } = given;
    bodies();
    const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
    if (type !== "application/partial-upload") {
      throw new Refusal("unsupported-media-type", "the body has to be application/partial-upload");
    }
    const offset = numberFromHeader(request, "upload-offset");
    if (offset === undefined) throw new Refusal("bad-request", "Upload-Offset is missing");
    const blob = await own(device, params.blobId);
    if (blob.stored !== offset) throw wrongOffset(blob);
    return stateResponse(200, await transfer(given, () => append(given, blob)));
  }

  async function deleteBlob({ params, device }: Call<"deleteBlob">): Promise<undefined> {
    const { blobId } = params;
    const held = bodies();
    if (!(await store.deleteBlob(blobId, device.accountId, now()))) throw notFound();
    // What fails here, or comes meanwhile, the sweep finds.
    await held.remove(bodyOf(blobId)).catch(() => undefined);
  }

  /** A part's bytes, if they are those that were put. */
  async function getPart(blobId: Bytes, part: BlobPart): Promise<Bytes> {
    const bytes = await bodies().get(bodyOf(blobId), part.name);
    if (bytes === undefined) throw new Error("a part of a blob is missing");
    if (!sameBytes(sha256(bytes), part.hash))
      throw new Error("a part of a blob is not what was put");
    return bytes;
  }

  /** In slices, each part checked before the first of it leaves. */
  async function* read(blobId: Bytes, from: number, to: number): AsyncGenerator<Bytes, void> {
    for (let at = from; at < to; ) {
      const parts = await store.blobParts(blobId, at, PAGE);
      if (parts.length === 0) throw new Error("a part of a blob is not listed");
      for (const part of parts) {
        if (part.start >= to) return;
        const bytes = await getPart(blobId, part);
        const end = Math.min(part.length, to - part.start);
        for (let within = at - part.start; within < end; within += SLICE) {
          yield bytes.subarray(within, Math.min(within + SLICE, end));
        }
        at = part.start + part.length;
      }
    }
  }

  /**
   * A stream that ends when nobody takes from it for too long, or when all of its `length` took too long. `end` is called when
   * it is over.
   */
  function streamOf(
    slices: AsyncGenerator<Bytes, void>,
    first: Bytes,
    length: number,
    end: () => void,
  ) {
    let idle: NodeJS.Timeout | undefined;
    let late: NodeJS.Timeout | undefined;
    let next: Bytes | undefined = first;
    const over = async (): Promise<void> => {
      clearTimeout(idle);
      clearTimeout(late);
      end();
      await slices.return();
    };
    type Controller = ReadableStreamDefaultController<Bytes>;
    const breakOff = (controller: Controller, reason: string, after: number): NodeJS.Timeout =>
      setTimeout(() => {
        controller.error(new BrokenOff(reason));
        void over();
      }, after);
    const wait = (controller: Controller): void => {
      idle = breakOff(controller, "nobody reads", limits.blobPatience);
    };
    return new ReadableStream<Bytes>(
      {
        start(controller) {
          wait(controller);
          const most = Math.min(limits.blobPatience + length / RATE, LONGEST);
          late = breakOff(controller, "the reader is too slow", most);
        },
        async pull(controller) {
          clearTimeout(idle);
          try {
            const slice = next ?? (await slices.next()).value;
            next = undefined;
            if (slice === undefined) {
              controller.close();
              return await over();
            }
            controller.enqueue(slice);
          } catch (error) {
            await over();
            throw error;
          }
          wait(controller);
        },
        cancel: over,
      },
      { highWaterMark: 0 },
    );
  }

  async function blob(given: Call<"blob">): Promise<Response> {
    const { request, params, device } = given;
    bodies();
    const found = await store.blob(params.blobId, now());
    const owned = found !== undefined && sameBytes(found.accountId, device.accountId);
    if (found === undefined || (found.stored < found.size && !owned)) throw notFound();
    const { blobId, size } = found;
    const headers = {
      ...(owned && stateHeaders(found)),
      "accept-ranges": "bytes",
      "content-type": "application/octet-stream",
      "content-disposition": "attachment",
    };
    const complete = found.stored === size;
    if (request.method === "HEAD") {
      if (!complete) return new Response(null, { status: 204, headers: stateHeaders(found) });
      return new Response(null, { headers: { ...headers, "content-length": String(size) } });
    }
    if (!complete) throw notFound();
    // There are no validators: `If-Range` can't hold (RFC 9110 §13.1.5), and then all of it is the answer.
    const range = byteRange(
      request.headers.has("if-range") ? null : request.headers.get("range"),
      size,
    );
    if (range === "unsatisfiable") {
      throw new Refusal("range-not-satisfiable", "the blob has no such bytes", {
        headers: { "content-range": `bytes */${size}` },
      });
    }
    const { from, to } = range ?? { from: 0, to: size };
    const end = beginTransfer(given);
    try {
      const slices = read(blobId, from, to);
      // Read ahead of the answer: what is wrong with the first part is still told by a status.
      const first = await slices.next();
      const stream = streamOf(slices, first.value ?? new Uint8Array(), to - from, end);
      return new Response(stream, {
        status: range === undefined ? 200 : 206,
        headers: {
          ...headers,
          "content-length": String(to - from),
          ...(range && { "content-range": `bytes ${from}-${to - 1}/${size}` }),
        },
      });
    } catch (error) {
      end();
      throw error;
    }
  }

  return {
    handlers: { createBlob, appendBlob, blob, deleteBlob },
    async sweep() {
      const { bodies: held } = service;
      if (held === undefined) return;
      const failures: unknown[] = [];
      for (let more = true; more; ) {
        const limit = SWEEP + troubled.size;
        const ended = await store.blobsToRemove(now() - GRACE, limit);
        more = ended.length === limit;
        for (const blobId of ended) {
          const body = bodyOf(blobId);
          if (troubled.has(body)) continue;
          try {
            await held.remove(body);
          } catch (error) {
            troubled.add(body);
            failures.push(error);
            if (failures.length === TROUBLE) throw error;
            continue;
          }
          await store.forgetBlob(blobId);
        }
      }
      troubled.clear();
      if (failures.length > 0) throw failures[0];
    },
  };
}

/** A whole number from a header. What is none is the device's fault. */
function numberFromHeader(request: Request, name: string): number | undefined {
  const text = request.headers.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Refusal("bad-request", `${name} is no whole number`);
  return Number(text);
}
