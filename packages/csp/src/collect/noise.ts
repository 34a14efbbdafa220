/**
 * Reports about what the site did not send: from extensions, from the browser itself, from software on the way, and
 * from copies of the page elsewhere. Each rule is data: what it looks for, whose work it is.
 * @module
 */
import type { ReportFacts } from "./facts.ts";

export type NoiseClass = "extension" | "browser" | "injected" | "elsewhere";

export interface Noise {
  readonly class: NoiseClass;
  /** Whose work it is, for people. */
  readonly reason: string;
  /** The field that says so, and what it holds. */
  readonly evidence: string;
}

interface Rule {
  readonly class: NoiseClass;
  readonly reason: string;
  readonly field: Field;
  readonly matches: (value: Value, document: Value) => boolean;
}

type Field = "documentURL" | "blockedURL" | "sourceFile" | "sample";

/** A field's text, and what it is as a URL. */
interface Value {
  readonly text: string;
  /** What stands before the first colon, or all of it; lower case. */
  readonly scheme: string;
  /** Empty where it is no URL. */
  readonly host: string;
}

/** `blockedURL` and `sourceFile` may hold a scheme alone. */
const schemes: readonly (readonly [NoiseClass, reason: string, schemes: readonly string[]])[] = [
  [
    "extension",
    "a browser extension",
    [
      "chrome-extension",
      "moz-extension",
      "safari-extension",
      "safari-web-extension",
      "ms-browser-extension",
      "se-extension",
      "user-script",
      "webkit-masked-url",
    ],
  ],
  [
    "browser",
    "the browser itself",
    [
      "about",
      "android-webview",
      "android-webview-video-poster",
      "chrome",
      "chromeinvoke",
      "chromeinvokeimmediate",
      "chromenull",
      "edge",
      "ms-appx-web",
      "mx",
      "mxaddon-pkg",
      "mxjscall",
      "opera",
      "resource",
    ],
  ],
  ["browser", "the app that shows the page", ["gsa", "webviewprogressproxy"]],
];

/** A host, or what is under it. */
const injectedHosts: readonly (readonly [host: string, whose: string])[] = [
  ["kaspersky-labs.com", "Kaspersky's protection of browsers"],
  ["local.adguard.org", "AdGuard on the visitor's machine"],
  ["injections.adguard.org", "AdGuard on the visitor's machine"],
  ["nikkomsgchannel", "Trusteer Rapport on the visitor's machine"],
  ["alert.scansafe.net", "a company's web proxy"],
  ["adblockers.opera-mini.net", "Opera Mini's servers"],
  ["translate.google.com", "Google's translation, unless the page asks for it"],
  ["translate.googleapis.com", "Google's translation, unless the page asks for it"],
  ["translate-pa.googleapis.com", "Google's translation, unless the page asks for it"],
  ["microsofttranslator.com", "Microsoft's translation, unless the page asks for it"],
  ["superfish.com", "adware on the visitor's machine"],
  ["surfbuyermac.com", "adware on the visitor's machine"],
  ["loadingpaqes.info", "adware on the visitor's machine"],
];

/** Hosts that show copies of others' pages. */
const copyHosts: readonly (readonly [host: string, whose: string])[] = [
  ["translate.goog", "a copy of the page, in translation"],
  ["translate.googleusercontent.com", "a copy of the page, in translation"],
  ["webcache.googleusercontent.com", "a copy of the page, in a cache"],
  ["web.archive.org", "a copy of the page, in an archive"],
];

/** Inline code that only extensions have. */
const extensionCode: readonly (readonly [part: string, whose: string])[] = [
  ["function installGlobalHook(window", "React's developer tools"],
];

const rules: readonly Rule[] = [
  ...schemes.flatMap(([noise, reason, names]) =>
    (["sourceFile", "blockedURL", "documentURL"] as const)
      // A document at `about:srcdoc` has its parent's policy, and scripts of its own.
      .map((field) => ({
        field,
        names: names.filter((n) => n !== "about" || field === "blockedURL"),
      }))
      .map(
        ({ field, names }): Rule => ({
          class: noise,
          reason,
          field,
          matches: ({ scheme }) => names.includes(scheme),
        }),
      ),
  ),
  ...extensionCode.map(
    ([part, reason]): Rule => ({
      class: "extension",
      reason,
      field: "sample",
      matches: ({ text }) => text.includes(part),
    }),
  ),
  ...injectedHosts.flatMap(([host, reason]) =>
    (["blockedURL", "sourceFile"] as const).map(
      (field): Rule => ({
        class: "injected",
        reason,
        field,
        matches: (value) => isUnder(value.host, host),
      }),
    ),
  ),
  {
    class: "injected",
    reason: "something on the visitor's machine or network",
    field: "blockedURL",
    matches: ({ host }, document) => isLocal(host) && !isLocal(document.host),
  },
  ...copyHosts.map(
    ([host, reason]): Rule => ({
      class: "elsewhere",
      reason,
      field: "documentURL",
      matches: (value) => isUnder(value.host, host),
    }),
  ),
  {
    class: "elsewhere",
    reason: "a copy of the page, in a file",
    field: "documentURL",
    matches: ({ scheme }) => ["file", "content", "intent"].includes(scheme),
  },
];

/** Why this report is noise, if it is. `sites`: the origins whose reports are wanted; all, where it is undefined. */
export function noiseOf(
  facts: ReportFacts,
  sites: ReadonlySet<string> | undefined,
): Noise | undefined {
  const values: Readonly<Record<Field, Value>> = {
    documentURL: valueOf(facts.documentURL),
    blockedURL: valueOf(facts.blockedURL),
    sourceFile: valueOf(facts.sourceFile),
    sample: { text: facts.sample, scheme: "", host: "" },
  };
  const rule = rules.find(
    ({ field, matches }) => facts[field] !== "" && matches(values[field], values.documentURL),
  );
  if (rule) {
    const { class: noise, reason, field } = rule;
    return { class: noise, reason, evidence: `${field}: ${facts[field]}` };
  }
  const { documentURL } = facts;
  const origin = URL.parse(documentURL)?.origin;
  // A document with no origin of its own, as of `about:srcdoc`, may well be a part of ours.
  if (sites === undefined || (origin === undefined && documentURL === "about")) return undefined;
  if (origin !== undefined && sites.has(origin)) return undefined;
  return {
    class: "elsewhere",
    reason: "a page of a site that is not watched",
    evidence: `documentURL: ${documentURL}`,
  };
}

function valueOf(text: string): Value {
  const scheme = (text.split(":", 1)[0] ?? "").toLowerCase();
  return { text, scheme, host: URL.parse(text)?.hostname ?? "" };
}

function isUnder(host: string, parent: string): boolean {
  return host === parent || host.endsWith(`.${parent}`);
}

/** Names and addresses that lead nowhere outside of a machine or a private network (RFC 1918, 3927, 4193, 6761). */
function isLocal(host: string): boolean {
  return (
    isUnder(host, "localhost") ||
    /^(127|10)\.\d+\.\d+\.\d+$|^(192\.168|169\.254|172\.(1[6-9]|2\d|3[01]))\.\d+\.\d+$/.test(
      host,
    ) ||
    /^\[(::1|f[cd][0-9a-f]{2}:.*|fe[89ab][0-9a-f]:.*)\]$/.test(host)
  );
}
