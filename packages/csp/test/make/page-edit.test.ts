import { buildPolicy } from "@conclave/csp";
import { describe, expect, test } from "vitest";
import { inspectHtml } from "../../src/make/html.ts";
import {
  applyEdits,
  importMapEdit,
  insertion,
  integrityEdit,
  metaElement,
  removeElement,
  removeScript,
} from "../../src/make/page-edit.ts";

test("edits are made by place, insertions at one place in their order", () => {
  const edits = [
    { offset: 2, length: 1, text: "C" },
    insertion(2, "y"),
    insertion(0, "x"),
    insertion(2, "z"),
  ];
  expect(applyEdits("abcd", edits)).toBe("xabyzCd");
  expect(applyEdits("abc", [])).toBe("abc");
});

test("metaElement writes what a meta element can carry, and tells of the rest", () => {
  const policy = buildPolicy({
    "img-src": ["https://a.test/x&amp'"],
    "frame-ancestors": ["'none'"],
    sandbox: [],
    "report-uri": ["/?a&b"],
  });
  const element = metaElement(policy);
  expect(element.left).toEqual(["frame-ancestors", "sandbox", "report-uri"]);
  expect(element.policy.text).toBe("img-src https://a.test/x&amp'");
  const [meta] = inspectHtml(element.html).metaPolicies;
  expect(meta?.content).toBe(element.policy.text);
  const [marked] = inspectHtml(metaElement(policy, "data-mark").html).metaPolicies;
  expect(marked?.attributes.map(({ name }) => name)).toContain("data-mark");
});

test("integrity is put in, and replaces what is there; a srcdoc cannot be written into", () => {
  const edited = (page: string) =>
    inspectHtml(page).scripts.map((script) => {
      const edit = integrityEdit(script, "sha384-A");
      return edit && applyEdits(page, [edit]);
    });
  expect(edited("<script src=a></script>")).toEqual([
    '<script integrity="sha384-A" src=a></script>',
  ]);
  expect(edited("<script src=a integrity=x></script>")).toEqual([
    '<script src=a integrity="sha384-A"></script>',
  ]);
  expect(edited("<iframe srcdoc='<script src=a></script>'></iframe>")).toEqual([null]);
});

describe("importMapEdit", () => {
  const modules = { "./a<b.js": "sha384-A" };
  const written = '"integrity":{"./a\\u003Cb.js":"sha384-A"}';

  test("writes a new map where there is none", () => {
    const edit = importMapEdit("<p>", undefined, 0, modules, "data-mark");
    expect(edit?.importMap).toBe(`{${written}}`);
    expect(edit && applyEdits("<p>", [edit])).toBe(
      `<script type="importmap" data-mark>{${written}}</script><p>`,
    );
  });

  test.each([
    ['{"imports":{"b":"./b.js"}}', `{"imports":{"b":"./b.js"},${written}}`],
    [
      '{"integrity":{"./c.js":"sha384-C","./a<b.js":""}}',
      '{"integrity":{"./c.js":"sha384-C","./a\\u003Cb.js":"sha384-A"}}',
    ],
  ])("adds to the page's own: %s", (text, expected) => {
    const page = `<script type=importmap>${text}</script><p>`;
    const edit = importMapEdit(page, inspectHtml(page).scripts[0], 0, modules);
    expect(edit?.importMap).toBe(expected);
    expect(applyEdits(page, edit ? [edit] : [])).toBe(
      `<script type=importmap>${expected}</script><p>`,
    );
  });

  test.each(["[]", "null", "{"])("leaves alone what is no JSON object: %s", (text) => {
    const page = `<script type=importmap>${text}</script>`;
    expect(importMapEdit(page, inspectHtml(page).scripts[0], 0, modules)).toBeNull();
  });
});

test("elements are taken out whole", () => {
  const page = "<meta http-equiv=content-security-policy content=a><script>1</script ><p>";
  const { metaPolicies, scripts } = inspectHtml(page);
  const edits = [
    ...metaPolicies.map(removeElement),
    ...scripts.map((script) => removeScript(page, script)),
  ];
  expect(applyEdits(page, edits)).toBe("<p>");
  const [open] = inspectHtml("<p><script>1").scripts;
  expect(open && applyEdits("<p><script>1", [removeScript("<p><script>1", open)])).toBe("<p>");
});
