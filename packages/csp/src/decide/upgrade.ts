/**
 * `upgrade-insecure-requests`.
 * Upgrade Insecure Requests, "upgrade a request to a potentially trustworthy URL, if appropriate".
 * @module
 */
import { type CspList, getDirective } from "../policy/policy.ts";
import { type Profile, specification } from "./profile.ts";
import type { Destination } from "./request.ts";

/** Whether the list's documents upgrade what they load. A policy that only reports doesn't upgrade. */
export function upgradesInsecureRequests({ policies }: CspList): boolean {
  return policies.some(
    (policy) =>
      policy.disposition === "enforce" && getDirective(policy, "upgrade-insecure-requests"),
  );
}

/** A request, as far as upgrading asks. */
export interface UpgradableRequest {
  readonly url: URL;
  readonly destination: Destination;
  /** Whether a redirect led to the URL. */
  readonly isRedirected?: boolean;
  /** Whether it is a top-level navigation that is no form's. */
  readonly isTopLevelNavigation?: boolean;
  /** Hosts whose pages upgrade, in the browsing context: navigations to them are upgraded, too. */
  readonly upgradeInsecureNavigationsSet?: ReadonlySet<string>;
}

/** The URL that is fetched instead, or the same one. */
export function upgradeRequest(
  request: UpgradableRequest,
  cspList: CspList,
  profile: Profile = specification,
): URL {
  const { url } = request;
  if (url.protocol !== "http:" && url.protocol !== "ws:") return url;
  const sparesLoopback = !request.isRedirected || !profile.has("loopback-upgraded-on-redirect");
  if (sparesLoopback && isPotentiallyTrustworthy(url)) return url;
  if (request.isTopLevelNavigation) {
    if (!request.upgradeInsecureNavigationsSet?.has(url.host)) return url;
  } else if (!upgradesInsecureRequests(cspList)) return url;
  const upgraded = new URL(url);
  upgraded.protocol = url.protocol === "http:" ? "https:" : "wss:";
  return upgraded;
}

/** Secure Contexts, "is url potentially trustworthy?", of an insecure scheme: the machine itself. */
function isPotentiallyTrustworthy({ hostname }: URL): boolean {
  return (
    hostname === "localhost" ||
    hostname.endsWith(".localhost") ||
    hostname === "[::1]" ||
    /^127\.[0-9]+\.[0-9]+\.[0-9]+$/.test(hostname)
  );
}
