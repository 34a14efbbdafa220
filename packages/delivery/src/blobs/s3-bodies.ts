/**
 * Blobs in a bucket of a store that speaks S3's protocol: one object a part. Multipart uploads are not used: their
 * parts are replaced by number, so that of two writers the one that lost could still overwrite what the other
 * was told is safe, and an object a part needs no second step that could be left undone.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { AwsClient } from "aws4fetch";
import { StoreUnavailable } from "../store/store.ts";
import type { BlobBodies } from "./bodies.ts";

export interface S3Options {
  /** Of the store, without the bucket: `https://s3.eu-central-1.amazonaws.com`. Buckets are addressed by path. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** What the names of objects begin with; nothing unless given. */
  readonly prefix?: string;
}

/** Of one attempt, in milliseconds. */
const PATIENCE = 30_000;
const ATTEMPTS = 4;
/** Before the second attempt, in milliseconds; each later pause is twice as long. */
const PAUSE = 100;

export function s3Bodies(options: S3Options): BlobBodies {
  const { endpoint, bucket, region, accessKeyId, secretAccessKey, prefix = "" } = options;
  if (!/^[\w./-]*$/.test(prefix))
    throw new TypeError("the prefix has other than letters, digits, . _ - and /");
  const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3" });
  const home = `${endpoint.replace(/\/+$/, "")}/${encodeURIComponent(bucket)}`;
  const path = (name: string): string => name.split("/").map(encodeURIComponent).join("/");
  const nameOf = (blob: string, part: string): string => `${prefix}${blob}/${part}`;
  const urlOf = (name: string): string => `${home}/${path(name)}`;

  /** Asks again where the store is busy or can't be reached. The answer's status is one of `expected`. */
  async function ask(
    method: "GET" | "PUT" | "DELETE",
    url: string,
    expected: readonly number[],
    body?: Bytes,
  ): Promise<{ readonly status: number; readonly content: Bytes }> {
    const digest = await crypto.subtle.digest("SHA-256", body ?? new Uint8Array());
    let reason = "was not reached";
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const pause = Math.random() * PAUSE * 2 ** attempt;
      if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      const request = await client.sign(url, {
        method,
        // Signed with the rest: the store refuses a body that is not the one that was meant.
        headers: { "x-amz-content-sha256": Buffer.from(digest).toString("hex") },
        ...(body && { body }),
      });
      try {
        const response = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) });
        const content = new Uint8Array(await response.arrayBuffer());
        const { status } = response;
        if (expected.includes(status)) return { status, content };
        reason = `answered with ${status}`;
        if (status < 500 && status !== 429) break;
      } catch {
        reason = "was not reached";
      }
    }
    // Neither names nor credentials are in it, nor what the store wrote about it.
    throw new StoreUnavailable(`the blob store ${reason}`);
  }

  /** Names under the prefix, at most a thousand. */
  async function list(under: string): Promise<readonly string[]> {
    const query = new URLSearchParams({ "list-type": "2", prefix: under });
    const { content } = await ask("GET", `${home}?${query}`, [200]);
    const answer = new TextDecoder().decode(content);
    // Names are the service's own, letters, digits and slashes behind the prefix: nothing is escaped in them.
    return Array.from(answer.matchAll(/<Key>([^<]*)<\/Key>/g), ([, name = ""]) => name)
      .map((name) => name.slice(name.lastIndexOf(under) + under.length))
      .filter((rest) => /^[0-9a-f]+$/.test(rest));
  }

  async function removePart(blob: string, part: string): Promise<void> {
    await ask("DELETE", urlOf(nameOf(blob, part)), [200, 204, 404]);
  }

  return {
    async put(blob, part, bytes) {
      await ask("PUT", urlOf(nameOf(blob, part)), [200], bytes);
    },

    async get(blob, part) {
      const { status, content } = await ask("GET", urlOf(nameOf(blob, part)), [200, 404]);
      return status === 200 ? content : undefined;
    },

    removePart,

    async remove(blob) {
      // What is listed is gone at the next look, so this ends.
      for (;;) {
        const parts = await list(nameOf(blob, ""));
        if (parts.length === 0) return;
        for (const part of parts) await removePart(blob, part);
      }
    },
  };
}
