/**
 * Security headers for Hono, on every runtime that it has.
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import { createNonce } from "../make/build.ts";
import { secureResponse } from "./fetch.ts";
import { type MiddlewareOptions, prepareMiddleware } from "./middleware.ts";

export type { MiddlewareOptions } from "./middleware.ts";
export { createNonceMarker } from "./nonce-marker.ts";

/** For `new Hono<SecurityHeadersEnv>()`, so that `c.get("cspNonce")` has its type. */
export interface SecurityHeadersEnv {
  Variables: {
    /** For `nonce` attributes in this response. */
    cspNonce: string;
  };
}

/** The middleware nearest to the handler has answered for these. */
const secured = new WeakSet<Context>();

/**
 * Middleware whose responses get every header of `options` that they do not have already. Used again for a route, the
 * route's options hold in place of the outer ones, with the same nonce. Throws `CspError` at once when `options` are
 * wrong.
 */
export function securityHeadersMiddleware(
  options: MiddlewareOptions<Context>,
): MiddlewareHandler<SecurityHeadersEnv> {
  const prepare = prepareMiddleware(options);
  return async (c, next) => {
    const outer: string | undefined = c.get("cspNonce");
    const preparation = prepare(c, outer ?? createNonce());
    c.set("cspNonce", preparation.nonce);
    await next();
    if (secured.has(c)) return;
    secured.add(c);
    const response = c.res;
    // Or Hono would put the old headers over the new ones, and on the page that says what went wrong.
    c.res = undefined;
    c.res = secureResponse(response, preparation);
  };
}
