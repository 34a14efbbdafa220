/**
 * Where the focus goes: to the heading of a screen that appears, so that it is read out first; and to what is nearest when
 * what had it is gone, since the browser would put it back to the very beginning.
 * @module
 */
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** The element needs a `tabIndex` of -1, if it takes no focus by itself. */
export function useFocusAtFirst<T extends HTMLElement>(): RefObject<T | null> {
  const ref = useRef<T>(null);
  useEffect(() => ref.current?.focus(), []);
  return ref;
}

/** What can have the focus; a heading that takes it is the first in what it is of. */
const FOCUSABLE =
  "button:enabled, input:enabled, select:enabled, textarea:enabled, a[href], [tabindex]";

/** How many elements that had the focus are remembered: what opened a dialog, and what was pressed in it. */
const REMEMBERED = 4;

/** Inside of the element: when what has the focus goes, it goes to what is nearest to where that was. */
export function useFocusKept<T extends HTMLElement>(): RefObject<T | null> {
  const ref = useRef<T>(null);
  useEffect(() => {
    const home = ref.current;
    if (home === null) return;
    /** What surrounded each that had the focus, from the inside out; the newest first. */
    let paths: readonly (readonly Element[])[] = [];
    const remember = ({ target }: FocusEvent): void => {
      const path: Element[] = [];
      for (let at = target; at instanceof Element && at !== home; at = at.parentElement) {
        path.push(at);
      }
      paths = [path, ...paths].slice(0, REMEMBERED);
    };
    const regain = (): void => {
      const [newest] = paths;
      if (document.activeElement !== document.body || newest?.[0]?.isConnected !== false) return;
      // Without a part that is left of it, the main part.
      const main = home.querySelector("main");
      for (const part of [...paths.flat(), main, home]) {
        if (part === null || !part.isConnected) continue;
        const near = [...part.querySelectorAll<HTMLElement>(FOCUSABLE)].find(isShown);
        near?.focus();
        if (document.activeElement === near) return;
      }
    };
    const observer = new MutationObserver(regain);
    observer.observe(home, { childList: true, subtree: true });
    home.addEventListener("focusin", remember);
    return () => {
      observer.disconnect();
      home.removeEventListener("focusin", remember);
    };
  }, []);
  return ref;
}

function isShown(element: HTMLElement): boolean {
  return element.getClientRects().length > 0;
}
