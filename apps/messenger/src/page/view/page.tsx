/**
 * The page: one screen at a time.
 * @module
 */
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { errorSentence } from "../model/sentences.ts";
import { Emblem } from "./controls/icon.tsx";
import { Elsewhere } from "./elsewhere/elsewhere.tsx";
import { Home } from "./home/home.tsx";
import { Join } from "./join/join.tsx";
import { useMessenger } from "./messenger-context.ts";
import { Outdated } from "./outdated/outdated.tsx";
import { Recover } from "./recover/recover.tsx";
import { RecoveryPhrase } from "./recovery-phrase/recovery-phrase.tsx";
import { SignUp } from "./sign-up/sign-up.tsx";
import "./page.css";

export function Page(): JSX.Element {
  const messenger = useMessenger();
  const unread = messenger.unread.value;
  useEffect(() => {
    document.title = unread === 0 ? "Conclave" : `(${unread}) Conclave`;
  }, [unread]);

  switch (messenger.screen.value) {
    case "starting":
      return (
        <main class="gate" aria-busy="true">
          <Emblem />
          <p class="gate-note">Opening…</p>
        </main>
      );
    case "failed":
      return <Failure reason={errorSentence(messenger.failure.value ?? "internal")} />;
    case "elsewhere":
      return <Elsewhere />;
    case "outdated":
      return <Outdated />;
    case "recover":
      return <Recover />;
    case "sign-up":
      return <SignUp />;
    case "recovery-phrase":
      return <RecoveryPhrase />;
    case "join":
      // Another link is another screen, which looks afresh.
      return <Join key={messenger.invitation.value} />;
    case "home":
      return <Home />;
  }
}

/** Nothing works without what is missing, so it is all that is shown. */
export function Failure({ reason }: { readonly reason: string }): JSX.Element {
  return (
    <main class="gate">
      <Emblem />
      <h1 class="card-title">Conclave can't start here</h1>
      <p class="gate-note" role="alert">
        {reason}
      </p>
    </main>
  );
}
