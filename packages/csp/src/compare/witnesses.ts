/**
 * Finitely many questions that tell any lists of policies apart.
 *
 * A decision asks of a question nothing but yes or no: does this expression match the URL, at the first request or after a redirect,
 * as a frame's or another's; is this nonce, this hash, this keyword listed; is the script parser-inserted. So two questions about
 * which all these are answered alike are decided alike by every policy in the comparison, and one of each class is enough:
 *
 * - **URLs.** A host-source looks at scheme, host, port and path. For a host, only the expressions whose host-part matches it still
 *   tell its ports and paths apart. Hence: each host that is written and one below each `*.host`, with one that no expression has and
 *   the addresses that aren't domains; for each, the ports and paths of the expressions that match it, one more of each, and below
 *   each `/directory/` one file; each scheme that is written, those that match by upgrade, and one that nobody has. A URL has the
 *   class of the one with its host's, port's and path's representatives. The classes are then told apart by the engine itself.
 * - **Redirects.** Paths stop to count after the first; so one redirect is enough, and only to where that makes a difference.
 * - **Nonces**: each one that is listed, and none. One that isn't listed is as good as none.
 * - **Integrity** is allowed by a list that has all its hashes. Of those that a policy refuses, it lacks at least one, and that one alone
 *   is allowed by whoever allows them all; so single hashes are enough.
 * - **Inline code** has one digest of each algorithm: each that is listed, as code with this hash can have it, and one that isn't. That
 *   a text with given digests of different algorithms exists is assumed, for nobody can know.
 * - The rest is finite: inline types, parser-inserted or not, kinds of eval, sandboxing flags, names of Trusted Types policies
 *   (those listed, and one more; for the first and second time), one ancestor (all have to match, so one is refused).
 * @module
 */
import { hintDirectives } from "../decide/fetch-directives.ts";
import { type InlineSource, inlineElement } from "../decide/match-element.ts";
import { hashOf, isSameHash } from "../decide/match-request.ts";
import {
  doesUrlMatchExpression,
  doesUrlMatchSourceList,
  hostPartMatches,
  isWebSocketScheme,
  type Matching,
  schemeOf,
  withAnyPath,
} from "../decide/match-url.ts";
import { createRequest } from "../decide/request.ts";
import { parseSandboxingDirective } from "../decide/sandbox.ts";
import { upgradeRequest } from "../decide/upgrade.ts";
import { type EffectiveDirective, getExecutingDirective } from "../policy/fetch-directive.ts";
import { type CspList, getDirective, type Policy } from "../policy/policy.ts";
import {
  type AncestorSource,
  type HashAlgorithm,
  type HashSource,
  type HostSource,
  type SourceExpression,
} from "../policy/source-list.ts";
import type { Question, Setting } from "./question.ts";

type Source = SourceExpression | AncestorSource;
type List = readonly Source[];

/**
 * Questions of which one is answered otherwise by some of the policies than by others, if any is. With `each`, one for each
 * expression that may be why; without, one for each class.
 */
export function* questions(
  policies: readonly Policy[],
  setting: Setting,
  each = false,
): Generator<Question> {
  const enforced = policies.filter(({ disposition }) => disposition === "enforce");
  const asker = new Asker(enforced, setting, each);
  yield* asker.fetches();
  yield* asker.inline();
  yield* compilations();
  yield* asker.forms();
  yield* asker.bases();
  yield* asker.embedders();
  yield* asker.trustedTypes();
  for (const flag of parseSandboxingDirective([])) yield { kind: "sandboxed", flag };
  yield { kind: "worker" };
  yield { kind: "webrtc" };
}

const destinations: Readonly<Record<EffectiveDirective, string | null>> = {
  "script-src-elem": "script",
  "style-src-elem": "style",
  "img-src": "image",
  "connect-src": "",
  "font-src": "font",
  "frame-src": "iframe",
  "media-src": "video",
  "manifest-src": "manifest",
  "object-src": "object",
  "worker-src": "worker",
  // Of attributes nothing is fetched.
  "script-src-attr": null,
  "style-src-attr": null,
};

const inlineTypes = [
  ["script", "script-src-elem", "script"],
  ["script attribute", "script-src-attr", "div"],
  ["style", "style-src-elem", "style"],
  ["style attribute", "style-src-attr", "div"],
] as const;

function* compilations(): Generator<Question> {
  for (const compilationType of ["DIRECT-EVAL", "TIMER"] as const) {
    for (const isTrusted of [false, true]) {
      yield { kind: "eval", compilation: { compilationType, codeString: "1", isTrusted } };
    }
  }
  yield { kind: "wasm" };
  yield { kind: "string-to-sink" };
}

/** URLs of one class, by what matches them. */
interface UrlClass {
  readonly url: string;
  /** Whether a redirect to it is judged otherwise than a request for it. */
  readonly isOtherAfterRedirect: boolean;
}

class Asker {
  readonly #policies: readonly Policy[];
  readonly #setting: Setting;
  readonly #each: boolean;
  readonly #upgrading: CspList;
  readonly #known = new Map<string, readonly UrlClass[]>();
  readonly #listIds = new Map<List, number>();

  constructor(policies: readonly Policy[], setting: Setting, each: boolean) {
    this.#policies = policies;
    this.#setting = setting;
    this.#each = each;
    const upgrading = policies.filter((policy) =>
      getDirective(policy, "upgrade-insecure-requests"),
    );
    this.#upgrading = { policies: upgrading, selfOrigin: setting.selfOrigin };
  }

  get #upgrades(): boolean {
    return this.#upgrading.policies.length > 0;
  }

  *fetches(): Generator<Question> {
    for (const [name, destination] of Object.entries(destinations)) {
      if (destination === null) continue;
      const lists = this.#executing(name as EffectiveDirective);
      if (!this.#upgrades && lists.every((list) => list === null)) continue;
      yield* this.#fetches(destination, lists);
    }
    const hints = this.#policies.map((policy) => hintList(policy));
    if (hints.some((list) => list !== null)) yield* this.#fetches("", hints, "prefetch");
  }

  *#fetches(
    destination: string,
    lists: readonly (List | null)[],
    initiator: "" | "prefetch" = "",
  ): Generator<Question> {
    const isScript = destination === "script" || destination === "worker";
    const nonces = isScript || destination === "style" ? this.#nonces(lists) : [""];
    const hashes = isScript ? this.#hashes(lists) : [];
    const isDynamic = isScript && lists.some((list) => hasKeyword(list, "'strict-dynamic'"));
    const insertions = isDynamic ? [true, false] : [true];
    const proofs = this.#pairs(nonces, ["", ...hashes]);
    for (const journey of journeys(this.#urls(lists))) {
      for (const [nonce, integrity] of proofs) {
        for (const parserInserted of insertions) {
          const request = { ...journey, destination, initiator, nonce, integrity, parserInserted };
          yield { kind: "fetch", request };
        }
      }
      if (destination === "" && initiator === "") {
        const request = { ...journey, mode: "webtransport", webTransportHashes: true } as const;
        yield { kind: "fetch", request };
      }
    }
  }

  /** All pairs; with `each`, where there are many of both, those of which one is the first. */
  #pairs<A, B>(as: readonly A[], bs: readonly B[]): (readonly [A, B])[] {
    return as.flatMap((a, i) =>
      bs.flatMap((b, j) => (this.#each && i > 0 && j > 0 ? [] : [[a, b] as const])),
    );
  }

  *inline(): Generator<Question> {
    for (const [type, name, tag] of inlineTypes) {
      const lists = this.#executing(name);
      for (const [nonce, source] of this.#pairs(this.#nonces(lists), this.#inlineSources(lists))) {
        for (const parserInserted of [true, false]) {
          const element = inlineElement({ name: tag, nonce: nonce || null, parserInserted });
          yield { kind: "inline", type, element, source };
        }
      }
    }
    for (const source of this.#inlineSources(this.#executing("script-src-elem"))) {
      for (const isTrusted of [false, true]) yield { kind: "javascript-url", source, isTrusted };
    }
  }

  *forms(): Generator<Question> {
    const lists = this.#listsOf("form-action");
    if (!this.#upgrades && lists.every((list) => list === null)) return;
    for (const { url, redirects } of journeys(this.#urls(lists)))
      yield { kind: "form", url, redirects };
  }

  *bases(): Generator<Question> {
    for (const { url } of this.#urls(this.#listsOf("base-uri"), true)) yield { kind: "base", url };
  }

  *embedders(): Generator<Question> {
    const lists = this.#listsOf("frame-ancestors");
    if (lists.every((list) => list === null)) return;
    const origins = new Set<string>();
    for (const { url } of urlCandidates(lists, this.#setting, this.#upgrades)) {
      const { origin, protocol, host } = url;
      origins.add(origin === "null" && host !== "" ? `${protocol}//${host}` : origin);
    }
    for (const origin of origins) yield { kind: "embed", ancestors: [origin] };
  }

  *trustedTypes(): Generator<Question> {
    const names = new Set<string>();
    for (const policy of this.#policies) {
      for (const { type, text } of getDirective(policy, "trusted-types")?.value ?? []) {
        if (type === "policy-name") names.add(text);
      }
    }
    names.add(fresh("unlisted", (name) => !names.has(name)));
    for (const name of names) {
      yield { kind: "trusted-types-policy", name, created: [] };
      yield { kind: "trusted-types-policy", name, created: [name] };
    }
  }

  #executing(name: EffectiveDirective): (List | null)[] {
    return this.#policies.map((policy) => getExecutingDirective(policy, name)?.value ?? null);
  }

  #listsOf(name: "form-action" | "base-uri" | "frame-ancestors"): (List | null)[] {
    return this.#policies.map((policy) => getDirective(policy, name)?.value ?? null);
  }

  /** One URL of each class; of all that browsers fetch, or with `raw` of those that Fetch would rewrite, too. */
  #urls(lists: readonly (List | null)[], raw = false): readonly UrlClass[] {
    const key = `${lists.map((list) => this.#idOf(list)).join()}${raw}`;
    const known = this.#known.get(key);
    if (known) return known;
    const classes = new Map<string, UrlClass>();
    for (const { url, lists: able } of urlCandidates(lists, this.#setting, this.#upgrades)) {
      const seen = raw ? url : createRequest({ url }, this.#setting.profile).url;
      const first = this.#signature(seen, able, 0);
      const later = this.#signature(seen, able, 1);
      const signature = `${first};${later};${this.#isUpgraded(url)}`;
      if (classes.has(signature)) continue;
      classes.set(signature, { url: url.href, isOtherAfterRedirect: first !== later });
    }
    const found = [...classes.values()];
    this.#known.set(key, found);
    return found;
  }

  #signature(url: URL, lists: readonly (List | null)[], redirectCount: number): string {
    return matchingsOf(this.#setting, redirectCount)
      .flatMap((matching) =>
        lists.map((list) => {
          const match = list && doesUrlMatchSourceList(url, list, matching);
          if (!match) return "";
          return this.#each ? match.offset : "+";
        }),
      )
      .join();
  }

  #isUpgraded(url: URL): boolean {
    return upgradeRequest({ url, destination: "" }, this.#upgrading).href !== url.href;
  }

  #idOf(list: List | null): number {
    if (!list) return -1;
    const id = this.#listIds.get(list) ?? this.#listIds.size;
    this.#listIds.set(list, id);
    return id;
  }

  /** None, and one nonce of each class. */
  #nonces(lists: readonly (List | null)[]): string[] {
    const values = lists.flatMap((list) =>
      (list ?? []).flatMap((source) =>
        source.type === "nonce-source" ? [source.base64Value] : [],
      ),
    );
    return ["", ...this.#classesOf(values, lists, isNonce)];
  }

  /** Hashes as `integrity` has them, one of each class. */
  #hashes(lists: readonly (List | null)[]): string[] {
    const values = hashSources(lists, this.#setting).map(
      ({ hashAlgorithm, base64Value }) => `${hashAlgorithm}-${base64Value}`,
    );
    return this.#classesOf(values, lists, (source, value) => this.#isHash(source, value));
  }

  #isHash(source: Source, value: string): boolean {
    const { profile } = this.#setting;
    const hash = hashOf(source, profile);
    if (!hash) return false;
    const { hashAlgorithm } = hash;
    if (!value.startsWith(`${hashAlgorithm}-`)) return false;
    const base64Value = value.slice(hashAlgorithm.length + 1);
    return isSameHash(hash, { hashAlgorithm, base64Value }, profile);
  }

  #classesOf(
    values: readonly string[],
    lists: readonly (List | null)[],
    matches: (source: Source, value: string) => boolean,
  ): string[] {
    const unique = [...new Set(values)];
    if (this.#each) return unique;
    const classes = new Map<string, string>();
    for (const value of unique) {
      const signature = lists
        .map((list) => list?.some((source) => matches(source, value)) ?? "")
        .join();
      if (!classes.has(signature)) classes.set(signature, value);
    }
    return [...classes.values()];
  }

  /** Code that no hash is known of, and code that exists by its hashes. */
  #inlineSources(lists: readonly (List | null)[]): InlineSource[] {
    const digestsOf = (algorithm: HashAlgorithm): string[] => {
      const values = hashSources(lists, this.#setting)
        .filter(({ hashAlgorithm }) => hashAlgorithm === algorithm)
        .flatMap(({ base64Value }) => canonicalDigest(algorithm, base64Value) ?? [])
        .map((digest) => `${algorithm}-${digest}`);
      const isSame = (source: Source, value: string) => this.#isHash(source, value);
      const classes = this.#classesOf(values, lists, isSame);
      // No list has an empty digest: it stands for whatever isn't listed.
      return ["", ...classes.map((value) => value.slice(algorithm.length + 1))];
    };
    const all = this.#pairs(
      this.#pairs(digestsOf("sha256"), digestsOf("sha384")),
      digestsOf("sha512"),
    );
    return all.map(([[sha256, sha384], sha512]) => ({
      text: "",
      digests: { sha256, sha384, sha512 },
    }));
  }
}

/** As what a URL is matched: a frame's too, where the profile looks at that. */
function matchingsOf(setting: Setting, redirectCount: number): Matching[] {
  const asAny = { ...setting, redirectCount };
  const looksAtFrames = setting.profile.has("frame-upgrade-of-defaults");
  return looksAtFrames ? [asAny, { ...asAny, isFramed: true }] : [asAny];
}

/** Requests without redirects, and with the one that may change the answer. */
function* journeys(
  urls: readonly UrlClass[],
): Generator<{ readonly url: string; readonly redirects: readonly string[] }> {
  for (const { url } of urls) yield { url, redirects: [] };
  for (const { url } of urls) {
    for (const to of urls) if (to.isOtherAfterRedirect) yield { url, redirects: [to.url] };
  }
}

/** All lists that allow a resource hint (#does-resource-hint-violate-policy) as one; `null` where nothing governs it. */
function hintList(policy: Policy): List | null {
  if (!getDirective(policy, "default-src")) return null;
  return [...hintDirectives, "default-src" as const].flatMap(
    (name) => getDirective(policy, name)?.value ?? [],
  );
}

function hashSources(lists: readonly (List | null)[], { profile }: Setting): HashSource[] {
  return lists.flatMap((list) => (list ?? []).flatMap((source) => hashOf(source, profile) ?? []));
}

function isNonce(source: Source, value: string): boolean {
  return source.type === "nonce-source" && source.base64Value === value;
}

function hasKeyword(list: List | null, keyword: string): boolean {
  return (
    list?.some((source) => source.type === "keyword-source" && source.keyword === keyword) ?? false
  );
}

const digestLengths = { sha256: 43, sha384: 64, sha512: 86 } as const satisfies Record<
  HashAlgorithm,
  number
>;
const lastCharacters = { sha256: /[AEIMQUYcgkosw048]$/, sha384: /./, sha512: /[AQgw]$/ } as const;

/** The digest as hashing gives it, if there can be a text that has it. */
function canonicalDigest(algorithm: HashAlgorithm, base64Value: string): string | null {
  const digits = base64Value.replace(/=+$/, "");
  if (digits.length !== digestLengths[algorithm]) return null;
  if (!lastCharacters[algorithm].test(digits)) return null;
  return digits.padEnd(Math.ceil(digits.length / 4) * 4, "=");
}

/** A URL, and of each list what can match it. */
interface UrlCandidate {
  readonly url: URL;
  readonly lists: readonly (List | null)[];
}

/** One URL of each class, and more. Ordinary ones come first, since what comes first is shown. */
function* urlCandidates(
  lists: readonly (List | null)[],
  setting: Setting,
  upgrades: boolean,
): Generator<UrlCandidate> {
  const sources = lists.flatMap((list) => list ?? []);
  const self = URL.parse(setting.selfOrigin);
  const hosts = new Map<Source, HostSource>();
  for (const source of sources) {
    const host = asHostSource(source, setting);
    if (host) hosts.set(source, host);
  }
  const hostSources = [...hosts.values()];
  const schemes = new Set(["https", "http", "wss", "ws"]);
  for (const source of [...sources, ...hostSources]) {
    if (source.type === "scheme-source") schemes.add(source.schemePart);
    if (source.type === "host-source" && source.schemePart) schemes.add(source.schemePart);
  }
  if (self) schemes.add(schemeOf(self));
  const keep = (matches: (host: HostSource) => boolean) =>
    lists.map(
      (list) =>
        list?.filter((source) => {
          const host = hosts.get(source);
          return !host || matches(host);
        }) ?? null,
    );

  const withHost = [...schemes].filter((scheme) => isSpecial(scheme));
  for (const host of hostCandidates(hostSources, self, upgrades)) {
    const probe = URL.parse(`https://${host}/`);
    if (!probe) continue;
    const matches = ({ hostPart }: HostSource) => hostPartMatches(hostPart, probe, setting.profile);
    const relevant = hostSources.filter(matches);
    const relevantLists = keep(matches);
    for (const port of portCandidates(relevant, self, setting)) {
      for (const path of pathCandidates(relevant)) {
        for (const scheme of withHost) {
          const url = URL.parse(`${scheme}://${host}${port}${path}`);
          if (url) yield { url, lists: relevantLists };
        }
      }
    }
  }
  schemes.add(fresh("unlisted", (scheme) => !schemes.has(scheme)));
  for (const scheme of new Set([...schemes, "blob", "data"])) {
    if (isSpecial(scheme)) continue;
    yield { url: new URL(`${scheme}:unlisted`), lists };
    // `x-app://*` has a port and a path, too.
    const anyHost = hostSources.filter(
      ({ schemePart, hostPart }) => schemePart === scheme && hostPart === "*",
    );
    for (const port of anyHost.length > 0 ? portCandidates(anyHost, null, setting) : []) {
      for (const path of pathCandidates(anyHost)) {
        const url = URL.parse(`${scheme}://unlisted.test${port}${path}`);
        if (url) yield { url, lists };
      }
    }
  }
  // A `blob:` URL has the origin of who made it.
  if (self) yield { url: new URL(`blob:${self.origin}/unlisted`), lists };
}

function isSpecial(scheme: string): boolean {
  return isWebSocketScheme(scheme) || ["https", "http", "ftp", "file"].includes(scheme);
}

/** What an expression matches by host. `*` alone doesn't look at it, and a profile may read a host where the text has none. */
function asHostSource(source: Source, { profile }: Setting): HostSource | null {
  if (source.type === "host-source") return source.text === "*" ? null : source;
  return source.type === "invalid" && profile.has("query-ignored") ? withAnyPath(source) : null;
}

function hostCandidates(
  sources: readonly HostSource[],
  self: URL | null,
  upgrades: boolean,
): ReadonlySet<string> {
  const patterns = new Set(sources.map(({ hostPart }) => hostPart));
  const isNew = (host: string) => !patterns.has(host);
  const hosts = new Set<string>();
  for (const pattern of patterns) {
    if (!pattern.startsWith("*")) hosts.add(pattern);
    if (!pattern.startsWith("*.")) continue;
    const parent = pattern.slice(2);
    hosts.add(fresh("unlisted", (label) => isNew(`${label}.${parent}`)).concat(".", parent));
    // What ends in a number is an address, or no host.
    if (/[0-9]$/.test(parent))
      for (const start of ["9", "9.9", "9.9.9"]) hosts.add(`${start}.${parent}`);
  }
  const isListed = (host: string) =>
    patterns.has(host) ||
    sources.some(({ hostPart }) => hostPart.startsWith("*.") && host.endsWith(hostPart.slice(1)));
  // Made longer at its end, where `*.test` has no part in it.
  hosts.add(fresh("unlisted.test", (host) => !isListed(host)));
  if (self) hosts.add(self.hostname);
  hosts.add("203.0.113.7");
  hosts.add("[2001:db8::7]");
  if (upgrades) hosts.add("localhost").add("127.0.0.1");
  return hosts;
}

/** Ports with their colon: the default one, each that is written, and one more. */
function portCandidates(
  sources: readonly HostSource[],
  self: URL | null,
  { profile }: Setting,
): ReadonlySet<string> {
  const ports = new Set<number>();
  if (self && profile.has("self-covers-port-80")) ports.add(80);
  for (const { portPart } of sources) if (typeof portPart === "number") ports.add(portPart);
  if (self && self.port !== "") ports.add(Number(self.port));
  let other = 8443;
  while (ports.has(other)) other++;
  return new Set(["", ...Array.from(ports, (port) => `:${port}`), `:${other}`]);
}

function pathCandidates(sources: readonly HostSource[]): ReadonlySet<string> {
  const written = new Set(sources.map(({ pathPart }) => pathPart));
  const name = fresh(
    "unlisted",
    (segment) => ![...written].some((path) => path.endsWith(`/${segment}`)),
  );
  const paths = new Set(["/", `/${name}`]);
  for (const path of written) {
    if (path === "") continue;
    paths.add(path);
    if (path.endsWith("/")) paths.add(`${path}${name}`);
  }
  return paths;
}

/** The name, made longer until it is new. */
function fresh(name: string, isNew: (name: string) => boolean): string {
  let candidate = name;
  for (let count = 2; !isNew(candidate); count++) candidate = `${name}-${count}`;
  return candidate;
}

/** Whether the others match every URL that the expression matches, at first and after redirects. */
export function isCovered(source: Source, others: readonly Source[], setting: Setting): boolean {
  const host = asHostSource(source, setting);
  // What is on other hosts has no part in it.
  const near = others.filter((other) => {
    const otherHost = host && asHostSource(other, setting);
    return !otherHost || mayShareHosts(host.hostPart, otherHost.hostPart);
  });
  for (const { url } of urlCandidates([[source], near], setting, false)) {
    for (const matching of [...matchingsOf(setting, 0), ...matchingsOf(setting, 1)]) {
      if (!doesUrlMatchExpression(url, source, matching)) continue;
      if (!doesUrlMatchSourceList(url, near, matching)) return false;
    }
  }
  return true;
}

function mayShareHosts(a: string, b: string): boolean {
  const isBelow = (host: string, pattern: string) =>
    pattern.startsWith("*") && host.endsWith(pattern.slice(1));
  return a === b || isBelow(a, b) || isBelow(b, a);
}
