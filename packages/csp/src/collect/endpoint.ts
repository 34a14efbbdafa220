/**
 * The endpoint that browsers send reports to, as a fetch-style handler.
 * CSP #reporting; Reporting API, "Send reports"; Fetch, "CORS protocol"; RFC 9457 (refusals).
 * @module
 */
import { CspError } from "../errors.ts";
import { parseReports, type Report } from "../report/parse-reports.ts";
import { factsOf } from "./facts.ts";
import { groupOf } from "./group.ts";
import { createRateLimit, networkOf, type Rate } from "./rate-limit.ts";
import type { ReportStore } from "./report-store.ts";

/** What a handler learns besides the request. */
export interface Caller {
  /** Whose request it is, as far as addresses tell: what rates are counted by. It is not stored. */
  readonly address: string;
}

export type Handler = (request: Request, caller?: Caller) => Promise<Response>;

export interface EndpointOptions {
  readonly store: ReportStore;
  /** The origins whose reports are wanted, as `https://example.com`; others' are counted as noise. Default: all. */
  readonly sites?: readonly string[];
  /** Whether the first characters of blocked code are kept. Default `true`. */
  readonly samples?: boolean;
  /**
   * Reports of one address; of an IPv6 network of 64 bits. Default 200 at once, 120 a minute. A request counts as one for
   * every 2,048 bytes at least.
   */
  readonly perAddress?: Rate;
  /** Reports of all. Default 5,000 at once, 6,000 a minute. */
  readonly overall?: Rate;
  /** Bytes of one request. Default 262,144. */
  readonly maxBody?: number;
  /** Milliseconds since the Unix epoch. */
  readonly now?: () => number;
}

/** Longer strings are cut: longer than the longest policy that is kept, so that none is kept that was cut. */
const MAX_STRING = 65_536;
const MAX_REPORTS = 100;
/** What a report may have without counting for more: to read and to sort long ones takes time in their length. */
const BYTES_OF_REPORT = 2_048;

/**
 * Any origin may send reports: the answers to preflights say so. Reports that are read are answered with 204, whatever
 * becomes of them; a request that is none, with problem details.
 */
export function createEndpoint(options: EndpointOptions): Handler {
  const { store, samples = true, maxBody = 262_144, now = Date.now } = options;
  const sites = options.sites && new Set(options.sites.map((site) => new URL(site).origin));
  const perAddress = createRateLimit(options.perAddress ?? { burst: 200, perMinute: 120 });
  const overall = createRateLimit(options.overall ?? { burst: 5_000, perMinute: 6_000 });

  return async (request, { address } = { address: "" }) => {
    const at = now();
    const refuse = (status: number, code: string, title: string, headers?: HeadersInit) => {
      store.refuse(code, at);
      return problem(status, code, title, headers);
    };
    const take = (reports: number) =>
      perAddress.take(networkOf(address), reports, at) && overall.take("", reports, at);
    const tooMany = () => refuse(429, "rate-limit", "Too many reports", { "Retry-After": "60" });

    if (request.method === "OPTIONS") return preflight();
    if (request.method !== "POST") {
      return refuse(405, "method", "Reports are sent with POST", { Allow: "OPTIONS, POST" });
    }
    if (!take(1)) return tooMany();
    if ((request.headers.get("Content-Encoding") ?? "identity") !== "identity") {
      return refuse(415, "content-encoding", "Reports are not compressed");
    }
    const text = await readText(request, maxBody);
    if (text === undefined) return refuse(413, "report-too-large", "The body is too large");
    const share = Math.ceil(Buffer.byteLength(text) / BYTES_OF_REPORT);
    if (share > 1 && !take(share - 1)) return tooMany();
    let reports: Report[];
    try {
      const limits = { body: maxBody, reports: MAX_REPORTS, string: MAX_STRING };
      reports = parseReports(request.headers.get("Content-Type") ?? "", text, limits);
    } catch (error) {
      if (!(error instanceof CspError)) throw error;
      return refuse(statuses.get(error.code) ?? 400, error.code, "This is no report");
    }
    const paid = Math.max(1, share);
    if (reports.length > paid && !take(reports.length - paid)) return tooMany();
    const userAgent = request.headers.get("User-Agent") ?? "";
    const observations = reports.map((report) => {
      const facts = factsOf(report, { samples, userAgent });
      return { facts, group: groupOf(facts, sites) };
    });
    if (observations.length > 0) store.record(observations, at);
    return new Response(null, { status: 204, headers: { "Access-Control-Allow-Origin": "*" } });
  };
}

const statuses: ReadonlyMap<string, number> = new Map([
  ["report-media-type", 415],
  ["report-too-large", 413],
]);

/** Reports carry no credentials across origins, so that the wildcard is enough. */
function preflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Allow-Methods": "POST",
      "Access-Control-Allow-Headers": "Content-Type",
      "Access-Control-Max-Age": "86400",
    },
  });
}

/** RFC 9457. `code` is for machines and stable. */
function problem(status: number, code: string, title: string, headers: HeadersInit = {}): Response {
  const response = Response.json({ title, status, code }, { status, headers });
  response.headers.set("Content-Type", "application/problem+json");
  response.headers.set("Access-Control-Allow-Origin", "*");
  response.headers.set("Cache-Control", "no-store");
  return response;
}

/** The body as text, or undefined as soon as it is known to have more bytes than `limit`. */
export async function readText(request: Request, limit: number): Promise<string | undefined> {
  const announced = Number(request.headers.get("Content-Length") ?? 0);
  if (announced > limit) return undefined;
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > limit) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
