/**
 * HTML that is safe by construction: a template's own text is markup, whatever is put into it is not.
 * @module
 */

/** Markup that this module made. */
export class Html {
  readonly markup: string;

  private constructor(markup: string) {
    this.markup = markup;
  }

  /** The one way to markup: the strings of a template, and escaped values between them. */
  static template(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
    const parts = strings.flatMap((string, i) => [
      string,
      i < values.length ? render(values[i]) : "",
    ]);
    return new Html(parts.join(""));
  }
}

/** Markup of ours, several of it, or a text to be escaped; nothing where it is undefined. */
export type HtmlValue = Html | string | number | undefined | readonly HtmlValue[];

/** `` html`<p title="${text}">${text}</p>` `` – attributes need their quotes. */
export const html: typeof Html.template = (strings, ...values) => Html.template(strings, ...values);

function render(value: HtmlValue): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.markup;
  if (typeof value === "string" || typeof value === "number") return escape(String(value));
  return value.map(render).join("");
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escape(text: string): string {
  return visible(text).replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

/**
 * A stranger's text as it can be shown: controls, marks that turn the direction of writing, and what else has no shape
 * are named by their code point; line feeds, tabs and the like have symbols.
 */
function visible(text: string): string {
  return (
    text
      .toWellFormed()
      // U+2400 and what follows are pictures of the controls.
      .replace(/[\t\n\r]/g, (control) => String.fromCodePoint(0x2400 + control.charCodeAt(0)))
      .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, (character) => {
        const codePoint = character.codePointAt(0) ?? 0;
        return `⟨U+${codePoint.toString(16).toUpperCase().padStart(4, "0")}⟩`;
      })
  );
}
