/**
 * What is written into a page: its policy, integrity for what it loads, and for what its modules import.
 * HTML #attr-meta-http-equiv-content-security-policy, #import-map-integrity; Subresource Integrity.
 * @module
 */
import { type Policy, parseMetaPolicy, serializePolicy } from "../policy/policy.ts";
import type { Span } from "../policy/source-list.ts";
import type { HtmlElement, HtmlScript } from "./html.ts";

/** Text in place of a part of the page, in UTF-16 code units; an insertion where the length is 0. */
export interface PageEdit extends Span {
  readonly text: string;
}

export function insertion(offset: number, text: string): PageEdit {
  return { offset, length: 0, text };
}

/** The text with every edit at its place; insertions at one place in the order given, before what is replaced there. */
export function applyEdits(text: string, edits: readonly PageEdit[]): string {
  let result = "";
  let at = 0;
  for (const edit of edits.toSorted((a, b) => a.offset - b.offset || a.length - b.length)) {
    result += text.slice(at, edit.offset) + edit.text;
    at = edit.offset + edit.length;
  }
  return result + text.slice(at);
}

/** A policy as a `meta` element. */
export interface MetaElement {
  readonly html: string;
  /** As the element has it. */
  readonly policy: Policy;
  /** Directives that a `meta` element cannot carry, and that only a header brings into force. */
  readonly left: readonly string[];
}

/** `mark` is an attribute that the element gets. */
export function metaElement(policy: Policy, mark?: string): MetaElement {
  const parsed = parseMetaPolicy(serializePolicy(policy));
  const left = parsed.ignored.flatMap(({ reason, text }) =>
    reason === "not-in-meta" ? [text.split(" ", 1).join()] : [],
  );
  const text = serializePolicy(parsed);
  // Visible ASCII with spaces, so that quotation marks and ampersands are all that could end or change it.
  const content = text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  const html = `<meta http-equiv="Content-Security-Policy" content="${content}"${attribute(mark)}>`;
  return { html, policy: parseMetaPolicy(text), left };
}

/** Gives an element its `integrity`, over one that it has. `null` where its tag is not in the page's own text. */
export function integrityEdit(
  { attributes, insertAt }: HtmlElement,
  integrity: string,
): PageEdit | null {
  if (insertAt === null) return null;
  const text = `integrity="${integrity}"`;
  const written = attributes.find(({ name }) => name === "integrity");
  return written
    ? { offset: written.offset, length: written.length, text }
    : insertion(insertAt, ` ${text}`);
}

/** An import map that was written. */
export interface ImportMapEdit extends PageEdit {
  /** What a hash of it is of. */
  readonly importMap: string;
}

/**
 * The modules' integrity in the page's own import map, or in a new one at `headAt`, with the attribute `mark`. `null`
 * where the page's own is no JSON object.
 */
export function importMapEdit(
  page: string,
  own: HtmlScript | undefined,
  headAt: number,
  modules: Readonly<Record<string, string>>,
  mark?: string,
): ImportMapEdit | null {
  const importMap = withIntegrity(own?.text ?? "{}", modules);
  if (importMap === null) return null;
  if (own) return { ...contentOf(page, own), text: importMap, importMap };
  const text = `<script type="importmap"${attribute(mark)}>${importMap}</script>`;
  return { ...insertion(headAt, text), importMap };
}

function withIntegrity(text: string, modules: Readonly<Record<string, string>>): string | null {
  try {
    const map: unknown = JSON.parse(text);
    if (typeof map !== "object" || map === null || Array.isArray(map)) return null;
    const own = "integrity" in map && typeof map.integrity === "object" ? map.integrity : {};
    const integrity = { ...own, ...modules };
    // Nothing in it may end the element.
    return JSON.stringify({ ...map, integrity }).replaceAll("<", "\\u003C");
  } catch {
    return null;
  }
}

/** Takes out an element that stands for itself, as `meta`. */
export function removeElement({ offset, length }: HtmlElement): PageEdit {
  return { offset, length, text: "" };
}

/** Takes out a script from its start tag to its end tag. */
export function removeScript(page: string, script: HtmlScript): PageEdit {
  const content = contentOf(page, script);
  const end = page.indexOf(">", content.offset + content.length);
  const { offset } = script;
  return { offset, length: (end < 0 ? page.length : end + 1) - offset, text: "" };
}

function contentOf(page: string, script: HtmlScript): Span {
  const offset = script.offset + script.length;
  const length = page.slice(offset).search(/<\/script/i);
  return { offset, length: length < 0 ? page.length - offset : length };
}

function attribute(name: string | undefined): string {
  return name === undefined ? "" : ` ${name}`;
}
