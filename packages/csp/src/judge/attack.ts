/**
 * Attacks: what an attacker tries, put to the engine. Decided as Chromium does, since payloads run there.
 * @module
 */
import { inlineElement } from "../decide/match-element.ts";
import { doesUrlMatchSourceList } from "../decide/match-url.ts";
import { chromium, specification } from "../decide/profile.ts";
import type { Client } from "../decide/request.ts";
import {
  ensureCspDoesNotBlockStringCompilation,
  type FetchInit,
  isBaseAllowedForDocument,
  shouldFetchBeBlocked,
  shouldInlineBehaviorBeBlocked,
  shouldRtcConnectionsBeBlocked,
} from "../decide/should-block.ts";
import { doesSinkTypeRequireTrustedTypes } from "../decide/trusted-types.ts";
import { getDirective, type Policy } from "../policy/policy.ts";

export type Attack =
  | { readonly type: "fetch"; readonly init: FetchInit }
  /** An element with the attacker's own text, whose hash no policy lists. */
  | {
      readonly type: "inline";
      readonly of: "script" | "script attribute" | "style";
      readonly nonce?: string;
    }
  /** A string that is compiled; a string that reaches an injection sink; a peer connection. */
  | { readonly type: "eval" | "sink" | "connect-peer" }
  | { readonly type: "base" | "form" | "frame-ancestor"; readonly url: string }
  /** Those that all have to pass. */
  | { readonly type: "all"; readonly of: readonly Attack[] };

/** A script element that the parser inserts, with neither nonce nor integrity. */
export function scriptAttack(url: string, redirects: readonly string[] = []): Attack {
  return { type: "fetch", init: { url, redirects, destination: "script" } };
}

// No text has an empty digest, so no listed hash is this one's.
const source = { text: "", digests: { sha256: "", sha384: "", sha512: "" } };

/** Whether one policy, taken as enforced, lets the attack through. */
export function doesAttackPass(attack: Attack, policy: Policy, selfOrigin: string): boolean {
  const enforced: Policy = { ...policy, disposition: "enforce" };
  const client: Client = {
    cspList: { policies: [enforced], selfOrigin },
    url: `${selfOrigin === "null" ? "https://page.example" : selfOrigin}/`,
  };
  switch (attack.type) {
    case "fetch":
      return shouldFetchBeBlocked(attack.init, client, chromium).result === "Allowed";
    case "inline": {
      const name = attack.of === "style" ? "style" : "script";
      const element = inlineElement({ name, nonce: attack.nonce ?? null });
      const decision = shouldInlineBehaviorBeBlocked(element, attack.of, source, client, chromium);
      return decision.result === "Allowed";
    }
    case "eval": {
      const compilation = { compilationType: "FUNCTION", codeString: "", isTrusted: true } as const;
      return ensureCspDoesNotBlockStringCompilation(compilation, client).result === "Allowed";
    }
    case "sink":
      return !doesSinkTypeRequireTrustedTypes(client.cspList, "'script'", false);
    case "connect-peer":
      // What Chromium does not enforce is still worth saying.
      return shouldRtcConnectionsBeBlocked(client, specification).result === "Allowed";
    case "base":
      return isBaseAllowedForDocument(attack.url, client, chromium).result === "Allowed";
    case "form":
      return doesListPass("form-action", attack.url, enforced, selfOrigin);
    case "frame-ancestor":
      return doesListPass("frame-ancestors", attack.url, enforced, selfOrigin);
    case "all":
      return attack.of.every((each) => doesAttackPass(each, policy, selfOrigin));
  }
}

/** #form-action-pre-navigate, #frame-ancestors-navigation-response: for a URL that is known to be foreign. */
function doesListPass(
  name: "form-action" | "frame-ancestors",
  url: string,
  policy: Policy,
  selfOrigin: string,
): boolean {
  const directive = getDirective(policy, name);
  if (!directive) return true;
  const matching = { selfOrigin, redirectCount: 0, profile: chromium };
  return doesUrlMatchSourceList(new URL(url), directive.value, matching) !== null;
}
