/**
 * Security headers around a fetch-style handler: workers, Deno, Bun, Hono, and Node's adapters.
 * @module
 */
import { createNonce } from "../make/build.ts";
import { prepareHeaders, type SecurityHeadersOptions } from "./security-headers.ts";

/** Made anew for each request. */
export interface SecurityContext {
  /** For `nonce` attributes in this response. */
  readonly nonce: string;
}

/**
 * Wraps a handler: its responses get every header of `options` that they do not have already, so a route can say
 * otherwise. The body is passed on as the stream it is. Throws `CspError` at once when `options` are wrong.
 */
export function withSecurityHeaders(
  handler: (request: Request, context: SecurityContext) => Response | Promise<Response>,
  options: SecurityHeadersOptions,
): (request: Request) => Promise<Response> {
  const headersFor = prepareHeaders(options);
  return async (request) => {
    const nonce = createNonce();
    const response = await handler(request, { nonce });
    // A switch of protocols, a network error and an opaque response (status 0) cannot be copied.
    if (response.status < 200) return response;
    // Copied because the headers of `fetch` and `Response.redirect` are immutable.
    const secured = new Response(response.body, response);
    for (const [name, value] of headersFor(nonce)) {
      if (!secured.headers.has(name)) secured.headers.set(name, value);
    }
    return secured;
  };
}
