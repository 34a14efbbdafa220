/**
 * Whose behaviour a decision has: the text of the specification, or what a browser does instead.
 * @module
 */

/** A difference between the text and Chromium, or between the text and what it evidently means. */
export interface Difference {
  /** The algorithm's anchor in the specification. */
  readonly anchor: string;
  readonly specification: string;
  readonly chromium: string;
}

export type DifferenceName =
  | "not-ascii-shadows"
  | "upgrade-of-both"
  | "frame-upgrade-of-defaults"
  | "self-covers-port-80"
  | "ip-address-matches"
  | "websocket-scheme-kept"
  | "query-ignored"
  | "hash-padding-optional"
  | "hash-has-to-decode"
  | "hash-name-hyphenated"
  | "wildcard-host-of-any-scheme"
  | "duplicate-attribute-of-scripts"
  | "self-excludes-blob"
  | "base-uri-names-url"
  | "frame-names-origin"
  | "plugin-is-framed"
  | "worklet-unreported"
  | "strict-dynamic-covers-workers"
  | "strict-dynamic-in-default-src"
  | "form-asks-both"
  | "hint-asked-by-kind"
  | "hint-reported-by-first"
  | "preload-redirect-unreported"
  | "javascript-url-sampled"
  | "sample-stripped"
  | "trusted-types-eval-unchecked"
  | "function-parenthesized"
  | "asked-before-upgrade"
  | "loopback-upgraded-on-redirect"
  | "hint-redirect-asks-default"
  | "integrity-of-scripts-alone"
  | "wildcard-takes-grammar"
  | "report-only-repeats"
  | "source-file-without-query"
  | "hash-report-url-stripped"
  | "ancestors-violation-names-origin"
  | "data-frame-unnamed"
  | "webrtc-not-enforced";

/** What Chromium does otherwise than the text says, by name. `docs/csp-differences.md` is made of this table. */
export const differences: Readonly<Record<DifferenceName, Difference>> = {
  "not-ascii-shadows": {
    anchor: "parse-serialized-policy",
    specification:
      "A directive with a character that is not ASCII is as if it were not there: the next of its name counts.",
    chromium: "It has no effect, and those of its name that follow have none either.",
  },
  "upgrade-of-both": {
    anchor: "match-ports",
    specification:
      "Scheme and port are matched by themselves: `http://a.example:8080` matches `https://a.example:8080/`, and `http://a.example:80` does not match `https://a.example/`, since 80 is not 443.",
    chromium:
      "They are upgraded together: the second matches, and a scheme is upgraded only where the port is 80, 443, `*` or not said, so the first does not.",
  },
  "frame-upgrade-of-defaults": {
    anchor: "match-ports",
    specification:
      "What matches does not depend on what is judged: `'self'` of `http://a.example:8080` matches `https://a.example:8080/`.",
    chromium:
      "For frames and ancestors it does not, nor does `http://a.example:443` match `https://a.example/`; for what a page loads both do.",
  },
  "self-covers-port-80": {
    anchor: "match-url-to-source-expression",
    specification: "`'self'` of `http://a.example` does not match `https://a.example:80/`.",
    chromium: "It does, except for frames.",
  },
  "ip-address-matches": {
    anchor: "match-hosts",
    specification: "A host that is no domain is matched by no host-source.",
    chromium: "An IPv4 address is matched by itself and by `*`.",
  },
  "websocket-scheme-kept": {
    anchor: "match-schemes",
    specification:
      "Fetch gives a WebSocket's request an http or https URL before the policy sees it; `ws:` and `wss:` match those.",
    chromium: "The policy sees the ws or wss URL; `ws:` and `wss:` do not match http and https.",
  },
  "query-ignored": {
    anchor: "framework-directive-source-list",
    specification:
      "`https://a.example/path?query` is no host-source and matches nothing, nor do `a.example//` and `a.example/[x]`.",
    chromium:
      "A path may hold anything: what stands behind the first `?` or `#` in it is ignored, the rest matches.",
  },
  "hash-padding-optional": {
    anchor: "match-element-to-source-list",
    specification: "A hash without its `=` padding is another string, so it matches nothing.",
    chromium: "Hashes are compared decoded, so it matches.",
  },
  "hash-has-to-decode": {
    anchor: "allow-all-inline",
    specification:
      "`'sha256-x'` is a hash-source though no base64 has one character, so that `'unsafe-inline'` beside it counts for nothing.",
    chromium: "It is no expression at all, and `'unsafe-inline'` stays in force.",
  },
  "hash-name-hyphenated": {
    anchor: "allow-all-inline",
    specification:
      "`'sha-256-…'` is no hash-source: it matches nothing, and `'unsafe-inline'` beside it stays in force.",
    chromium: "It is read as `'sha256-…'`, and so are `'sha-384-…'` and `'sha-512-…'`.",
  },
  "wildcard-host-of-any-scheme": {
    anchor: "match-hosts",
    specification:
      "`x-app://*` matches nothing: only a domain is matched, and a URL of such a scheme has none.",
    chromium: "`*` matches whatever stands there, and nothing, too.",
  },
  "duplicate-attribute-of-scripts": {
    anchor: "is-element-nonceable",
    specification: "No element whose tag repeats an attribute is nonceable.",
    chromium: "No script is; a style is.",
  },
  "self-excludes-blob": {
    anchor: "match-url-to-source-expression",
    specification: "A `blob:` URL has the origin of who made it, so `'self'` matches it.",
    chromium: "`'self'` does not match a `blob:` URL (nor does web-platform-tests expect it).",
  },
  "base-uri-names-url": {
    anchor: "allow-base-for-document",
    specification: "The violation's resource is `inline`.",
    chromium: "It is the base URL.",
  },
  "frame-names-origin": {
    anchor: "obtain-violation-blocked-uri",
    specification:
      "The blocked URI of a frame, `object` or `embed` is the URL that was first asked for.",
    chromium:
      "It is the URL that was judged, after redirects, and of another origin's the origin alone.",
  },
  "plugin-is-framed": {
    anchor: "does-request-violate-policy",
    specification: "An `object` or `embed` is judged by `object-src` alone, redirects too.",
    chromium:
      "`object-src` judges the first URL; the document inside is judged by `frame-src` like any frame.",
  },
  "worklet-unreported": {
    anchor: "report-violation",
    specification: "What a worklet may not load is a violation of its document's.",
    chromium: "It is blocked in silence.",
  },
  "strict-dynamic-covers-workers": {
    anchor: "worker-src-pre-request",
    specification:
      "`'strict-dynamic'` allows a worker only where `script-src` stands in for `worker-src`.",
    chromium: "It does wherever it stands: in `worker-src`, `child-src` and `default-src`, too.",
  },
  "strict-dynamic-in-default-src": {
    anchor: "allow-all-inline",
    specification: "`'strict-dynamic'` switches `'unsafe-inline'` off for scripts alone.",
    chromium: "In `default-src` it does for styles, too.",
  },
  "form-asks-both": {
    anchor: "should-block-navigation-request",
    specification:
      "A form's submission that `form-action` blocks is not fetched, so `frame-src` is not asked.",
    chromium: "Where a form's target is a frame, both are asked and both report.",
  },
  "hint-asked-by-kind": {
    anchor: "does-resource-hint-violate-policy",
    specification:
      "A prefetch is allowed when its URL matches any of the lists; `'strict-dynamic'` is not looked at.",
    chromium:
      "Each list is asked as for what it governs: with `'strict-dynamic'` one for scripts matches no URL, and the one for workers every URL.",
  },
  "hint-reported-by-first": {
    anchor: "does-resource-hint-violate-policy",
    specification: "Every policy that a prefetch violates reports it.",
    chromium:
      "Only the first that is enforced does, and none that only reports, until a redirect is judged.",
  },
  "preload-redirect-unreported": {
    anchor: "should-block-request",
    specification: "A preload's redirect that is blocked is reported like any other.",
    chromium: "It is blocked in silence; only the first URL's is reported.",
  },
  "javascript-url-sampled": {
    anchor: "should-block-navigation-request",
    specification: "The violation of a `javascript:` URL has no sample.",
    chromium: "With `'report-sample'` it has the URL's first 40 characters.",
  },
  "sample-stripped": {
    anchor: "should-block-inline",
    specification: "A sample is the first 40 characters.",
    chromium:
      "White space at its ends is left out: before inline code is cut to 40, after eval's is.",
  },
  "trusted-types-eval-unchecked": {
    anchor: "can-compile-strings",
    specification:
      "Where Trusted Types are required `eval` of a string is refused, `'trusted-types-eval'` or not.",
    chromium:
      "With `'trusted-types-eval'` in one policy `eval` and `Function` compile plain strings, whatever the others say.",
  },
  "asked-before-upgrade": {
    anchor: "should-block-request",
    specification: "Policies that are enforced see a URL after `upgrade-insecure-requests`.",
    chromium:
      "`fetch()`, media elements, plugins and workers are first asked about the URL as the page has it, and frames are reported by both.",
  },
  "loopback-upgraded-on-redirect": {
    anchor: "upgrade-request",
    specification: "`http://127.0.0.1/` is trustworthy as it is and not upgraded.",
    chromium: "It is upgraded like any other where a redirect leads to it.",
  },
  "hint-redirect-asks-default": {
    anchor: "does-resource-hint-violate-policy",
    specification: "A prefetch's redirect is judged by all lists, as its first URL is.",
    chromium: "A policy that only reports judges it by `default-src` alone.",
  },
  "function-parenthesized": {
    anchor: "can-compile-strings",
    specification: "The sample of `new Function` begins with `function anonymous(`.",
    chromium: "There are parentheses around it: `(function anonymous(`, and `)` at its end.",
  },
  "integrity-of-scripts-alone": {
    anchor: "processing-an-integrity-policy",
    specification: "`blocked-destinations=(style)` blocks stylesheets without integrity metadata.",
    chromium: "Only `script` is known.",
  },
  "wildcard-takes-grammar": {
    anchor: "should-block-create-policy",
    specification: "`trusted-types *` allows a policy of any name.",
    chromium: "Of any name that could be listed: one with a space in it is refused.",
  },
  "report-only-repeats": {
    anchor: "report-violation",
    specification: "A policy that only reports does so once for each question.",
    chromium:
      "`fetch()`, media elements, frames, event handlers and `javascript:` URLs ask twice or more, so they report twice or more.",
  },
  "source-file-without-query": {
    anchor: "strip-url-for-use-in-reports",
    specification: "The source file's URL keeps its query.",
    chromium: "It is left out; the document's and the blocked URL keep theirs.",
  },
  "hash-report-url-stripped": {
    anchor: "potentially-report-hash",
    specification: "`subresourceURL` is the request's URL as it is.",
    chromium: "Its fragment is left out, as in other reports.",
  },
  "ancestors-violation-names-origin": {
    anchor: "frame-ancestors-navigation-response",
    specification: "Document and blocked URL are the framed page's, and `report-to` works.",
    chromium:
      "Both are the origin of the framed page, and only `report-uri` hears of it: `report-to` does not.",
  },
  "data-frame-unnamed": {
    anchor: "obtain-violation-blocked-uri",
    specification: "The blocked URI of a frame with a `data:` URL is `data`.",
    chromium: "It is empty.",
  },
  "webrtc-not-enforced": {
    anchor: "webrtc-pre-connect",
    specification: "`webrtc 'block'` blocks.",
    chromium: "The directive is not enforced by default.",
  },
};

/** A behaviour: the specification's, with the differences that are named. */
export interface Profile {
  readonly name: string;
  readonly has: (difference: DifferenceName) => boolean;
}

/** The text, with its own mistakes mended (`docs/csp-differences.md` lists them). */
export const specification: Profile = { name: "specification", has: () => false };

/** What Chromium does. */
export const chromium: Profile = { name: "chromium", has: () => true };
