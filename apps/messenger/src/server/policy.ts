/**
 * What browsers are told about the page, the worker that holds the keys, and the operator's page. Nothing is allowed
 * but what is named: scripts by their digest, the worker by its one address, connections to the one service.
 * @module
 */

import { type Header, type SecurityHeadersOptions, securityHeaders } from "@conclave/csp";
import type { Bundle } from "./bundle.ts";

export type HeaderList = readonly Header[];

/** Where browsers send reports to, on the page's own origin: across origins each would need a preflight. */
export const REPORTS_PATH = "/reports";

export interface Origins {
  readonly pageOrigin: string;
  readonly serviceOrigin: string;
}

/** For the page and everything it loads but its workers. */
export function pageHeaders(bundle: Bundle, { pageOrigin, serviceOrigin }: Origins): HeaderList {
  return headersFor({
    policy: {
      "default-src": ["'none'"],
      "script-src": orNone([...bundle.scripts.values()].map((digest) => `'${digest}'`)),
      "style-src": ["'self'"],
      "img-src": ["'self'"],
      "manifest-src": ["'self'"],
      "worker-src": orNone(bundle.workers.map((path) => `${pageOrigin}${path}`)),
      "connect-src": ["'self'", ...connections(serviceOrigin)],
      ...CLOSED,
      "trusted-types": ["conclave"],
      ...reporting(pageOrigin),
    },
    reportingEndpoints: { [GROUP]: `${pageOrigin}${REPORTS_PATH}` },
    integrityPolicy: { blockedDestinations: ["script"], endpoints: [GROUP] },
  });
}

/** For a worker's own response: it talks to the service, and loads nothing. */
export function workerHeaders({ pageOrigin, serviceOrigin }: Origins): HeaderList {
  return headersFor({
    policy: {
      "default-src": ["'none'"],
      "connect-src": connections(serviceOrigin),
      ...CLOSED,
      "trusted-types": ["'none'"],
      ...reporting(pageOrigin),
    },
  });
}

/** For the operator's page: its one script and style, and its own server. */
export function operatorHeaders(scriptDigest: string): HeaderList {
  return headersFor({
    policy: {
      "default-src": ["'none'"],
      "script-src": [`'${scriptDigest}'`],
      "style-src": ["'self'"],
      "connect-src": ["'self'"],
      ...CLOSED,
      "trusted-types": ["'none'"],
    },
    integrityPolicy: { blockedDestinations: ["script"] },
  });
}

const GROUP = "violations";

/** Nothing here is inline, so no response needs a nonce. */
function headersFor(options: SecurityHeadersOptions): HeaderList {
  return securityHeaders(options, "");
}

function orNone(sources: readonly string[]): readonly string[] {
  return sources.length > 0 ? sources : ["'none'"];
}

const CLOSED = {
  "base-uri": ["'none'"],
  "form-action": ["'none'"],
  "frame-ancestors": ["'none'"],
  "require-trusted-types-for": ["'script'"],
} as const;

/**
 * `report-uri`, although `report-to` is meant to follow it: a browser that knows both leaves `report-uri` aside, and
 * then Chromium sends nothing from a worker, nothing where the page comes over http from localhost, and nothing where
 * it doesn't trust the certificate itself. Integrity policies know the new way alone.
 */
function reporting(pageOrigin: string) {
  return { "report-uri": [`${pageOrigin}${REPORTS_PATH}`] } as const;
}

/** The service by HTTP and by WebSocket, which is a scheme of its own in a policy. */
function connections(serviceOrigin: string): readonly string[] {
  return [serviceOrigin, serviceOrigin.replace(/^http/, "ws")];
}
