/**
 * Security headers for Fastify.
 * @module
 */
import type { FastifyPluginCallback, FastifyRequest } from "fastify";
import { type MiddlewareOptions, prepareMiddleware } from "./middleware.ts";
import { secure } from "./node.ts";
import type { SecurityHeadersOptions } from "./security-headers.ts";

export type { MiddlewareOptions } from "./middleware.ts";
export { createNonceMarker } from "./nonce-marker.ts";

declare module "fastify" {
  interface FastifyReply {
    /** For `nonce` attributes in this response. */
    cspNonce: string;
  }
  interface FastifyContextConfig {
    /** What is different for this route; options named here replace those of the same name. */
    csp?: SecurityHeadersOptions;
  }
}

/**
 * A plugin that sets every header of `options` before a handler runs, which may set its own over them; hijacked replies
 * included. `forRequest` has the last word after a route's `config.csp`. Registering throws `CspError` when the
 * options, or a route's, are wrong.
 */
export const securityHeadersPlugin: FastifyPluginCallback<MiddlewareOptions<FastifyRequest>> =
  Object.assign(plugin, {
    // What fastify-plugin does: the hooks are for the whole of the application that registers this, not for a part of its own.
    [Symbol.for("skip-override")]: true,
    [Symbol.for("fastify.display-name")]: "@conclave/csp",
  });

function plugin(
  ...[fastify, options, done]: Parameters<FastifyPluginCallback<MiddlewareOptions<FastifyRequest>>>
): void {
  const { forRequest } = options;
  const prepare = prepareMiddleware<FastifyRequest>({
    ...options,
    forRequest: (request) => {
      const route = request.routeOptions.config.csp;
      const own = forRequest?.(request);
      return route && own ? { ...route, ...own } : (own ?? route);
    },
  });
  fastify.decorateReply("cspNonce", "");
  fastify.addHook("onRoute", ({ config }) => {
    if (config?.csp) prepareMiddleware({ ...options, ...config.csp });
  });
  fastify.addHook("onRequest", (request, reply, next) => {
    reply.cspNonce = secure(reply.raw, (nonce) => prepare(request, nonce));
    next();
  });
  done();
}
