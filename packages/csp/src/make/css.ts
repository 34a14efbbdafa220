/**
 * What a style sheet loads. CSS Syntax, "tokenization", as far as URLs need it.
 * @module
 */

/** A URL in a style sheet, as written, and the directive that decides about it. */
export interface StyleResource {
  readonly url: string;
  readonly directive: "style-src" | "font-src" | "img-src";
}

/**
 * `@import`ed sheets, the fonts of `@font-face`, and images: every other URL. `@namespace` names no resource. One
 * pass over the text.
 */
export function styleResources(css: string): StyleResource[] {
  const resources: StyleResource[] = [];
  // The at-rule whose prelude or block this is, and how deep in braces the block of `@font-face` stands.
  let atRule = "";
  let depth = 0;
  let fontFaceDepth = 0;
  for (const [token, groups] of tokens(css)) {
    const text = groups["string"] ?? groups["quotedUrl"];
    const url = text === undefined ? groups["url"] : quoted(text);
    if (url !== undefined) {
      const isString = groups["string"] !== undefined;
      const directive =
        atRule === "@import" ? "style-src" : fontFaceDepth > 0 ? "font-src" : "img-src";
      // Strings are URLs in `@import` and in image sets, and those are rarely without `url()`.
      if (atRule !== "@namespace" && (!isString || atRule === "@import")) {
        resources.push({ url: unescapeCss(url), directive });
      }
      // What follows are conditions.
      if (atRule === "@import") atRule = "@import done";
    } else if (token.startsWith("@")) atRule = token.toLowerCase();
    else if (token === ";") atRule = "";
    else if (token === "{") {
      depth++;
      if (atRule === "@font-face") fontFaceDepth = depth;
      atRule = "";
    } else if (token === "}") {
      if (fontFaceDepth === depth) fontFaceDepth = 0;
      if (depth > 0) depth--;
      atRule = "";
    }
  }
  return resources;
}

// No alternative fails after it has read far: a string without an end goes to the end of its line. So it is linear.
const string = String.raw`"(?:[^"\\\n]|\\[^])*(?:"|(?=\n)|\\?$)|'(?:[^'\\\n]|\\[^])*(?:'|(?=\n)|\\?$)`;
const pattern = new RegExp(
  String.raw`/\*[^*]*(?:\*(?!/)[^*]*)*(?:\*/|$)|url\(\s*(?:(?<quotedUrl>${string})|(?<url>(?:[^\s"'()\\]|\\[^])+))|(?<string>${string})|@[A-Za-z\-]+|[;\{\}]`,
  "giu",
);

function* tokens(css: string): Generator<[string, Readonly<Record<string, string | undefined>>]> {
  for (const match of css.matchAll(pattern)) yield [match[0], match.groups ?? {}];
}

/** What stands between the quotes, if both are there. */
function quoted(text: string): string | undefined {
  return text.length > 1 && text.endsWith(text.charAt(0)) ? text.slice(1, -1) : undefined;
}

/** CSS Syntax, "consume an escaped code point". */
function unescapeCss(text: string): string {
  return text.replace(/\\(?:([0-9a-fA-F]{1,6})\s?|(\n)|([^]))/gu, (_, hex, newline, character) => {
    if (newline) return "";
    if (character !== undefined) return character;
    const point = Number.parseInt(hex, 16);
    const isScalar = point > 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    return isScalar ? String.fromCodePoint(point) : "\uFFFD";
  });
}
