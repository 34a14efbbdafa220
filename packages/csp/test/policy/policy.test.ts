import {
  type Directive,
  directiveGrammars,
  getDirective,
  keywords,
  type Policy,
  parseMetaPolicy,
  parsePolicy,
  parsePolicyList,
  parseResponsePolicies,
  sandboxKeywords,
  serializePolicy,
  serializePolicyList,
} from "@conclave/csp";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";

/** Names and values alone. */
const outline = (policy: Policy) =>
  policy.directiveSet.map(({ name, value }) => [name, ...value.map((token) => token.text)]);

/** The directives without their places. */
const withoutPlaces = (directives: readonly Directive[]) =>
  JSON.parse(JSON.stringify(directives), (key, value) =>
    key === "offset" || key === "length" ? undefined : value,
  );

describe("#parse-serialized-policy", () => {
  test("splits on semicolons and ASCII white space, and skips what is empty", () => {
    const policy = parsePolicy(" ;; default-src\t'self'\n\f\r https: ; ;sandbox;");
    expect(outline(policy)).toEqual([["default-src", "'self'", "https:"], ["sandbox"]]);
    expect(policy.text).toBe(";; default-src\t'self'\n\f\r https: ; ;sandbox;");
  });

  test("a vertical tab and a no-break space are not ASCII white space", () => {
    expect(outline(parsePolicy("img-src\va.test"))).toEqual([["img-src\va.test"]]);
    expect(outline(parsePolicy("img-src\u00a0a.test"))).toEqual([]);
  });

  test("an empty text gives a policy without directives", () => {
    for (const text of ["", " ", ";", " ; ; "]) {
      expect(parsePolicy(text).directiveSet).toEqual([]);
      expect(parsePolicy(text).ignored).toEqual([]);
    }
  });

  test("a directive that is not ASCII is dropped, alone", () => {
    const policy = parsePolicy("img-src a.test ‘self’; script-src 'self'");
    expect(outline(policy)).toEqual([["script-src", "'self'"]]);
    expect(policy.ignored).toEqual([
      { reason: "not-ascii", text: "img-src a.test ‘self’", offset: 0, length: 21 },
    ]);
  });

  test("names have no case, values keep theirs", () => {
    expect(outline(parsePolicy("ScRiPt-sRc A.test"))).toEqual([["script-src", "A.test"]]);
  });

  test("of several directives of one name the first counts, also when it is unknown", () => {
    const policy = parsePolicy("img-src a.test; x 1; IMG-SRC b.test; x 2");
    expect(outline(policy)).toEqual([
      ["img-src", "a.test"],
      ["x", "1"],
    ]);
    expect(policy.ignored).toEqual([
      { reason: "duplicate", text: "IMG-SRC b.test", offset: 21, length: 14 },
      { reason: "duplicate", text: "x 2", offset: 37, length: 3 },
    ]);
  });

  test("a directive dropped as not ASCII does not hide the next of its name", () => {
    expect(outline(parsePolicy("img-src ü.test; img-src b.test"))).toEqual([["img-src", "b.test"]]);
  });

  test("source and disposition are what the caller says", () => {
    expect(parsePolicy("sandbox")).toMatchObject({ source: "header", disposition: "enforce" });
    expect(parsePolicy("sandbox", "meta", "report")).toMatchObject({
      source: "meta",
      disposition: "report",
    });
  });

  test("a comma is a character like others: only header lists split at it", () => {
    expect(outline(parsePolicy("img-src a.test,b.test"))).toEqual([["img-src", "a.test,b.test"]]);
  });
});

describe("#parse-response-csp", () => {
  test("white space that is not ASCII's is the name of a directive", () => {
    const [policy] = parsePolicyList("\v, ");
    expect(policy?.directiveSet.map(({ name }) => name)).toEqual(["\v"]);
  });

  test("a header may have several policies; offsets count from its start", () => {
    const header = "default-src 'self' , , img-src a.test;";
    const policies = parsePolicyList(header, "report");
    expect(policies.map(outline)).toEqual([[["default-src", "'self'"]], [["img-src", "a.test"]]]);
    expect(policies.map(({ text }) => text)).toEqual(["default-src 'self'", "img-src a.test;"]);
    expect(policies.map(({ disposition }) => disposition)).toEqual(["report", "report"]);
    expect(policies[1]?.directiveSet[0]).toMatchObject({ offset: 23, length: 14 });
  });

  test("enforced policies come first, then those that only report", () => {
    const headers = new Headers();
    headers.append("Content-Security-Policy-Report-Only", "img-src a.test");
    headers.append("Content-Security-Policy", "img-src b.test");
    headers.append("Content-Security-Policy", "img-src c.test, img-src d.test");
    const list = parseResponsePolicies({ headers, url: "https://example.com:8443/page?q" });
    expect(list.policies.map((policy) => [policy.disposition, ...outline(policy).flat()])).toEqual([
      ["enforce", "img-src", "b.test"],
      ["enforce", "img-src", "c.test"],
      ["enforce", "img-src", "d.test"],
      ["report", "img-src", "a.test"],
    ]);
    expect(list.selfOrigin).toBe("https://example.com:8443");
  });

  test("a Response without policies or URL", () => {
    expect(parseResponsePolicies(new Response())).toEqual({ policies: [], selfOrigin: "null" });
  });
});

describe("#meta-element", () => {
  test("three directives are removed, and named", () => {
    const policy = parseMetaPolicy("img-src a.test; frame-ancestors b.test; sandbox; report-uri /");
    expect(outline(policy)).toEqual([["img-src", "a.test"]]);
    expect(policy).toMatchObject({ source: "meta", disposition: "enforce" });
    expect(policy.ignored).toEqual([
      { reason: "not-in-meta", text: "frame-ancestors b.test", offset: 16, length: 22 },
      { reason: "not-in-meta", text: "sandbox", offset: 40, length: 7 },
      { reason: "not-in-meta", text: "report-uri /", offset: 49, length: 12 },
    ]);
  });

  test("the others stay", () => {
    expect(outline(parseMetaPolicy("report-to a; base-uri 'none'"))).toHaveLength(2);
  });
});

describe("getDirective", () => {
  test("finds a directive by name, with its own type", () => {
    const policy = parsePolicy("SANDBOX allow-forms; x y");
    expect(getDirective(policy, "sandbox")?.value[0]).toMatchObject({ keyword: "allow-forms" });
    expect(getDirective(policy, "img-src")).toBeUndefined();
    expectTypeOf(getDirective(policy, "webrtc")?.name).toEqualTypeOf<"webrtc" | undefined>();
  });
});

describe("serializePolicy", () => {
  test("gives the normal form", () => {
    const policy = parsePolicy(";IMG-SRC  a.test\tB.test ;; sandbox; img-src c.test");
    expect(serializePolicy(policy)).toBe("img-src a.test B.test; sandbox");
  });

  test("several policies make one header", () => {
    const header = "img-src a.test; sandbox, default-src 'none'";
    expect(serializePolicyList(parsePolicyList(header))).toBe(header);
  });
});

/** Text that is nearly a header: right words in wrong places. */
const fragments = [
  ...Object.keys(directiveGrammars),
  ...keywords,
  ...sandboxKeywords,
  ..."; , : / . * ' - = % ü".split(" "),
  ..." |\t|\n|\f|\r|\v|\0|\u00a0".split("|"),
  "://",
  "'none'",
  "https:",
  "*.a.test:*/x",
  "'nonce-",
  "'sha256-a'",
  "__proto__",
];
const almostHeader = fc
  .array(fc.constantFrom(...fragments), { maxLength: 30 })
  .map((words) => words.join(""));
const spaced = fc
  .array(fc.tuple(fc.constantFrom(...fragments), fc.constantFrom("", " ", "; ", ", ")), {
    maxLength: 30,
  })
  .map((pairs) => pairs.flat().join(""));
const hostile = fc.oneof(fc.string({ unit: "binary", maxLength: 200 }), almostHeader, spaced);

describe("any text", () => {
  test("gives what the steps of #parse-serialized-policy give", () => {
    const expected = (serialized: string) => {
      const set = new Map<string, string[]>();
      for (const part of serialized.split(";")) {
        const words = part.split(/[\t\n\f\r ]+/).filter((word) => word !== "");
        const name = words[0]?.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
        const ascii = new TextEncoder().encode(part).length === part.length;
        if (name !== undefined && ascii && !set.has(name)) set.set(name, words.slice(1));
      }
      return [...set].map(([name, value]) => [name, ...value]);
    };
    fc.assert(
      fc.property(hostile, (text) => {
        expect(outline(parsePolicy(text))).toEqual(expected(text));
      }),
      { numRuns: 1000 },
    );
  });

  test("every part stands where it says", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const at = (span: { offset: number; length: number }) =>
          text.slice(span.offset, span.offset + span.length);
        for (const policy of parsePolicyList(text)) {
          for (const directive of policy.directiveSet) {
            expect(at(directive).toLowerCase().startsWith(directive.name)).toBe(true);
            for (const token of directive.value) expect(at(token)).toBe(token.text);
          }
          for (const ignored of policy.ignored) expect(at(ignored)).toBe(ignored.text);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("serialised and parsed again is the same policy", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const policies = parsePolicyList(text);
        const header = serializePolicyList(policies);
        const again = parsePolicyList(header);
        expect(again.map((policy) => withoutPlaces(policy.directiveSet))).toEqual(
          policies.map((policy) => withoutPlaces(policy.directiveSet)),
        );
        expect(serializePolicyList(again)).toBe(header);
      }),
      { numRuns: 1000 },
    );
  });

  // A quadratic step would take hours on these, a backtracking pattern for ever.
  const many = 1_000_000;
  test.each([
    ["separators", ";".repeat(many / 4)],
    ["policies", "a,".repeat(many / 10)],
    ["duplicates", "a b;".repeat(many / 10)],
    ["names", Array.from({ length: many / 10 }, (_, i) => `a${i}`).join(";")],
    ["white space before a character", `img-src ${" \t".repeat(many)}\v`],
    ["tokens", `img-src ${"a.test ".repeat(many / 10)}`],
    ["quotes", `img-src ${"' ".repeat(many / 4)}`],
    ["one scheme", `img-src ${"a+".repeat(many)}`],
    ["one host", `img-src ${"a.".repeat(many)}_`],
    ["one host of dots", `img-src *${".".repeat(many)}`],
    ["one path", `img-src a/${"%41/".repeat(many)}%`],
    ["one port", `img-src a:${"1".repeat(many)}`],
    ["colons", `img-src ${":".repeat(many)}`],
    ["one nonce", `img-src 'nonce-${"A=".repeat(many)}'`],
    ["one hash", `img-src 'sha256-${"-".repeat(many)}!`],
    ["one policy name", `trusted-types ${"%".repeat(many)}:`],
    ["one URI", `report-uri ${"%41".repeat(many)}%`],
    ["one endpoint", `report-to ${"a".repeat(many)}(`],
    ["not ASCII at the end", `img-src ${"a ".repeat(many)}ü`],
  ])("is read in linear time: %s", (_, text) => {
    const policies = parsePolicyList(text);
    expect(policies.every((policy) => policy.directiveSet.length > 0)).toBe(true);
  });
});
