/**
 * Invitation links: the page's own address, and behind `#`, which no browser sends, the secret
 * that lets people in.
 * @module
 */

export function invitationLink(pageOrigin: string, fragment: string): string {
  return `${pageOrigin}/#${fragment}`;
}

/**
 * What `location.hash` invites with. Whatever stands there was meant as an invitation; one that is damaged is told when it
 * is looked at. What a sentence around the link left behind it is cut off.
 */
export function invitationOfHash(hash: string): string | undefined {
  const fragment = hash.replace(/^#/, "").replace(/[^A-Za-z0-9_-]+$/, "");
  return fragment === "" ? undefined : fragment.slice(0, MAX_LENGTH);
}

/**
 * The code in `#invite=…`, by which an operator lets somebody make an account. It stands in the fragment since a query would be in the
 * logs of whoever hands out the page.
 */
export function inviteCodeOfHash(hash: string): string | undefined {
  return /^#\??invite=([A-Za-z0-9-]{1,64})/.exec(hash)?.[1];
}

/** Far more than an invitation has. */
const MAX_LENGTH = 400;
