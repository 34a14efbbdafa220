/**
 * A client made from the table of routes.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import {
  type AnswerOf,
  type BodyOf,
  bytesToText,
  type Instance,
  type ParametersOf,
  ROUTES,
  type Route,
  type RouteName,
  type SignInResponse,
  type SigningKey,
  segmentsOf,
  signSignIn,
  toJson,
} from "../protocol/index.ts";
import { readJson, readProblem } from "./reading.ts";
import { ServiceError } from "./service-error.ts";

/** In milliseconds. */
const TIMEOUT = 30_000;
/** A token is renewed this long before it expires, in milliseconds. */
const RENEWAL = 60_000;

/** What is asked of the platform's `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface DeliveryClientOptions {
  /** Scheme, host and port of the service. */
  readonly origin: string;
  /** The platform's unless given. */
  readonly fetch?: Fetch;
  /** Milliseconds since the Unix epoch. */
  readonly now?: () => number;
}

/** Who signs in. */
export interface SignInIdentity {
  readonly accountId: Bytes;
  readonly deviceId: Bytes;
  /** The device's sign-in key: asked for a signature whenever a token is needed. */
  readonly key: SigningKey;
  readonly instance?: ClientInstance;
}

/** This running copy of the device's client, which signs in in the place of those whose state it has. */
export interface ClientInstance {
  /** What to say of it. Before this resolves, whoever comes after must be able to succeed this one. */
  readonly announce: () => Promise<Instance>;
  /** The service has it now: no other goes on. The token is used when this has resolved. */
  readonly entered: () => Promise<void>;
  /** Another copy signed in that this one is no successor of. */
  readonly refused: () => void;
}

export interface RequestOptions {
  /** Ends the request, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds, until all of the answer is there; 30 seconds unless given, and what the service is asked to wait. */
  readonly timeout?: number;
}

/** The socket is no request; what starts a session the client does itself. */
export type RequestName = Exclude<RouteName, "register" | "recover" | "signIn" | "socket">;

/** What fills the route's path and query, and its body. */
type Given<N extends RequestName> = ParametersOf<N> &
  (BodyOf<N> extends undefined ? unknown : { readonly body: BodyOf<N> });

/** What the route answers, where that is JSON; for another media type the response, whose body is still to be read. */
type Result<N extends RequestName> = (typeof ROUTES)[N]["answer"] extends { readonly type: string }
  ? Response
  : AnswerOf<N>;

/**
 * Each rejects with a `ServiceError`. An argument that must have nothing in it may be left out.
 * A number that may pass 2^53 is a bigint, and bytes are bytes.
 */
type Requests = {
  readonly [N in RequestName]: (
    ...given: Record<never, never> extends Given<N>
      ? [given?: Given<N>, options?: RequestOptions]
      : [given: Given<N>, options?: RequestOptions]
  ) => Promise<Result<N>>;
};

export type DeliveryClient = Requests & {
  /**
   * Who signs in when a request needs a token; with `undefined` nobody. When the service has said that the account was deleted, such
   * requests reject with that without asking again, until somebody is named here anew.
   */
  readonly signInAs: (identity: SignInIdentity | undefined) => void;
  /**
   * Makes the account of this device list, with the device that was named by `signInAs`, which is signed in then. `invite`: the
   * code that some services ask for.
   */
  readonly register: (deviceList: Bytes, invite?: string) => Promise<void>;
  /** Makes this the account's device list, with the device that was named by `signInAs`, which is signed in then. */
  readonly recover: (deviceList: Bytes) => Promise<void>;
  /** The service's clock, in milliseconds since the Unix epoch: ours, until the service said that it differs by minutes. */
  readonly now: () => number;
  /** A token, for the socket's first frame. */
  readonly token: () => Promise<string>;
  /** The token was refused: the next request signs in again. */
  readonly forgetToken: () => void;
  /** Requests under way end as `offline`, and none begins. */
  readonly close: () => void;
};

export function createDeliveryClient(options: DeliveryClientOptions): DeliveryClient {
  const { origin, fetch = globalThis.fetch, now = Date.now } = options;
  const closed = new AbortController();
  let identity: SignInIdentity | undefined;
  let held: { readonly text: string; readonly expiresAt: number } | undefined;
  let signingIn: Promise<string> | undefined;
  /** What the service said of an account that was deleted: it is so for good. */
  let deleted: ServiceError | undefined;
  /** The service's clock minus ours, once it told us. */
  let skew = 0;

  async function send(
    route: Route,
    given: object,
    { signal, timeout = patienceOf(given) }: RequestOptions = {},
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    // What can't be sent is the caller's mistake, and nothing to try again.
    const [target, content] = [targetOf(route, given), contentOf(route, given, headers)];
    const signals = [closed.signal, AbortSignal.timeout(timeout), ...(signal ? [signal] : [])];
    let response: Response;
    try {
      response = await fetch(origin + target, {
        method: route.method,
        ...content,
        signal: AbortSignal.any(signals),
        credentials: "omit",
        cache: "no-store",
        redirect: "error",
        referrerPolicy: "no-referrer",
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new ServiceError("offline", "the service did not answer", { cause, transient: true });
    }
    if (response.ok) return response;
    const error = await readProblem(response);
    const theirs = error.code === "clock-skew" && error.problem?.["now"];
    if (Number.isSafeInteger(theirs)) skew = Number(theirs) - now();
    throw error;
  }

  async function request(route: Route, given: object, how?: RequestOptions): Promise<unknown> {
    const attempt = async (): Promise<Response> =>
      send(route, given, how, route.signIn ? { authorization: `Bearer ${await token()}` } : {});
    let response: Response;
    try {
      response = await attempt();
    } catch (error) {
      // Tokens expire, and a service that was set up anew knows none.
      if (!(error instanceof ServiceError && error.code === "not-signed-in")) throw error;
      forgetToken();
      response = await attempt();
    }
    return resultOf(route, response);
  }

  function proof(): Promise<Bytes> {
    if (!identity) throw new ServiceError("not-signed-in", "there is no account to sign in as");
    const { accountId, deviceId, key } = identity;
    const issuedAt = BigInt(Math.floor((now() + skew) / 1000));
    const nonce = crypto.getRandomValues(new Uint8Array(16));
    return signSignIn({ service: origin, accountId, deviceId, issuedAt, nonce }, key);
  }

  /** Once more with the service's clock, if ours is too far from it. */
  async function start(route: Route, given: object): Promise<string> {
    const { instance: own, accountId } = identity ?? {};
    const instance = await own?.announce();
    const body = { ...given, ...(instance && { instance }) };
    const attempt = async (): Promise<Response> =>
      send(route, { accountId, body: { ...body, signIn: await proof() } }).catch(
        (error: unknown) => {
          if (error instanceof ServiceError && error.code === "device-in-use") own?.refused();
          throw error;
        },
      );
    let response: Response;
    try {
      response = await attempt();
    } catch (error) {
      if (!(error instanceof ServiceError && error.code === "clock-skew")) throw error;
      response = await attempt();
    }
    // All routes that start a session answer so.
    const session = (await resultOf(route, response)) as SignInResponse;
    await own?.entered();
    held = { text: session.token, expiresAt: session.expiresAt };
    return session.token;
  }

  function token(): Promise<string> {
    if (deleted) return Promise.reject(deleted);
    if (held && held.expiresAt - RENEWAL > now() + skew) return Promise.resolve(held.text);
    const who = identity;
    // One sign-in serves all who wait for it.
    signingIn ??= start(ROUTES.signIn, {})
      .catch((error: unknown) => {
        const isTheirs = error instanceof ServiceError && error.code === "account-deleted";
        if (isTheirs && identity === who) deleted = error;
        throw error;
      })
      .finally(() => {
        signingIn = undefined;
      });
    return signingIn;
  }

  function forgetToken(): void {
    held = undefined;
  }

  const requests = Object.entries<Route>(ROUTES).map(([name, route]) => [
    name,
    (given: object = {}, how?: RequestOptions) => request(route, given, how),
  ]);
  return {
    // The table is the proof that each takes and answers what its name says.
    ...(Object.fromEntries(requests) as Requests),
    signInAs(next) {
      identity = next;
      held = undefined;
      deleted = undefined;
    },
    async register(deviceList, invite) {
      await start(ROUTES.register, { deviceList, ...(invite !== undefined && { invite }) });
    },
    async recover(deviceList) {
      await start(ROUTES.recover, { deviceList });
    },
    now: () => now() + skew,
    token,
    forgetToken,
    close: () => closed.abort(),
  };
}

function patienceOf({ wait = 0 }: { readonly wait?: number }): number {
  return TIMEOUT + wait * 1000;
}

/** Path and query. */
function targetOf({ path, query = {} }: Route, given: object): string {
  const values = new Map<string, unknown>(Object.entries(given));
  let target = path;
  for (const name of segmentsOf(path)) {
    const id = values.get(name);
    if (!(id instanceof Uint8Array)) throw new TypeError(`${name} has to be bytes`);
    target = target.replace(`{${name}}`, bytesToText(id));
  }
  const pairs = Object.keys(query).flatMap((name) => {
    const value = values.get(name);
    return value === undefined ? [] : [`${name}=${encodeURIComponent(textOf(value))}`];
  });
  return pairs.length > 0 ? `${target}?${pairs.join("&")}` : target;
}

/** As in JSON, without its quotes. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : toJson(value).replaceAll('"', "");
}

function contentOf(
  { body }: Route,
  given: { readonly body?: unknown },
  headers: Readonly<Record<string, string>>,
): Pick<RequestInit, "headers" | "body"> {
  if (body === undefined) return { headers };
  const type = "type" in body ? body.type : "application/json";
  // What is no JSON is bytes by its type.
  const content = "type" in body ? (given.body as Bytes) : toJson(given.body);
  return { headers: { ...headers, "content-type": type }, body: content };
}

async function resultOf({ answer }: Route, response: Response): Promise<unknown> {
  if ("type" in answer) return response;
  if (!("schema" in answer)) return undefined;
  const parsed = answer.schema.safeParse(await readJson(response));
  if (parsed.success) return parsed.data;
  throw new ServiceError("bad-answer", "the answer has not the form it should have");
}
