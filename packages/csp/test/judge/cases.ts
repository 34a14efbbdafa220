/** Each type of finding with policies that have it and policies that don't. */
import { parsePolicyList } from "@conclave/csp";
import type { FindingType, JudgeContext } from "@conclave/csp/judge";

export interface Case {
  readonly bad: string;
  readonly good: string;
  readonly context?: JudgeContext;
  readonly read?: "meta" | "report";
  /** More pairs of the same type. */
  readonly more?: readonly (readonly [bad: string, good: string])[];
}

const random = "'nonce-mN9fGz0b5KqvT3Xw7Jr1Lg'";
// Of the inline script of `missing-base-uri`'s payload, which a page has that loads scripts by script.
const hash = "'sha256-kg/yIXDzLg6QI87Y3hU+rLPz5cPH0oMHB5R3jnQCw6o='";

export const cases: Readonly<Record<FindingType, Case>> = {
  "unknown-directive": {
    bad: "default-src 'self'; scirpt-src 'none'",
    good: "default-src 'self'; script-src 'none'",
    more: [
      ["script-src: 'self'", "script-src 'self'"],
      ["script_src 'self'", "fenced-frame-src https:"],
    ],
  },
  "missing-semicolon": {
    bad: "script-src 'self' object-src 'none'",
    good: "script-src 'self'; object-src 'none'",
  },
  "comma-in-policy": {
    bad: "script-src 'self', https://cdn.example.com; object-src 'none'",
    good: "script-src 'self', object-src 'none'",
  },
  "duplicate-directive": {
    bad: "script-src 'self'; script-src 'none'",
    good: "script-src 'self'; script-src-elem 'none'",
  },
  "not-ascii": {
    bad: "script-src ‘self’; object-src 'none'",
    good: "script-src 'self'; object-src 'none'",
    more: [["sandbox; img-src https://bücher.de", "sandbox; img-src https://xn--bcher-kva.de"]],
  },
  "unquoted-keyword": {
    bad: "script-src self",
    good: "script-src 'self'",
    more: [
      [
        "script-src strict-dynamic 'nonce-mN9fGz0b5KqvT3Xw7Jr1Lg'",
        `script-src 'strict-dynamic' ${random}`,
      ],
      ["script-src nonce-mN9fGz0b5KqvT3Xw7Jr1Lg", `script-src ${random}`],
      ["script-src sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=", `script-src ${hash}`],
      ["require-trusted-types-for script", "require-trusted-types-for 'script'"],
      ["default-src none", "default-src 'none'"],
    ],
  },
  "invalid-keyword": {
    bad: "script-src 'unsafe_inline'",
    good: "script-src 'unsafe-inline'",
    more: [
      ['script-src "self"', "script-src 'self'"],
      ["script-src `self`", "script-src 'report-sha256'"],
      ["script-src 'slef'", "script-src 'trusted-types-eval'"],
    ],
  },
  "invalid-source": {
    bad: "img-src https://under_score.example.com",
    good: "img-src https://underscore.example.com",
    more: [["img-src https://a.example.com:port", "img-src https://a.example.com:*"]],
  },
  "source-query": {
    bad: "script-src https://cdn.mysite.com/app.js?v=2",
    good: "script-src https://cdn.mysite.com/app.js",
  },
  "protocol-relative-source": {
    bad: "script-src //cdn.mysite.com",
    good: "script-src cdn.mysite.com",
  },
  "unexpected-value": {
    bad: "upgrade-insecure-requests 1",
    good: "upgrade-insecure-requests",
    more: [["sandbox allow-everything", "sandbox allow-scripts"]],
  },
  "none-not-alone": {
    bad: "script-src 'none' https://www.google.com",
    good: "script-src 'none'",
  },
  "without-effect": {
    bad: "script-src 'self'; script-src-attr https://cdn.mysite.com",
    good: "script-src 'self'; script-src-elem https://cdn.mysite.com",
    more: [
      ["script-src-elem 'unsafe-eval'", "script-src 'unsafe-eval'"],
      ["script-src mediastream:", "media-src mediastream:"],
    ],
  },
  "ignored-source": {
    bad: `script-src ${random} 'strict-dynamic' https:`,
    good: `script-src ${random} https:`,
    more: [[`script-src ${random} 'unsafe-inline'`, "script-src 'unsafe-inline'"]],
  },
  "ignored-in-meta": {
    bad: "default-src 'self'; frame-ancestors 'none'",
    good: "default-src 'self'",
    read: "meta",
  },
  "deprecated-directive": {
    bad: "default-src 'self'; block-all-mixed-content",
    good: "default-src 'self'; upgrade-insecure-requests",
    more: [
      ["plugin-types application/pdf", "object-src 'none'"],
      ["navigate-to 'self'", "form-action 'self'"],
      ["require-sri-for script", "script-src 'self'"],
      ["prefetch-src 'self'", "default-src 'self'"],
      ["reflected-xss block", "default-src 'self'"],
      ["referrer no-referrer", "default-src 'self'"],
      ["disown-opener", "default-src 'self'"],
    ],
  },
  "no-enforced-policy": { bad: "", good: "default-src 'self'" },
  "too-many-policies": { bad: "sandbox,".repeat(65), good: "sandbox,".repeat(64) },

  "missing-script-src": {
    bad: "object-src 'none'",
    good: "default-src 'self'",
    more: [["script-src-elem 'self'", "script-src-elem 'self'; script-src-attr 'none'"]],
  },
  "script-unsafe-inline": {
    bad: "script-src 'unsafe-inline'",
    good: `script-src 'unsafe-inline' ${random}`,
    more: [
      ["default-src 'unsafe-inline'", "default-src 'unsafe-inline'; script-src 'self'"],
      ["script-src 'self'; script-src-attr 'unsafe-inline'", "script-src-attr 'none'"],
      ["script-src 'self'; script-src-elem 'unsafe-inline'", "script-src-elem 'self'"],
    ],
  },
  "script-wildcard": {
    bad: "script-src *",
    good: "script-src *.mysite.com",
    more: [
      ["script-src https://*", "script-src https://mysite.com"],
      ["script-src *:443", "script-src mysite.com:443"],
      ["script-src *:*", "script-src mysite.com:*"],
      ["script-src *:8443", `script-src *:8443 'strict-dynamic' ${random}`],
    ],
  },
  "script-scheme": {
    bad: "script-src https:",
    good: "script-src https://mysite.com",
    more: [
      ["default-src data:", "default-src data:; script-src 'self'"],
      ["script-src http:", `script-src http: https: 'strict-dynamic' ${random}`],
    ],
  },
  "script-local-scheme": {
    bad: "script-src 'self' blob:",
    good: "script-src 'self'; worker-src blob:",
    more: [["script-src filesystem:", "img-src filesystem:"]],
  },
  "script-wildcard-registry": {
    bad: "script-src *.co.uk",
    good: "script-src *.mysite.co.uk",
    more: [["script-src https://*.com", "script-src https://*.mysite.com"]],
  },
  "script-host-shared": {
    bad: "script-src https://*.cloudfront.net",
    good: "script-src https://d111111abcdef8.cloudfront.net",
    more: [
      ["script-src *.s3.amazonaws.com", "script-src mybucket.s3.amazonaws.com"],
      ["script-src https://s3.amazonaws.com", "script-src https://s3.amazonaws.com/mybucket/"],
      ["script-src *.herokuapp.com", "script-src myapp.herokuapp.com"],
      ["script-src *.github.io", "script-src me.github.io"],
      ["script-src *.amazonaws.com", "script-src me.amazonaws.com"],
    ],
  },
  "script-host-uploads": {
    bad: "script-src https://unpkg.com",
    good: "script-src https://unpkg.com/react@18.2.0/umd/react.production.min.js",
    more: [
      [
        "script-src https://cdn.jsdelivr.net/npm/",
        "script-src https://cdn.jsdelivr.net/npm/vue@3.5.13/",
      ],
      ["script-src esm.sh", "script-src esm.sh/react@18.2.0/"],
      ["script-src raw.githack.com", `script-src raw.githack.com 'strict-dynamic' ${random}`],
    ],
  },
  "script-host-jsonp": {
    bad: "script-src accounts.google.com",
    good: "script-src accounts.google.com/gsi/client",
    more: [
      ["script-src *.google.com", "script-src fonts.google.com"],
      [
        "script-src https://accounts.google.com/o/oauth2/",
        "script-src https://accounts.google.com/gsi/",
      ],
    ],
  },
  "script-host-jsonp-method": {
    bad: "script-src https://api.github.com",
    good: "script-src https://github.com",
    more: [["script-src jetpack.com", "script-src jetpack.com/assets/"]],
  },
  "script-host-gadget": {
    bad: "script-src https://cdnjs.cloudflare.com",
    good: "script-src https://cdnjs.cloudflare.com/ajax/libs/jquery/3.7.1/jquery.min.js",
    more: [
      ["script-src ajax.googleapis.com", "script-src ajax.googleapis.com/ajax/libs/jquery/"],
      [
        "script-src ajax.googleapis.com/ajax/libs/angularjs/1.5.6/angular.min.js",
        "script-src ajax.googleapis.com/ajax/libs/webfont/1.6.26/webfont.js",
      ],
    ],
  },
  "script-host-eval": {
    bad: "script-src www.googletagmanager.com 'unsafe-eval'",
    good: "script-src www.googletagmanager.com",
  },
  "script-path-escape": {
    bad: "script-src https://unpkg.com/react@18.2.0/ https://t.co",
    good: "script-src https://unpkg.com/react@18.2.0/ https://t.me/widget.js",
  },
  "script-host-redirect": {
    bad: "script-src https://bit.ly",
    good: "script-src https://bitly.com",
  },
  "script-host": { bad: "script-src https://cdn.mysite.com", good: `script-src ${random}` },
  "script-self": { bad: "script-src 'self'", good: `script-src ${random}` },
  "script-allowlist": {
    bad: `script-src cdn.mysite.com ${random}`,
    good: `script-src cdn.mysite.com ${random} 'strict-dynamic'`,
  },
  "script-unsafe-eval": {
    bad: "script-src 'unsafe-eval'",
    good: "script-src 'wasm-unsafe-eval'",
    more: [["default-src 'unsafe-eval'", "default-src 'unsafe-eval'; script-src 'self'"]],
  },
  "script-unsafe-hashes": {
    bad: `script-src 'unsafe-hashes' ${hash}`,
    good: `script-src ${hash}`,
  },
  "script-unsafe-hashes-alone": {
    bad: "script-src 'unsafe-hashes'",
    good: `script-src 'unsafe-hashes' ${hash}`,
  },
  "strict-dynamic-alone": {
    bad: "script-src 'strict-dynamic'",
    good: `script-src 'strict-dynamic' ${hash}`,
  },
  "script-gadget": {
    bad: `script-src ${random} 'strict-dynamic'`,
    good: `script-src ${random}`,
    context: { scripts: ["https://cdn.example.com/jquery-3.1.1.min.js"] },
  },
  "script-speculation-rules": {
    bad: "script-src 'inline-speculation-rules'",
    good: `script-src ${hash}`,
  },

  "nonce-repeated": {
    bad: `script-src ${random}`,
    good: "script-src 'nonce-9pQeX2v0aUeQvM4nY6sKzA'",
    context: { samples: [parsePolicyList(`script-src ${random}`)] },
  },
  "nonce-predictable": {
    bad: "script-src 'nonce-random123'",
    good: `script-src ${random}`,
    more: [
      ["script-src 'nonce-aaaaaaaaaaaaaaaaaaaaaaaa'", "script-src 'nonce-9pQeX2v0aUeQvM4nY6sKzA'"],
      [
        "script-src 'nonce-cmFuZG9tLW5vbmNlLXZhbHVl'",
        "script-src 'nonce-bXk8Kwv0P1sRkWl3cz5C7w=='",
      ],
      ["script-src 'nonce-1700000000000'", "script-src 'nonce-AbCdeFg8hIjKlMnOpQ2sTu'"],
      ["script-src 'nonce-2726c7f26c'", "script-src 'nonce-yz3c8rB0Zl5mDqf1nXUe1g'"],
      ["script-src 'nonce-CSP_NONCE_PLACEHOLDER'", "script-src 'nonce-f0PvMhYzQqi1cAkzU4Tn9Q'"],
    ],
  },
  "nonce-short": {
    bad: "script-src 'nonce-dGVzMQx4'",
    good: `script-src ${random}`,
  },
  "nonce-charset": {
    bad: "script-src 'nonce-abc{def}ghi!'",
    good: `script-src ${random}`,
  },
  "nonce-in-meta": { bad: `script-src ${random}`, good: `script-src ${hash}`, read: "meta" },
  "hash-length": {
    bad: "script-src 'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lf'",
    good: `script-src ${hash}`,
  },
  "hash-of-nothing": {
    bad: "script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    good: `script-src ${hash}`,
  },

  "trusted-types-missing": {
    bad: "default-src 'none'",
    good: "require-trusted-types-for 'script'",
  },
  "trusted-types-any": {
    bad: "require-trusted-types-for 'script'; trusted-types *",
    good: "require-trusted-types-for 'script'; trusted-types one",
  },
  "trusted-types-unlisted": {
    bad: "require-trusted-types-for 'script'",
    good: "require-trusted-types-for 'script'; trusted-types 'none'",
  },
  "trusted-types-default": {
    bad: "require-trusted-types-for 'script'; trusted-types default",
    good: "require-trusted-types-for 'script'; trusted-types mine",
  },
  "trusted-types-duplicates": {
    bad: "require-trusted-types-for 'script'; trusted-types one 'allow-duplicates'",
    good: "require-trusted-types-for 'script'; trusted-types one",
  },
  "trusted-types-not-required": {
    bad: "trusted-types one",
    good: "require-trusted-types-for 'script'; trusted-types one",
  },

  "missing-style-src": { bad: "script-src 'self'", good: "style-src 'self'" },
  "style-unsafe-inline": {
    bad: "style-src 'unsafe-inline'",
    good: `style-src 'unsafe-inline' ${hash}`,
  },
  "style-wildcard": {
    bad: "style-src *",
    good: "style-src mysite.com",
    more: [
      ["style-src https:", "style-src 'self'"],
      ["style-src data:", "img-src data:"],
    ],
  },
  "missing-object-src": { bad: "script-src 'self'", good: "object-src 'none'" },
  "object-wildcard": { bad: "object-src *", good: "object-src 'none'" },
  "object-scheme": { bad: "object-src data:", good: "object-src 'none'" },
  "object-host": {
    bad: "object-src https://vk.com",
    good: "object-src 'none'",
    more: [["object-src 'self'", "default-src 'self'"]],
  },
  "worker-open": {
    bad: "worker-src *",
    good: "worker-src 'self'",
    more: [
      ["worker-src data:", "worker-src 'none'"],
      ["worker-src blob:", "worker-src mysite.com"],
      ["child-src https:", "child-src 'self'"],
    ],
  },
  "frame-open": {
    bad: "frame-src *",
    good: "frame-src 'self'",
    more: [["script-src 'self'", "default-src 'self'"]],
  },
  "sandbox-escapable": {
    bad: "sandbox allow-scripts allow-same-origin",
    good: "sandbox allow-scripts",
  },
  "missing-base-uri": {
    bad: `script-src ${random}`,
    good: `script-src ${random}; base-uri 'none'`,
    more: [[`script-src ${hash} 'strict-dynamic'`, `script-src ${hash}`]],
  },
  "base-uri-open": {
    bad: "base-uri *",
    good: "base-uri 'self'",
    more: [["base-uri https:", "base-uri 'none'"]],
  },
  "base-uri-foreign": { bad: "base-uri https://evil.com", good: "base-uri 'self'" },
  "missing-form-action": { bad: "default-src 'none'", good: "form-action 'none'" },
  "form-action-open": { bad: "form-action https:", good: "form-action 'self'" },
  "missing-frame-ancestors": { bad: "default-src 'none'", good: "frame-ancestors 'none'" },
  "frame-ancestors-open": { bad: "frame-ancestors *", good: "frame-ancestors 'self'" },
  "missing-default-src": { bad: "script-src 'self'", good: "default-src 'none'" },
  "connect-open": {
    bad: "connect-src *",
    good: "connect-src 'self'",
    more: [["script-src 'self'", "default-src 'self'"]],
  },
  "image-open": { bad: "default-src 'none'; img-src https:", good: "default-src 'none'" },
  "webrtc-open": { bad: "default-src 'none'", good: "webrtc 'block'" },

  "source-http": {
    bad: "img-src http://images.mysite.com",
    good: "img-src https://images.mysite.com",
    more: [["report-uri http://reports.mysite.com/", "report-uri https://reports.mysite.com/"]],
  },
  "ip-source": {
    bad: "img-src 192.0.2.1",
    good: "img-src mysite.com",
    more: [["img-src https://[2001:db8::1]", "img-src https://mysite.com"]],
  },
  "localhost-source": {
    bad: "script-src localhost:3000",
    good: "script-src mysite.com:3000",
    more: [
      ["connect-src ws://127.0.0.1:9000", "connect-src wss://mysite.com"],
      ["connect-src http://[::1]", "connect-src 'self'"],
      ["script-src printer.local", "script-src printer.mysite.com"],
    ],
  },
  "source-typo": {
    bad: "script-src cdnjs.cloudfare.com",
    good: "script-src cdnjs.cloudflare.com",
    more: [
      ["script-src ajax.googleapi.com", "script-src ajax.googleapis.com"],
      ["font-src fonts.gstatic.con", "font-src fonts.gstatic.com"],
    ],
  },
  "source-top-level": { bad: "img-src mysite.con", good: "img-src mysite.com" },
  "source-javascript": { bad: "script-src javascript:", good: "script-src 'self'" },

  "report-destination-missing": {
    bad: "default-src 'none'",
    good: "default-src 'none'; report-uri /reports",
  },
  "report-only-without-destination": {
    bad: "default-src 'none'",
    good: "default-src 'none'; report-to main",
    read: "report",
  },
  "report-to-only": {
    bad: "default-src 'none'; report-to main",
    good: "default-src 'none'; report-to main; report-uri /reports",
  },
  "report-to-undeclared": {
    bad: "report-to mian",
    good: "report-to main",
    context: { reportingEndpoints: ["main"] },
  },

  "unsafe-inline-fallback": {
    bad: `script-src ${random}`,
    good: `script-src ${random} 'unsafe-inline'`,
    context: { oldBrowsers: true },
  },
  "allowlist-fallback": {
    bad: `script-src ${random} 'strict-dynamic'`,
    good: `script-src ${random} 'strict-dynamic' https:`,
    context: { oldBrowsers: true },
  },
};
