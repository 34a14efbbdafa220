/**
 * The document: base-uri, form-action, frame-ancestors; and what data leaves by.
 * @module
 */
import { findKeyword } from "../decide/match-element.ts";
import { createRequest, type RequestInit } from "../decide/request.ts";
import { getExecutingDirective } from "../policy/fetch-directive.ts";
import { getDirective, type Policy } from "../policy/policy.ts";
import type { AncestorSource, SourceExpression } from "../policy/source-list.ts";
import { type Attack, fetchAttack } from "./attack.ts";
import { isOpen } from "./content.ts";
import {
  type Draft,
  type Judging,
  missing,
  quote,
  spanOf,
  withDirectives,
  withoutAttack,
} from "./judging.ts";
import { attacker, escapeAttribute, type Payload, payload, proof } from "./payload.ts";

const attackerUrl = new URL(attacker);

export function* judgeDocument(judging: Judging): Generator<Draft> {
  yield* judgeBase(judging);
  yield* judgeForms(judging);
  yield* judgeAncestors(judging);
  yield* judgeLeaving(judging);
}

/** How a base element decides where scripts come from, and what it takes. */
interface Retargeting {
  readonly payload: Payload;
  /** The page's own script, from where the attacker points it. */
  readonly load: Attack;
}

/** A nonce allows whatever URL, and 'strict-dynamic' what a script with a hash or nonce loads. */
function retargeting(policy: Policy): Retargeting | null {
  const list = getExecutingDirective(policy, "script-src-elem")?.value ?? [];
  const nonce = list.find((source) => source.type === "nonce-source")?.base64Value;
  const url = `${attacker}/app.js`;
  const standIns = [{ type: "script", url, body: proof }] as const;
  const base = `<base href="${attacker}/">`;
  const load = (init: Partial<RequestInit>): Attack => ({
    type: "fetch",
    requests: () => [createRequest({ url, destination: "script", ...init })],
  });
  if (nonce !== undefined) {
    const page = `<script nonce="${escapeAttribute(nonce)}" src="app.js"></script>`;
    return { payload: payload(base, standIns, page), load: load({ nonce }) };
  }
  const hash = list.some(({ type }) => type === "hash-source");
  if (!hash || !findKeyword(list, "'strict-dynamic'")) return null;
  return { payload: payload(base, standIns, loader), load: load({ parserInserted: false }) };
}

/** What a page under hashes and 'strict-dynamic' has: an inline script that loads a file. Its hash has to be listed. */
const loader =
  '<script>document.head.append(Object.assign(document.createElement("script"),{src:"app.js"}))</script>';

function* judgeBase(judging: Judging): Generator<Draft> {
  const { policy } = judging;
  const shown = retargeting(policy);
  const directive = getDirective(policy, "base-uri");
  const base: Attack = { type: "base", url: attackerUrl };
  const attack: Attack = shown ? { type: "all", of: [base, shown.load] } : base;
  const mended = () => withDirectives(policy, { "base-uri": ["'none'"] });
  if (!directive) {
    if (!shown) return;
    yield {
      type: "missing-base-uri",
      directive: "base-uri",
      span: spanOf(policy),
      absent: true,
      message: "There is no base-uri, and scripts are allowed by nonce or 'strict-dynamic'.",
      mended,
      attack,
      payload: shown.payload,
    };
    return;
  }
  for (const source of directive.value) {
    const at = { directive: "base-uri", span: source, mended } as const;
    if (isOpen(source)) {
      const message = `${quote(source.text)} in base-uri lets a base element name any host.`;
      yield {
        type: "base-uri-open",
        ...at,
        message,
        attack,
        ...(shown ? { payload: shown.payload } : { severity: "low" as const }),
      };
    } else if (source.type === "host-source") {
      const message = `${quote(source.text)} in base-uri lets a base element name another origin.`;
      yield { type: "base-uri-foreign", ...at, message };
    } else if (source.type === "scheme-source") {
      const message = `${quote(source.text)} has no effect in base-uri: no base has such a URL.`;
      yield { type: "without-effect", ...at, message };
    }
  }
}

function* judgeForms(judging: Judging): Generator<Draft> {
  const { policy } = judging;
  const directive = getDirective(policy, "form-action");
  const attack: Attack = { type: "form", url: attackerUrl };
  if (!directive) {
    yield missing(policy, "form-action", "'self'", {
      type: "missing-form-action",
      message: "There is no form-action, so forms may be sent anywhere.",
      attack,
    });
    return;
  }
  for (const source of directive.value.filter(isOpen)) {
    yield {
      type: "form-action-open",
      directive: "form-action",
      span: source,
      message: `${quote(source.text)} in form-action lets forms be sent to any host.`,
      mended: () => withDirectives(policy, { "form-action": closed(directive.value) }),
      attack,
    };
  }
}

function* judgeAncestors({ policy, context }: Judging): Generator<Draft> {
  const directive = getDirective(policy, "frame-ancestors");
  const attack: Attack = { type: "frame-ancestor", url: attackerUrl };
  if (!directive) {
    // A meta element's policy cannot have it, and X-Frame-Options does the same.
    if (/^\s*(?:deny|sameorigin)\s*$/i.test(context.xFrameOptions ?? "")) return;
    yield {
      type: "missing-frame-ancestors",
      directive: "frame-ancestors",
      span: spanOf(policy),
      absent: true,
      message: "There is no frame-ancestors, so any site may frame the page.",
      mended: () =>
        policy.source === "meta"
          ? undefined
          : withDirectives(policy, { "frame-ancestors": ["'self'"] }),
      attack,
    };
    return;
  }
  for (const source of directive.value.filter(isOpen)) {
    yield {
      type: "frame-ancestors-open",
      directive: "frame-ancestors",
      span: source,
      message: `${quote(source.text)} in frame-ancestors lets any site frame the page.`,
      mended: () => withDirectives(policy, { "frame-ancestors": closed(directive.value) }),
      attack,
    };
  }
}

function closed(value: readonly (SourceExpression | AncestorSource)[]): string[] {
  const texts = value.filter((source) => !isOpen(source)).map(({ text }) => text);
  return texts.length > 0 ? texts : ["'self'"];
}

function* judgeLeaving(judging: Judging): Generator<Draft> {
  const { policy } = judging;
  if (!getDirective(policy, "default-src")) {
    yield missing(policy, "default-src", "'self'", {
      type: "missing-default-src",
      message: "There is no default-src, so what no directive names is open, prefetching with it.",
      attack: fetchAttack(attackerUrl, "", "prefetch"),
    });
  }
  const kinds = [
    { name: "connect-src", destination: "", type: "connect-open" },
    { name: "img-src", destination: "image", type: "image-open" },
    { name: "media-src", destination: "video", type: "image-open" },
  ] as const;
  for (const { name, destination, type } of kinds) {
    const directive = getExecutingDirective(policy, name);
    const attack = fetchAttack(attackerUrl, destination);
    if (!directive) {
      const message = `There is neither ${name} nor default-src, so ${name} is open.`;
      yield missing(policy, name, "'self'", { type, message, attack });
      continue;
    }
    for (const source of directive.value.filter(isOpen)) {
      yield {
        type,
        directive: directive.name,
        span: source,
        message: `${quote(source.text)} in ${directive.name} lets ${name} go to any host.`,
        mended: () => withoutAttack(judging, directive, name, attack),
        attack,
      };
    }
  }
  const webrtc = getDirective(policy, "webrtc");
  const [only, ...others] = webrtc?.value ?? [];
  if (!webrtc || (only?.type === "allow" && others.length === 0)) {
    yield {
      type: "webrtc-open",
      directive: "webrtc",
      span: webrtc ?? spanOf(policy),
      absent: !webrtc,
      message: webrtc ? "webrtc 'allow' allows peer connections." : "There is no webrtc directive.",
      mended: () => withDirectives(policy, { webrtc: ["'block'"] }),
      attack: { type: "connect-peer" },
    };
  }
}
