/**
 * What of a page's HTML a policy decides about: scripts, styles, attributes, URLs, and the policies it carries itself.
 * Read as a browser reads it. HTML #prepare-the-script-element, #event-handler-content-attributes,
 * #parse-a-srcset-attribute; CSP #match-element-to-source-list, #directives.
 * @module
 */

import { type DefaultTreeAdapterMap, html as namespaces, parse, parseFragment } from "parse5";
import { CspError } from "../errors.ts";
import type { DirectiveName } from "../policy/directives.ts";
import type { Span } from "../policy/source-list.ts";

/**
 * Where something stands: in the page itself; in a `template`, where it does nothing until a script clones it; in a
 * `noscript`, for those whose browser runs no scripts; in the document of an iframe's `srcdoc`, which inherits the policy.
 */
export type HtmlContext = "document" | "template" | "noscript" | "srcdoc";

/** The span is the attribute's in the page, or its element's where a second `html` or `body` tag has brought it. */
export interface HtmlAttribute extends Span {
  /** Lower case, with its prefix: `xlink:href`. */
  readonly name: string;
  /** Character references are decoded: what a hash of the attribute is of. */
  readonly value: string;
}

/** The span is the start tag's; of what stands in a `srcdoc`, that attribute's. */
export interface HtmlElement extends Span {
  readonly name: string;
  readonly context: HtmlContext;
  readonly attributes: readonly HtmlAttribute[];
  /** Where text like ` integrity="…"` becomes an attribute, before all others and so over one of the same name. `null` in a `srcdoc`. */
  readonly insertAt: number | null;
}

/** What `type` makes of a script. The content of a data block is never run, and no policy asks for it. */
export type ScriptType = "classic" | "module" | "importmap" | "speculationrules" | "data";

export interface HtmlScript extends HtmlElement {
  readonly type: ScriptType;
  /** `null`: inline. */
  readonly src: string | null;
  /** What a hash of the inline script is of: line ends are already LF. */
  readonly text: string;
}

export interface HtmlStyle extends HtmlElement {
  readonly text: string;
}

export interface HtmlLink extends HtmlElement {
  /** Lower case. */
  readonly rel: readonly string[];
  readonly href: string;
}

export interface AttributeUse {
  readonly element: HtmlElement;
  readonly attribute: HtmlAttribute;
}

/** A URL that the directive decides about. */
export interface HtmlResource extends AttributeUse {
  readonly directive: DirectiveName;
  /** As written: relative to the page's base. */
  readonly url: string;
}

export interface MetaPolicy extends HtmlElement {
  readonly content: string;
  /** Elsewhere browsers ignore it (HTML #attr-meta-http-equiv-content-security-policy). */
  readonly inHead: boolean;
}

/** Each list is in the order of the page. */
export interface HtmlInventory {
  readonly scripts: readonly HtmlScript[];
  /** With any `type`: Chromium asks the policy for those that hold no CSS, too. */
  readonly styles: readonly HtmlStyle[];
  readonly links: readonly HtmlLink[];
  readonly eventHandlers: readonly AttributeUse[];
  readonly styleAttributes: readonly AttributeUse[];
  readonly javascriptUrls: readonly AttributeUse[];
  readonly metaPolicies: readonly MetaPolicy[];
  /** `base` elements with `href`; the first decides. */
  readonly bases: readonly AttributeUse[];
  /** What is loaded, embedded or sent to, `scripts` and `links` included; not what a style sheet or a script loads. */
  readonly resources: readonly HtmlResource[];
  /** Where a `meta` element can be written that comes before all that a policy decides about, but after one that names the encoding. */
  readonly headAt: number;
}

type Node = DefaultTreeAdapterMap["node"];
type ParentNode = DefaultTreeAdapterMap["document"] | DefaultTreeAdapterMap["documentFragment"];
type Element = DefaultTreeAdapterMap["element"];
type Attribute = Pick<HtmlAttribute, "name" | "value">;

/** An attribute of elements that were put in, so that another run takes them for its own. */
export const mark = "data-conclave-csp";

/** Documents in documents: more than anybody nests, and few enough that each is parsed in bounded time. */
const maxSrcdocDepth = 8;

/** A document, or the part of one that a `noscript` holds, that is still to be read. */
interface Part {
  readonly text: string;
  readonly context: "document" | "noscript" | "srcdoc";
  /** In the page: where `text` starts, or the attribute that holds it. */
  readonly at: number | Span;
  readonly depth: number;
}

/** Reads a page. Throws `CspError` with `invalid-value` when `srcdoc` documents are nested too deeply. */
export function inspectHtml(html: string): HtmlInventory {
  const inventory: { -readonly [K in keyof Lists]: Lists[K] } = {
    scripts: [],
    styles: [],
    links: [],
    eventHandlers: [],
    styleAttributes: [],
    javascriptUrls: [],
    metaPolicies: [],
    bases: [],
    resources: [],
    headAt: 0,
  };
  // A byte order mark is none of the text: decoding takes it away (Encoding #decode).
  const start = html.startsWith("\uFEFF") ? 1 : 0;
  const parts: Part[] = [{ text: html.slice(start), context: "document", at: start, depth: 0 }];
  for (let part = parts.pop(); part; part = parts.pop()) {
    const root = treeOf(part);
    if (part.context === "document") inventory.headAt = start + headAt(root);
    for (const { node, context, parent } of elementsOf(root, part)) {
      const element = describe(node, context, part);
      collect(inventory, node, parent, element);
      parts.push(...partsIn(node, element, part));
    }
  }
  const inOrder = (a: Span, b: Span) => a.offset - b.offset;
  const usesInOrder = (a: AttributeUse, b: AttributeUse) => inOrder(a.attribute, b.attribute);
  const { headAt: _, scripts, styles, links, metaPolicies, ...uses } = inventory;
  for (const elements of [scripts, styles, links, metaPolicies]) elements.sort(inOrder);
  for (const list of Object.values(uses)) list.sort(usesInOrder);
  return inventory;
}

interface Placed {
  readonly node: Element;
  readonly context: HtmlContext;
  readonly parent: string;
}

function treeOf({ text, context }: Part): ParentNode {
  const options = { sourceCodeLocationInfo: true };
  return context === "noscript"
    ? parseFragment(text, { ...options, scriptingEnabled: false })
    : parse(text, options);
}

/** After the head's tag, or where the parser will think of one by itself. */
function headAt(document: ParentNode): number {
  const childOf = (parent: Node | undefined, name: string) =>
    parent && "childNodes" in parent
      ? parent.childNodes.find((child) => child.nodeName === name)
      : undefined;
  const html = childOf(document, "html");
  const head = childOf(html, "head");
  const inHead = head && "childNodes" in head ? head.childNodes : [];
  // What a run before has put in counts for nothing, and a policy hides the encoding from nobody.
  const first = inHead.find((node) => "tagName" in node && !isPolicy(node) && !isMarked(node));
  const encodes = first?.nodeName === "meta" && "attrs" in first && first.attrs.some(isEncoding);
  const start = [encodes ? first : undefined, head, html, childOf(document, "#documentType")];
  for (const node of start) {
    const location = node?.sourceCodeLocation;
    if (!location) continue;
    return "startTag" in location && location.startTag
      ? location.startTag.endOffset
      : location.endOffset;
  }
  return 0;
}

function isPolicy({ tagName, attrs }: Element): boolean {
  return tagName === "meta" && attrs.some(isPolicyPragma);
}

/** Whether a run before has put the element in. */
function isMarked({ attrs }: Element): boolean {
  return attrs.some(({ name }) => name === mark);
}

function isPolicyPragma({ name, value }: Attribute): boolean {
  return name === "http-equiv" && value.toLowerCase() === "content-security-policy";
}

function isEncoding({ name, value }: Attribute): boolean {
  return name === "charset" || (name === "http-equiv" && value.toLowerCase() === "content-type");
}

// Every element in tree order. By a stack of its own, for pages nest as deeply as they like.
function* elementsOf(root: ParentNode, part: Part): Generator<Placed> {
  const waiting: { node: Node; context: HtmlContext; parent: string }[] = [
    { node: root, context: part.context, parent: "" },
  ];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { node, context, parent } = next;
    if ("tagName" in node) yield { node, context, parent };
    const inside = "tagName" in node ? node.tagName : "";
    if ("childNodes" in node) {
      for (const child of node.childNodes.toReversed()) {
        waiting.push({ node: child, context, parent: inside });
      }
    }
    if ("content" in node) {
      // A shadow root that the parser attaches is as live as the rest.
      const live = node.attrs.some(({ name }) => name === "shadowrootmode");
      const within = live || context !== "document" ? context : "template";
      waiting.push({ node: node.content, context: within, parent: "" });
    }
  }
}

function describe(node: Element, context: HtmlContext, { at, text }: Part): HtmlElement {
  const location = node.sourceCodeLocation;
  const place = (span: { startOffset: number; endOffset: number } | null | undefined): Span => {
    if (typeof at !== "number") return at;
    // Elements that no tag has made have no place, and nothing that anyone asks for.
    if (!span) return { offset: at, length: 0 };
    return { offset: at + span.startOffset, length: span.endOffset - span.startOffset };
  };
  const tag = place(location?.startTag ?? location);
  const attributes = node.attrs.map(({ name, prefix, value }) => {
    const qualified = prefix ? `${prefix}:${name}` : name;
    const own = location?.attrs?.[qualified];
    return { name: qualified.toLowerCase(), value, ...(own ? place(own) : tag) };
  });
  const insertAt = typeof at === "number" && location ? at + endOfName(text, location) : null;
  return {
    name: node.tagName,
    context,
    attributes,
    insertAt,
    offset: tag.offset,
    length: tag.length,
  };
}

/** By the text: the parser makes `img` of `image`. */
function endOfName(text: string, { startOffset }: { startOffset: number }): number {
  let end = startOffset + 1;
  while (end < text.length && !/[\t\n\f\r />]/.test(text.charAt(end))) end++;
  return end;
}

/** The documents that an element holds as text. */
function partsIn(node: Element, element: HtmlElement, part: Part): Part[] {
  const { name, attributes, context } = element;
  if (name === "noscript" && context === "document" && node.sourceCodeLocation?.startTag) {
    const { startTag, endTag, endOffset } = node.sourceCodeLocation;
    const start = startTag.endOffset;
    // From the text itself: in the tree, line ends are no longer what they were.
    const text = part.text.slice(start, endTag?.startOffset ?? endOffset);
    const at = typeof part.at === "number" ? part.at + start : part.at;
    return [{ text, context: "noscript", at, depth: part.depth }];
  }
  const srcdoc = attributes.find((attribute) => attribute.name === "srcdoc");
  if (name !== "iframe" || !srcdoc) return [];
  if (part.depth === maxSrcdocDepth) {
    throw new CspError(
      "invalid-value",
      `more than ${maxSrcdocDepth} srcdoc documents in each other`,
    );
  }
  const at =
    typeof part.at === "number" ? { offset: srcdoc.offset, length: srcdoc.length } : part.at;
  return [{ text: srcdoc.value, context: "srcdoc", at, depth: part.depth + 1 }];
}

type Lists = {
  [K in keyof HtmlInventory]: HtmlInventory[K] extends readonly (infer T)[]
    ? T[]
    : HtmlInventory[K];
};

function collect(into: Lists, node: Element, parent: string, element: HtmlElement): void {
  const { name, attributes, context } = element;
  const get = (wanted: string) => attributes.find((a) => a.name === wanted);
  const isHtml = node.namespaceURI === namespaces.NS.HTML;
  const isSvg = node.namespaceURI === namespaces.NS.SVG;

  // Nothing runs in a `noscript`, for who reads it runs no scripts.
  const runs = context !== "noscript";
  if (name === "script" && (isHtml || isSvg) && runs) {
    const src = isHtml ? get("src") : (get("href") ?? get("xlink:href"));
    const type = scriptType(get("type")?.value, get("language")?.value);
    into.scripts.push({ ...element, type, src: src?.value ?? null, text: textOf(node) });
    // Neither type loads anything.
    if (src && (type === "classic" || type === "module")) {
      const use = { element, attribute: src, url: src.value };
      into.resources.push({ ...use, directive: "script-src-elem" });
    }
  }
  if (name === "style" && (isHtml || isSvg)) {
    into.styles.push({ ...element, text: textOf(node) });
  }
  for (const attribute of attributes) {
    const use = { element, attribute };
    if (attribute.name === "style") into.styleAttributes.push(use);
    if (runs && eventHandlerNames.has(attribute.name)) into.eventHandlers.push(use);
    if (runs && navigates(name, attribute.name) && isJavascriptUrl(attribute.value)) {
      into.javascriptUrls.push(use);
    }
    const directive = directiveFor(name, attribute.name, parent, get("type")?.value);
    if (!directive) continue;
    const urls = attribute.name.endsWith("srcset")
      ? srcsetUrls(attribute.value)
      : [attribute.value];
    for (const url of urls) into.resources.push({ ...use, directive, url });
  }
  if (!isHtml) return;
  if (name === "link") collectLink(into, element);
  const href = get("href");
  if (name === "base" && href) into.bases.push({ element, attribute: href });
  const content = get("content");
  if (isPolicy(node) && content) {
    into.metaPolicies.push({ ...element, content: content.value, inHead: parent === "head" });
  }
}

function collectLink(into: Lists, element: HtmlElement): void {
  const get = (wanted: string) => element.attributes.find((a) => a.name === wanted);
  const rel = words(get("rel")?.value ?? "");
  const href = get("href");
  into.links.push({ ...element, rel, href: href?.value ?? "" });
  for (const relation of rel) {
    const as = get("as")?.value.toLowerCase() ?? "";
    const directive =
      relation === "preload" ? preloadDirectives.get(as) : linkDirectives.get(relation);
    if (!directive) continue;
    if (href) into.resources.push({ element, attribute: href, url: href.value, directive });
    const srcset = relation === "preload" && as === "image" ? get("imagesrcset") : undefined;
    for (const url of srcset ? srcsetUrls(srcset.value) : []) {
      if (srcset) into.resources.push({ element, attribute: srcset, url, directive });
    }
  }
}

/** HTML "child text content". */
function textOf(node: Element): string {
  return node.childNodes.map((child) => ("value" in child ? child.value : "")).join("");
}

/** MIME Sniffing, "JavaScript MIME type". */
const javascriptTypes: ReadonlySet<string> = new Set([
  "application/ecmascript",
  "application/javascript",
  "application/x-ecmascript",
  "application/x-javascript",
  "text/ecmascript",
  "text/javascript",
  "text/javascript1.0",
  "text/javascript1.1",
  "text/javascript1.2",
  "text/javascript1.3",
  "text/javascript1.4",
  "text/javascript1.5",
  "text/jscript",
  "text/livescript",
  "text/x-ecmascript",
  "text/x-javascript",
]);

/** #prepare-the-script-element, steps 8 to 13. */
function scriptType(type: string | undefined, language: string | undefined): ScriptType {
  if (type === "" || (type === undefined && !language)) return "classic";
  const text = type === undefined ? `text/${language}` : stripWhitespace(type);
  const lower = text.toLowerCase();
  if (javascriptTypes.has(lower)) return "classic";
  return lower === "module" || lower === "importmap" || lower === "speculationrules"
    ? lower
    : "data";
}

/** Where a `javascript:` URL would be run. */
function navigates(element: string, attribute: string): boolean {
  return navigating.has(`${element} ${attribute}`);
}

const navigating: ReadonlySet<string> = new Set([
  "a href",
  "a xlink:href",
  "area href",
  "button formaction",
  "embed src",
  "form action",
  "frame src",
  "iframe src",
  "input formaction",
  "object data",
]);

/** URL #url-parsing: controls and spaces before it, tabs and line ends in it, don't count. */
function isJavascriptUrl(url: string): boolean {
  let seen = "";
  for (const character of url) {
    if (seen === "" && character <= " ") continue;
    if (character === "\t" || character === "\n" || character === "\r") continue;
    seen += character.toLowerCase();
    if (seen === "javascript:") return true;
    if (!"javascript:".startsWith(seen)) return false;
  }
  return false;
}

const elementDirectives: ReadonlyMap<string, DirectiveName> = new Map([
  ["audio src", "media-src"],
  ["body background", "img-src"],
  ["button formaction", "form-action"],
  ["embed src", "object-src"],
  ["feimage href", "img-src"],
  ["feimage xlink:href", "img-src"],
  ["form action", "form-action"],
  ["frame src", "frame-src"],
  ["iframe src", "frame-src"],
  ["image href", "img-src"],
  ["image xlink:href", "img-src"],
  ["img src", "img-src"],
  ["img srcset", "img-src"],
  ["input formaction", "form-action"],
  ["object data", "object-src"],
  ["source src", "media-src"],
  ["source srcset", "img-src"],
  ["table background", "img-src"],
  ["td background", "img-src"],
  ["th background", "img-src"],
  ["track src", "media-src"],
  ["use href", "img-src"],
  ["use xlink:href", "img-src"],
  ["video poster", "img-src"],
  ["video src", "media-src"],
]);

function directiveFor(
  element: string,
  attribute: string,
  parent: string,
  type: string | undefined,
): DirectiveName | undefined {
  if (element === "input" && attribute === "src") {
    return type?.toLowerCase() === "image" ? "img-src" : undefined;
  }
  // A `picture` has no use for `src`, a `video` none for `srcset`.
  if (element === "source" && (attribute === "srcset") !== (parent === "picture")) return undefined;
  return elementDirectives.get(`${element.toLowerCase()} ${attribute}`);
}

const linkDirectives: ReadonlyMap<string, DirectiveName> = new Map([
  ["apple-touch-icon", "img-src"],
  ["apple-touch-icon-precomposed", "img-src"],
  ["icon", "img-src"],
  ["manifest", "manifest-src"],
  ["mask-icon", "img-src"],
  ["modulepreload", "script-src-elem"],
  ["prefetch", "default-src"],
  ["stylesheet", "style-src-elem"],
]);

const preloadDirectives: ReadonlyMap<string, DirectiveName> = new Map([
  ["audio", "media-src"],
  ["fetch", "connect-src"],
  ["font", "font-src"],
  ["image", "img-src"],
  ["json", "connect-src"],
  ["script", "script-src-elem"],
  ["style", "style-src-elem"],
  ["track", "media-src"],
  ["video", "media-src"],
]);

/** HTML #parse-a-srcset-attribute, the URLs alone. */
function srcsetUrls(srcset: string): string[] {
  const urls: string[] = [];
  let at = 0;
  const skip = (test: (character: string) => boolean): void => {
    while (at < srcset.length && test(srcset.charAt(at))) at++;
  };
  while (at < srcset.length) {
    skip((c) => isWhitespace(c) || c === ",");
    const start = at;
    skip((c) => !isWhitespace(c));
    let end = at;
    while (end > start && srcset.charAt(end - 1) === ",") end--;
    if (end > start) urls.push(srcset.slice(start, end));
    if (end < at) continue;
    let parentheses = 0;
    skip((c) => {
      if (c === "(") parentheses = 1;
      if (c === ")") parentheses = 0;
      return c !== "," || parentheses > 0;
    });
  }
  return urls;
}

function words(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[\t\n\f\r ]+/)
    .filter((word) => word !== "");
}

function isWhitespace(character: string): boolean {
  return /^[\t\n\f\r ]$/.test(character);
}

function stripWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text.charAt(start))) start++;
  while (end > start && isWhitespace(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

/**
 * HTML #event-handler-content-attributes, SVG, and what browsers have of their own; a longer list costs nothing. Not
 * every attribute with `on` in front is one: `once` is none.
 */
const eventHandlerNames: ReadonlySet<string> = new Set(
  words(`
  abort afterprint animationcancel animationend animationiteration animationstart auxclick
  beforecopy beforecut beforeinput beforematch beforepaste beforeprint beforetoggle
  beforeunload beforexrselect begin blur bounce cancel canplay canplaythrough change click
  close command contentvisibilityautostatechange contextlost contextmenu contextrestored copy
  cuechange cut dblclick devicemotion deviceorientation deviceorientationabsolute drag dragend
  dragenter dragexit dragleave dragover dragstart drop durationchange emptied encrypted end
  ended enterpictureinpicture error finish focus focusin focusout formdata freeze
  fullscreenchange fullscreenerror gamepadconnected gamepaddisconnected gesturechange
  gestureend gesturestart gotpointercapture hashchange input invalid keydown keypress keyup
  languagechange leavepictureinpicture load loadeddata loadedmetadata loadstart
  lostpointercapture message messageerror mousedown mouseenter mouseleave mousemove mouseout
  mouseover mouseup mousewheel offline online orientationchange pagehide pagereveal pageshow
  pageswap paste pause play playing pointercancel pointerdown pointerenter pointerleave
  pointermove pointerout pointerover pointerrawupdate pointerup popstate progress ratechange
  readystatechange rejectionhandled repeat reset resize resume scroll scrollend
  scrollsnapchange scrollsnapchanging search securitypolicyviolation seeked seeking select
  selectionchange selectstart show slotchange stalled start storage submit suspend timeupdate
  toggle touchcancel touchend touchforcechange touchmove touchstart transitioncancel
  transitionend transitionrun transitionstart unhandledrejection unload visibilitychange
  volumechange waiting waitingforkey webkitanimationend webkitanimationiteration
  webkitanimationstart webkitbeginfullscreen webkitcurrentplaybacktargetiswirelesschanged
  webkitendfullscreen webkitfullscreenchange webkitfullscreenerror webkitmouseforcechanged
  webkitmouseforcedown webkitmouseforceup webkitmouseforcewillbegin webkitneedkey
  webkitplaybacktargetavailabilitychanged webkitpresentationmodechanged webkittransitionend
  wheel zoom
  `).map((name) => `on${name}`),
);
