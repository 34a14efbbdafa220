/**
 * What a terminal is shown: colours where they are wanted, and carets under the text that is spoken of.
 * @module
 */
import type { Span } from "../policy/source-list.ts";

export interface Palette {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly green: (text: string) => string;
  readonly cyan: (text: string) => string;
}

export function palette(coloured: boolean): Palette {
  const code = (on: number, off: number) => (text: string) =>
    coloured && text !== "" ? `\u001B[${on}m${text}\u001B[${off}m` : text;
  return {
    bold: code(1, 22),
    dim: code(2, 22),
    red: code(31, 39),
    yellow: code(33, 39),
    green: code(32, 39),
    cyan: code(36, 39),
  };
}

/** What a stranger's text could do to a terminal it cannot do: control characters are shown as `�`. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, "\uFFFD");
}

/** The part of the text around the span, and a line of carets under it; cut to the width of the terminal. */
export function pointAt(text: string, { offset, length }: Span, width: number): [string, string] {
  const line = printable(text);
  const room = Math.max(20, width);
  const start = Math.min(Math.max(0, offset), line.length);
  const shown = Math.max(1, Math.min(length, line.length - start, room - 4));
  let from = 0;
  if (line.length > room) {
    // The span stands a third from the left, unless the text's ends are nearer.
    const wanted = start - Math.floor((room - shown) / 3);
    from = Math.max(0, Math.min(wanted, line.length - room));
  }
  const to = Math.min(line.length, from + room);
  const before = from > 0 ? "…" : "";
  const after = to < line.length ? "…" : "";
  const visible = line.slice(from + before.length, to - after.length);
  return [`${before}${visible}${after}`, " ".repeat(start - from) + "^".repeat(shown)];
}

/** Breaks a text at spaces; every line but the first is indented. */
export function wrap(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of printable(text).split(" ")) {
    if (line !== "" && line.length + word.length + 1 + indent.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join(`\n${indent}`);
}
