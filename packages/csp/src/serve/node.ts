/**
 * Security headers for `node:http` servers and the frameworks built on them (Express, Connect).
 * @module
 */
import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from "node:http";
import { createNonce } from "../make/build.ts";
import {
  bodyReplacer,
  finishHeaders,
  type MiddlewareOptions,
  type Preparation,
  prepareMiddleware,
  withNonce,
} from "./middleware.ts";

export type { MiddlewareOptions } from "./middleware.ts";
export { createNonceMarker } from "./nonce-marker.ts";

/** What the middleware nearest to the handler has prepared. */
const preparations = new WeakMap<object, Preparation>();

/**
 * Middleware that sets every header of `options` before the handler runs, which may set its own over them. Without a
 * framework, call it first in the request listener. Used again for a route, the route's options hold in place of the
 * outer ones, with the same nonce. In Express, views find the nonce as `cspNonce`. Throws `CspError` at once when
 * `options` are wrong.
 */
export function securityHeadersMiddleware<R extends IncomingMessage = IncomingMessage>(
  options: MiddlewareOptions<R>,
): (request: R, response: ServerResponse, next?: () => void) => void {
  const prepare = prepareMiddleware(options);
  return (request, response, next) => {
    secure(response, (nonce) => prepare(request, nonce));
    next?.();
  };
}

/** The nonce of a response that went through the middleware; a `TypeError` for any other. */
export function getNonce(response: object): string {
  const preparation = preparations.get(response);
  if (!preparation) throw new TypeError("the middleware has not seen this response");
  return preparation.nonce;
}

/** Sets the headers, and sees to the rest when the response is written. Gives the nonce. */
export function secure(response: ServerResponse, prepare: (nonce: string) => Preparation): string {
  const before = preparations.get(response);
  const preparation = prepare(before?.nonce ?? createNonce());
  preparations.set(response, preparation);
  for (const [name, value] of before?.headers ?? []) {
    if (response.getHeader(name) === value) response.removeHeader(name);
  }
  for (const [name, value] of preparation.headers) response.setHeader(name, value);
  if (!before) intercept(response);
  // Express renders views with these.
  if ("locals" in response && typeof response.locals === "object" && response.locals !== null) {
    Object.assign(response.locals, { cspNonce: preparation.nonce });
  }
  return preparation.nonce;
}

/** Node has no event before headers are sent, nor a filter for bodies: both are had by standing in for the methods. */
function intercept(response: ServerResponse): void {
  const writeHead = response.writeHead.bind(response);
  const write = response.write.bind(response);
  const end = response.end.bind(response);
  const flushHeaders = response.flushHeaders.bind(response);
  const writeEarlyHints = response.writeEarlyHints.bind(response);
  let finished = false;
  let ended = false;
  let replacer: ReturnType<typeof bodyReplacer>;

  const current = (): Preparation | undefined => preparations.get(response);
  const finish = (): void => {
    const preparation = current();
    if (finished || response.headersSent || !preparation) return;
    finishHeaders(accessTo(response), response.statusCode, preparation);
    for (const name of response.getHeaderNames()) {
      const value = response.getHeader(name);
      if (value !== undefined) setHeader(response, name, withNonces(value, preparation));
    }
    replacer = bodyReplacer(preparation);
    finished = true;
  };

  Object.assign(response, {
    writeHead(status: number, ...rest: readonly unknown[]) {
      if (response.headersSent || finished) {
        return Reflect.apply(writeHead, undefined, [status, ...rest]);
      }
      const [message] = rest;
      const headers = typeof message === "string" ? rest[1] : (rest[1] ?? rest[0]);
      for (const [name, value] of headerEntries(headers)) setHeader(response, name, value);
      response.statusCode = status;
      finish();
      return Reflect.apply(writeHead, undefined, [
        status,
        ...(typeof message === "string" ? [message] : []),
      ]);
    },
    flushHeaders() {
      finish();
      flushHeaders();
    },
    write(chunk: unknown, ...rest: unknown[]) {
      finish();
      // HTTP/2's `end` writes its last chunk itself.
      const bytes = replacer && !ended && toBytes(chunk, rest[0]);
      if (!replacer || !bytes) return Reflect.apply(write, undefined, [chunk, ...rest]);
      return Reflect.apply(write, undefined, [replacer.push(bytes), ...rest.filter(isCallback)]);
    },
    end(...args: unknown[]) {
      finish();
      if (!replacer) return Reflect.apply(end, undefined, args);
      const callback = args.filter(isCallback);
      const [chunk, encoding] = args;
      const bytes = toBytes(chunk, encoding);
      if (chunk !== undefined && chunk !== null && !isCallback(chunk) && !bytes) {
        // Not a body: Node says so.
        return Reflect.apply(end, undefined, args);
      }
      ended = true;
      const last = [bytes && replacer.push(bytes), replacer.end()].filter((part) => part?.length);
      const parts = last.flatMap((part) => (part ? [part] : []));
      return Reflect.apply(end, undefined, [
        ...(parts.length > 0 ? [Buffer.concat(parts)] : []),
        ...callback,
      ]);
    },
    writeEarlyHints(hints: Readonly<Record<string, string | string[]>>, callback?: () => void) {
      const preparation = current();
      const replaced = Object.entries(hints).map(([name, value]) => [
        name,
        preparation ? withNonces(value, preparation) : value,
      ]);
      Reflect.apply(writeEarlyHints, undefined, [Object.fromEntries(replaced), callback]);
    },
  });
}

function accessTo(response: ServerResponse) {
  return {
    get: (name: string) => response.getHeader(name)?.toString() ?? null,
    set: (name: string, value: string) => void response.setHeader(name, value),
    delete: (name: string) => response.removeHeader(name),
  };
}

function setHeader(response: ServerResponse, name: string, value: OutgoingHttpHeader): void {
  response.setHeader(name, value);
}

function withNonces<T extends OutgoingHttpHeader>(value: T, preparation: Preparation) {
  if (typeof value === "number") return value;
  if (typeof value === "string") return withNonce(value, preparation);
  return value.map((one) => withNonce(one, preparation));
}

/** What `writeHead` takes: an object, a list of pairs, or one list with names and values in turn. */
function headerEntries(headers: unknown): [string, OutgoingHttpHeader][] {
  if (typeof headers !== "object" || headers === null) return [];
  if (!Array.isArray(headers)) return Object.entries(headers).filter(([, v]) => v !== undefined);
  const flat: unknown[] = headers.flat();
  const merged = new Map<string, [name: string, values: string[]]>();
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = String(flat[i]);
    const entry = merged.get(name.toLowerCase()) ?? [name, []];
    entry[1].push(String(flat[i + 1]));
    merged.set(name.toLowerCase(), entry);
  }
  return Array.from(merged.values(), ([name, values]) => {
    const [only = ""] = values;
    return [name, values.length === 1 ? only : values];
  });
}

function toBytes(chunk: unknown, encoding: unknown): Uint8Array | undefined {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk !== "string") return undefined;
  return Buffer.from(chunk, isEncoding(encoding) ? encoding : "utf8");
}

function isEncoding(value: unknown): value is BufferEncoding {
  return typeof value === "string" && Buffer.isEncoding(value);
}

function isCallback(value: unknown): value is () => void {
  return typeof value === "function";
}
