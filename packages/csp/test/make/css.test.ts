import { styleResources } from "@conclave/csp/make";
import { expect, test } from "vitest";

const found = (css: string) =>
  styleResources(css).map(({ directive, url }) => `${directive} ${url}`);

test("imports, fonts and images are told apart", () => {
  expect(
    found(`
      @import "a.css";
      @import url(b.css) screen;
      @namespace svg url(http://www.w3.org/2000/svg);
      @font-face { font-family: "Own"; src: local("x"), url("own.woff2") format("woff2"), url(own.woff); }
      @media print { .a { background: URL( 'c.png' ) } }
      .b::after { content: "url(no.png)"; cursor: url(d.cur), auto }
    `),
  ).toEqual([
    "style-src a.css",
    "style-src b.css",
    "font-src own.woff2",
    "font-src own.woff",
    "img-src c.png",
    "img-src d.cur",
  ]);
});

test("comments hide, escapes are decoded", () => {
  expect(found('/* url(a.png) * / */ .c { background: url("\\62 .png") url(c\\).png) }')).toEqual([
    "img-src b.png",
    "img-src c).png",
  ]);
  expect(found("/* no end url(a.png)")).toEqual([]);
  expect(found('.d { background: url("no end')).toEqual([]);
});

test("hostile sheets are read in one pass", () => {
  for (const piece of ["/*", "url(", 'url("', "\\", "@", "{", '"\\', "/**"]) {
    expect(found(piece.repeat(200_000)).length).toBeLessThan(200_001);
  }
});
