import { CspError, parseReports, type Report } from "@conclave/csp";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const oldType = "application/csp-report";
const newType = "application/reports+json";

const page = "https://example.com/page";
const policy = "script-src 'self'; report-to main";

/** What one violation says, in either format. */
const body = {
  documentURL: page,
  referrer: "https://example.com/",
  blockedURL: "inline",
  effectiveDirective: "script-src-elem",
  originalPolicy: policy,
  sourceFile: page,
  sample: "alert(1)",
  disposition: "enforce",
  statusCode: 200,
  lineNumber: 3,
  columnNumber: 7,
} as const;

const parseOld = (report: unknown) =>
  parseReports(oldType, JSON.stringify({ "csp-report": report }));
const parseNew = (reports: unknown) => parseReports(newType, JSON.stringify(reports));
const violation = (fields: object) => ({ type: "csp-violation", url: page, body: fields });

function refusal(parse: () => unknown): string {
  try {
    parse();
    return "accepted";
  } catch (error) {
    if (error instanceof CspError) return error.code;
    throw error;
  }
}

describe("#deprecated-serialize-violation", () => {
  const complete = {
    "document-uri": page,
    referrer: "https://example.com/",
    "blocked-uri": "inline",
    "effective-directive": "script-src-elem",
    "violated-directive": "script-src-elem",
    "original-policy": policy,
    disposition: "enforce",
    "status-code": 200,
    "script-sample": "alert(1)",
    "source-file": page,
    "line-number": 3,
    "column-number": 7,
  };

  test("is read under the names of the new format", () => {
    expect(parseOld(complete)).toEqual([
      { type: "csp-violation", url: page, age: 0, userAgent: "", body },
    ]);
  });

  test("with a character set in the media type", () => {
    const text = JSON.stringify({ "csp-report": complete });
    expect(parseReports("Application/CSP-Report; charset=utf-8", text)).toHaveLength(1);
  });

  test("Level 1 had violated-directive alone, value and all", () => {
    expect(parseOld({ "violated-directive": "Script-Src 'self'" })[0]?.body).toEqual({
      documentURL: "",
      referrer: "",
      blockedURL: "",
      effectiveDirective: "script-src",
      originalPolicy: "",
      sourceFile: null,
      sample: "",
      disposition: "enforce",
      statusCode: 0,
      lineNumber: null,
      columnNumber: null,
    });
  });

  test("Firefox once sent it as application/json", () => {
    const text = JSON.stringify({ "csp-report": { "violated-directive": "img-src" } });
    expect(parseReports("application/json", text)).toHaveLength(1);
  });
});

describe("#reporting", () => {
  test("csp-violation", () => {
    const report = { ...violation(body), age: 12, user_agent: "Browser/1" };
    expect(parseNew([report])).toEqual([
      { type: "csp-violation", url: page, age: 12, userAgent: "Browser/1", body },
    ]);
  });

  test("csp-hash, in the specification's names and in Chromium's", () => {
    const facts = { hash: "sha256-abc=", type: "subresource", destination: "script" };
    const subresource = "https://example.com/main.js";
    const expected = { documentURL: page, subresourceURL: subresource, ...facts };
    const specified = { document_url: page, subresource_url: subresource, ...facts };
    const reports = parseNew([
      { type: "csp-hash", body: specified },
      { type: "csp-hash", body: expected },
    ]);
    expect(reports.map((report) => report.body)).toEqual([expected, expected]);
  });

  test("integrity-violation", () => {
    const facts = { documentURL: page, blockedURL: page, destination: "script", reportOnly: true };
    expect(parseNew([{ type: "integrity-violation", url: page, age: 0, body: facts }])).toEqual([
      { type: "integrity-violation", url: page, age: 0, userAgent: "", body: facts },
    ]);
  });

  test("Safari sends one report without an array, under the old media type", () => {
    const { lineNumber: _, columnNumber: __, ...rest } = body;
    const [report] = parseReports(oldType, JSON.stringify(violation(rest)));
    expect(report?.body).toEqual({ ...body, lineNumber: null, columnNumber: null });
  });

  test("null is the same as absent", () => {
    const [report] = parseNew([violation({ ...body, sourceFile: null, lineNumber: null })]);
    expect(report?.body).toMatchObject({ sourceFile: null, lineNumber: null, columnNumber: 7 });
  });

  test("reports of other types are left out", () => {
    expect(parseNew([{ type: "deprecation", body: {} }, violation(body)])).toHaveLength(1);
    expect(parseNew([])).toEqual([]);
  });

  test("members of Object.prototype are not read", () => {
    const text = '[{"type":"csp-violation","body":{"__proto__":{"effectiveDirective":"img-src"}}}]';
    expect(refusal(() => parseReports(newType, text))).toBe("report-shape");
  });
});

describe("nonsense is refused", () => {
  test.each([
    ["report-media-type", "text/plain", "[]"],
    ["report-media-type", "", "[]"],
    ["report-media-type", "application/reports+jsonx", "[]"],
    ["report-syntax", newType, ""],
    ["report-syntax", newType, "[{]"],
    ["report-shape", newType, "null"],
    ["report-shape", newType, "7"],
    ["report-shape", newType, "[[]]"],
    ["report-shape", newType, "{}"],
    ["report-shape", newType, '[{"type":7}]'],
    ["report-shape", newType, '[{"type":"csp-violation"}]'],
    ["report-shape", newType, '[{"type":"csp-hash","body":[]}]'],
    ["report-shape", oldType, '{"csp-report":"x"}'],
    ["report-shape", oldType, '{"csp-report":{}}'],
  ])("%s: %s %s", (code, type, text) => expect(refusal(() => parseReports(type, text))).toBe(code));

  test.each([
    { effectiveDirective: "" },
    { effectiveDirective: 1 },
    { documentURL: {} },
    { sample: ["x"] },
    { disposition: "perhaps" },
    { statusCode: "200" },
    { lineNumber: -1 },
    { lineNumber: 1.5 },
    { columnNumber: 1e300 },
  ])("report-shape: %o", (wrong) => {
    expect(refusal(() => parseNew([violation({ ...body, ...wrong })]))).toBe("report-shape");
  });

  test("a report that is no boolean where one belongs", () => {
    const report = { type: "integrity-violation", body: { reportOnly: "yes" } };
    expect(refusal(() => parseNew([report]))).toBe("report-shape");
  });

  test("the message has nothing of the content", () => {
    expect(() => parseReports(newType, '[{"type": s3cret}]')).toThrow(/^(?!.*s3cret)/);
    expect(() => parseNew([violation({ ...body, disposition: "s3cret" })])).toThrow(
      /^(?!.*s3cret)/,
    );
  });
});

describe("what a stranger can make us hold is bounded", () => {
  test("body", () => {
    const text = JSON.stringify([violation(body)]);
    const parse = (size: number) => () => parseReports(newType, text, { body: size });
    expect(refusal(parse(text.length))).toBe("accepted");
    expect(refusal(parse(text.length - 1))).toBe("report-too-large");
    expect(refusal(() => parseReports(newType, " ".repeat(262_145)))).toBe("report-too-large");
  });

  test("reports", () => {
    const text = JSON.stringify([violation(body), violation(body)]);
    const parse = (reports: number) => () => parseReports(newType, text, { reports });
    expect(refusal(parse(2))).toBe("accepted");
    expect(refusal(parse(1))).toBe("report-too-large");
  });

  test("strings are cut", () => {
    const text = JSON.stringify([violation({ ...body, sample: "x".repeat(41) })]);
    const [report] = parseReports(newType, text, { string: 40 });
    expect(report?.body).toMatchObject({ sample: "x".repeat(40) });
  });

  test("nesting", () => {
    const text = `[{"type":"x","body":${"[".repeat(100_000)}${"]".repeat(100_000)}}]`;
    expect(parseReports(newType, text)).toEqual([]);
  });
});

test("whatever a stranger sends ends in reports or in CspError", () => {
  const names = ["type", "csp-report", "body", "effectiveDirective", "age", "__proto__", "url"];
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom("csp-violation", "csp-hash", "integrity-violation", "img-src", 1, -1, null),
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...names), tie("value"), { maxKeys: 5 }),
    ),
  }));
  const text = fc.oneof(
    value.map((json) => JSON.stringify(json) ?? ""),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.constantFrom(oldType, newType), text, (type, body) => {
      let reports: Report[] = [];
      const code = refusal(() => (reports = parseReports(type, body)));
      expect(code).toMatch(/^(accepted|report-(shape|syntax))$/);
      for (const report of reports) expect(typeof report.url).toBe("string");
    }),
    { numRuns: 1000 },
  );
});
