import { expect, test } from "vitest";
import { encodePath, pathInSite, relativeUrl } from "../../src/make/site-path.ts";

test.each([
  ["https://a.test/app/b%20c/d.js", "b c/d.js"],
  ["https://a.test/app/", ""],
  ["https://a.test/app/100%.html", "100%.html"],
  ["https://a.test/other/d.js", undefined],
  ["https://b.test/app/d.js", undefined],
  ["https://a.test/app/..%2f..%2fd.js", undefined],
  ["https://a.test/app/b/..%5C..%5Cd.js", undefined],
  ["https://a.test/app/b%2f..", undefined],
  ["https://a.test/app/%2fetc/d.js", undefined],
  ["https://a.test/app/a..b/..c%2fd.js", "a..b/..c/d.js"],
])("pathInSite %s", (url, path) => {
  expect(pathInSite(new URL(url), new URL("https://a.test/app/"))).toBe(path);
});

test("encodePath is read again by pathInSite", () => {
  const base = new URL("https://a.test/app/");
  for (const path of ["a/b.js", "a b/ä?#%.js"]) {
    expect(pathInSite(new URL(encodePath(path), base), base)).toBe(path);
  }
});

test.each([
  ["/index.html", "/a.js", "./a.js"],
  ["/sub/index.html", "/js/a.js", "../js/a.js"],
  ["sub/index.html", "sub/a.js", "./a.js"],
  ["index.html", "js/a.js", "./js/a.js"],
])("relativeUrl from %s to %s", (from, to, expected) => {
  expect(relativeUrl(from, to)).toBe(expected);
});
