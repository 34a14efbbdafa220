/**
 * Puts the messenger onto the document and ties it to the browser: history, address, links.
 * @module
 */
import { effect } from "@preact/signals";
import { h, render } from "preact";
import type { Engine } from "./model/engine.ts";
import { invitationOfHash, inviteCodeOfHash } from "./model/invitation-link.ts";
import { createMessenger } from "./model/messenger.ts";
import { createNavigation } from "./model/place.ts";
import { MessengerContext } from "./view/messenger-context.ts";
import { Failure, Page } from "./view/page.tsx";

/** Where the name of the account stands, in a storage that browsers don't drop together with the account's. */
const ACCOUNT = "account";
/** Where a tab keeps the invitation that it shows, and the code for a new account. */
const INVITATION = "invitation";
const INVITE_CODE = "invite-code";

/** Resolves when there is an engine that answers. What may have been shown in place of the page meanwhile gives way to it. */
export async function showPage(engine: Engine): Promise<void> {
  const navigation = createNavigation(history);
  const messenger = createMessenger(engine, navigation, {
    newKey: () => crypto.randomUUID(),
    download,
    now: Date.now,
    reload: () => location.reload(),
    remembered: () => localStorage.getItem(ACCOUNT) ?? undefined,
    remember: (name) =>
      name === undefined ? localStorage.removeItem(ACCOUNT) : localStorage.setItem(ACCOUNT, name),
  });
  addEventListener("popstate", () => navigation.popped());
  const show = (): void =>
    render(h(MessengerContext, { value: messenger, children: h(Page, null) }), root());
  show();

  const takeInvitation = (): void => {
    const hash = takeHash();
    const code = inviteCodeOfHash(hash);
    if (code !== undefined) return messenger.enterInviteCode(code);
    const fragment = invitationOfHash(hash);
    if (fragment !== undefined) messenger.openInvitation(fragment);
  };
  addEventListener("hashchange", takeInvitation);
  // A reload, or a tab that was put to sleep, goes on where it was. With the answer this tab forgets the link.
  const kept = sessionStorage.getItem(INVITATION);
  if (kept !== null) messenger.openInvitation(kept);
  const keptCode = sessionStorage.getItem(INVITE_CODE);
  if (keptCode !== null) messenger.enterInviteCode(keptCode);
  takeInvitation();
  const keep = (name: string, value: string | undefined): void => {
    if (value === undefined) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, value);
  };
  effect(() => keep(INVITATION, messenger.invitation.value));
  effect(() => keep(INVITE_CODE, messenger.inviteCode.value));
  await messenger.start();
  show();
}

export function showFailure(reason: string): void {
  render(h(Failure, { reason }), root());
}

/**
 * What the address invites with. It is removed from there at once: an address gets synchronised,
 * photographed and pasted.
 */
function takeHash(): string {
  const { hash } = location;
  if (invitationOfHash(hash) !== undefined) {
    history.replaceState(history.state, "", location.pathname);
  }
  return hash;
}

function download(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function root(): HTMLElement {
  const element = document.getElementById("page");
  if (element === null) throw new TypeError("the document has no #page");
  return element;
}
