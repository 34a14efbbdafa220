/**
 * Attacks: what an attacker tries, put to the engine. Decided as Chromium does, since payloads run there.
 * @module
 */
import { checkInline, doesRequestViolatePolicy } from "../decide/fetch-directives.ts";
import { inlineElement } from "../decide/match-element.ts";
import { doesUrlMatchSourceList } from "../decide/match-url.ts";
import { chromium } from "../decide/profile.ts";
import {
  type Client,
  createRequest,
  type Destination,
  type Request,
  redirect,
} from "../decide/request.ts";
import {
  ensureCspDoesNotBlockStringCompilation,
  shouldRtcConnectionsBeBlocked,
} from "../decide/should-block.ts";
import { doesSinkTypeRequireTrustedTypes } from "../decide/trusted-types.ts";
import { getDirective, type Policy } from "../policy/policy.ts";

export type Attack =
  /** A request, and those that redirects turn it into; made when another policy is asked. */
  | { readonly type: "fetch"; readonly requests: () => readonly Request[] }
  /** An element with the attacker's own text, whose hash no policy lists. */
  | {
      readonly type: "inline";
      readonly of: "script" | "script attribute" | "style";
      readonly nonce?: string;
    }
  /** A string that is compiled; a string that reaches an injection sink; a peer connection. */
  | { readonly type: "eval" | "sink" | "connect-peer" }
  | { readonly type: "base" | "form" | "frame-ancestor"; readonly url: URL }
  /** Those that all have to pass. */
  | { readonly type: "all"; readonly of: readonly Attack[] };

/** What injected markup loads: the parser inserts it, with neither nonce nor integrity. */
export function fetchAttack(
  url: string | URL,
  destination: Destination,
  initiator: Request["initiator"] = "",
): Attack {
  return {
    type: "fetch",
    requests: () => [createRequest({ url, destination, initiator }, chromium)],
  };
}

/** A script element, whose URL may redirect. */
export function scriptAttack(url: string | URL, to?: string | URL): Attack {
  return {
    type: "fetch",
    requests() {
      const request = createRequest({ url, destination: "script" }, chromium);
      return to === undefined ? [request] : [request, redirect(request, to, chromium)];
    },
  };
}

// No text has an empty digest, so no listed hash is this one's.
const source = { text: "", digests: { sha256: "", sha384: "", sha512: "" } };

/** Whether one policy, enforced or not, lets the attack through. */
export function doesAttackPass(attack: Attack, policy: Policy, selfOrigin: string): boolean {
  switch (attack.type) {
    case "fetch":
      return attack.requests().every((request) => {
        const fetching = { request, response: null, selfOrigin, profile: chromium };
        return doesRequestViolatePolicy(policy, fetching).result === "Allowed";
      });
    case "inline": {
      const name = attack.of === "style" ? "style" : "script";
      const element = inlineElement({ name, nonce: attack.nonce ?? null });
      return checkInline(policy, element, attack.of, source, chromium).result === "Allowed";
    }
    case "eval": {
      const compilation = { compilationType: "FUNCTION", codeString: "", isTrusted: true } as const;
      const client = clientOf(policy, selfOrigin);
      return ensureCspDoesNotBlockStringCompilation(compilation, client).result === "Allowed";
    }
    case "sink": {
      const { cspList } = clientOf(policy, selfOrigin);
      return !doesSinkTypeRequireTrustedTypes(cspList, "'script'", false);
    }
    case "connect-peer":
      // Chromium does not enforce it; what a policy says is worth knowing all the same.
      return shouldRtcConnectionsBeBlocked(clientOf(policy, selfOrigin)).result === "Allowed";
    case "base":
      return doesListPass("base-uri", attack.url, policy, selfOrigin);
    case "form":
      return doesListPass("form-action", attack.url, policy, selfOrigin);
    case "frame-ancestor":
      return doesListPass("frame-ancestors", attack.url, policy, selfOrigin);
    case "all":
      return attack.of.every((each) => doesAttackPass(each, policy, selfOrigin));
  }
}

function clientOf(policy: Policy, selfOrigin: string): Client {
  const policies = [{ ...policy, disposition: "enforce" as const }];
  return { cspList: { policies, selfOrigin }, url: "https://page.example/" };
}

/** #allow-base-for-document, #form-action-pre-navigate, #frame-ancestors-navigation-response. */
function doesListPass(
  name: "base-uri" | "form-action" | "frame-ancestors",
  url: URL,
  policy: Policy,
  selfOrigin: string,
): boolean {
  const directive = getDirective(policy, name);
  if (!directive) return true;
  const matching = { selfOrigin, redirectCount: 0, profile: chromium };
  return doesUrlMatchSourceList(url, directive.value, matching) !== null;
}
