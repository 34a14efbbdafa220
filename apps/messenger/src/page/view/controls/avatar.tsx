/**
 * A person's or a conversation's first letters on a colour of its own. It only helps to tell them
 * apart; who somebody is, the name beside it says.
 * @module
 */
import type { JSX } from "preact";
import "./avatar.css";

const TONES = 6;

export function Avatar({
  id,
  name,
  shape = "round",
}: {
  /** Hex; the colour follows from it. */
  readonly id: string;
  readonly name: string;
  readonly shape?: "round" | "square";
}): JSX.Element {
  const tone = Number.parseInt(id.slice(0, 6), 16) % TONES;
  return (
    <span class={`avatar avatar-${shape} tone-${Number.isNaN(tone) ? 0 : tone}`} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}

const letters = new Intl.Segmenter("en", { granularity: "grapheme" });

function initialsOf(name: string): string {
  const [first = "", second = ""] = name.split(/[\s._-]+/u).filter((word) => word !== "");
  return (firstLetter(first) + firstLetter(second)).toUpperCase();
}

function firstLetter(word: string): string {
  for (const { segment } of letters.segment(word)) return segment;
  return "";
}
