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

/** Far more than an invitation has. */
const MAX_LENGTH = 400;
