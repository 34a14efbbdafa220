import fc from "fast-check";
import { expect, test } from "vitest";
import { html } from "../../src/collect/html.ts";

test("what is put in is text", () => {
  const text = `<script>alert("1")</script> & 'x'`;
  expect(html`<p title="${text}">${text}</p>`.markup).toBe(
    `<p title="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;">&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;</p>`,
  );
});

test("markup of ours, lists and nothing", () => {
  expect(html`<ul>${[1, 2].map((n) => html`<li>${n}</li>`)}${undefined}</ul>`.markup).toBe(
    "<ul><li>1</li><li>2</li></ul>",
  );
});

test("what has no shape is named", () => {
  const markup = html`${"a\u202Eb\0c\u200Bd\u2028e\ud800\nf\t"}`.markup;
  expect(markup).toBe("a⟨U+202E⟩b⟨U+0000⟩c⟨U+200B⟩d⟨U+2028⟩e\ufffd␊f␉");
});

test("no text becomes markup", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const { markup } = html`${text}`;
      expect(markup).not.toMatch(/[<>"'\p{Cc}\p{Cf}]/u);
      expect(markup).not.toMatch(/&(?!(amp|lt|gt|quot|#39);)/);
    }),
    { numRuns: 300 },
  );
});
