/**
 * Security headers around a fetch-style handler: workers, Deno, Bun, and Node's adapters.
 * @module
 */
import { createNonce } from "../make/build.ts";
import {
  finishHeaders,
  type MiddlewareOptions,
  type Preparation,
  prepareMiddleware,
  withNonce,
} from "./middleware.ts";
import { replaceNonceMarker } from "./nonce-marker.ts";

export type { MiddlewareOptions } from "./middleware.ts";
export { createNonceMarker, replaceNonceMarker } from "./nonce-marker.ts";

/** Made anew for each request. */
export interface SecurityContext {
  /** For `nonce` attributes in this response. */
  readonly nonce: string;
}

/**
 * Wraps a handler: its responses get every header of `options` that they do not have already, so a route can say
 * otherwise. The body is passed on as the stream it is. What else the runtime hands to a handler (`env`, `ctx`) comes
 * after the context. Throws `CspError` at once when `options` are wrong.
 */
export function withSecurityHeaders<Rest extends unknown[]>(
  handler: (
    request: Request,
    context: SecurityContext,
    ...rest: Rest
  ) => Response | Promise<Response>,
  options: MiddlewareOptions<Request>,
): (request: Request, ...rest: Rest) => Promise<Response> {
  const prepare = prepareMiddleware(options);
  return async (request, ...rest) => {
    const preparation = prepare(request, createNonce());
    const response = await handler(request, { nonce: preparation.nonce }, ...rest);
    return secureResponse(response, preparation);
  };
}

/** A copy of the response with what is still missing. */
export function secureResponse(response: Response, preparation: Preparation): Response {
  // A switch of protocols, a network error and an opaque response (status 0) cannot be copied.
  if (response.status < 200) return response;
  const { marker, nonce } = preparation;
  // Copied because the headers of `fetch` and `Response.redirect` are immutable.
  const headers = new Headers(response.headers);
  for (const [name, value] of preparation.headers) {
    if (!headers.has(name)) headers.set(name, value);
  }
  finishHeaders(headers, response.status, preparation);
  if (marker === undefined) return new Response(response.body, copied(response, headers));

  const cookies = headers.getSetCookie();
  for (const [name, value] of Array.from(headers)) {
    if (value.includes(marker)) headers.set(name, withNonce(value, preparation));
  }
  // The one header that may not be joined into one.
  headers.delete("Set-Cookie");
  for (const cookie of cookies) headers.append("Set-Cookie", withNonce(cookie, preparation));
  const body = response.body?.pipeThrough(replaceNonceMarker(marker, nonce)) ?? null;
  return new Response(body, copied(response, headers));
}

function copied({ status, statusText }: Response, headers: Headers): ResponseInit {
  return { status, statusText, headers };
}
