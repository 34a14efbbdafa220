/**
 * The page's icons: strokes on a grid of 20, in the colour of the text beside them.
 * @module
 */
import type { JSX } from "preact";

const PATHS = {
  plus: "M10 4v12M4 10h12",
  back: "M12.5 4.5 7 10l5.5 5.5",
  choose: "M6 8l4 4 4-4",
  close: "M5 5l10 10M15 5 5 15",
  send: "M10 16V4.5M5 9l5-5 5 5",
  down: "M10 4v11.5M5 11l5 5 5-5",
  people:
    "M8 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 16.5c0-3 2.4-4.8 5.5-4.8s5.5 1.8 5.5 4.8M13 3.8a3 3 0 0 1 0 5.4M15 12.2c1.6.7 2.5 2.2 2.5 4.3",
  link: "M8.5 11.5a3.2 3.2 0 0 0 4.5 0l2.5-2.5a3.2 3.2 0 0 0-4.5-4.5l-.8.8M11.5 8.5a3.2 3.2 0 0 0-4.5 0L4.5 11a3.2 3.2 0 0 0 4.5 4.5l.8-.8",
  waiting: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6.5V10l2.5 1.5",
  sent: "M4.5 10.5 8.5 14.5 15.5 6",
  delivered: "M2 10.5 5.5 14 11.5 6.5M8.5 13.5l.5.5 7.5-8",
  read: "M2.5 10s2.8-4.8 7.5-4.8 7.5 4.8 7.5 4.8-2.8 4.8-7.5 4.8S2.5 10 2.5 10zM10 7.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4z",
  failed: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6.5v4.2M10 13.3v.2",
  verified: "M10 2.5 4 4.8v4.7c0 3.7 2.5 6.5 6 8 3.5-1.5 6-4.3 6-8V4.8zM7.2 9.8l2 2 3.6-4",
  warning: "M10 3.2 2.5 16.5h15zM10 8.2v3.8M10 14.2v.1",
  lock: "M5 9h10v7.5H5zM7 9V6.5a3 3 0 0 1 6 0V9",
  settings:
    "M3.5 6.5h7.9M15 6.5h1.5M13.2 4.7a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6zM3.5 13.5H5M8.6 13.5h7.9M6.8 11.7a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z",
  restored: "M3.5 4.5h13V8h-13zM4.5 8v8h11V8M8 11h4",
  copy: "M7 7h9.5v9.5H7zM13 7V3.5H3.5V13H7",
} as const;

export type IconName = keyof typeof PATHS;

/** With a label it is an image that says something; without one, decoration. */
export function Icon({
  name,
  label,
}: {
  readonly name: IconName;
  readonly label?: string;
}): JSX.Element {
  const meaning =
    label === undefined
      ? ({ "aria-hidden": "true" } as const)
      : ({ role: "img", "aria-label": label } as const);
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" {...meaning}>
      {label !== undefined && <title>{label}</title>}
      <path
        d={PATHS[name]}
        fill="none"
        stroke="currentColor"
        stroke-width="1.6"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}

/** The door with the keyhole. */
export function Emblem(): JSX.Element {
  return (
    <svg class="emblem" viewBox="0 0 48 48" width="48" height="48" aria-hidden="true">
      <path class="emblem-door" d="M7 45V21a17 17 0 0 1 34 0v24z" />
      <path
        class="emblem-keyhole"
        d="M24 17a5.5 5.5 0 0 0-2.9 10.2L19.4 37h9.2l-1.7-9.8A5.5 5.5 0 0 0 24 17z"
      />
    </svg>
  );
}
