/**
 * Findings: what can be wrong with a policy. One table says how severe each is, why it matters and how it is mended.
 * @module
 */
import type { Span } from "../policy/source-list.ts";
import type { Payload } from "./payload.ts";

/**
 * `high`: HTML that an attacker injects runs script in the page, or script that a visitor never sees runs already.
 * `medium`: it takes one more condition, or the harm is less than script. `low`: a defence that is missing or weak.
 * `info`: has no effect, or is only worth knowing.
 */
export const severities = ["high", "medium", "low", "info"] as const;
export type Severity = (typeof severities)[number];

/** What all findings of a type have in common. */
export interface FindingDescription {
  /** The most severe that a finding of this type can be. */
  readonly severity: Severity;
  readonly subject: Subject;
  readonly title: string;
  readonly why: string;
  readonly mend: string;
}

/** What a finding is about. */
export type Subject =
  | "syntax"
  | "script"
  | "nonces and hashes"
  | "trusted types"
  | "style"
  | "embedded content"
  | "document"
  | "data leaving"
  | "sources"
  | "reporting"
  | "old browsers";

/** Every type of finding by its id. The ids are stable. */
export const findingTypes = {
  // Syntax: what was written is not what is in force.
  "unknown-directive": {
    severity: "medium",
    subject: "syntax",
    title: "No specification has this directive",
    why: "Browsers skip a directive that they don't know, with all its value.",
    mend: "Correct the name, or delete the directive.",
  },
  "missing-semicolon": {
    severity: "medium",
    subject: "syntax",
    title: "The name of a directive stands inside the value of another",
    why: "Without a semicolon before it the name counts as a source, and its directive does not exist.",
    mend: "Write a semicolon before it.",
  },
  "comma-in-policy": {
    severity: "medium",
    subject: "syntax",
    title: "A comma cuts the policy in two",
    why: "In a header a comma ends a policy. What follows is a policy of its own, and its first word is read as the name of a directive.",
    mend: "Part sources with spaces and directives with semicolons.",
  },
  "duplicate-directive": {
    severity: "medium",
    subject: "syntax",
    title: "A directive comes twice",
    why: "Only the first of its name counts; the rest has no effect.",
    mend: "Put all sources into the first, and delete the others.",
  },
  "not-ascii": {
    severity: "medium",
    subject: "syntax",
    title: "A directive holds a character that is not ASCII",
    why: "Browsers drop the whole directive. Curly quotes, long dashes and names like bücher.example do that.",
    mend: "Write straight quotes and plain hyphens, and host names in their xn-- form.",
  },
  "unquoted-keyword": {
    severity: "medium",
    subject: "syntax",
    title: "A keyword, nonce or hash without its single quotes",
    why: "Without quotes it is the name of a host, and the keyword is not in force.",
    mend: "Write it in single quotes.",
  },
  "invalid-keyword": {
    severity: "medium",
    subject: "syntax",
    title: "Something in single quotes that is no keyword, nonce or hash",
    why: "Browsers skip it.",
    mend: "Correct it, or delete it.",
  },
  "invalid-source": {
    severity: "low",
    subject: "syntax",
    title: "A source that no grammar has",
    why: "Browsers skip it, so what was meant stays blocked; some read more into it than the specification does.",
    mend: "Write scheme, host, port and path only, or delete it.",
  },
  "source-query": {
    severity: "low",
    subject: "syntax",
    title: "A source with a query or a fragment",
    why: "By the specification such a source matches nothing. Chromium ignores the query and allows every query of that path.",
    mend: "Delete what follows the path.",
  },
  "protocol-relative-source": {
    severity: "low",
    subject: "syntax",
    title: "A source that starts with two slashes",
    why: "It is no source, so it matches nothing.",
    mend: "Write the host without the slashes.",
  },
  "unexpected-value": {
    severity: "info",
    subject: "syntax",
    title: "A value that its directive does not take",
    why: "Browsers skip it.",
    mend: "Delete it.",
  },
  "none-not-alone": {
    severity: "medium",
    subject: "syntax",
    title: "'none' beside other sources",
    why: "'none' counts only when it stands alone. Here everything else in the list is in force.",
    mend: "Delete 'none', or everything else.",
  },
  "without-effect": {
    severity: "info",
    subject: "syntax",
    title: "A source in a directive where nothing reads it",
    why: "It has no effect there.",
    mend: "Delete it, or move it to the directive that it was meant for.",
  },
  "ignored-source": {
    severity: "info",
    subject: "syntax",
    title: "A source that another one puts out of force",
    why: "'strict-dynamic' switches off hosts, schemes, 'self' and 'unsafe-inline'; a nonce or hash switches off 'unsafe-inline'. Only browsers before Level 3 (or 2) still read it.",
    mend: "Keep it for old browsers, or delete it.",
  },
  "ignored-in-meta": {
    severity: "low",
    subject: "syntax",
    title: "A directive that counts in a header only",
    why: "In a meta element browsers ignore frame-ancestors, report-uri and sandbox.",
    mend: "Send it in the Content-Security-Policy header.",
  },
  "deprecated-directive": {
    severity: "info",
    subject: "syntax",
    title: "A directive that specifications have given up",
    why: "Browsers have dropped it, or will.",
    mend: "Use what took its place.",
  },
  "no-enforced-policy": {
    severity: "medium",
    subject: "syntax",
    title: "Every policy is report-only",
    why: "A report-only policy blocks nothing.",
    mend: "Send it as Content-Security-Policy when its reports are clean.",
  },
  "too-many-policies": {
    severity: "low",
    subject: "syntax",
    title: "More policies than are judged",
    why: "Each is held against each other, which takes too long for so many. A policy that is not judged may close what is said to be open.",
    mend: "Write them as one policy.",
  },

  // Script
  "missing-script-src": {
    severity: "high",
    subject: "script",
    title: "Scripts are not restricted",
    why: "With neither script-src nor default-src, every injected script runs.",
    mend: "Add a script-src with nonces or hashes.",
  },
  "script-unsafe-inline": {
    severity: "high",
    subject: "script",
    title: "'unsafe-inline' for scripts",
    why: "Injected script elements, event handlers and javascript: links run as if they were the page's own.",
    mend: "Give each script of your own a nonce or a hash, and delete 'unsafe-inline'.",
  },
  "script-wildcard": {
    severity: "high",
    subject: "script",
    title: "Scripts from any host",
    why: "An injected script element may name a file on the attacker's own server.",
    mend: "Allow scripts by nonce or hash.",
  },
  "script-scheme": {
    severity: "high",
    subject: "script",
    title: "Scripts from any URL of a scheme",
    why: "https: and http: allow the attacker's server, data: allows a script written into the URL itself.",
    mend: "Delete the scheme, and allow scripts by nonce or hash.",
  },
  "script-local-scheme": {
    severity: "medium",
    subject: "script",
    title: "Scripts from blob: or filesystem: URLs",
    why: "Whoever can make the page put text into a blob can run it.",
    mend: "Delete the scheme; for workers name it in worker-src alone.",
  },
  "script-wildcard-registry": {
    severity: "high",
    subject: "script",
    title: "Scripts from every name below a public suffix",
    why: "Anybody can register a name there.",
    mend: "Name the hosts that are yours.",
  },
  "script-host-shared": {
    severity: "high",
    subject: "script",
    title: "Scripts from a host where anybody gets a name or a folder",
    why: "The attacker signs up and puts a script there.",
    mend: "Name your own subdomain or folder, or allow scripts by nonce or hash.",
  },
  "script-host-uploads": {
    severity: "high",
    subject: "script",
    title: "Scripts from a host that serves what anybody publishes",
    why: "The attacker publishes a package or a file, and the host serves it as a script.",
    mend: "Serve the file yourself, or allow it by hash with integrity.",
  },
  "script-host-jsonp": {
    severity: "high",
    subject: "script",
    title: "Scripts from a host with a JSONP endpoint",
    why: "A JSONP endpoint answers with a script that starts with a text of the request, so a URL there can carry the attacker's script.",
    mend: "Delete the host, and allow its scripts by nonce or hash.",
  },
  "script-host-jsonp-method": {
    severity: "medium",
    subject: "script",
    title: "Scripts from a host with a JSONP endpoint for plain function names",
    why: "The endpoint calls any function of the page by its dotted name: enough to click or submit in the visitor's name, also across windows of the origin.",
    mend: "Delete the host, and allow its scripts by nonce or hash.",
  },
  "script-host-gadget": {
    severity: "high",
    subject: "script",
    title: "Scripts from a host that serves a library with a script gadget",
    why: "The attacker loads AngularJS from there, which then evaluates expressions that it finds in injected HTML.",
    mend: "Delete the host, and allow its scripts by nonce or hash.",
  },
  "script-host-eval": {
    severity: "high",
    subject: "script",
    title: "Scripts from a tag manager, together with 'unsafe-eval'",
    why: "The host answers with a container that the attacker wrote, and 'unsafe-eval' lets it run as script.",
    mend: "Delete 'unsafe-eval', or allow the container by nonce.",
  },
  "script-path-escape": {
    severity: "high",
    subject: "script",
    title: "A path that a redirect gets around",
    why: "After a redirect browsers don't compare paths. Another host of the list redirects anywhere, so every script of this host may be loaded.",
    mend: "Delete the host that redirects, or the one that a path was to restrict.",
  },
  "script-host-redirect": {
    severity: "low",
    subject: "script",
    title: "Scripts from a host with an open redirect",
    why: "It takes the paths of all other hosts in the list out of force.",
    mend: "Delete the host, and allow its scripts by nonce or hash.",
  },
  "script-host": {
    severity: "low",
    subject: "script",
    title: "Scripts from a host of which no bypass is known",
    why: "One JSONP endpoint, upload or old library on it is enough to run a script.",
    mend: "Allow scripts by nonce or hash.",
  },
  "script-self": {
    severity: "low",
    subject: "script",
    title: "Scripts from the page's own origin",
    why: "One JSONP endpoint, upload or error page that repeats the request is enough to run a script.",
    mend: "Allow scripts by nonce or hash.",
  },
  "script-allowlist": {
    severity: "low",
    subject: "script",
    title: "Scripts are allowed by where they are",
    why: "Of the policies that list hosts, most can be got around.",
    mend: "Allow scripts by nonce or hash, with 'strict-dynamic' where scripts load others.",
  },
  "script-unsafe-eval": {
    severity: "medium",
    subject: "script",
    title: "'unsafe-eval'",
    why: "Text that reaches eval, Function or a timer runs as script; template engines of old libraries need no more.",
    mend: "Delete it; 'wasm-unsafe-eval' is enough for WebAssembly.",
  },
  "script-unsafe-hashes": {
    severity: "low",
    subject: "script",
    title: "'unsafe-hashes'",
    why: "Each listed hash may also be an event handler on any element, or a javascript: link.",
    mend: "Use addEventListener, and delete it.",
  },
  "script-unsafe-hashes-alone": {
    severity: "info",
    subject: "script",
    title: "'unsafe-hashes' without a hash",
    why: "It has no effect.",
    mend: "Delete it.",
  },
  "strict-dynamic-alone": {
    severity: "info",
    subject: "script",
    title: "'strict-dynamic' without a nonce or hash",
    why: "It blocks every script of the page.",
    mend: "Add a nonce or the hashes of the page's scripts.",
  },
  "script-gadget": {
    severity: "high",
    subject: "script",
    title: "A library on the page with a script gadget",
    why: "The library, which the policy allows, turns injected HTML into script.",
    mend: "Update or replace the library, and require Trusted Types.",
  },
  "script-speculation-rules": {
    severity: "info",
    subject: "script",
    title: "'inline-speculation-rules'",
    why: "Injected rules make the browser fetch URLs of the attacker's choice.",
    mend: "Give the rules a nonce or a hash.",
  },

  // Nonces and hashes
  "nonce-repeated": {
    severity: "high",
    subject: "nonces and hashes",
    title: "The same nonce in several responses",
    why: "An attacker reads it in one response and writes it into what is injected into another.",
    mend: "Make a nonce for each response, from at least 16 random bytes.",
  },
  "nonce-predictable": {
    severity: "high",
    subject: "nonces and hashes",
    title: "A nonce that can be guessed",
    why: "It is a word, a placeholder or a pattern, not random.",
    mend: "Make a nonce for each response, from at least 16 random bytes.",
  },
  "nonce-short": {
    severity: "medium",
    subject: "nonces and hashes",
    title: "A nonce of less than 128 bits",
    why: "The specification asks for at least 128 random bits (22 characters of base64).",
    mend: "Make a nonce for each response, from at least 16 random bytes.",
  },
  "nonce-charset": {
    severity: "low",
    subject: "nonces and hashes",
    title: "A nonce with characters that base64 does not have",
    why: "It is no nonce to a browser that keeps to the grammar, and scripts that carry it stay blocked.",
    mend: "Encode the random bytes as base64 or base64url.",
  },
  "nonce-in-meta": {
    severity: "low",
    subject: "nonces and hashes",
    title: "A nonce in a meta element's policy",
    why: "Injected HTML and style sheets can read the attribute out of the page, and a page that is a file has the same nonce for everybody.",
    mend: "Send the policy in a header, or use hashes.",
  },
  "hash-length": {
    severity: "low",
    subject: "nonces and hashes",
    title: "A hash of the wrong length",
    why: "No text has it, so it allows nothing; where it is no base64 at all, Chromium does not let it switch 'unsafe-inline' off either.",
    mend: "Compute the hash again.",
  },
  "hash-of-nothing": {
    severity: "low",
    subject: "nonces and hashes",
    title: "The hash of the empty string",
    why: "It allows a script with no text. A tool that hashes inline blocks has met an element that has a src.",
    mend: "Delete it.",
  },

  // Trusted Types
  "trusted-types-missing": {
    severity: "info",
    subject: "trusted types",
    title: "Trusted Types are not required",
    why: "Any string that reaches innerHTML or the like is parsed as HTML.",
    mend: "Add require-trusted-types-for 'script'.",
  },
  "trusted-types-any": {
    severity: "low",
    subject: "trusted types",
    title: "Policies of any name",
    why: "Every script may make a policy that lets everything through.",
    mend: "Name the policies.",
  },
  "trusted-types-unlisted": {
    severity: "low",
    subject: "trusted types",
    title: "Trusted Types without a list of policies",
    why: "Without trusted-types every script may make a policy that lets everything through.",
    mend: "Add trusted-types with the names of your policies, or 'none'.",
  },
  "trusted-types-default": {
    severity: "low",
    subject: "trusted types",
    title: "A default policy",
    why: "It is applied to every string that reaches a sink, so one lax rule there opens them all.",
    mend: "Use policies with names; keep a default policy for a migration.",
  },
  "trusted-types-duplicates": {
    severity: "low",
    subject: "trusted types",
    title: "Several policies of one name",
    why: "A script may make another policy under a name that was reviewed.",
    mend: "Delete 'allow-duplicates'.",
  },
  "trusted-types-not-required": {
    severity: "info",
    subject: "trusted types",
    title: "A list of Trusted Types policies that no sink requires",
    why: "trusted-types limits who makes policies; sinks take strings until require-trusted-types-for says otherwise.",
    mend: "Add require-trusted-types-for 'script'.",
  },

  // Style
  "missing-style-src": {
    severity: "medium",
    subject: "style",
    title: "Styles are not restricted",
    why: "Injected styles read attributes and text of the page and send them away, or draw over it.",
    mend: "Add style-src, or default-src.",
  },
  "style-unsafe-inline": {
    severity: "medium",
    subject: "style",
    title: "'unsafe-inline' for styles",
    why: "Injected styles read attributes and text of the page and send them away, or draw over it.",
    mend: "Allow style elements by nonce or hash.",
  },
  "style-wildcard": {
    severity: "medium",
    subject: "style",
    title: "Styles from any host",
    why: "An injected link element may name a style sheet on the attacker's own server.",
    mend: "Name the hosts of your style sheets.",
  },

  // Embedded content
  "missing-object-src": {
    severity: "medium",
    subject: "embedded content",
    title: "Plugins and embedded objects are not restricted",
    why: "Old browsers run plugins that run script in the page. New ones load a document of the attacker's choice.",
    mend: "Add object-src 'none'.",
  },
  "object-wildcard": {
    severity: "medium",
    subject: "embedded content",
    title: "Objects from any host",
    why: "Old browsers run plugins that run script in the page. New ones load a document of the attacker's choice.",
    mend: "Set object-src to 'none'.",
  },
  "object-scheme": {
    severity: "medium",
    subject: "embedded content",
    title: "Objects from any URL of a scheme",
    why: "Old browsers run plugins that run script in the page. New ones load a document of the attacker's choice.",
    mend: "Set object-src to 'none'.",
  },
  "object-host": {
    severity: "low",
    subject: "embedded content",
    title: "object-src is not 'none'",
    why: "Flash files on listed hosts ran script in the page. No browser of today runs plugins.",
    mend: "Set object-src to 'none'.",
  },
  "worker-open": {
    severity: "medium",
    subject: "embedded content",
    title: "Workers from URLs of the attacker's choice",
    why: "A service worker or worker keeps running script after the page is gone. Workers of data: and blob: URLs need a script that starts them.",
    mend: "Set worker-src to 'self' or 'none'.",
  },
  "frame-open": {
    severity: "low",
    subject: "embedded content",
    title: "Frames from any host",
    why: "Injected frames show forms that look like the page's own.",
    mend: "Name the hosts, or set frame-src to 'none'.",
  },
  "sandbox-escapable": {
    severity: "medium",
    subject: "embedded content",
    title: "A sandbox with allow-scripts and allow-same-origin",
    why: "Script of the page's own origin can take the sandbox off whatever frame it is in, and has all of the origin's data.",
    mend: "Leave out one of the two.",
  },

  // Document
  "missing-base-uri": {
    severity: "high",
    subject: "document",
    title: "An injected base element decides where scripts come from",
    why: "Scripts with a nonce, and those loaded under 'strict-dynamic', come from the attacker's server when their URLs are relative.",
    mend: "Add base-uri 'none' or 'self'.",
  },
  "base-uri-open": {
    severity: "high",
    subject: "document",
    title: "base-uri allows any host",
    why: "Scripts with a nonce, and those loaded under 'strict-dynamic', come from the attacker's server when their URLs are relative. Links and forms follow in every policy.",
    mend: "Set base-uri to 'none' or 'self'.",
  },
  "base-uri-foreign": {
    severity: "low",
    subject: "document",
    title: "base-uri allows another origin",
    why: "Relative URLs of scripts, forms and links can be pointed there.",
    mend: "Set base-uri to 'none' or 'self'.",
  },
  "missing-form-action": {
    severity: "medium",
    subject: "document",
    title: "Forms may be sent anywhere",
    why: "An injected form takes what a password manager fills in to the attacker. default-src does not cover forms.",
    mend: "Add form-action 'self' or 'none'.",
  },
  "form-action-open": {
    severity: "medium",
    subject: "document",
    title: "Forms may be sent to any host",
    why: "An injected form takes what a password manager fills in to the attacker.",
    mend: "Set form-action to 'self' or the hosts that receive your forms.",
  },
  "missing-frame-ancestors": {
    severity: "medium",
    subject: "document",
    title: "Any site may frame the page",
    why: "A site that frames the page can trick visitors into clicking in it. default-src does not cover this.",
    mend: "Add frame-ancestors 'none' or 'self'.",
  },
  "frame-ancestors-open": {
    severity: "medium",
    subject: "document",
    title: "frame-ancestors allows any site",
    why: "A site that frames the page can trick visitors into clicking in it. X-Frame-Options does not count beside frame-ancestors.",
    mend: "Name the sites that may frame the page.",
  },

  // Data leaving the page
  "missing-default-src": {
    severity: "low",
    subject: "data leaving",
    title: "No default-src",
    why: "Kinds of requests that no directive names are open, and prefetching is not restricted at all.",
    mend: "Add default-src 'none' or 'self'.",
  },
  "connect-open": {
    severity: "low",
    subject: "data leaving",
    title: "Connections to any host",
    why: "Whatever script runs can send what it finds to anyone.",
    mend: "Name the hosts in connect-src.",
  },
  "image-open": {
    severity: "info",
    subject: "data leaving",
    title: "Images or media from any host",
    why: "Injected HTML with an unclosed attribute sends the text that follows it along in an image's URL.",
    mend: "Name the hosts in img-src and media-src.",
  },
  "webrtc-open": {
    severity: "info",
    subject: "data leaving",
    title: "WebRTC is not restricted",
    why: "connect-src does not cover peer connections: script can send data over them.",
    mend: "Add webrtc 'block'. Chromium does not enforce it yet.",
  },

  // Sources of any kind
  "source-http": {
    severity: "medium",
    subject: "sources",
    title: "A source over http:",
    why: "Whoever is on the network between can change what is loaded or read.",
    mend: "Write https: instead.",
  },
  "ip-source": {
    severity: "info",
    subject: "sources",
    title: "An IP address as a source",
    why: "By the specification an address matches nothing, while Chromium matches IPv4 addresses.",
    mend: "Use a host name.",
  },
  "localhost-source": {
    severity: "medium",
    subject: "sources",
    title: "A source on the visitor's own machine",
    why: "Whatever program listens on that port there serves the page. It is left over from development.",
    mend: "Delete it in production.",
  },
  "source-typo": {
    severity: "medium",
    subject: "sources",
    title: "A host that looks like a known one with a typing error",
    why: "Whoever registers the wrong name serves the page's content.",
    mend: "Correct the name.",
  },
  "source-top-level": {
    severity: "low",
    subject: "sources",
    title: "A host that no domain name ends like",
    why: "It can't be reached, so it only hides a mistake.",
    mend: "Correct the name, or delete it.",
  },
  "source-javascript": {
    severity: "info",
    subject: "sources",
    title: "javascript: as a source",
    why: "It allows nothing: javascript: links are inline script.",
    mend: "Delete it.",
  },

  // Reporting
  "report-destination-missing": {
    severity: "info",
    subject: "reporting",
    title: "Violations are not reported",
    why: "Nobody learns what the policy blocks, be it an attack or the page itself.",
    mend: "Add report-to and report-uri.",
  },
  "report-only-without-destination": {
    severity: "low",
    subject: "reporting",
    title: "A report-only policy that reports to nobody",
    why: "It neither blocks nor reports.",
    mend: "Add report-to and report-uri.",
  },
  "report-to-only": {
    severity: "info",
    subject: "reporting",
    title: "report-to without report-uri",
    why: "Browsers without the Reporting API send nothing.",
    mend: "Add report-uri; a browser that knows report-to ignores it.",
  },
  "report-to-undeclared": {
    severity: "low",
    subject: "reporting",
    title: "report-to names an endpoint that no header declares",
    why: "Browsers send nothing, and because of report-to they ignore report-uri, too.",
    mend: "Declare the endpoint in Reporting-Endpoints.",
  },

  // Old browsers, when asked for
  "unsafe-inline-fallback": {
    severity: "info",
    subject: "old browsers",
    title: "No 'unsafe-inline' for browsers without nonces and hashes",
    why: "Browsers of Level 1 run no inline script of the page. All others ignore 'unsafe-inline' beside a nonce or hash.",
    mend: "Add 'unsafe-inline' if such browsers matter.",
  },
  "allowlist-fallback": {
    severity: "info",
    subject: "old browsers",
    title: "No hosts or schemes for browsers without 'strict-dynamic'",
    why: "Browsers before Level 3 load no script that a script adds. All others ignore hosts and schemes beside 'strict-dynamic'.",
    mend: "Add https: if such browsers matter.",
  },
} as const;

export type FindingType = keyof typeof findingTypes;

/** What all findings of that type have in common. */
export function describeFinding(type: FindingType): FindingDescription {
  return findingTypes[type];
}

/**
 * Whether a finding weakens the page: `open` if the attack passes every enforced policy, `closed` if another enforced
 * policy stops it, `report-only` in a policy that blocks nothing.
 */
export type Standing =
  | { readonly type: "open" }
  | { readonly type: "closed"; readonly by: number }
  | { readonly type: "report-only" };

export interface Finding {
  readonly type: FindingType;
  /** `info` when another policy closes it. */
  readonly severity: Severity;
  /** Index into the list that was judged; -1 when it is empty. */
  readonly policy: number;
  /** Lower case. Where nothing of that name is written, the directive that is missing. */
  readonly directive: string;
  /** Where: the expression, else the directive, else the policy; in the text that was parsed. */
  readonly span: Span;
  /** What was found. */
  readonly message: string;
  readonly why: string;
  /** How to mend it, in words. */
  readonly mend: string;
  /** The whole policy mended, where that can be computed. */
  readonly mended: string | undefined;
  readonly standing: Standing;
  /** For what is severe: HTML that runs script under this policy and no longer does under `mended`. */
  readonly payload?: Payload;
}
