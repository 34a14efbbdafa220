/**
 * Every route: one table that the service registers from, that the OpenAPI document is made of and that
 * the typed client asks by.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { z } from "zod";
import {
  Accepted,
  AccountExport,
  AcknowledgeRequest,
  AskContactRequest,
  BackupMark,
  BackupMarkResponse,
  BlobResponse,
  bytes,
  ClaimKeyPackagesRequest,
  ClaimKeyPackagesResponse,
  CommitRequest,
  ContactRequestsResponse,
  ContactsResponse,
  CreateGroupRequest,
  CreateGroupResponse,
  DeleteAccountRequest,
  DeviceListResponse,
  EndSessionsRequest,
  epochNumber,
  GroupsResponse,
  HealthResponse,
  InboxResponse,
  KeyPackageCount,
  LIMITS,
  LinkResponse,
  LogResponse,
  LookUpRequest,
  OpenApiDocument,
  ReadyResponse,
  RecoverRequest,
  RecoveryRequest,
  RegisterRequest,
  ReplaceDeviceListRequest,
  ReportRequest,
  ReportResponse,
  ReportsResponse,
  SessionsResponse,
  SetContactRequest,
  SetContactRuleRequest,
  SignInRequest,
  SignInResponse,
  SocketFrame,
  SocketHello,
  UploadKeyPackagesRequest,
  wholeNumber,
} from "./api.ts";
import type { ProblemCode } from "./problem.ts";

export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** `{x}` is a segment with the base64url of 1 to 64 bytes. */
  readonly path: string;
  /** One sentence. */
  readonly summary: string;
  /** Whether it needs a token: `Authorization: Bearer`. */
  readonly signIn: boolean;
  /** In the query; what need not be there is optional. */
  readonly query?: Readonly<Record<string, z.ZodType>>;
  /** What its own headers say, in a request and in the answer. */
  readonly headers?: {
    readonly request?: Readonly<Record<string, string>>;
    readonly answer?: Readonly<Record<string, string>>;
  };
  readonly body?: RouteBody;
  readonly answer: RouteAnswer;
  /** The problems that it may answer, beside those that `problemsOf` adds. */
  readonly problems: readonly ProblemCode[];
  /** Of a WebSocket: what comes over it from a device and from the service, as JSON. */
  readonly frames?: {
    readonly fromDevice: readonly z.ZodType[];
    readonly fromService: readonly z.ZodType[];
  };
}

/** `limit`: bytes. JSON has a schema, anything else a media type. */
export type RouteBody =
  | { readonly schema: z.ZodType; readonly limit: number }
  | { readonly type: string; readonly limit: number };

export type RouteAnswer =
  | { readonly status: 200 | 201; readonly schema: z.ZodType }
  /** `ranges`: a request for a range of bytes is answered with status 206. */
  | { readonly status: 200; readonly type: string; readonly ranges?: true }
  | { readonly status: 101 | 202 | 204 };

/** Of JSON in which only ids and signatures come, in bytes: a list of 64 devices is far smaller. */
const SMALL = 64 * 1024;

/** After draft-ietf-httpbis-resumable-upload. */
const UPLOAD_STATE = {
  Location: "The blob.",
  "Upload-Complete": "`?1` where all of it is stored.",
  "Upload-Offset": "How many bytes are stored.",
  "Upload-Length": "How many bytes it has.",
  "Upload-Limit": "`max-size` and `min-append-size` in bytes, `max-age` in seconds.",
} as const;

/** The parts of a tree, one behind the other, are the vector (RFC 9420 §12.4.3.3) without its length. */
const TREE_PART = {
  "Tree-Next": "The index of the node from which to read on; absent at the end.",
};

export const ROUTES = {
  register: {
    method: "POST",
    path: "/v1/accounts",
    summary: "Makes an account with its first device, and signs that device in.",
    signIn: false,
    body: { schema: RegisterRequest, limit: SMALL },
    answer: { status: 201, schema: SignInResponse },
    problems: [
      "name-taken",
      "account-exists",
      "key-in-use",
      "device-in-use",
      "invalid-signature",
      "clock-skew",
      "registration-closed",
      "invite-needed",
      "invite-unknown",
      "invite-spent",
      "invite-expired",
      "account-disabled",
    ],
  },
  recovery: {
    method: "POST",
    path: "/v1/recovery",
    summary: "The device list of the account whose root key asks.",
    signIn: false,
    body: { schema: RecoveryRequest, limit: 1024 },
    answer: { status: 200, schema: DeviceListResponse },
    problems: ["not-found", "invalid-signature", "clock-skew", "account-deleted"],
  },
  recover: {
    method: "POST",
    path: "/v1/accounts/{accountId}/recovery",
    summary:
      "Replaces the account's device list by the one that follows it, and signs in a device of it.",
    signIn: false,
    body: { schema: RecoverRequest, limit: SMALL },
    answer: { status: 201, schema: SignInResponse },
    problems: [
      "not-allowed",
      "device-list-conflict",
      "key-in-use",
      "device-in-use",
      "invalid-signature",
      "clock-skew",
      "account-disabled",
    ],
  },
  signIn: {
    method: "POST",
    path: "/v1/sessions",
    summary: "Proves the device's sign-in key; the token is good for half an hour.",
    signIn: false,
    body: { schema: SignInRequest, limit: SMALL },
    answer: { status: 201, schema: SignInResponse },
    problems: [
      "invalid-signature",
      "clock-skew",
      "account-deleted",
      "account-disabled",
      "device-in-use",
    ],
  },
  signOut: {
    method: "DELETE",
    path: "/v1/sessions",
    summary: "Ends the session whose token this is.",
    signIn: true,
    answer: { status: 204 },
    problems: [],
  },
  sessions: {
    method: "GET",
    path: "/v1/sessions",
    summary: "The sessions of the account's devices.",
    signIn: true,
    answer: { status: 200, schema: SessionsResponse },
    problems: [],
  },
  endSession: {
    method: "DELETE",
    path: "/v1/sessions/{sessionId}",
    summary: "Ends one session of the account.",
    signIn: true,
    answer: { status: 204 },
    problems: [],
  },
  endSessions: {
    method: "POST",
    path: "/v1/sessions/end",
    summary: "Ends all sessions of the account, or of one of its devices.",
    signIn: true,
    body: { schema: EndSessionsRequest, limit: 1024 },
    answer: { status: 204 },
    problems: [],
  },
  deleteAccount: {
    method: "DELETE",
    path: "/v1/accounts/{accountId}",
    summary: "Ends the account and all that the service holds for it alone.",
    signIn: true,
    body: { schema: DeleteAccountRequest, limit: SMALL },
    answer: { status: 204 },
    problems: ["not-allowed", "sign-in-again", "device-list-conflict", "clock-skew"],
  },
  exportAccount: {
    method: "GET",
    path: "/v1/account/export",
    summary: "All that the service holds about the account.",
    signIn: true,
    answer: { status: 200, schema: AccountExport },
    problems: [],
  },
  backupMark: {
    method: "GET",
    path: "/v1/account/backup",
    summary: "What the account noted about its newest backup.",
    signIn: true,
    answer: { status: 200, schema: BackupMarkResponse },
    problems: [],
  },
  setBackupMark: {
    method: "PUT",
    path: "/v1/account/backup",
    summary: "Notes a backup of the account that is newer than the one before.",
    signIn: true,
    body: { schema: BackupMark, limit: 1024 },
    answer: { status: 204 },
    problems: ["backup-older", "clock-skew"],
  },
  setContactRule: {
    method: "PUT",
    path: "/v1/account/contact",
    summary: "Decides whether everybody may add the account's devices to groups, or has to ask.",
    signIn: true,
    body: { schema: SetContactRuleRequest, limit: 1024 },
    answer: { status: 204 },
    problems: [],
  },
  askContact: {
    method: "POST",
    path: "/v1/contacts/requests",
    summary: "Asks to reach an account; answers alike whether there is one and what it says.",
    signIn: true,
    body: { schema: AskContactRequest, limit: 1024 },
    answer: { status: 202 },
    problems: [],
  },
  withdrawContact: {
    method: "POST",
    path: "/v1/contacts/requests/withdraw",
    summary: "Takes back what was asked, where it still waits; answers alike whether it does.",
    signIn: true,
    body: { schema: AskContactRequest, limit: 1024 },
    answer: { status: 204 },
    problems: [],
  },
  contactRequests: {
    method: "GET",
    path: "/v1/contacts/requests",
    summary: "Who asks to reach the account.",
    signIn: true,
    answer: { status: 200, schema: ContactRequestsResponse },
    problems: [],
  },
  contacts: {
    method: "GET",
    path: "/v1/contacts",
    summary: "Whom the account allowed, refused and blocked.",
    signIn: true,
    query: { after: bytes.optional() },
    answer: { status: 200, schema: ContactsResponse },
    problems: [],
  },
  setContact: {
    method: "PUT",
    path: "/v1/contacts/{accountId}",
    summary: "Allows, refuses or blocks another account, whether it asked or not.",
    signIn: true,
    body: { schema: SetContactRequest, limit: 1024 },
    answer: { status: 204 },
    problems: ["too-large"],
  },
  forgetContact: {
    method: "DELETE",
    path: "/v1/contacts/{accountId}",
    summary: "Takes back what was said to another account.",
    signIn: true,
    answer: { status: 204 },
    problems: [],
  },
  lookUp: {
    method: "POST",
    path: "/v1/directory/lookup",
    summary: "The device list of the account with exactly this name.",
    signIn: true,
    body: { schema: LookUpRequest, limit: SMALL },
    answer: { status: 200, schema: DeviceListResponse },
    problems: ["not-found"],
  },
  deviceList: {
    method: "GET",
    path: "/v1/accounts/{accountId}/device-list",
    summary: "The newest device list of an account.",
    signIn: true,
    answer: { status: 200, schema: DeviceListResponse },
    problems: [],
  },
  replaceDeviceList: {
    method: "PUT",
    path: "/v1/accounts/{accountId}/device-list",
    summary: "Puts the next device list in the place of the one that is held.",
    signIn: true,
    body: { schema: ReplaceDeviceListRequest, limit: SMALL },
    answer: { status: 204 },
    problems: ["not-allowed", "device-list-conflict", "key-in-use", "clock-skew"],
  },
  uploadKeyPackages: {
    method: "POST",
    path: "/v1/key-packages",
    summary: "Adds to the key packages by which others add this device.",
    signIn: true,
    body: { schema: UploadKeyPackagesRequest, limit: 1024 * 1024 },
    answer: { status: 200, schema: KeyPackageCount },
    problems: ["not-allowed", "invalid-message"],
  },
  countKeyPackages: {
    method: "GET",
    path: "/v1/key-packages",
    summary: "How many key packages of this device are left.",
    signIn: true,
    answer: { status: 200, schema: KeyPackageCount },
    problems: [],
  },
  claimKeyPackages: {
    method: "POST",
    path: "/v1/key-packages/claim",
    summary:
      "One key package of each device of an account, or of those named, to add them to a group.",
    signIn: true,
    body: { schema: ClaimKeyPackagesRequest, limit: 4 * 1024 },
    answer: { status: 200, schema: ClaimKeyPackagesResponse },
    problems: ["not-found"],
  },
  createGroup: {
    method: "POST",
    path: "/v1/groups",
    summary: "Makes a group, in epoch 0 with this device as its one member.",
    signIn: true,
    body: { schema: CreateGroupRequest, limit: LIMITS.newGroup },
    answer: { status: 201, schema: CreateGroupResponse },
    problems: ["group-exists", "invalid-message", "not-allowed", "device-full"],
  },
  groups: {
    method: "GET",
    path: "/v1/groups",
    summary: "The groups that this device is or was in, behind `after`.",
    signIn: true,
    query: { after: bytes.optional() },
    answer: { status: 200, schema: GroupsResponse },
    problems: [],
  },
  giveUpGroup: {
    method: "DELETE",
    path: "/v1/groups/{groupId}",
    summary:
      "Frees the place that the group takes among those of this device, whatever becomes of its leaf.",
    signIn: true,
    answer: { status: 204 },
    problems: [],
  },
  commit: {
    method: "POST",
    path: "/v1/groups/{groupId}/commits",
    summary: "Ends the group's epoch with a commit and all that belongs to it.",
    signIn: true,
    body: { schema: CommitRequest, limit: LIMITS.body },
    answer: { status: 201, schema: Accepted },
    problems: [
      "wrong-epoch",
      "future-epoch",
      "pending-proposals",
      "invalid-message",
      "not-allowed",
      "link-closed",
      "device-full",
    ],
  },
  message: {
    method: "POST",
    path: "/v1/groups/{groupId}/messages",
    summary: "Appends an application message or a proposal to the group's log.",
    signIn: true,
    body: { type: "message/mls", limit: LIMITS.message },
    answer: { status: 201, schema: Accepted },
    problems: ["wrong-epoch", "future-epoch", "invalid-message", "not-allowed"],
  },
  signal: {
    method: "POST",
    path: "/v1/groups/{groupId}/signals",
    summary: "Says something to the members who listen now; it is stored nowhere.",
    signIn: true,
    body: { type: "application/octet-stream", limit: LIMITS.signal },
    answer: { status: 204 },
    problems: [],
  },
  report: {
    method: "POST",
    path: "/v1/groups/{groupId}/reports",
    summary: "Says that this device can't follow a commit, and how it may be added again.",
    signIn: true,
    body: { schema: ReportRequest, limit: SMALL },
    answer: { status: 201, schema: ReportResponse },
    problems: ["report-refused", "not-allowed"],
  },
  reports: {
    method: "GET",
    path: "/v1/groups/{groupId}/reports",
    summary: "The members that can't follow a commit and wait to be added again.",
    signIn: true,
    answer: { status: 200, schema: ReportsResponse },
    problems: [],
  },
  log: {
    method: "GET",
    path: "/v1/groups/{groupId}/log",
    summary:
      "What the group's log has behind `after`, as far as this device may read; if it has nothing, what comes within `wait` seconds.",
    signIn: true,
    query: {
      after: wholeNumber.optional(),
      limit: wholeNumber.optional(),
      wait: wholeNumber.optional(),
    },
    answer: { status: 200, schema: LogResponse },
    problems: ["gone"],
  },
  tree: {
    method: "GET",
    path: "/v1/groups/{groupId}/tree",
    summary:
      "A part of the `ratchet_tree` of an epoch, from a node on: the current one, or one that a Welcome leads to.",
    signIn: true,
    query: { epoch: epochNumber, from: wholeNumber.optional() },
    headers: { answer: TREE_PART },
    answer: { status: 200, type: "application/octet-stream" },
    problems: ["tree-gone"],
  },
  link: {
    method: "GET",
    path: "/v1/links/{linkId}",
    summary: "What a joiner by an invitation link needs, sealed to the link.",
    signIn: true,
    answer: { status: 200, schema: LinkResponse },
    problems: ["link-closed"],
  },
  linkTree: {
    method: "GET",
    path: "/v1/links/{linkId}/tree",
    summary: "A part of the `ratchet_tree` of the epoch that the link leads into, from a node on.",
    signIn: true,
    query: { epoch: epochNumber, from: wholeNumber.optional() },
    headers: { answer: TREE_PART },
    answer: { status: 200, type: "application/octet-stream" },
    problems: ["link-closed", "tree-gone"],
  },
  inbox: {
    method: "GET",
    path: "/v1/inbox",
    summary:
      "The Welcomes behind `after` for this device; if there are none, what comes within `wait` seconds.",
    signIn: true,
    query: { after: wholeNumber.optional(), wait: wholeNumber.optional() },
    answer: { status: 200, schema: InboxResponse },
    problems: [],
  },
  acknowledge: {
    method: "POST",
    path: "/v1/inbox/ack",
    summary: "Takes what was dealt with out of this device's inbox.",
    signIn: true,
    body: { schema: AcknowledgeRequest, limit: 1024 },
    answer: { status: 204 },
    problems: ["beyond-end"],
  },
  createBlob: {
    method: "POST",
    path: "/v1/blobs",
    summary:
      "Begins the upload of a blob of the length in `Upload-Length`, with what the body has.",
    signIn: true,
    headers: {
      request: {
        "Upload-Length": "How many bytes the blob has.",
        "Upload-Complete": "`?1` where the body is the whole blob.",
        "Idempotency-Key":
          "A quoted string of 16 to 128 characters: with it the request can be repeated.",
      },
      answer: UPLOAD_STATE,
    },
    body: { type: "application/octet-stream", limit: LIMITS.blob },
    answer: { status: 201, schema: BlobResponse },
    problems: ["over-quota", "not-found"],
  },
  appendBlob: {
    method: "PATCH",
    path: "/v1/blobs/{blobId}",
    summary: "Appends to an upload of this account, at `Upload-Offset`.",
    signIn: true,
    headers: {
      request: {
        "Upload-Offset": "Where in the blob the body begins.",
        "Upload-Complete": "`?1` where it ends with the blob.",
      },
      answer: UPLOAD_STATE,
    },
    body: { type: "application/partial-upload", limit: LIMITS.blob },
    answer: { status: 200, schema: BlobResponse },
    problems: ["wrong-offset"],
  },
  blob: {
    method: "GET",
    path: "/v1/blobs/{blobId}",
    summary: "A blob, or the bytes of it that `Range` asks for; with HEAD, where an upload is.",
    signIn: true,
    headers: { request: { Range: "One range of bytes." }, answer: UPLOAD_STATE },
    answer: { status: 200, type: "application/octet-stream", ranges: true },
    problems: ["range-not-satisfiable"],
  },
  deleteBlob: {
    method: "DELETE",
    path: "/v1/blobs/{blobId}",
    summary: "Ends a blob or an upload of this account.",
    signIn: true,
    answer: { status: 204 },
    problems: [],
  },
  socket: {
    method: "GET",
    path: "/v1/socket",
    summary: "A WebSocket that says when there is something to read, and brings what is small.",
    // With its first frame.
    signIn: false,
    answer: { status: 101 },
    problems: ["upgrade-required"],
    frames: { fromDevice: [SocketHello], fromService: [SocketFrame] },
  },
  health: {
    method: "GET",
    path: "/health",
    summary: "Whether the process answers.",
    signIn: false,
    answer: { status: 200, schema: HealthResponse },
    problems: [],
  },
  openapi: {
    method: "GET",
    path: "/v1/openapi.json",
    summary: "This description: an OpenAPI 3.1 document.",
    signIn: false,
    answer: { status: 200, schema: OpenApiDocument },
    problems: [],
  },
  ready: {
    method: "GET",
    path: "/ready",
    summary: "Whether requests are to be sent here: the database answers, and no end is near.",
    signIn: false,
    answer: { status: 200, schema: ReadyResponse },
    problems: ["unavailable", "shutting-down"],
  },
} as const satisfies Readonly<Record<string, Route>>;

export type RouteName = keyof typeof ROUTES;
type Routes = typeof ROUTES;

/** The names in the braces of a path. */
type Segments<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Segments<Rest>
  : never;

type Query<T> = T extends { readonly query: infer Q extends Readonly<Record<string, z.ZodType>> }
  ? {
      readonly [name in keyof Q as undefined extends z.output<Q[name]> ? never : name]: z.output<
        Q[name]
      >;
    } & {
      readonly [name in keyof Q as undefined extends z.output<Q[name]> ? name : never]?:
        | z.output<Q[name]>
        | undefined;
    }
  : unknown;

/** What fills a route's path and query. */
export type ParametersOf<N extends RouteName> = {
  readonly [name in Segments<Routes[N]["path"]>]: Bytes;
} & Query<Routes[N]>;

/** What a route is sent: what its schema reads, or bytes. */
export type BodyOf<N extends RouteName> = Routes[N] extends { readonly body: infer B }
  ? B extends { readonly schema: infer S extends z.ZodType }
    ? Frozen<z.output<S>>
    : Bytes
  : undefined;

/** What a route answers, where that is JSON; otherwise undefined. */
export type AnswerOf<N extends RouteName> = Routes[N]["answer"] extends {
  readonly schema: infer S extends z.ZodType;
}
  ? Frozen<z.output<S>>
  : undefined;

/** All of it readonly. */
export type Frozen<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Frozen<Item>[]
    : T extends object
      ? { readonly [name in keyof T]: Frozen<T[name]> }
      : T;

/** The names of the segments of a path. */
export function segmentsOf(path: string): readonly string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
}

/** All that a route may answer instead. */
export function problemsOf(route: Route): readonly ProblemCode[] {
  const codes = new Set<ProblemCode>(route.problems);
  if (route.signIn) codes.add("not-signed-in");
  if (route.path.includes("{")) codes.add("not-found");
  if (route.query ?? route.body) codes.add("bad-request");
  if (route.body) codes.add("too-large").add("unsupported-media-type");
  codes.add("origin-not-allowed").add("too-many-requests").add("internal");
  codes.add("shutting-down").add("unavailable");
  return [...codes];
}
