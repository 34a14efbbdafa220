/**
 * A newer version of the page is in use: this tab has nothing to do but to be loaded again.
 * @module
 */
import type { JSX } from "preact";
import { useFocusAtFirst } from "../controls/focus.ts";
import { useMessenger } from "../messenger-context.ts";

export function Outdated(): JSX.Element {
  const messenger = useMessenger();
  const heading = useFocusAtFirst<HTMLHeadingElement>();
  return (
    <main class="gate">
      <section class="card">
        <h1 class="card-title" tabIndex={-1} ref={heading}>
          There is a newer version of Conclave
        </h1>
        <p>
          It has been opened in this browser. This tab is of the older one: it has stopped, and left
          everything as the newer one wants it. Load it again to go on.
        </p>
        <button type="button" class="button primary wide" onClick={() => messenger.reload()}>
          Load again
        </button>
      </section>
    </main>
  );
}
