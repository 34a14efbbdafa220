/**
 * What a page may want to do, as options and cases name it, and the engine's decision.
 * @module
 */
import type { Decision } from "../decide/decision.ts";
import { inlineElement, inlineSource } from "../decide/match-element.ts";
import {
  shouldNavigationRequestBeBlocked,
  shouldNavigationResponseBeBlocked,
} from "../decide/navigation.ts";
import { chromium, type Profile, specification } from "../decide/profile.ts";
import { type Client, createRequest, type Destination } from "../decide/request.ts";
import {
  ensureCspDoesNotBlockStringCompilation,
  ensureCspDoesNotBlockWasmByteCompilation,
  isBaseAllowedForDocument,
  shouldFetchBeBlocked,
  shouldInlineBehaviorBeBlocked,
} from "../decide/should-block.ts";
import { choice, UsageError } from "./command.ts";
import type { Subject } from "./input.ts";

type Loaded =
  | "script"
  | "style"
  | "image"
  | "font"
  | "connect"
  | "media"
  | "frame"
  | "worker"
  | "object"
  | "manifest";

/** What is loaded, with Fetch's destination. */
const destinations: Readonly<Record<Loaded, Destination>> = {
  script: "script",
  style: "style",
  image: "image",
  font: "font",
  connect: "",
  media: "video",
  frame: "iframe",
  worker: "worker",
  object: "object",
  manifest: "manifest",
};

const inlineTypes = {
  "inline-script": "script",
  "inline-style": "style",
  "event-handler": "script attribute",
  "style-attribute": "style attribute",
} as const;

const others = ["javascript-url", "eval", "wasm", "form", "base", "embedded-by"] as const;

export type QuestionKind = Loaded | keyof typeof inlineTypes | (typeof others)[number];

/** Every kind of question. */
export const questionKinds: readonly QuestionKind[] = [
  ...keysOf(destinations),
  ...keysOf(inlineTypes),
  ...others,
];

export interface Question {
  readonly kind: QuestionKind;
  /** A URL, code, or an origin; of `wasm`, nothing. */
  readonly value: string;
  readonly nonce?: string;
  readonly integrity?: string;
  readonly insertedByScript?: boolean;
  readonly redirects?: readonly string[];
}

export const questionOptions = {
  script: { type: "string" },
  style: { type: "string" },
  image: { type: "string" },
  font: { type: "string" },
  connect: { type: "string" },
  media: { type: "string" },
  frame: { type: "string" },
  worker: { type: "string" },
  object: { type: "string" },
  manifest: { type: "string" },
  "inline-script": { type: "string" },
  "inline-style": { type: "string" },
  "event-handler": { type: "string" },
  "style-attribute": { type: "string" },
  "javascript-url": { type: "string" },
  eval: { type: "string" },
  wasm: { type: "boolean" },
  form: { type: "string" },
  base: { type: "string" },
  "embedded-by": { type: "string" },
  nonce: { type: "string" },
  integrity: { type: "string" },
  "inserted-by-script": { type: "boolean" },
  redirect: { type: "string", multiple: true },
} as const;

/** The question that options or a case ask; `null` where they ask none. Throws `UsageError` for two. */
export function readQuestion(values: Readonly<Record<string, unknown>>): Question | null {
  const asked = questionKinds.filter((kind) => values[kind] !== undefined);
  const [kind, another] = asked;
  if (another !== undefined) throw new UsageError(`${kind} and ${another} are two questions`);
  if (kind === undefined) return null;
  const value = values[kind] === true ? "" : values[kind];
  if (typeof value !== "string") throw new UsageError(`${kind} is a text`);
  if (isKey(destinations, kind) && value.trim() === "") {
    throw new UsageError(`${kind} is a URL, and none is given`);
  }
  const { nonce, integrity, redirect } = values;
  return {
    kind,
    value,
    ...(nonce === undefined ? {} : { nonce: text("nonce", nonce) }),
    ...(integrity === undefined ? {} : { integrity: text("integrity", integrity) }),
    ...(values["inserted-by-script"] === true ? { insertedByScript: true } : {}),
    ...(redirect === undefined
      ? {}
      : { redirects: [redirect].flat().map((to) => text("redirect", to)) }),
  };
}

function text(name: string, value: unknown): string {
  if (typeof value === "string") return value;
  throw new UsageError(`${name} is a text`);
}

/** Whose behaviour is asked for. */
export function readProfile(name: string | undefined): Profile {
  return choice("profile", name, ["specification", "chromium"], "specification") === "chromium"
    ? chromium
    : specification;
}

/** The engine's answer. Throws `UsageError` for a URL that is none. */
export async function decideQuestion(
  question: Question,
  subject: Subject,
  page: URL,
  profile: Profile,
): Promise<Decision> {
  const { kind, value } = question;
  const policies = subject.policies.map(({ policy }) => policy);
  const cspList = { policies, selfOrigin: subject.selfOrigin };
  const client: Client = { cspList, url: page.href };
  if (isKey(destinations, kind)) {
    const init = {
      url: resolve(value, page),
      destination: destinations[kind],
      parserInserted: !question.insertedByScript,
      redirects: (question.redirects ?? []).map((to) => resolve(to, page)),
      ...(question.nonce === undefined ? {} : { nonce: question.nonce }),
      ...(question.integrity === undefined ? {} : { integrity: question.integrity }),
    };
    return shouldFetchBeBlocked(init, client, profile);
  }
  if (isKey(inlineTypes, kind)) {
    const element = inlineElement({
      name: kind === "inline-style" ? "style" : "script",
      nonce: question.nonce ?? null,
      parserInserted: !question.insertedByScript,
    });
    const source = await inlineSource(value);
    return shouldInlineBehaviorBeBlocked(element, inlineTypes[kind], source, client, profile);
  }
  switch (kind) {
    case "javascript-url": {
      const url = /^javascript:/i.test(value) ? value : `javascript:${value}`;
      const request = createRequest({ url: resolve(url, page), destination: "document" }, profile);
      return await shouldNavigationRequestBeBlocked(request, "other", client, { profile });
    }
    case "eval":
      return ensureCspDoesNotBlockStringCompilation(
        { compilationType: "INDIRECT-EVAL", codeString: value },
        client,
      );
    case "wasm":
      return ensureCspDoesNotBlockWasmByteCompilation(client);
    case "form": {
      const request = createRequest(
        { url: resolve(value, page), destination: "document" },
        profile,
      );
      return await shouldNavigationRequestBeBlocked(request, "form-submission", client, {
        profile,
      });
    }
    case "base":
      return isBaseAllowedForDocument(resolve(value, page), client, profile);
    case "embedded-by": {
      const ancestors = value.split(/[\s,]+/).filter((origin) => origin !== "");
      return shouldNavigationResponseBeBlocked({ url: page, cspList, ancestors }, profile);
    }
  }
}

function resolve(written: string, page: URL): URL {
  const url = URL.parse(written, page);
  if (url) return url;
  throw new UsageError(`${JSON.stringify(written)} is no URL`);
}

/** `the script https://a.example/b.js` */
export function describeQuestion({ kind, value, nonce }: Question): string {
  const noun: Readonly<Record<QuestionKind, string>> = {
    script: "the script",
    style: "the style sheet",
    image: "the image",
    font: "the font",
    connect: "a connection to",
    media: "the sound or video",
    frame: "a frame of",
    worker: "the worker",
    object: "the plugin content",
    manifest: "the manifest",
    "inline-script": "the inline script",
    "inline-style": "the inline style",
    "event-handler": "the event handler",
    "style-attribute": "the style attribute",
    "javascript-url": "going to javascript:",
    eval: "eval of",
    wasm: "compiling WebAssembly",
    form: "sending a form to",
    base: "a base of",
    "embedded-by": "being embedded by",
  };
  const short = value.length > 100 ? `${value.slice(0, 99)}…` : value;
  const shown = kind === "javascript-url" ? short.replace(/^javascript:/i, "") : short;
  const joined = kind === "javascript-url" ? noun[kind] + shown : `${noun[kind]} ${shown}`;
  return `${joined.trim()}${nonce === undefined ? "" : ` with nonce ${nonce}`}`;
}

function keysOf<T extends Record<string, unknown>>(table: T): (keyof T & string)[] {
  return Object.keys(table);
}

function isKey<T extends Record<string, unknown>>(table: T, key: string): key is keyof T & string {
  return Object.hasOwn(table, key);
}
