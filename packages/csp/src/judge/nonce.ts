/**
 * Nonces and hashes: whether they can be known, and whether they can match.
 * CSP #security-nonces.
 * @module
 */
import { createNonce } from "../make/build.ts";
import { getExecutingDirective } from "../policy/fetch-directive.ts";
import type { Policy } from "../policy/policy.ts";
import type { HashAlgorithm, NonceSource, SourceExpression } from "../policy/source-list.ts";
import type { Attack } from "./attack.ts";
import { type Draft, type Judging, quote, withDirectives, withoutSources } from "./judging.ts";
import { escapeAttribute, payload, proof } from "./payload.ts";

export function* judgeNoncesAndHashes(judging: Judging): Generator<Draft> {
  const { policy, context } = judging;
  const elsewhere = new Set(context.samples?.flatMap((policies) => policies.flatMap(noncesOf)));
  for (const directive of policy.directiveSet) {
    if (directive.type !== "source-list") continue;
    for (const source of directive.value) {
      if (source.type === "nonce-source") {
        yield* judgeNonce(judging, directive, source, elsewhere);
      }
      if (source.type === "hash-source") {
        const at = { directive: directive.name, span: source } as const;
        const isThis = (other: SourceExpression) => other === source;
        const mended = () => withoutSources(policy, directive, directive.name, isThis);
        const { hashAlgorithm, base64Value } = source;
        if (base64Value.replace(/=+$/, "").length !== lengths[hashAlgorithm]) {
          const message = `${quote(source.text)} is no ${hashAlgorithm} digest: that has ${lengths[hashAlgorithm]} characters.`;
          yield { type: "hash-length", ...at, message, mended };
        }
        if (ofNothing.has(base64Value.replace(/=+$/, ""))) {
          const message = `${quote(source.text)} is the hash of the empty string.`;
          yield { type: "hash-of-nothing", ...at, message, mended };
        }
      }
    }
  }
}

/** How many characters of base64 a digest has, without padding. */
const lengths: Readonly<Record<HashAlgorithm, number>> = { sha256: 43, sha384: 64, sha512: 86 };

const ofNothing: ReadonlySet<string> = new Set([
  "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
  "OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb",
  "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg",
]);

function noncesOf(policy: Policy): string[] {
  return policy.directiveSet.flatMap((directive) =>
    directive.type === "source-list"
      ? directive.value.flatMap((source) =>
          source.type === "nonce-source" ? [source.base64Value] : [],
        )
      : [],
  );
}

function* judgeNonce(
  { policy }: Judging,
  directive: { readonly name: string; readonly value: readonly SourceExpression[] },
  source: NonceSource,
  elsewhere: ReadonlySet<string>,
): Generator<Draft> {
  const nonce = source.base64Value;
  const isForScripts = getExecutingDirective(policy, "script-src-elem")?.name === directive.name;
  const attack: Attack = { type: "inline", of: isForScripts ? "script" : "style", nonce };
  const reason = predictable(nonce);
  const bits = nonce.replace(/=+$/, "").length * 6;
  if (policy.source === "meta") {
    const message = "The nonce stands in a meta element, where its value is not hidden.";
    yield { type: "nonce-in-meta", directive: directive.name, span: source, message };
  }
  if (!reason && bits >= 128 && !elsewhere.has(nonce)) return;
  const draft = {
    directive: directive.name,
    span: source,
    mended: () => {
      const fresh = `'nonce-${createNonce()}'`;
      const value = directive.value.map((other) =>
        other.type === "nonce-source" && other.base64Value === nonce ? fresh : other.text,
      );
      return withDirectives(policy, { [directive.name]: value });
    },
    attack,
  };
  const severe = isForScripts
    ? { payload: payload(`<script nonce="${escapeAttribute(nonce)}">${proof}</script>`) }
    : { severity: "medium" as const };
  if (elsewhere.has(nonce)) {
    const message = "Another response came with the same nonce.";
    yield { type: "nonce-repeated", ...draft, ...severe, message };
  }
  if (reason) {
    yield { type: "nonce-predictable", ...draft, ...severe, message: `The nonce ${reason}.` };
  } else if (bits < 128) {
    yield { type: "nonce-short", ...draft, message: `The nonce has at most ${bits} bits.` };
  }
}

// From specifications, manuals and answers that are copied word by word; lower case.
const published: ReadonlySet<string> = new Set([
  "2726c7f26c",
  "416d1177-4d12-4e3b-b7c9-f6c409789fb8",
  "abc123",
  "abcdefg",
  "ch4hvvbhdpv7xcsvxcs3brngghdtzxua",
  "dhcnhd3khtmepgxwdayk9bsmqxjhguvv",
  "ednnf03nceiofn39fn3e9h3sdfa",
  "nc3n83cnsad3wc3sasdfn939hc3",
  "oqibaf7o8fpbkgfq8ahsqg==",
  "rand0m",
  "r@nd0m",
  "r4nd0m",
  "sdfsdf3434dfsdf",
]);

const placeholder =
  /^(?:[a-z_-]*(?:random|nonce|test|secret|example|change|placeholder|static|dummy|sample|value|here|string|generated|replace)[a-z0-9_-]*|foo|bar|baz|xyz|abc+|x+)\d*={0,2}$/i;

/** Why a nonce can be guessed, as the end of a sentence that begins with "The nonce". */
function predictable(nonce: string): string | undefined {
  // What is longer than any nonce is random enough, and not worth the time.
  if (nonce.length > 128) return undefined;
  if (published.has(nonce.toLowerCase())) return "is one from a manual";
  if (placeholder.test(nonce)) return "is a word";
  if (/^\d+$/.test(nonce)) return "is a number, as counters and clocks give it";
  if (entropy(nonce) * nonce.length < Math.min(40, nonce.length * 1.8)) return "repeats itself";
  const decoded = decode(nonce);
  if (decoded !== undefined && decoded.length >= 6 && /^[\x20-\x7e]+$/.test(decoded)) {
    return "is text in base64";
  }
  return undefined;
}

/** Shannon's, in bits for each character. */
function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) {
    const share = count / text.length;
    bits -= share * Math.log2(share);
  }
  return bits;
}

function decode(base64: string): string | undefined {
  try {
    return atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return undefined;
  }
}
