/**
 * Puts the messenger onto the document and ties it to the browser: history, address, links.
 * @module
 */
import { effect } from "@preact/signals";
import { h, render } from "preact";
import type { Engine } from "./model/engine.ts";
import { invitationOfHash } from "./model/invitation-link.ts";
import { createMessenger } from "./model/messenger.ts";
import { createNavigation } from "./model/place.ts";
import { MessengerContext } from "./view/messenger-context.ts";
import { Failure, Page } from "./view/page.tsx";

/** Where the name of the account stands, in a storage that browsers don't drop together with the account's. */
const ACCOUNT = "account";
/** Where a tab keeps the invitation that it shows. */
const INVITATION = "invitation";

export async function showPage(engine: Engine): Promise<void> {
  const navigation = createNavigation(history);
  const messenger = createMessenger(engine, navigation, {
    newKey: () => crypto.randomUUID(),
    reload: () => location.reload(),
    remembered: () => localStorage.getItem(ACCOUNT) ?? undefined,
    remember: (name) =>
      name === undefined ? localStorage.removeItem(ACCOUNT) : localStorage.setItem(ACCOUNT, name),
  });
  addEventListener("popstate", () => navigation.popped());
  render(h(MessengerContext, { value: messenger, children: h(Page, null) }), root());

  const takeInvitation = (): void => {
    const fragment = takeFragment();
    if (fragment !== undefined) messenger.openInvitation(fragment);
  };
  addEventListener("hashchange", takeInvitation);
  // A reload, or a tab that was put to sleep, goes on where it was. With the answer this tab forgets the link.
  const kept = sessionStorage.getItem(INVITATION);
  if (kept !== null) messenger.openInvitation(kept);
  takeInvitation();
  effect(() => {
    const open = messenger.invitation.value;
    if (open === undefined) sessionStorage.removeItem(INVITATION);
    else sessionStorage.setItem(INVITATION, open);
  });
  await messenger.start();
}

export function showFailure(reason: string): void {
  render(h(Failure, { reason }), root());
}

/**
 * The invitation in the address. It is removed from there at once: an address gets synchronised,
 * photographed and pasted.
 */
function takeFragment(): string | undefined {
  const fragment = invitationOfHash(location.hash);
  if (fragment !== undefined) {
    history.replaceState(history.state, "", location.pathname);
  }
  return fragment;
}

function root(): HTMLElement {
  const element = document.getElementById("page");
  if (element === null) throw new TypeError("the document has no #page");
  return element;
}
