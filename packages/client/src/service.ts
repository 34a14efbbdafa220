/**
 * The delivery service as this device sees it: each route as a function. It signs in when it must,
 * reads answers within bounds, and says whether trying again later may help.
 * @module
 */

import {
  Accepted,
  type AcknowledgeRequest,
  bytesToText,
  ClaimKeyPackagesResponse,
  type CommitRequest,
  type CreateGroupRequest,
  DeviceListResponse,
  GroupsResponse,
  InboxResponse,
  KeyPackageCount,
  LinkResponse,
  LogResponse,
  Problem,
  type ProblemCode,
  ROUTES,
  type Route,
  SignInResponse,
  type SigningKey,
  signSignIn,
  toJson,
  type UploadKeyPackagesRequest,
} from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";
import { concat, randomBytes } from "./bytes.ts";

/** The largest answer that is read, in bytes: the tree of a group of 50,000 is below it. */
const MAX_ANSWER = 64 * 1024 * 1024;
const TIMEOUT = 30_000;
/** A token is renewed this long before it expires, in milliseconds. */
const RENEWAL = 60_000;

/** `offline`: no answer. `bad-answer`: one that is not what the protocol says. */
export type ServiceErrorCode = ProblemCode | "offline" | "bad-answer";

export class ServiceError extends Error {
  override readonly name = "ServiceError";
  /** One of `ServiceErrorCode`, or a code that a newer service knows. */
  readonly code: ServiceErrorCode | (string & {});
  /** The same request may succeed later. */
  readonly transient: boolean;
  /** Milliseconds, where the service said how long to wait. */
  readonly retryAfter: number | undefined;
  readonly problem: Problem | undefined;

  constructor(
    code: string,
    message: string,
    options: ErrorOptions & {
      readonly transient?: boolean;
      readonly retryAfter?: number | undefined;
      readonly problem?: Problem;
    } = {},
  ) {
    super(message, options);
    this.code = code;
    this.transient = options.transient ?? false;
    this.retryAfter = options.retryAfter;
    this.problem = options.problem;
  }
}

/** What is asked of the platform's `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface ServiceOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly fetch: Fetch;
  readonly now: () => number;
}

/** Who signs in. */
export interface SignInIdentity {
  readonly accountId: Bytes;
  readonly deviceId: Bytes;
  readonly key: SigningKey;
}

interface Schema<T> {
  readonly safeParse: (
    value: unknown,
  ) => { readonly success: true; readonly data: T } | { readonly success: false };
}

type Body = { readonly json: object } | { readonly mls: Bytes };

interface RequestParts {
  /** What fills the braces of the route. */
  readonly ids?: Readonly<Record<string, Bytes>>;
  readonly query?: Readonly<Record<string, number | bigint>>;
  readonly body?: Body;
}

export class Service {
  readonly #options: ServiceOptions;
  readonly #closed = new AbortController();
  #identity: SignInIdentity | undefined;
  #token: { readonly text: string; readonly expiresAt: number } | undefined;
  #signingIn: Promise<string> | undefined;
  /** The service's clock minus ours, once it told us. */
  #skew = 0;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** Requests under way end, and none begins. */
  close(): void {
    this.#closed.abort();
  }

  signInAs(identity: SignInIdentity | undefined): void {
    this.#identity = identity;
    this.#token = undefined;
  }

  /** Signed in as whoever was named by `signInAs`. */
  async register(deviceList: Bytes): Promise<void> {
    const request = async () =>
      this.#send(ROUTES.register, {}, { json: { deviceList, signIn: await this.#proof() } });
    this.#keep(await this.#parse(await this.#withClock(request), SignInResponse));
  }

  async lookUp(name: string): Promise<Bytes> {
    return (await this.#call(ROUTES.lookUp, DeviceListResponse, { body: { json: { name } } }))
      .deviceList;
  }

  async deviceList(accountId: Bytes): Promise<Bytes> {
    return (await this.#call(ROUTES.deviceList, DeviceListResponse, { ids: { accountId } }))
      .deviceList;
  }

  async replaceDeviceList(accountId: Bytes, deviceList: Bytes): Promise<void> {
    await this.#request(ROUTES.replaceDeviceList, {
      ids: { accountId },
      body: { json: { deviceList } },
    });
  }

  uploadKeyPackages(request: UploadKeyPackagesRequest): Promise<KeyPackageCount> {
    return this.#call(ROUTES.uploadKeyPackages, KeyPackageCount, { body: { json: request } });
  }

  countKeyPackages(): Promise<KeyPackageCount> {
    return this.#call(ROUTES.countKeyPackages, KeyPackageCount, {});
  }

  claimKeyPackages(accountId: Bytes, suites: readonly number[]): Promise<ClaimKeyPackagesResponse> {
    return this.#call(ROUTES.claimKeyPackages, ClaimKeyPackagesResponse, {
      body: { json: { accountId, suites } },
    });
  }

  async createGroup(request: CreateGroupRequest): Promise<void> {
    await this.#request(ROUTES.createGroup, { body: { json: request } });
  }

  groups(): Promise<GroupsResponse> {
    return this.#call(ROUTES.groups, GroupsResponse, {});
  }

  commit(groupId: Bytes, request: CommitRequest): Promise<Accepted> {
    return this.#call(ROUTES.commit, Accepted, { ids: { groupId }, body: { json: request } });
  }

  message(groupId: Bytes, message: Bytes): Promise<Accepted> {
    return this.#call(ROUTES.message, Accepted, { ids: { groupId }, body: { mls: message } });
  }

  log(groupId: Bytes, after: number, limit: number): Promise<LogResponse> {
    return this.#call(ROUTES.log, LogResponse, { ids: { groupId }, query: { after, limit } });
  }

  /** The encoded `ratchet_tree` of that epoch. */
  async tree(groupId: Bytes, epoch: bigint): Promise<Bytes> {
    return readBounded(await this.#request(ROUTES.tree, { ids: { groupId }, query: { epoch } }));
  }

  link(linkId: Bytes): Promise<LinkResponse> {
    return this.#call(ROUTES.link, LinkResponse, { ids: { linkId } });
  }

  inbox(after: number): Promise<InboxResponse> {
    return this.#call(ROUTES.inbox, InboxResponse, { query: { after } });
  }

  async acknowledge(request: AcknowledgeRequest): Promise<void> {
    await this.#request(ROUTES.acknowledge, { body: { json: request } });
  }

  /** A token for the socket's first frame. */
  token(): Promise<string> {
    const { now } = this.#options;
    if (this.#token && this.#token.expiresAt - RENEWAL > now() + this.#skew) {
      return Promise.resolve(this.#token.text);
    }
    // One sign-in serves all who wait for it.
    this.#signingIn ??= this.#signIn().finally(() => {
      this.#signingIn = undefined;
    });
    return this.#signingIn;
  }

  /** The token was refused: the next request signs in again. */
  forgetToken(): void {
    this.#token = undefined;
  }

  async #signIn(): Promise<string> {
    const request = async () =>
      this.#send(ROUTES.signIn, {}, { json: { signIn: await this.#proof() } });
    return this.#keep(await this.#parse(await this.#withClock(request), SignInResponse));
  }

  #keep(answer: SignInResponse): string {
    this.#token = { text: answer.token, expiresAt: answer.expiresAt };
    return answer.token;
  }

  #proof(): Promise<Bytes> {
    const identity = this.#identity;
    if (!identity) throw new ServiceError("not-signed-in", "there is no account to sign in as");
    return signSignIn(
      {
        service: this.#options.origin,
        accountId: identity.accountId,
        deviceId: identity.deviceId,
        issuedAt: BigInt(Math.floor((this.#options.now() + this.#skew) / 1000)),
        nonce: randomBytes(16),
      },
      identity.key,
    );
  }

  /** Once more with the service's clock, if ours is too far from it. */
  async #withClock(request: () => Promise<Response>): Promise<Response> {
    try {
      return await request();
    } catch (error) {
      const theirs = error instanceof ServiceError && error.problem?.["now"];
      if (typeof theirs !== "number") throw error;
      this.#skew = theirs - this.#options.now();
      return request();
    }
  }

  async #call<T>(route: Route, schema: Schema<T>, parts: RequestParts): Promise<T> {
    return this.#parse(await this.#request(route, parts), schema);
  }

  async #request(route: Route, { ids = {}, query = {}, body }: RequestParts): Promise<Response> {
    const filled = Object.entries(ids).reduce(
      (path, [name, id]) => path.replace(`{${name}}`, bytesToText(id)),
      route.path,
    );
    const pairs = Object.entries(query).map(([name, value]) => `${name}=${value}`);
    const path = pairs.length > 0 ? `${filled}?${pairs.join("&")}` : filled;
    const authorized = async () =>
      this.#send({ ...route, path }, { authorization: `Bearer ${await this.token()}` }, body);
    try {
      return await authorized();
    } catch (error) {
      // Tokens expire, and a service that was set up anew knows none.
      if (!(error instanceof ServiceError && error.code === "not-signed-in")) throw error;
      this.forgetToken();
      return authorized();
    }
  }

  async #send(
    { method, path }: Pick<Route, "method" | "path">,
    headers: Readonly<Record<string, string>>,
    body: Body | undefined,
  ): Promise<Response> {
    let response: Response;
    try {
      response = await this.#options.fetch(this.#options.origin + path, {
        method,
        headers: {
          ...headers,
          ...(body && { "content-type": "json" in body ? "application/json" : "message/mls" }),
        },
        ...(body && { body: "json" in body ? toJson(body.json) : body.mls }),
        signal: AbortSignal.any([this.#closed.signal, AbortSignal.timeout(TIMEOUT)]),
        credentials: "omit",
        cache: "no-store",
        redirect: "error",
        referrerPolicy: "no-referrer",
      });
    } catch (cause) {
      throw new ServiceError("offline", "the service did not answer", { cause, transient: true });
    }
    if (response.ok) return response;
    throw await problemOf(response);
  }

  async #parse<T>(response: Response, schema: Schema<T>): Promise<T> {
    const parsed = schema.safeParse(await jsonOf(response));
    if (parsed.success) return parsed.data;
    throw new ServiceError("bad-answer", `the answer has not the form it should have`);
  }
}

async function problemOf(response: Response): Promise<ServiceError> {
  const transient = response.status >= 500 || response.status === 429;
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfter = Number.isFinite(seconds) ? seconds * 1000 : undefined;
  const parsed = Problem.safeParse(await jsonOf(response).catch(() => undefined));
  if (!parsed.success) {
    return new ServiceError("bad-answer", `status ${response.status}`, { transient, retryAfter });
  }
  const problem = parsed.data;
  return new ServiceError(problem.code, problem.title, { transient, retryAfter, problem });
}

async function jsonOf(response: Response): Promise<unknown> {
  const text = new TextDecoder().decode(await readBounded(response));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ServiceError("bad-answer", "the answer is not JSON", { cause });
  }
}

async function readBounded(response: Response): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response.body ?? []) {
      length += chunk.length;
      if (length > MAX_ANSWER) throw new ServiceError("bad-answer", "the answer is too large");
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new ServiceError("offline", "the answer broke off", { cause, transient: true });
  }
  return concat(...chunks);
}
