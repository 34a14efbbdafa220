/** Policies and URLs at random. What a policy lists is made of what its page does, so that it allows about half. */
import { createHash } from "node:crypto";
import type { Random } from "./random.ts";

/** What a page's probes use, and policies may list. */
export interface Pool {
  readonly urls: readonly string[];
  readonly nonces: readonly string[];
  /** Inline code. */
  readonly texts: readonly string[];
}

const hosts = [
  "a.test",
  "b.test",
  "sub.a.test",
  "sub.b.test",
  "deep.sub.b.test",
  "xn--bcher-kva.test",
  "b.test.",
  "127.0.0.1",
  "10.0.0.7",
  "localhost",
] as const;
const ports = ["", "", "", "", ":8080", ":8443", ":80", ":443"] as const;
const paths = [
  "/",
  "/file",
  "/dir/",
  "/dir/file",
  "/DIR/file",
  "/dir/sub/file",
  "/dir/a%2Fb",
  "/dir/a%3Bb",
  "/dir//file",
  "/%64ir/file",
  "/dir/%E2%82%AC",
  "/dir/f@i!l$e&'()*+=:~_",
] as const;

/** A URL of a scheme family (`http` or `ws`), sometimes of the page's own origin. */
export function anyUrl(random: Random, page: URL, family: "http" | "ws" = "http"): string {
  const own = random.chance(0.3);
  const secure = own ? page.protocol === "https:" : random.chance(0.5);
  const scheme = `${family}${secure ? "s" : ""}`;
  const chosen = own ? page.hostname : random.pick(hosts);
  // On a secure page Chromium fetches nothing insecure from an address.
  const host = page.protocol === "https:" && chosen === "10.0.0.7" ? "b.test" : chosen;
  const port = own ? (page.port ? `:${page.port}` : "") : random.pick(ports);
  return new URL(`${scheme}://${host}${port}${random.pick(paths)}`).href;
}

/** Where a page stands. */
export function pageUrl(random: Random): string {
  return random.pick([
    "http://a.test/",
    "http://a.test/dir/page",
    "http://a.test:8080/",
    "https://a.test/",
    "https://a.test/dir/page",
    "https://a.test:8443/",
    "https://sub.a.test/",
    "http://10.0.0.7/",
    "http://localhost/",
  ]);
}

export const hash = (text: string, algorithm: "sha256" | "sha384" | "sha512"): string =>
  createHash(algorithm).update(text).digest("base64");

const keywords = [
  "'self'",
  "'self'",
  "'unsafe-inline'",
  "'unsafe-eval'",
  "'strict-dynamic'",
  "'unsafe-hashes'",
  "'report-sample'",
  "'wasm-unsafe-eval'",
  "'unsafe-allow-redirects'",
  "'inline-speculation-rules'",
  "'none'",
  "'SELF'",
  "'Unsafe-Inline'",
] as const;
const odd = [
  "http:",
  "https:",
  "ws:",
  "wss:",
  "data:",
  "blob:",
  "HTTPS:",
  "about:",
  "*",
  "*",
  "https://*",
  "http://*",
  "*:*",
  "*:8080",
  "*.test",
  "*.b.test",
  "http://*.test:*",
  "https://*:443",
  "ws://*.test",
  "//b.test",
  "b.test:",
  "b_test",
  "*.*.test",
  "[::1]",
  "http://",
  "'nonce-'",
  "'sha256-'",
  "nonce-abc",
  "none",
  "self",
  "b.test/?q",
  "b.test/#f",
  "b.test/dir/?q",
  "https://user@b.test",
  "bücher.test",
  "javascript:",
  "custom+scheme.1:",
  "*/dir/",
  "b.test:99999",
  "b.test:080",
  "'unknown-keyword'",
] as const;

/** A source expression that has something to do with one of the URLs. */
function fromUrl(random: Random, href: string): string {
  const url = new URL(href);
  let scheme = random.chance(0.5) ? `${url.protocol}//` : "";
  if (random.chance(0.1)) scheme = random.pick(["http://", "https://", "ws://", "wss://"]);
  let host = url.hostname;
  if (random.chance(0.15)) host = host.replace(/^[^.]+/, "*");
  if (random.chance(0.05)) host = `*.${host}`;
  if (random.chance(0.05)) host = host.toUpperCase();
  if (random.chance(0.04)) host = host.endsWith(".") ? host.slice(0, -1) : `${host}.`;
  let port = url.port ? `:${url.port}` : "";
  if (random.chance(0.15)) port = random.pick(["", ":*", ":80", ":443", ":8080", ":8443"]);
  let path = random.chance(0.3) ? url.pathname : "";
  if (path && random.chance(0.3)) path = random.pick(paths);
  if (path && random.chance(0.1)) path = path.replace("/dir", "/%64ir");
  if (path && random.chance(0.1)) path = path.toUpperCase();
  if (path && random.chance(0.05)) path += "?q=1";
  if (random.chance(0.05)) scheme = scheme.toUpperCase();
  return `${scheme}${host}${port}${path}`;
}

function expression(random: Random, pool: Pool): string {
  const kind = random.below(20);
  if (kind < 8 && pool.urls.length > 0) return fromUrl(random, random.pick(pool.urls));
  if (kind < 13) return random.pick(keywords);
  if (kind < 15 && pool.nonces.length > 0) return `'nonce-${random.pick(pool.nonces)}'`;
  if (kind < 18 && pool.texts.length > 0) {
    const algorithm = random.pick(["sha256", "sha384", "sha512"] as const);
    let value = hash(random.pick(pool.texts), algorithm);
    if (random.chance(0.2)) value = value.replaceAll("+", "-").replaceAll("/", "_");
    if (random.chance(0.1)) value = value.replace(/=+$/, "");
    return `'${random.chance(0.1) ? algorithm.toUpperCase() : algorithm}-${value}'`;
  }
  return random.pick(odd);
}

export function sourceList(random: Random, pool: Pool): string {
  const count = random.pick([0, 1, 1, 2, 2, 3, 4, 5]);
  return Array.from({ length: count }, () => expression(random, pool)).join(" ");
}

const fetchDirectives = [
  "child-src",
  "connect-src",
  "default-src",
  "font-src",
  "frame-src",
  "img-src",
  "manifest-src",
  "media-src",
  "object-src",
  "script-src",
  "script-src-elem",
  "script-src-attr",
  "style-src",
  "style-src-elem",
  "style-src-attr",
  "worker-src",
] as const;

const noise = ["unknown-src 'none'", "", "plugin-types text/html", "navigate-to 'none'"] as const;

/** A policy as text, `default-src` most of the time among its directives. */
export function policy(random: Random, pool: Pool): string {
  const names: string[] = random.some(fetchDirectives, random.pick([0.1, 0.2, 0.4]));
  if (random.chance(0.6) && !names.includes("default-src")) names.unshift("default-src");
  if (random.chance(0.3)) names.push("base-uri");
  if (random.chance(0.3)) names.push("form-action");
  if (random.chance(0.1) && names[0]) names.push(names[0]);
  const directives = names.map((name) => {
    const cased = random.chance(0.05) ? name.toUpperCase() : name;
    return `${cased} ${sourceList(random, pool)}`.trim();
  });
  if (random.chance(0.1)) directives.push(random.pick(noise));
  return directives.join(random.pick(["; ", ";", " ; "]));
}
