/**
 * Everything that can be asked of a list of policies, as one value: what somebody wants to load, run, embed or send.
 * @module
 */
import { type Decision, decide, type Outcome } from "../decide/decision.ts";
import { ungoverned } from "../decide/fetch-directives.ts";
import type { InlineElement, InlineSource, InlineType } from "../decide/match-element.ts";
import { checkFormAction, shouldNavigationResponseBeBlocked } from "../decide/navigation.ts";
import { chromium, type Profile, specification } from "../decide/profile.ts";
import { type Client, createRequest, redirect } from "../decide/request.ts";
import {
  parseSandboxingDirective,
  runGlobalObjectCspInitialization,
  type SandboxingFlag,
} from "../decide/sandbox.ts";
import {
  decideInline,
  ensureCspDoesNotBlockStringCompilation,
  ensureCspDoesNotBlockWasmByteCompilation,
  type FetchInit,
  isBaseAllowedForDocument,
  type StringCompilation,
  shouldFetchBeBlocked,
  shouldRtcConnectionsBeBlocked,
} from "../decide/should-block.ts";
import {
  shouldSinkTypeMismatchViolationBeBlocked,
  shouldTrustedTypePolicyCreationBeBlocked,
} from "../decide/trusted-types.ts";
import { upgradeRequest, upgradesInsecureRequests } from "../decide/upgrade.ts";
import { getDirective, type Policy } from "../policy/policy.ts";

/** One thing that a page may or may not do. */
export type Question =
  /** To fetch these URLs, as they are: one that would be upgraded is not fetched. */
  | { readonly kind: "fetch"; readonly request: FetchInit }
  | {
      readonly kind: "inline";
      readonly type: Exclude<InlineType, "navigation">;
      readonly element: InlineElement;
      readonly source: InlineSource;
    }
  /** To go to a `javascript:` URL, made by a Trusted Types policy or not. */
  | { readonly kind: "javascript-url"; readonly source: InlineSource; readonly isTrusted: boolean }
  | { readonly kind: "eval"; readonly compilation: StringCompilation }
  | { readonly kind: "wasm" }
  | { readonly kind: "form"; readonly url: string; readonly redirects: readonly string[] }
  | { readonly kind: "base"; readonly url: string }
  /** To be embedded in pages of these origins, the parent first. */
  | { readonly kind: "embed"; readonly ancestors: readonly string[] }
  /** To do what the sandboxing flag forbids. */
  | { readonly kind: "sandboxed"; readonly flag: SandboxingFlag }
  /** To start as a worker with these policies. */
  | { readonly kind: "worker" }
  | {
      readonly kind: "trusted-types-policy";
      readonly name: string;
      readonly created: readonly string[];
    }
  /** To hand a string to a sink like `innerHTML`. */
  | { readonly kind: "string-to-sink" }
  | { readonly kind: "webrtc" };

/** As whom one asks. */
export interface Setting {
  /** What `'self'` stands for. */
  readonly selfOrigin: string;
  readonly profile: Profile;
}

/** The origin that stands for any, where none is given. */
const genericOrigin = "https://self.invalid";

export function settingOf(options: Partial<Setting> = {}): Setting {
  return {
    selfOrigin: options.selfOrigin ?? genericOrigin,
    profile: options.profile ?? specification,
  };
}

/**
 * Settings that stand for all that the options leave open: both profiles; origins by scheme, port, and kind of host, and the opaque one. A host
 * that a policy names is none of them, so that nothing counts as covered for being the page's own.
 */
export function everySetting(options: Partial<Setting> = {}): Setting[] {
  const profiles = options.profile ? [options.profile] : [specification, chromium];
  const origins = options.selfOrigin === undefined ? anyOrigin : [options.selfOrigin];
  return profiles.flatMap((profile) => origins.map((selfOrigin) => ({ selfOrigin, profile })));
}

const anyOrigin = [
  genericOrigin,
  "http://self.invalid",
  "https://self.invalid:4443",
  "http://self.invalid:4480",
  "https://203.0.113.9",
  "null",
];

/** What the engine answers. A policy that only reports blocks nothing. */
export function ask(
  question: Question,
  policies: readonly Policy[],
  options: Partial<Setting> = {},
): Decision {
  const { selfOrigin, profile } = settingOf(options);
  const client = clientOf(policies, selfOrigin);
  switch (question.kind) {
    case "fetch": {
      const { url, redirects = [], destination } = question.request;
      const upgrade = decideUpgrade([url, ...redirects], destination ?? "", client);
      return upgrade ?? shouldFetchBeBlocked(question.request, client, profile);
    }
    case "inline":
      return decideInline(question.element, question.type, question.source, client, profile);
    case "javascript-url": {
      const typing = question.isTrusted ? null : decideSink(client);
      if (typing?.result === "Blocked") return typing;
      return decideInline(null, "navigation", question.source, client, profile);
    }
    case "eval":
      return ensureCspDoesNotBlockStringCompilation(question.compilation, client);
    case "wasm":
      return ensureCspDoesNotBlockWasmByteCompilation(client);
    case "form":
      return decideForm(question.url, question.redirects, client, profile);
    case "base":
      return isBaseAllowedForDocument(question.url, client, profile);
    case "embed": {
      const { cspList, url } = client;
      const response = { url, cspList, ancestors: question.ancestors };
      return shouldNavigationResponseBeBlocked(response, profile);
    }
    case "sandboxed":
      return decideSandbox(question.flag, policies);
    case "worker":
      return runGlobalObjectCspInitialization(client.cspList);
    case "trusted-types-policy":
      return shouldTrustedTypePolicyCreationBeBlocked(question.name, question.created, client);
    case "string-to-sink":
      return decideSink(client);
    case "webrtc":
      return shouldRtcConnectionsBeBlocked(client, profile);
  }
}

function clientOf(policies: readonly Policy[], selfOrigin: string): Client {
  const url = URL.canParse(selfOrigin) ? `${selfOrigin}/` : `${genericOrigin}/`;
  return { cspList: { policies, selfOrigin }, url };
}

function decideSink(client: Client): Decision {
  return shouldSinkTypeMismatchViolationBeBlocked("", "Element innerHTML", client);
}

/** `Blocked` where one of the URLs is never fetched because another one is, in its place; `null` where all are. */
function decideUpgrade(
  urls: readonly (string | URL)[],
  destination: string,
  { cspList }: Client,
): Decision | null {
  if (!upgradesInsecureRequests(cspList)) return null;
  const isUpgraded = urls.some((text) => {
    const url = new URL(text);
    return upgradeRequest({ url, destination }, cspList).href !== url.href;
  });
  if (!isUpgraded) return null;
  return decideByDirective(cspList.policies, "upgrade-insecure-requests", () => true);
}

function decideForm(
  url: string,
  redirects: readonly string[],
  client: Client,
  profile: Profile,
): Decision {
  const upgrade = decideUpgrade([url, ...redirects], "document", client);
  if (upgrade) return upgrade;
  let request = createRequest({ url, destination: "document", mode: "navigate" }, profile);
  let decision = checkFormAction(request, "form-submission", client, profile);
  for (const to of redirects) {
    if (decision.result === "Blocked") break;
    request = redirect(request, to, profile);
    decision = checkFormAction(request, "form-submission", client, profile);
  }
  return decision;
}

function decideSandbox(flag: SandboxingFlag, policies: readonly Policy[]): Decision {
  return decideByDirective(policies, "sandbox", (policy) => {
    const keywords = getDirective(policy, "sandbox")?.value.flatMap((value) =>
      value.type === "invalid" ? [] : [value.keyword],
    );
    return parseSandboxingDirective(keywords ?? []).has(flag);
  });
}

function decideByDirective(
  policies: readonly Policy[],
  name: "sandbox" | "upgrade-insecure-requests",
  blocks: (policy: Policy) => boolean,
): Decision {
  const outcomes = policies.map((policy): Outcome => {
    const directive = getDirective(policy, name);
    if (!directive) return ungoverned(policy, name);
    const reason = {
      step: "value",
      value: directive.value.map(({ text }) => text).join(" "),
    } as const;
    const result = blocks(policy) ? "Blocked" : "Allowed";
    return { policy, directive, effectiveDirective: name, result, reason };
  });
  return decide(outcomes, []);
}

/** The question in words, to follow "allows": `an inline script with the nonce abc`. */
export function describe(question: Question): string {
  switch (question.kind) {
    case "fetch":
      return describeFetch(question.request);
    case "inline":
      return `${inlineNames[question.type]}${proof(question.element.nonce ?? "", question.source)}${inserted(question.type === "script" && !question.element.parserInserted)}`;
    case "javascript-url":
      return `a javascript: URL${proof("", question.source)}${question.isTrusted ? " from a Trusted Types policy" : ""}`;
    case "eval": {
      const { compilationType, isTrusted } = question.compilation;
      const what = compilationType === "TIMER" ? "a string given to setTimeout" : "eval";
      return `${what}${isTrusted ? " of a TrustedScript" : ""}`;
    }
    case "wasm":
      return "WebAssembly";
    case "form":
      return `a form sent to ${question.url}${via(question.redirects)}`;
    case "base":
      return `a base element with ${question.url}`;
    case "embed":
      return `being embedded by ${question.ancestors.join(" in ")}`;
    case "sandboxed":
      return `what the sandbox's flag for ${question.flag} forbids`;
    case "worker":
      return "starting as a worker";
    case "trusted-types-policy":
      return `a Trusted Types policy named ${question.name}${question.created.length > 0 ? " for the second time" : ""}`;
    case "string-to-sink":
      return "strings in sinks like innerHTML";
    case "webrtc":
      return "WebRTC connections";
  }
}

const inlineNames = {
  script: "an inline script",
  style: "an inline style",
  "script attribute": "an event handler",
  "style attribute": "a style attribute",
} as const;

const destinationNames: Readonly<Record<string, string>> = {
  "": "a connection to",
  font: "a font from",
  iframe: "a frame with",
  image: "an image from",
  manifest: "a manifest from",
  object: "an object from",
  script: "a script from",
  style: "a style sheet from",
  video: "media from",
  worker: "a worker from",
};

function describeFetch(request: FetchInit): string {
  const { destination = "", initiator, nonce, integrity, redirects = [] } = request;
  const what =
    initiator === "prefetch"
      ? "a prefetch of"
      : (destinationNames[destination] ?? `${destination} from`);
  const withNonce = nonce ? ` with the nonce ${nonce}` : "";
  const withIntegrity = integrity ? ` with the integrity ${integrity}` : "";
  const transport = request.webTransportHashes ? " by WebTransport with certificate hashes" : "";
  return `${what} ${String(request.url)}${via(redirects)}${withNonce}${withIntegrity}${transport}${inserted(request.parserInserted === false)}`;
}

function via(redirects: readonly (string | URL)[]): string {
  return redirects.map((to) => `, redirected to ${String(to)},`).join("");
}

function inserted(byScript: boolean): string {
  return byScript ? ", inserted by a script" : "";
}

function proof(nonce: string, { text, digests }: InlineSource): string {
  const withNonce = nonce === "" ? "" : ` with the nonce ${nonce}`;
  // Code that exists by its hash alone has no text.
  const known = text === "" ? Object.entries(digests).filter(([, digest]) => digest !== "") : [];
  const hashes = known.map(([algorithm, digest]) => `${algorithm}-${digest}`).join(" and ");
  return `${withNonce}${hashes === "" ? "" : ` with the hash ${hashes}`}`;
}
