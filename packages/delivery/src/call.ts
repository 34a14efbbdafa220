/**
 * One request as its handler sees it: who calls, and a body of bounded size.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { MlsError } from "@conclave/mls/public-group";
import type { z } from "zod";
import { bytesFromText, type ROUTES, toJson } from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { ListedDevice } from "./store/store.ts";

export interface Call {
  readonly request: Request;
  /** Of the client, as its connection or a trusted proxy says. */
  readonly address: string;
  /** The bytes that a segment of the path stands for. */
  readonly id: (name: string) => Bytes;
  /** A whole number from the query. */
  readonly number: (name: string) => number | undefined;
  /** Who is signed in. Throws `Refusal` with `not-signed-in`. */
  readonly device: () => Promise<ListedDevice>;
}

export type Handler = (call: Call) => Promise<Response>;
export type RouteName = keyof typeof ROUTES;

export function json(status: 200 | 201, value: unknown): Response {
  return new Response(toJson(value), { status, headers: { "content-type": "application/json" } });
}

/** The segment of a path as bytes; what is none is not found. */
export function idFromPath(text: string | undefined): Bytes {
  try {
    const id = bytesFromText(text ?? "");
    if (id.length > 0 && id.length <= 64) return id;
  } catch {
    // Not base64url: there is nothing by that name.
  }
  throw new Refusal("not-found", "there is nothing here");
}

/** A JSON body of this form. */
export async function readJson<T extends z.ZodType>(
  request: Request,
  schema: T,
  limit: number,
): Promise<z.infer<T>> {
  const body = await readBody(request, "application/json", limit);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new Refusal("bad-request", "the body is not JSON");
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  // Where, not what: the paths are names from the schema and positions.
  const fields = parsed.error.issues.map((issue) => issue.path.join("."));
  throw new Refusal("bad-request", "the body has not the form it should have", {
    members: { fields: fields.slice(0, 16) },
  });
}

/** The body, of at most `limit` bytes; more is not read. */
export async function readBody(request: Request, type: string, limit: number): Promise<Bytes> {
  const given = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (given !== type) throw new Refusal("unsupported-media-type", `the body has to be ${type}`);
  const tooLarge = (): Refusal =>
    new Refusal("too-large", "the body is too large", { members: { limit } });
  if (Number(request.headers.get("content-length") ?? 0) > limit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.length;
      if (length > limit) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal("bad-request", "the body broke off");
  }
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

/** What `read` makes of a structure from the request; what it cannot read is the caller's fault. */
export async function readStructure<T>(read: () => T | Promise<T>, title: string): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof TypeError || error instanceof MlsError) {
      throw new Refusal("bad-request", title);
    }
    throw error;
  }
}
