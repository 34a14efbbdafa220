/**
 * Security headers for `node:http` servers and the frameworks built on them (Express, Connect).
 * @module
 */
import { createNonce } from "../make/build.ts";
import { prepareHeaders, type SecurityHeadersOptions } from "./security-headers.ts";

/** As much of `ServerResponse` as is used, so that nobody needs Node's types. */
export interface HeaderSink {
  setHeader(name: string, value: string): unknown;
}

const nonces = new WeakMap<HeaderSink, string>();

/**
 * Middleware that sets every header of `options` before the handler runs, which may set its own over them. Without a
 * framework, call it first in the request listener. Throws `CspError` at once when `options` are wrong.
 */
export function securityHeadersMiddleware(
  options: SecurityHeadersOptions,
): (request: unknown, response: HeaderSink, next?: () => void) => void {
  const headersFor = prepareHeaders(options);
  return (_request, response, next) => {
    const nonce = createNonce();
    nonces.set(response, nonce);
    for (const [name, value] of headersFor(nonce)) response.setHeader(name, value);
    next?.();
  };
}

/** The nonce of a response that went through the middleware; a `TypeError` for any other. */
export function getNonce(response: HeaderSink): string {
  const nonce = nonces.get(response);
  if (nonce === undefined) throw new TypeError("the middleware has not seen this response");
  return nonce;
}
