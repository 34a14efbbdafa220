import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { linkedText } from "../../../src/page/model/linked-text.ts";

const addresses = (text: string): readonly string[] =>
  linkedText(text).flatMap(({ href }) => href ?? []);

describe("linkedText", () => {
  test.each([
    ["see https://a.example/x?y=1#z now", ["https://a.example/x?y=1#z"]],
    ["(http://a.example).", ["http://a.example"]],
    ["https://a.example, https://b.example!", ["https://a.example", "https://b.example"]],
  ])("%s", (text, expected) => {
    expect(addresses(text)).toEqual(expected);
  });

  test.each([
    "javascript:alert(1)",
    "data:text/html,hi",
    "xhttps://a.example",
    "https://",
    "a.example",
    'https://"><script>',
  ])("%s leads nowhere", (text) => {
    expect(addresses(text)).toEqual([]);
  });

  test("loses and adds nothing, and shows where each link leads", () => {
    const anyText = fc.oneof(
      fc.string({ unit: "binary" }),
      fc
        .array(fc.constantFrom("https://", "http://a.b", " ", ".", ")", "x", "<", '"', "é"))
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(anyText, (text) => {
        const parts = linkedText(text);
        return (
          parts.map((part) => part.text).join("") === text &&
          parts.every(
            ({ text: shown, href }) =>
              href === undefined || (href === shown && /^https?:$/.test(new URL(href).protocol)),
          )
        );
      }),
    );
  });
});
