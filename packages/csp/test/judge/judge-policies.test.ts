import { parseMetaPolicy, parsePolicy, parsePolicyList } from "@conclave/csp";
import { findAllowedBy } from "@conclave/csp/compare";
import {
  type Finding,
  type FindingType,
  type JudgeContext,
  judgePolicies,
  summarize,
} from "@conclave/csp/judge";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cases } from "./cases.ts";

const strict = [
  "default-src 'none'",
  "script-src 'nonce-mN9fGz0b5KqvT3Xw7Jr1Lg' 'strict-dynamic'",
  "style-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
  "webrtc 'block'",
  "report-uri /reports",
].join("; ");

function judge(header: string, context?: JudgeContext): Finding[] {
  return judgePolicies(parsePolicyList(header), context);
}

function only(findings: readonly Finding[], type: FindingType): Finding {
  const found = findings.filter((finding) => finding.type === type);
  expect(found).toHaveLength(1);
  return found[0] as Finding;
}

describe("several policies", () => {
  test("a weakness that an enforced policy closes is none of the page", () => {
    const finding = only(
      judge("script-src 'unsafe-inline', script-src 'self'"),
      "script-unsafe-inline",
    );
    expect(finding.policy).toBe(0);
    expect(finding.standing).toEqual({ type: "closed", by: 1 });
    expect(finding.severity).toBe("info");
  });

  test("a weakness that all of them have stays one", () => {
    const found = judge("script-src 'unsafe-inline', default-src 'unsafe-inline'").filter(
      ({ type }) => type === "script-unsafe-inline",
    );
    expect(found.map(({ policy, severity }) => [policy, severity])).toEqual([
      [0, "high"],
      [1, "high"],
    ]);
  });

  test("what a report-only policy would block is not closed", () => {
    const policies = [
      parsePolicy("script-src 'unsafe-inline'"),
      parsePolicy("script-src 'self'; report-uri /r", "header", "report"),
    ];
    const finding = only(judgePolicies(policies), "script-unsafe-inline");
    expect(finding.standing).toEqual({ type: "open" });
  });

  test("findings of a report-only policy are marked, and do not count", () => {
    const policies = [
      parsePolicy(strict),
      parsePolicy("script-src 'unsafe-inline'; report-uri /r", "header", "report"),
    ];
    const findings = judgePolicies(policies);
    const finding = only(findings, "script-unsafe-inline");
    expect(finding).toMatchObject({ policy: 1, standing: { type: "report-only" } });
    expect(summarize(findings).grade).toBe("strict");
  });

  test.each([
    ["script-src 'self'", "default-src 'self'", "missing-style-src"],
    ["object-src 'none'", "script-src 'none'", "missing-script-src"],
    ["default-src 'none'", "form-action 'none'", "missing-form-action"],
    ["default-src 'none'", "frame-ancestors 'none'", "missing-frame-ancestors"],
    ["script-src 'nonce-mN9fGz0b5KqvT3Xw7Jr1Lg'", "base-uri 'none'", "missing-base-uri"],
    ["script-src 'self'", "default-src 'none'", "missing-default-src"],
    ["default-src 'none'", "require-trusted-types-for 'script'", "trusted-types-missing"],
    ["default-src 'none'", "webrtc 'block'", "webrtc-open"],
    ["script-src 'self'", "script-src 'none'", "script-self"],
    ["script-src cdn.mysite.com", "script-src 'self'", "script-host"],
    ["script-src 'self' 'unsafe-eval'", "script-src 'self'", "script-unsafe-eval"],
    ["script-src unpkg.com", "script-src 'self'", "script-host-uploads"],
    ["form-action *", "form-action 'self'", "form-action-open"],
    ["frame-ancestors *", "frame-ancestors 'self'", "frame-ancestors-open"],
    ["style-src 'unsafe-inline'", "style-src 'self'", "style-unsafe-inline"],
  ] as const)("%s beside %s: %s is closed", (weak, closing, type) => {
    const alone = judge(weak).find((finding) => finding.type === type);
    expect(alone?.standing).toEqual({ type: "open" });
    const beside = judge(`${weak}, ${closing}`).find((finding) => finding.type === type);
    expect(beside?.standing).toEqual({ type: "closed", by: 1 });
  });

  test("what all policies lack is said once", () => {
    const findings = judge("img-src 'self', font-src 'self'");
    expect(only(findings, "missing-script-src").policy).toBe(0);
    expect(only(findings, "missing-form-action").policy).toBe(0);
  });
});

describe("places", () => {
  test("spans count from the start of the header", () => {
    const header = "default-src 'self', script-src 'self' https: ; img-src http://a.mysite.com";
    const at = (type: FindingType) => {
      const { offset, length } = only(judge(header), type).span;
      return header.slice(offset, offset + length);
    };
    expect(at("script-scheme")).toBe("https:");
    expect(at("source-http")).toBe("http://a.mysite.com");
    expect(at("script-allowlist")).toBe("script-src 'self' https:");
  });

  test("a span holds nothing but its two numbers", () => {
    for (const { span } of judge("script-src * 'unsafe-inline'; foo bar")) {
      expect(Object.keys(span)).toEqual(["offset", "length"]);
    }
  });

  test("what is dropped has a place, too", () => {
    const header = "script-src 'self'; script-src 'none'; img-src ‘self’";
    const at = (type: FindingType) => {
      const { offset, length } = only(judge(header), type).span;
      return header.slice(offset, offset + length);
    };
    expect(at("duplicate-directive")).toBe("script-src 'none'");
    expect(at("not-ascii")).toBe("img-src ‘self’");
  });
});

describe("mended policies", () => {
  const texts = Object.values(cases).flatMap(({ bad, good, more }) => [
    bad,
    good,
    ...(more ?? []).flat(),
  ]);

  test("have what was found no more", () => {
    let count = 0;
    for (const text of texts) {
      for (const { type, message, severity, directive, mended } of judgePolicies([
        parsePolicy(text),
      ])) {
        if (mended === undefined) continue;
        count++;
        const again = judgePolicies([parsePolicy(mended)]);
        expect(again).not.toContainEqual(
          expect.objectContaining({ type, message, severity, directive }),
        );
      }
    }
    expect(count).toBeGreaterThan(2000);
  });

  test("open nothing, but where the mended name has its own bypass", () => {
    for (const text of texts) {
      const before = judgePolicies([parsePolicy(text)]);
      const severe = new Set(
        before.filter(({ severity }) => severity === "high").map(({ type }) => type),
      );
      for (const { type, mended } of before) {
        if (mended === undefined || type === "source-typo") continue;
        const after = judgePolicies([parsePolicy(mended)]).filter(
          ({ severity }) => severity === "high",
        );
        const opened = after.map((finding) => finding.type).filter((found) => !severe.has(found));
        // A nonce that has got its quotes asks for a base-uri, which it did not before.
        expect(
          opened.filter((found) => found !== "missing-base-uri"),
          `${text} to ${mended}`,
        ).toEqual([]);
      }
    }
  });

  // These give what was written the meaning that it had not.
  const mending: ReadonlySet<FindingType> = new Set([
    "form-action-open",
    "frame-ancestors-open",
    "invalid-keyword",
    "nonce-predictable",
    "nonce-short",
    "protocol-relative-source",
    "source-query",
    "source-typo",
    "unquoted-keyword",
  ] satisfies FindingType[]);

  test("allow nothing that the policy did not, by the comparison of policies", () => {
    for (const { bad } of Object.values(cases)) {
      const policy = parsePolicy(bad);
      for (const { type, mended } of judgePolicies([policy])) {
        if (mended === undefined || mending.has(type)) continue;
        const more = findAllowedBy(parsePolicy(mended), policy);
        expect(more?.text, `${bad} to ${mended}`).toBeUndefined();
      }
    }
  });

  test("leave everything else as it is", () => {
    const header = "default-src 'unsafe-inline' 'self'; IMG-SRC *; report-uri /r";
    const { mended } = only(judge(header), "script-unsafe-inline");
    expect(mended).toBe(
      "default-src 'unsafe-inline' 'self'; img-src *; report-uri /r; script-src 'self'",
    );
  });

  test("delete all that lets the attack in, not only what was found", () => {
    const { mended } = only(
      judge("script-src https://unpkg.com https: 'self'"),
      "script-host-uploads",
    );
    expect(mended).toBe("script-src 'self'");
  });

  test("are not written for policies without measure", () => {
    const header = `script-src 'unsafe-inline' ${"a.mysite.com ".repeat(2000)}`;
    expect(only(judge(header), "script-unsafe-inline").mended).toBeUndefined();
  });
});

describe("context", () => {
  test("a nonce of another response is found in any directive", () => {
    const samples = [parsePolicyList("style-src 'nonce-mN9fGz0b5KqvT3Xw7Jr1Lg'")];
    expect(only(judge(strict, { samples }), "nonce-repeated").severity).toBe("high");
    const others = [parsePolicyList("script-src 'nonce-9pQeX2v0aUeQvM4nY6sKzA'")];
    expect(judge(strict, { samples: others }).map(({ type }) => type)).not.toContain(
      "nonce-repeated",
    );
  });

  test("a nonce for styles alone is less severe", () => {
    const finding = only(judge("script-src 'none'; style-src 'nonce-test'"), "nonce-predictable");
    expect(finding.severity).toBe("medium");
    expect(finding.payload).toBeUndefined();
  });

  test("X-Frame-Options stands in for frame-ancestors", () => {
    const types = (xFrameOptions: string) =>
      judge("default-src 'none'", { xFrameOptions }).map(({ type }) => type);
    expect(types(" deny")).not.toContain("missing-frame-ancestors");
    expect(types("ALLOW-FROM https://a.example")).toContain("missing-frame-ancestors");
  });

  test("the page's origin decides what a source without a scheme matches", () => {
    const types = (pageOrigin: string) =>
      judge("script-src unpkg.com", { pageOrigin }).map(({ type }) => type);
    expect(types("https://page.example")).toContain("script-host-uploads");
    expect(types("null")).not.toContain("script-host-uploads");
  });

  test("a CspList brings its own origin", () => {
    const list = { policies: parsePolicyList("script-src unpkg.com"), selfOrigin: "null" };
    expect(judgePolicies(list).map(({ type }) => type)).not.toContain("script-host-uploads");
  });

  test("a gadget counts where the policy meets its need", () => {
    const scripts = ["https://cdn.example.com/knockout-3.5.1.min.js"];
    const types = (policy: string) => judge(policy, { scripts }).map(({ type }) => type);
    expect(types("script-src 'self' 'unsafe-eval'")).toContain("script-gadget");
    expect(types("script-src 'self'")).not.toContain("script-gadget");
  });

  test("what is not tried out is of medium severity", () => {
    const scripts = ["https://cdn.example.com/jquery-3.1.1.min.js"];
    const finding = only(judge(strict, { scripts }), "script-gadget");
    expect(finding.severity).toBe("medium");
    expect(finding.payload).toBeUndefined();
  });

  test("a meta element's policy is not asked for frame-ancestors", () => {
    const finding = only(
      judgePolicies([parseMetaPolicy("default-src 'none'")]),
      "missing-frame-ancestors",
    );
    expect(finding.mended).toBeUndefined();
  });
});

describe("summary", () => {
  test.each([
    ["", "none"],
    ["script-src *", "bypassable"],
    ["default-src 'none'", "weak"],
    [strict.replace("'strict-dynamic'", "'self'"), "fair"],
    [strict, "strict"],
  ])("%s is %s", (header, grade) => {
    expect(summarize(judge(header)).grade).toBe(grade);
  });

  test("counts what is open", () => {
    expect(summarize(judge(strict)).counts).toEqual({ high: 0, medium: 0, low: 0, info: 0 });
    expect(summarize(judge("script-src *, script-src 'none'")).counts.high).toBe(0);
  });

  test("no policy at all is a finding without a policy", () => {
    expect(judgePolicies([])).toMatchObject([{ type: "no-enforced-policy", policy: -1 }]);
  });
});

describe("more policies than are judged", () => {
  const closed = "script-src 'none'; object-src 'none'";
  const open = "script-src 'unsafe-inline'";

  test("the first 64 are, and the finding names the next", () => {
    const findings = judge(`${`${open}, `.repeat(64)}img-src *, ${closed}`);
    expect(only(findings, "too-many-policies")).toMatchObject({
      policy: 64,
      span: { offset: 64 * (open.length + 2), length: "img-src *".length },
      message: "Of 66 policies 64 are judged, the enforced ones first.",
    });
    expect(findings.every(({ policy }) => policy <= 64)).toBe(true);
    const inline = findings.filter(({ type }) => type === "script-unsafe-inline");
    expect(inline.map(({ standing }) => standing.type)).not.toContain("closed");
  });

  test("those that only report come after those that are enforced", () => {
    const reported = parsePolicyList(`${open}, `.repeat(80), "report");
    const enforced = parsePolicyList(open);
    const findings = judgePolicies([...reported, ...enforced]);
    expect(only(findings, "too-many-policies").policy).toBe(63);
    expect(findings.filter(({ policy }) => policy === 80)).not.toEqual([]);
    expect(summarize(findings).grade).toBe("bypassable");
  });
});

describe("hostile policies", () => {
  const words = fc.constantFrom(
    ..."'self' 'none' * https: data: x-a: ftp: wss: *.com *.google.com unpkg.com https://a.example:99999/x ? # // 'nonce- 'sha256-' [::1] é ,".split(
      " ",
    ),
    ..."script-src default-src base-uri object-src worker-src frame-src form-action sandbox report-to webrtc trusted-types ;".split(
      " ",
    ),
  );
  const text = fc.array(fc.oneof({ weight: 4, arbitrary: words }, fc.string()), { maxLength: 20 });

  test("nothing throws, and every place is in the text", () => {
    fc.assert(
      fc.property(
        text,
        fc.constantFrom("https://page.example", "http://page.example", "null"),
        (parts, pageOrigin) => {
          const header = parts.join(" ");
          for (const policies of [
            parsePolicyList(header),
            [parseMetaPolicy(header)],
            [parsePolicy(header)],
          ]) {
            const findings = judgePolicies(policies, { pageOrigin, oldBrowsers: true });
            for (const { span, mended } of findings) {
              expect(span.offset).toBeGreaterThanOrEqual(0);
              expect(span.offset + span.length).toBeLessThanOrEqual(header.length);
              if (mended !== undefined) parsePolicy(mended);
            }
            expect(structuredClone(findings)).toEqual(findings);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test.each([
    [
      "sources",
      `script-src ${Array.from({ length: 5_000 }, (_, i) => `*.a${i}.example`).join(" ")}`,
    ],
    ["one source", `script-src ${"*.google.com ".repeat(5_000)}`],
    ["colons", `${":".repeat(100_000)}x 'self'`],
    ["dots", `script-src ${".".repeat(100_000)}a`],
    ["quotes", `script-src ${"'".repeat(100_000)}`],
    ["a nonce", `script-src 'nonce-${"A".repeat(100_000)}'`],
    ["a nonce of equals", `script-src 'nonce-A${"=".repeat(100_000)}x'`],
    ["directives", Array.from({ length: 5_000 }, (_, i) => `a${i} b`).join(";")],
    ["ports", `script-src a.example:${"9".repeat(100_000)}`],
    ["a path", `script-src https://unpkg.com/${"a/".repeat(50_000)} https://t.co`],
    ["redirects", `script-src ${"https://t.co https://unpkg.com/a/ ".repeat(2_000)}`],
    ["nonces", `script-src ${Array.from({ length: 40_000 }, (_, i) => `'nonce-${i}'`).join(" ")}`],
    ["question marks", `script-src https://a.example/${"?".repeat(100_000)}`],
  ])("%s without end: at most 100 findings of a type", (_, header) => {
    const counts = Map.groupBy(judge(header), ({ type }) => type);
    for (const [, found] of counts) expect(found.length).toBeLessThanOrEqual(100);
  });

  test("policies without end", () => {
    const findings = judge("a,".repeat(200_000));
    expect(only(findings, "too-many-policies").policy).toBe(64);
  });
});
