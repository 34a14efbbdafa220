import {
  chromium,
  createRequest,
  processIntegrityPolicy,
  shouldRequestBeBlockedByIntegrityPolicy,
} from "@conclave/csp";
import { describe, expect, test } from "vitest";
import { parseDictionaryOfInnerLists } from "../../src/decide/structured-field.ts";
import { pageUrl } from "./client.ts";

describe("processing an integrity policy", () => {
  test("a list of tokens; sources are inline where they aren't said", () =>
    expect(processIntegrityPolicy("blocked-destinations=(script style), endpoints=(a b)")).toEqual({
      sources: ["inline"],
      blockedDestinations: ["script", "style"],
      endpoints: ["a", "b"],
    }));
  test.each([
    "nonsense!",
    "blocked-destinations=(script",
    'blocked-destinations=("script")',
    "blocked-destinations=script",
    "blocked-destinations",
  ])("%s blocks nothing", (value) =>
    expect(processIntegrityPolicy(value).blockedDestinations).toEqual([]),
  );
  test("sources that are no list are none", () =>
    expect(processIntegrityPolicy("sources, blocked-destinations=(script)").sources).toEqual([]));
  test("Chromium knows scripts alone", () =>
    expect(
      processIntegrityPolicy("blocked-destinations=(script style)", chromium).blockedDestinations,
    ).toEqual(["script"]));
});

describe("should request be blocked by integrity policy", () => {
  const integrityPolicy = processIntegrityPolicy("blocked-destinations=(script), endpoints=(e)");
  const ask = (init: object) =>
    shouldRequestBeBlockedByIntegrityPolicy(
      createRequest({ url: "https://b.example/s.js", destination: "script", ...init }),
      { url: pageUrl, integrityPolicy },
    );
  test.each([
    { integrity: "sha256-YWJj", mode: "cors" },
    { destination: "style" },
    { url: "data:text/javascript,1" },
  ])("%j is allowed", (init) => expect(ask(init).result).toBe("Allowed"));
  test.each([{}, { integrity: "sha256-YWJj", mode: "no-cors" }, { integrity: "x", mode: "cors" }])(
    "%j is blocked, and the endpoint hears of it",
    (init) => {
      const { result, reports } = ask(init);
      expect(result).toBe("Blocked");
      expect(reports).toEqual([
        {
          endpoint: "e",
          body: {
            documentURL: pageUrl,
            blockedURL: "https://b.example/s.js",
            destination: "script",
            reportOnly: false,
          },
        },
      ]);
    },
  );
});

describe("RFC 9651 §4.2.2", () => {
  test.each([
    ["a=(b c);p=1, d=(e;q)", { a: ["b", "c"], d: ["e"] }],
    ["a=(b), a=(c)", { a: ["c"] }],
    ['a=("s" 1 ?1 b)', { a: ["b"] }],
    ["", {}],
  ])("%j is read", (text, members) =>
    expect(Object.fromEntries(parseDictionaryOfInnerLists(text) ?? [])).toEqual(members),
  );
  test.each(["a=(", "A=(b)", "a=(b),", "a=(b)c", "a=;"])("%j is no dictionary", (text) =>
    expect(parseDictionaryOfInnerLists(text)).toBeNull(),
  );
});
