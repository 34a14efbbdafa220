/**
 * What a service answers, read within bounds.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { Problem } from "../protocol/index.ts";
import { ServiceError } from "./service-error.ts";

/** The largest answer that is read, in bytes: the tree of a group of 50,000 is below it. */
export const MAX_ANSWER = 64 * 1024 * 1024;

/** The body, of at most `limit` bytes. Throws `ServiceError`: `bad-answer` for a larger one, `offline` for one that broke off. */
export async function readBounded(response: Response, limit: number = MAX_ANSWER): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response.body ?? []) {
      length += chunk.length;
      if (length > limit) throw new ServiceError("bad-answer", "the answer is too large");
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new ServiceError("offline", "the answer broke off", { cause, transient: true });
  }
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

export async function readJson(response: Response): Promise<unknown> {
  const text = new TextDecoder().decode(await readBounded(response));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ServiceError("bad-answer", "the answer is not JSON", { cause });
  }
}

/** What an answer that is no success says. */
export async function readProblem(response: Response): Promise<ServiceError> {
  const { status } = response;
  // 408 answers no request but a connection on which none came for long, perhaps when this one was on its way (RFC 9110 §15.5.9).
  const transient = status >= 500 || status === 429 || status === 408;
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfter = Number.isFinite(seconds) ? seconds * 1000 : undefined;
  const parsed = Problem.safeParse(await readJson(response).catch(() => undefined));
  if (!parsed.success) {
    return new ServiceError("bad-answer", `status ${status}`, { transient, retryAfter });
  }
  const problem = parsed.data;
  // Of who asks, not of what is asked: it is done when this copy of the device goes on, or the account is enabled again.
  const later =
    transient || problem.code === "device-in-use" || problem.code === "account-disabled";
  return new ServiceError(problem.code, problem.title, { transient: later, retryAfter, problem });
}
