/**
 * One request as its handler sees it: who calls, what fills the route, and a body of bounded size.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { MlsError } from "@conclave/mls/public-group";
import type { z } from "zod";
import {
  type AnswerOf,
  type BodyOf,
  bytesFromText,
  type ParametersOf,
  type ROUTES,
  type Route,
  type RouteName,
  toJson,
} from "./protocol/index.ts";
import type { Room } from "./reading.ts";
import { notFound, Refusal } from "./refusal.ts";
import type { Session } from "./sessions.ts";
import type { ListedDevice } from "./store/store.ts";

export interface Call<N extends RouteName> {
  readonly request: Request;
  /** Of the client, as its connection or a trusted proxy says. */
  readonly address: string;
  /** Who is signed in, where the route asks for that. */
  readonly device: (typeof ROUTES)[N]["signIn"] extends true ? ListedDevice : undefined;
  /** By which session. */
  readonly session: (typeof ROUTES)[N]["signIn"] extends true ? Session : undefined;
  readonly params: ParametersOf<N>;
  /** For who reads the request alone, before what came counts: throws `Refusal` where the session has ended since. */
  readonly stillSignedIn: () => Promise<void>;
  /** Read when this is called. Throws `Refusal` where it is not what the route takes. */
  readonly body: () => Promise<BodyOf<N>>;
}

/** Fulfils with what the route answers; one that answers no JSON may make the whole response. */
export type Handler<N extends RouteName> = (call: Call<N>) => Promise<AnswerOf<N> | Response>;

/** Of these routes. */
export type Handlers<N extends RouteName> = { readonly [name in N]: Handler<name> };

/** Of whatever route: the table is the proof that these belong together. */
export type AnyHandler = (call: {
  readonly request: Request;
  readonly address: string;
  readonly device: ListedDevice | undefined;
  readonly session: Session | undefined;
  readonly params: object;
  readonly stillSignedIn: () => Promise<void>;
  readonly body: () => Promise<unknown>;
}) => Promise<unknown>;

/** The response of a route to what its handler answered, and how many bytes its body has, as far as it says so. */
export function responseOf(
  { answer }: Route,
  value: unknown,
): { readonly response: Response; readonly size: number } {
  if (value instanceof Response) {
    const { body, headers } = value;
    return { response: value, size: body ? Number(headers.get("content-length") ?? 0) : 0 };
  }
  const { status } = answer;
  if (!("schema" in answer)) return { response: new Response(null, { status }), size: 0 };
  const text = toJson(value);
  const headers = { "content-type": "application/json" };
  return { response: new Response(text, { status, headers }), size: text.length };
}

/** What fills the path and the query of a route. Throws `Refusal` with `not-found` or `bad-request`. */
export function parametersOf(
  route: Pick<Route, "query"> & { readonly segments: readonly string[] },
  segment: (name: string) => string | undefined,
  query: (name: string) => string | undefined,
): object {
  const params: Record<string, unknown> = {};
  for (const name of route.segments) params[name] = idFromPath(segment(name));
  for (const [name, schema] of Object.entries(route.query ?? {})) {
    const parsed = schema.safeParse(query(name));
    if (!parsed.success) {
      throw new Refusal("bad-request", "the query has not the form it should have", {
        members: { fields: [name] },
      });
    }
    params[name] = parsed.data;
  }
  return params;
}

/** The body that a route takes. `reserve` makes room for so many bytes, or throws. Throws `Refusal`. */
export async function bodyOf(
  { body }: Route,
  request: Request,
  reserve: (bytes: number) => Room,
): Promise<unknown> {
  if (body === undefined) return undefined;
  const isJson = "schema" in body;
  const { limit } = body;
  const read = await readBody(request, isJson ? "application/json" : body.type, limit, reserve);
  return isJson ? parseJson(read, body.schema) : read;
}

/** The segment of a path as bytes; what is none is not found. */
function idFromPath(text: string | undefined): Bytes {
  try {
    const id = bytesFromText(text ?? "");
    if (id.length > 0 && id.length <= 64) return id;
  } catch {
    // Not base64url: there is nothing by that name.
  }
  throw notFound();
}

/** A JSON body of this form. */
function parseJson(body: Bytes, schema: z.ZodType): unknown {
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
async function readBody(
  request: Request,
  type: string,
  limit: number,
  reserve: (bytes: number) => Room,
): Promise<Bytes> {
  const given = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (given !== type) throw new Refusal("unsupported-media-type", `the body has to be ${type}`);
  const tooLarge = (): Refusal =>
    new Refusal("too-large", "the body is too large", { members: { limit } });
  // Who doesn't say how much comes may send all that the route takes.
  const declared = Number(request.headers.get("content-length") ?? limit);
  if (declared > limit) throw tooLarge();
  const room = reserve(Number.isFinite(declared) ? declared : limit);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.length;
      if (length > limit) throw tooLarge();
      room.grow(chunk.length);
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
