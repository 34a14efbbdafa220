/**
 * Who may see the page: whoever has the token, in a header or, from a form, as a session in a cookie.
 * RFC 6750 (Authorization: Bearer); RFC 6265bis (`__Host-`, SameSite).
 * @module
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { createRateLimit, networkOf } from "./rate-limit.ts";

export interface SignIn {
  /** Whether the request has the token or a session. */
  isKnown(request: Request): boolean;
  /** Takes the token that somebody typed, and gives the cookie of a session; or why not. */
  start(token: string, address: string): { readonly cookie: string } | "wrong" | "too-often";
  /** Ends the request's session, and gives the cookie that removes it. */
  end(request: Request): string;
}

// Neither another host nor an unencrypted page can set a cookie of this name.
const COOKIE = "__Host-csp-collector";
const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict";
const SESSION = 12 * 3_600_000;
const MAX_SESSIONS = 100;
const MIN_TOKEN = 16;

/** Sessions live in memory: a restart ends them. Throws `TypeError` for a token of fewer than 16 characters. */
export function createSignIn(token: string, now: () => number): SignIn {
  if (token.length < MIN_TOKEN) throw new TypeError(`a token has at least ${MIN_TOKEN} characters`);
  const expected = digest(token);
  /** When they end, by the digest of their secret; the oldest first. */
  const sessions = new Map<string, number>();
  const perAddress = createRateLimit({ burst: 10, perMinute: 5 });
  const overall = createRateLimit({ burst: 100, perMinute: 60 });

  const isToken = (given: string) => timingSafeEqual(digest(given), expected);
  // By digest, so that how long a look-up takes tells nothing of the secret.
  const keyOf = (secret: string) => digest(secret).toString("base64");

  return {
    isKnown(request) {
      const [, bearer] = /^Bearer ([^ ]+)$/i.exec(request.headers.get("Authorization") ?? "") ?? [];
      if (bearer !== undefined) return isToken(bearer);
      const secret = sessionOf(request);
      return secret !== undefined && (sessions.get(keyOf(secret)) ?? 0) > now();
    },
    start(given, address) {
      if (!perAddress.take(networkOf(address), 1, now())) return "too-often";
      // Whoever has the token is let in, however many others guess.
      if (!isToken(given)) return overall.take("", 1, now()) ? "wrong" : "too-often";
      const secret = randomBytes(24).toString("base64url");
      sessions.set(keyOf(secret), now() + SESSION);
      const { value: oldest } = sessions.keys().next();
      if (sessions.size > MAX_SESSIONS && oldest !== undefined) sessions.delete(oldest);
      return { cookie: `${COOKIE}=${secret}; Max-Age=${SESSION / 1_000}; ${ATTRIBUTES}` };
    },
    end(request) {
      const secret = sessionOf(request);
      if (secret !== undefined) sessions.delete(keyOf(secret));
      return `${COOKIE}=; Max-Age=0; ${ATTRIBUTES}`;
    },
  };
}

function sessionOf(request: Request): string | undefined {
  for (const pair of (request.headers.get("Cookie") ?? "").split(";")) {
    const [name, value] = pair.trim().split("=", 2);
    if (name === COOKIE) return value;
  }
  return undefined;
}

function digest(text: string): Buffer<ArrayBufferLike> {
  return createHash("sha256").update(text).digest();
}
