/**
 * Takes the reports that browsers send about the page, and counts what is harmless of them.
 * @module
 */

import { CspError, parseReports } from "@conclave/csp";
import type { Handler } from "./listener.ts";
import { createRateLimit } from "./rate-limit.ts";
import { violationOf } from "./violation.ts";
import type { ViolationStore } from "./violation-store.ts";

/** Bytes of one request; browsers bundle several reports. */
const MAX_BODY = 64 * 1024;

export function createCollector({
  origin,
  paths,
  store,
  now,
}: {
  readonly origin: string;
  /** Of the page's own files. */
  readonly paths: ReadonlySet<string>;
  readonly store: ViolationStore;
  readonly now: () => number;
}): Handler {
  const perAddress = createRateLimit({ burst: 60, perMinute: 60 });
  const forAll = createRateLimit({ burst: 600, perMinute: 600 });

  return async (request, { address }) => {
    const at = now();
    if (!perAddress.take(address, at) || !forAll.take("all", at)) return answer(429);
    const text = await readText(request, MAX_BODY);
    if (text === undefined) return answer(413);
    try {
      const reports = parseReports(request.headers.get("Content-Type") ?? "", text);
      for (const report of reports) {
        const violation = violationOf(report, { origin, paths });
        if (violation) store.record(violation, at);
      }
      return answer(204);
    } catch (error) {
      if (error instanceof CspError) return answer(error.code === "report-media-type" ? 415 : 400);
      throw error;
    }
  };
}

function answer(status: number): Response {
  return new Response(null, { status });
}

/** The body as text, or undefined as soon as it has more bytes than `limit`. */
async function readText(request: Request, limit: number): Promise<string | undefined> {
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
