import { findGadgets, gadgets } from "@conclave/csp/judge";
import { describe, expect, test } from "vitest";

function found(...scripts: string[]): string[] {
  return findGadgets(scripts).map(
    ({ gadget, version }) => `${gadget.library} ${version ?? "?"} ${gadget.needs}`,
  );
}

test.each([
  ["https://cdnjs.cloudflare.com/ajax/libs/angular.js/1.8.3/angular.min.js", "AngularJS 1.8.3 any"],
  ["https://ajax.googleapis.com/ajax/libs/angularjs/1.6.1/angular.js", "AngularJS 1.6.1 any"],
  ["https://cdn.jsdelivr.net/npm/vue@2.7.16/dist/vue.js", "Vue (with compiler) 2.7.16 unsafe-eval"],
  ["https://cdn.jsdelivr.net/npm/vue@3", "Vue (with compiler) 3 unsafe-eval"],
  ["https://unpkg.com/vue", "Vue (with compiler) ? unsafe-eval"],
  [
    "https://unpkg.com/knockout@3.5.1/build/output/knockout-latest.js",
    "Knockout 3.5.1 unsafe-eval",
  ],
  ["https://code.jquery.com/jquery-3.1.1.slim.min.js", "jQuery 3.1.1 strict-dynamic"],
  ["https://code.jquery.com/ui/1.12.1/jquery-ui.min.js", "jQuery UI 1.12.1 strict-dynamic"],
  [
    "https://maxcdn.bootstrapcdn.com/bootstrap/3.3.7/js/bootstrap.min.js",
    "Bootstrap 3.3.7 strict-dynamic",
  ],
  [
    "https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.6/require.min.js",
    "RequireJS 2.3.6 strict-dynamic",
  ],
  ["/assets/underscore-min.js", "Underscore ? unsafe-eval"],
  ["/assets/jquery.min.js?v=3.1.1", "jQuery 3.1.1 strict-dynamic"],
  [
    "https://cdn.jsdelivr.net/npm/@rails/ujs@7.1.3/app/assets/javascripts/rails-ujs.js",
    "Rails UJS 7.1.3 any",
  ],
  [
    "https://cdn.jsdelivr.net/combine/npm/alpinejs@3.13.0,npm/lodash@4.17.21",
    "Alpine 3.13.0 unsafe-eval",
  ],
])("%s holds %s", (script, gadget) => {
  expect(found(script)).toContain(gadget);
});

test.each([
  "https://code.jquery.com/jquery-4.0.0.min.js",
  "https://code.jquery.com/ui/1.13.2/jquery-ui.min.js",
  "https://cdn.jsdelivr.net/npm/bootstrap@3.4.1/dist/js/bootstrap.min.js",
  "https://cdn.jsdelivr.net/npm/bootstrap@5.3.3/dist/js/bootstrap.bundle.min.js",
  "https://cdn.jsdelivr.net/npm/vue@3.5.13/dist/vue.runtime.global.prod.js",
  "https://cdn.jsdelivr.net/npm/@alpinejs/csp@3.14.1/dist/cdn.min.js",
  "https://cdn.jsdelivr.net/npm/react@18.2.0/umd/react.production.min.js",
  "https://cdn.example.com/app-3.1.1.js",
  "not a url at all",
  "https://",
  `https://cdn.example.com/${"jquery-".repeat(10_000)}`,
])("%.80s holds none", (script) => {
  expect(found(script)).toEqual([]);
});

test("a version of one part is the newest of its line", () => {
  expect(found("https://unpkg.com/bootstrap@3")).toEqual([]);
  expect(found("https://unpkg.com/bootstrap@3.3")).toEqual(["Bootstrap 3.3 strict-dynamic"]);
  expect(found("https://unpkg.com/bootstrap@4.0.0")).toEqual(["Bootstrap 4.0.0 strict-dynamic"]);
});

test("without a version all gadgets of a library are given", () => {
  expect(found("/js/bootstrap.min.js")).toHaveLength(2);
});

describe("the table", () => {
  test("has ranges that are not empty, and evidence", () => {
    for (const { from, below, attack, seen, source } of gadgets) {
      expect(from).toMatch(/^\d+\.\d+\.\d+$/);
      expect(Number.parseInt(below ?? "9999", 10)).toBeGreaterThanOrEqual(
        Number.parseInt(from, 10),
      );
      expect(attack).toMatch(/\.$/);
      expect(seen).toBeGreaterThan(2016);
      expect(source).not.toBe("");
    }
  });
});
