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
  | "port-80-covers-443"
  | "upgrade-needs-default-port"
  | "ip-address-matches"
  | "websocket-scheme-kept"
  | "query-ignored"
  | "hash-padding-optional"
  | "self-excludes-blob"
  | "base-uri-names-url"
  | "plugin-origin-only"
  | "data-frame-unnamed"
  | "webrtc-not-enforced";

/** What Chromium does otherwise than the text says, by name. `docs/csp-differences.md` is made of this table. */
export const differences: Readonly<Record<DifferenceName, Difference>> = {
  "port-80-covers-443": {
    anchor: "match-ports",
    specification: "`http://a.example:80` does not match `https://a.example/`: 80 is not 443.",
    chromium: "It matches: the default port of http is upgraded with the scheme.",
  },
  "upgrade-needs-default-port": {
    anchor: "match-url-to-source-expression",
    specification: "`http://a.example:8080` matches `https://a.example:8080/`.",
    chromium: "It does not: a scheme is upgraded on the default port alone.",
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
    specification: "`https://a.example/path?query` is no host-source and matches nothing.",
    chromium: "The query and what follows is ignored, the rest matches.",
  },
  "hash-padding-optional": {
    anchor: "match-element-to-source-list",
    specification: "A hash without its `=` padding is another string, so it matches nothing.",
    chromium: "Hashes are compared decoded, so it matches.",
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
  "plugin-origin-only": {
    anchor: "obtain-violation-blocked-uri",
    specification: "The blocked URI of an `object` or `embed` is the request's URL.",
    chromium: "Of another origin's it is the origin alone.",
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
