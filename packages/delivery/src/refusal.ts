/**
 * How the service says no: thrown at the place that knows, answered as problem details (RFC 9457).
 * @module
 */

import { PROBLEMS, type ProblemCode, toJson } from "./protocol/index.ts";

/** `title` is for people and the same for every problem of a kind: nothing of the request is in it. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: ProblemCode;
  readonly members: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ProblemCode,
    title: string,
    more: {
      /** Further members of the problem. */
      readonly members?: Readonly<Record<string, unknown>>;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(title);
    this.code = code;
    this.members = more.members ?? {};
    this.headers = more.headers ?? {};
  }
}

/** Of what does not exist and of what is none of the caller's, the same. */
export function notFound(): Refusal {
  return new Refusal("not-found", "there is nothing here");
}

/** `now`: the service's clock, in milliseconds. */
export function clockSkew(title: string, now: number): Refusal {
  return new Refusal("clock-skew", title, { members: { now } });
}

export function problemResponse({ code, message, members, headers }: Refusal): Response {
  const [status] = PROBLEMS[code];
  const problem = {
    ...members,
    type: `urn:conclave:problem:${code}`,
    title: message,
    status,
    code,
  };
  return new Response(toJson(problem), {
    status,
    headers: {
      ...headers,
      // RFC 9110 §11.6.1: who answers 401 says what to come with.
      ...(status === 401 && { "www-authenticate": "Bearer" }),
      "content-type": "application/problem+json",
    },
  });
}
