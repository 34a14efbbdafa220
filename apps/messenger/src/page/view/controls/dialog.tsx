/**
 * What lies over the page: the browser's own modal dialog, with a title and a way out.
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "./icon.tsx";
import "./dialog.css";

export function Dialog({
  title,
  onClose,
  children,
}: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();

  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    // Closing gives the focus back to where it was before; removing the element alone doesn't.
    return () => dialog?.close();
  }, []);

  return (
    <dialog
      ref={ref}
      class="dialog"
      aria-labelledby={id}
      // By the Escape key. At once: the browser would close it now and say so later, when it may be open again.
      onCancel={(event) => {
        // A choice of files in it that is given up says the same.
        if (event.target !== ref.current) return;
        event.preventDefault();
        onClose();
      }}
      onClose={() => {
        // Another dialog may have taken its place before it hears of this.
        if (ref.current !== null) onClose();
      }}
      onClick={(event) => {
        if (event.target === ref.current) onClose();
      }}
    >
      <div class="dialog-content">
        <header class="dialog-header">
          <h2 id={id}>{title}</h2>
          <button type="button" class="icon-button" aria-label="Close" onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
