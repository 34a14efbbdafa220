/**
 * Where the focus goes when a screen appears: to its heading, so that it is read out first.
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
