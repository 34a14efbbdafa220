/**
 * Which policies a new document or worker gets.
 * HTML, "determine navigation params policy container", "create a policy container from a fetch response",
 * "initialize a worker global scope's policy container"; CSP #security-inherit-csp.
 * @module
 */
import type { CspList } from "../policy/policy.ts";
import { isLocal, schemeOf } from "./match-url.ts";
import { parseUrl } from "./request.ts";

/** Who stands around a new document. */
export interface NavigationSources {
  readonly responseUrl: string | URL;
  /** The response's own policies (`parseResponsePolicies`). */
  readonly response: CspList;
  /** Of who started the navigation. */
  readonly initiator?: CspList;
  /** Of the document that holds the frame. */
  readonly parent?: CspList;
  /** Of the session history entry, when it was stored there. */
  readonly history?: CspList;
  /** Of who made the `blob:` URL. */
  readonly blobCreator?: CspList;
}

const empty: CspList = { policies: [], selfOrigin: "null" };

/** HTML, "determine navigation params policy container". */
export function determineNavigationCspList(sources: NavigationSources): CspList {
  const url = parseUrl(sources.responseUrl);
  if (sources.history) return sources.history;
  if (url.protocol === "about:" && url.pathname === "srcdoc") return sources.parent ?? empty;
  if (schemeOf(url) === "blob") return sources.blobCreator ?? sources.initiator ?? empty;
  if (isLocal(url) && sources.initiator) return sources.initiator;
  return sources.response;
}

/** HTML, "initialize a worker global scope's policy container". */
export function determineWorkerCspList(sources: {
  readonly responseUrl: string | URL;
  readonly response: CspList;
  /** Of the document or worker that started it. */
  readonly owner: CspList;
  readonly blobCreator?: CspList;
}): CspList {
  const url = parseUrl(sources.responseUrl);
  if (schemeOf(url) === "blob") return sources.blobCreator ?? sources.owner;
  return isLocal(url) ? sources.owner : sources.response;
}
