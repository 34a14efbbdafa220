/**
 * A real service on a real port, and people with real keys, for the tests.
 * @module
 */

import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createDeliveryService,
  type DeliveryService,
  type DeliveryServiceOptions,
  diskBodies,
  type LogLine,
  openSqliteStore,
  type Server,
  type Store,
  serve,
} from "@conclave/delivery";
import {
  accountIdOf,
  type Device,
  type DeviceList,
  type Problem,
  SignInResponse,
  type SigningKey,
  sha256,
  signDeviceList,
  signSignIn,
  toJson,
} from "@conclave/delivery/protocol";

import { checkDescribed } from "./openapi/described.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

export const ORIGIN = "https://delivery.example";
export const PAGE = "https://page.example";

export function random(length: number): Bytes {
  return new Uint8Array(randomBytes(length));
}

export async function newKey(): Promise<SigningKey> {
  const { publicKey, privateKey } = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
    "verify",
  ]);
  return {
    publicKey: new Uint8Array(await crypto.subtle.exportKey("raw", publicKey)),
    sign: async (message) =>
      new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, message)),
  };
}

export interface World {
  readonly url: string;
  readonly store: Store;
  readonly service: DeliveryService;
  readonly server: Server;
  readonly lines: readonly LogLine[];
  /** Milliseconds since the Unix epoch; tests move it. */
  readonly clock: { now: number };
  readonly file: string;
  /** The folder of the blobs. */
  readonly blobs: string;
  readonly close: () => Promise<void>;
}

/** `keepStore`: the store is another's, who closes it. */
export async function startWorld(
  options: Partial<DeliveryServiceOptions> & { readonly keepStore?: boolean } = {},
): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "delivery-"));
  const file = join(folder, "store.sqlite");
  const store = options.store ?? openSqliteStore(file);
  const blobs = join(folder, "blobs");
  const clock = { now: Date.now() };
  const lines: LogLine[] = [];
  const service = createDeliveryService({
    store,
    publicOrigin: ORIGIN,
    allowedOrigins: [PAGE],
    contact: "open",
    now: () => clock.now,
    log: (line) => void lines.push(line),
    blobs: diskBodies(blobs),
    ...options,
  });
  const server = await serve(service, { port: 0 });
  return {
    url: `http://127.0.0.1:${server.port}`,
    store,
    service,
    server,
    lines,
    clock,
    file,
    blobs,
    async close() {
      await server.close();
      if (options.keepStore !== true) await store.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** One device of one account, with all its keys. */
export interface Person {
  readonly name: string;
  readonly accountId: Bytes;
  readonly rootKey: SigningKey;
  readonly signatureKey: SigningKey;
  readonly signInKey: SigningKey;
  readonly device: Device;
}

export async function newPerson(name: string): Promise<Person> {
  const [rootKey, signatureKey, signInKey] = [await newKey(), await newKey(), await newKey()];
  return {
    name,
    accountId: await accountIdOf(rootKey.publicKey),
    rootKey,
    signatureKey,
    signInKey,
    device: {
      deviceId: random(16),
      signatureKey: signatureKey.publicKey,
      signInKey: signInKey.publicKey,
      revokedAt: 0n,
    },
  };
}

export function signList(
  person: Person,
  change: Partial<Omit<DeviceList, "label" | "rootKey">> = {},
): Promise<Bytes> {
  const seconds = BigInt(Math.floor(Date.now() / 1000));
  return signDeviceList(
    {
      name: person.name,
      version: 1n,
      previousHash: new Uint8Array(0),
      issuedAt: seconds,
      expiresAt: seconds + 365n * 86400n,
      devices: [person.device],
      ...change,
    },
    person.rootKey,
  );
}

/** The list after `previous`. */
export async function signNextList(
  person: Person,
  previous: Bytes,
  change: Partial<Omit<DeviceList, "label" | "rootKey">> = {},
): Promise<Bytes> {
  return signList(person, { version: 2n, previousHash: await sha256(previous), ...change });
}

export function proveSignIn(
  person: Person,
  change: Partial<Parameters<typeof signSignIn>[0]> = {},
  key: SigningKey = person.signInKey,
): Promise<Bytes> {
  return signSignIn(
    {
      service: ORIGIN,
      accountId: person.accountId,
      deviceId: person.device.deviceId,
      issuedAt: BigInt(Math.floor(Date.now() / 1000)),
      nonce: random(16),
      ...change,
    },
    key,
  );
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // The tests look into answers that they expect; what is not there fails them.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
  readonly problem: Problem;
}

/** A request with a JSON body, or with the bytes of an MLSMessage. What it answers has to be as described. */
export async function call(
  world: { readonly url: string },
  method: string,
  path: string,
  options: {
    token?: string;
    body?: unknown;
    headers?: Record<string, string>;
    signal?: AbortSignal;
  } = {},
): Promise<Answer> {
  const { token, body, signal } = options;
  const isMessage = body instanceof Uint8Array;
  const response = await fetch(world.url + path, {
    method,
    ...(signal && { signal }),
    headers: {
      ...(body !== undefined && { "content-type": isMessage ? "message/mls" : "application/json" }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...options.headers,
    },
    ...(body !== undefined && { body: isMessage ? (body as Bytes) : toJson(body) }),
  });
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  const content: unknown = isJson
    ? await response.json()
    : new Uint8Array(await response.arrayBuffer());
  const { status, headers } = response;
  checkDescribed(method, path, { status, type: headers.get("content-type"), body: content });
  return { status, headers, body: content, problem: content as Problem };
}

/** Registers the person; the answer is the token. */
export async function register(world: { readonly url: string }, person: Person): Promise<string> {
  const body = { deviceList: await signList(person), signIn: await proveSignIn(person) };
  const answer = await call(world, "POST", "/v1/accounts", { body });
  return SignInResponse.parse(answer.body).token;
}

/** Tries until it holds. The test's own time limit ends it. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}
