/**
 * Invitation links: the page's own address, and behind `#`, which no browser sends, the secret
 * that lets people in.
 * @module
 */

export function invitationLink(pageOrigin: string, fragment: string): string {
  return `${pageOrigin}/#${fragment}`;
}

/** What `location.hash` invites with. What can't be an invitation is left alone. */
export function invitationOfHash(hash: string): string | undefined {
  return /^#([A-Za-z0-9_-]{40,200})$/.exec(hash)?.[1];
}
