/**
 * The delivery service: its routes, and what holds for all of them.
 * @module
 */

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { nodeCrypto } from "@conclave/mls/node";
import type { PublicContext } from "@conclave/mls/public-group";
import { Hono } from "hono";
import { cors } from "hono/cors";
import { createAccountExport } from "./account-export.ts";
import { createAccounts } from "./accounts.ts";
import { createBackupMarks } from "./backup-marks.ts";
import { createBlobs } from "./blobs/blobs.ts";
import type { BlobBodies } from "./blobs/bodies.ts";
import { type AnyHandler, bodyOf, type Handlers, parametersOf, responseOf } from "./call.ts";
import { createConsent } from "./consent.ts";
import { deviceAuthentication } from "./device-authentication.ts";
import { type Doorbell, localDoorbell } from "./doorbell.ts";
import { createGroupLog } from "./group-log.ts";
import { createGroups } from "./groups.ts";
import { createInbox } from "./inbox.ts";
import type { RegistrationRule } from "./invites.ts";
import { createKeyPackages } from "./key-packages.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { createLongPolls } from "./long-poll.ts";
import { openApiDocument } from "./openapi.ts";
import {
  bytesToText,
  type OpenApiDocument,
  PROBLEMS,
  type ReadyResponse,
  ROUTES,
  type Route,
  type RouteName,
  segmentsOf,
} from "./protocol/index.ts";
import { addressKey, clientAddress, createRateLimiter } from "./rate-limit.ts";
import { createReading, type Room } from "./reading.ts";
import { notFound, problemResponse, Refusal } from "./refusal.ts";
import { createReports } from "./reports.ts";
import { bearerOf, createSessions, type Session } from "./sessions.ts";
import { createSignals } from "./signals.ts";
import { createSockets, refuseUpgrade } from "./sockets.ts";
import { type ContactRule, type Store, StoreUnavailable } from "./store/store.ts";

export interface DeliveryServiceOptions {
  /** Stays the caller's to close, after the service. */
  readonly store: Store;
  /** The service's own origin, which sign-ins name. */
  readonly publicOrigin: string;
  /** The origins of pages that may use the service. */
  readonly allowedOrigins: readonly string[];
  /**
   * How many proxies stand before the service, each of which appends to `X-Forwarded-For`: so many of its last entries are
   * believed, for what is limited by address. 0 unless given: the header is not read.
   */
  readonly trustedProxies?: number;
  /** Milliseconds since the Unix epoch. */
  readonly now?: () => number;
  readonly limits?: Partial<Limits>;
  /**
   * Whether anybody signed in may look an account up by its name and add its devices to groups ("open"), or has to ask first, where
   * the account itself decided nothing. "ask" unless given.
   */
  readonly contact?: ContactRule;
  /** Who may make an account: everybody ("open"), who has a code of the operator's ("invite"), or nobody ("closed"). "open" unless given. */
  readonly registration?: RegistrationRule;
  /** Where blobs are kept; without it there are none. */
  readonly blobs?: BlobBodies;
  /** One that reaches the other processes, where several share a store. */
  readonly doorbell?: Doorbell;
  /** Takes one line a request. Nothing in it says who, which group, or what. */
  readonly log?: (entry: LogLine) => void;
}

export interface LogLine {
  /** Milliseconds since the Unix epoch. */
  readonly time: number;
  /** As `ROUTES` names it; `-` for what is no route. */
  readonly route: RouteName | "-";
  readonly status: number;
  /** Milliseconds. */
  readonly duration: number;
  /** The code of the problem, where there was one. */
  readonly code?: string;
  /** Where an unforeseen error came from: its name and the places in our code, without its message. */
  readonly error?: string;
}

/** What the service has under way. */
export interface ServiceStatus {
  /** WebSockets. */
  readonly sockets: number;
  /** Frames that wait for a WebSocket to take them. */
  readonly backlog: number;
  /** Requests. */
  readonly requests: number;
  /** Commits and messages that wait for their turn in a group. */
  readonly waitingForTurn: number;
  /** What waits for the store: to be written, or for a connection. */
  readonly waitingForStore: number;
}

export interface DeliveryService {
  /** Answers a request that came over a connection from this address. Never rejects. */
  readonly fetch: (request: Request, from: { readonly address: string }) => Promise<Response>;
  /** Takes a request to upgrade to a WebSocket, or refuses it. */
  readonly upgrade: (
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    from: { readonly address: string },
  ) => void;
  /** Removes what has expired or was deleted. Done now and then, by one process or by several. */
  readonly sweep: () => Promise<void>;
  readonly status: () => ServiceStatus;
  /** Whether requests are to be sent here: the database answers, and no end is near. */
  readonly isReady: () => Promise<boolean>;
  /** From now on the service says that it isn't ready and takes no new sockets; requests are answered. */
  readonly retire: () => void;
  /** Ends the sockets, over so many milliseconds; later requests are told that the service shuts down. */
  readonly close: (options?: { readonly spread?: number }) => Promise<void>;
}

/** How long the database may take to say that it is there, in milliseconds. */
const READINESS = 2_000;

/** What every answer carries. It is data for programs: no browser is to show, run, frame or keep it. */
const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "cross-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
} as const;

interface Environment {
  readonly Bindings: { readonly address: string };
  Variables: { route?: RouteName; code?: string; error?: string };
}

export function createDeliveryService(options: DeliveryServiceOptions): DeliveryService {
  const { store, publicOrigin, allowedOrigins, trustedProxies = 0 } = options;
  const now = options.now ?? Date.now;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const doorbell = options.doorbell ?? localDoorbell();
  const context: PublicContext = {
    crypto: nodeCrypto,
    authentication: deviceAuthentication(store),
    now,
  };
  const { contact = "ask", registration = "open" } = options;
  const service = { store, publicOrigin, limits, contact, registration, now, doorbell, context };
  const sessions = createSessions(service);
  const sockets = createSockets({ ...service, sessions });
  const longPolls = createLongPolls(service);
  const blobs = createBlobs({ ...service, bodies: options.blobs });
  const groupLog = createGroupLog(service);
  const perAddress = createRateLimiter(limits.address, now);
  const perDevice = createRateLimiter(limits.device, now);
  const perAccount = createRateLimiter(limits.account, now);
  const readBytes = createRateLimiter(limits.readBytes, now);
  const reading = createReading(limits);
  let requests = 0;
  let retired = false;
  let closing = false;
  let document: OpenApiDocument | undefined;

  /** Whether the database answers, soon. */
  async function storeAnswers(): Promise<boolean> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error("too late")), READINESS);
    try {
      await Promise.race([store.ready(), late.promise]);
      return true;
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  async function ready(): Promise<ReadyResponse> {
    if (retired) throw new Refusal("shutting-down", "the service shuts down");
    if (await storeAnswers()) return { status: "ready" };
    throw new Refusal("unavailable", "the database doesn't answer", {
      headers: { "retry-after": "1" },
    });
  }

  const handlers: Handlers<RouteName> = {
    ...sessions.handlers,
    ...createAccounts({ ...service, sessions }),
    ...createAccountExport(service),
    ...createConsent(service),
    ...createBackupMarks(service),
    ...createKeyPackages(service),
    ...groupLog.handlers,
    ...createGroups({ ...service, longPolls }),
    ...createReports(service),
    ...createInbox({ ...service, longPolls }),
    ...createSignals(service),
    ...blobs.handlers,
    socket: async () => {
      throw new Refusal("upgrade-required", "this is a WebSocket", {
        headers: { upgrade: "websocket" },
      });
    },
    health: async () => ({ status: "ok" }),
    openapi: async () => (document ??= openApiDocument()),
    ready,
  };

  /** Whether a page of this origin may use the service; what is no page has no origin. */
  function checkOrigin(origin: string | undefined): void {
    if (origin !== undefined && !allowedOrigins.includes(origin)) {
      throw new Refusal("origin-not-allowed", "pages of this origin may not use the service");
    }
  }

  function admit(address: string, origin: string | undefined): void {
    if (closing) throw new Refusal("shutting-down", "the service shuts down");
    perAddress.take(addressKey(address));
    checkOrigin(origin);
  }

  const app = new Hono<Environment>();
  app.use(async (c, next) => {
    const time = now();
    const start = performance.now();
    await next();
    for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
    const code = c.get("code");
    const error = c.get("error");
    options.log?.({
      time,
      route: c.get("route") ?? "-",
      status: c.res.status,
      duration: Math.round(performance.now() - start),
      ...(code !== undefined && { code }),
      ...(error !== undefined && { error }),
    });
  });
  app.use(
    cors({
      origin: (origin) => (allowedOrigins.includes(origin) ? origin : null),
      allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
      allowHeaders: [
        "authorization",
        "content-type",
        "idempotency-key",
        "range",
        "upload-complete",
        "upload-length",
        "upload-offset",
      ],
      exposeHeaders: [
        "content-range",
        "location",
        "retry-after",
        "tree-next",
        "upload-complete",
        "upload-length",
        "upload-limit",
        "upload-offset",
      ],
      maxAge: 600,
    }),
  );
  app.use(async (c, next) => {
    admit(c.env.address, c.req.header("origin"));
    await next();
  });

  /** Who is signed in, if the limits for the device and its account let it. */
  async function callerOf(request: Request, route: Route): Promise<Session> {
    const session = await sessions.session(bearerOf(request));
    const { device, accountId } = session.device;
    perDevice.take(String(device));
    const account = bytesToText(accountId);
    perAccount.take(account);
    // Who has read too much may still say something.
    if (route.method === "GET") readBytes.check(account);
    return session;
  }

  const methods = new Map<string, string[]>();
  for (const name of Object.keys(ROUTES) as RouteName[]) {
    const route: Route = ROUTES[name];
    const handler = handlers[name] as AnyHandler;
    const shape = { ...route, segments: segmentsOf(route.path) };
    const path = route.path.replace(/\{(\w+)\}/g, ":$1");
    methods.set(path, [...(methods.get(path) ?? []), route.method]);
    app.on(route.method, path, async (c) => {
      c.set("route", name);
      const { raw: request } = c.req;
      const session = route.signIn ? await callerOf(request, route) : undefined;
      const device = session?.device;
      const params = parametersOf(
        shape,
        (segment) => c.req.param(segment),
        (field) => c.req.query(field),
      );
      const { address } = c.env;
      const callers = [`address ${addressKey(address)}`];
      if (device !== undefined) callers.push(`account ${bytesToText(device.accountId)}`);
      const stillSignedIn = async (): Promise<void> => {
        if (session !== undefined) await sessions.session(bearerOf(request));
      };
      let room: Room | undefined;
      // A body may take its time: the session may have ended meanwhile.
      const body = async (): Promise<unknown> => {
        const read = await bodyOf(route, request, (size) => (room = reading(callers, size)));
        if (route.body !== undefined) await stillSignedIn();
        return read;
      };
      const given = { request, address, device, session, params, stillSignedIn, body };
      try {
        const { response, size } = responseOf(route, await handler(given));
        if (device !== undefined) readBytes.charge(bytesToText(device.accountId), size);
        return response;
      } finally {
        room?.release();
      }
    });
  }
  for (const [path, allowed] of methods) {
    app.all(path, () => {
      throw new Refusal("method-not-allowed", "this cannot be done here", {
        headers: { allow: allowed.join(", ") },
      });
    });
  }
  app.notFound((c) => {
    c.set("code", "not-found");
    return problemResponse(notFound());
  });
  app.onError((error, c) => {
    if (!(error instanceof Refusal)) c.set("error", traceOf(error));
    const refusal = refusalFor(error);
    c.set("code", refusal.code);
    return problemResponse(refusal);
  });

  return {
    fetch: async (request, from) => {
      const forwarded = request.headers.get("x-forwarded-for") ?? undefined;
      requests += 1;
      try {
        return await app.fetch(request, {
          address: clientAddress(from.address, forwarded, trustedProxies),
        });
      } finally {
        requests -= 1;
      }
    },
    upgrade(request, stream, head, from) {
      const forwarded = request.headers["x-forwarded-for"]?.toString();
      const address = clientAddress(from.address, forwarded, trustedProxies);
      const line = { time: now(), route: "socket", duration: 0 } as const;
      try {
        const { method, path } = ROUTES.socket;
        admit(address, request.headers.origin);
        if (retired) throw new Refusal("shutting-down", "the service shuts down");
        if (request.method !== method || request.url?.split("?")[0] !== path) {
          throw notFound();
        }
        sockets.accept(request, stream, head, address);
        options.log?.({ ...line, status: 101 });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const [status] = PROBLEMS[error.code];
        refuseUpgrade(stream, status);
        options.log?.({ ...line, status, code: error.code });
      }
    },
    sweep: blobs.sweep,
    status: () => ({
      ...sockets.status(),
      requests,
      waitingForTurn: groupLog.waiting(),
      waitingForStore: store.waiting(),
    }),
    isReady: async () => !retired && (await storeAnswers()),
    retire() {
      retired = true;
    },
    async close({ spread = 0 } = {}) {
      retired = true;
      longPolls.close();
      await sockets.close(spread);
      closing = true;
    },
  };
}

function refusalFor(error: Error): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof StoreUnavailable) {
    const headers = { "retry-after": "1" };
    return new Refusal("unavailable", "the store does not answer: ask again", { headers });
  }
  return new Refusal("internal", "the service failed at this");
}

/** An error's name and where it arose. Its message is left out: it might quote what was sent. */
function traceOf(error: Error): string {
  const frames = error.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  return [error.name, ...frames.slice(0, 8).map((line) => line.trim())].join(" ");
}
