/** The old headers, and what each old browser made of them. */
import { parseLegacyHeaders, serializePolicyList } from "@conclave/csp";
import { describe, expect, test } from "vitest";

function read(headers: Record<string, string>) {
  return parseLegacyHeaders({ headers: new Headers(headers) }).map(
    ({ browser, policies, notes }) => ({
      browser,
      policies: serializePolicyList(policies),
      notes: notes.map(({ reason, token }) => `${reason} ${token.text}`),
    }),
  );
}

describe("X-Content-Security-Policy", () => {
  const mozilla = (value: string) => read({ "X-Content-Security-Policy": value })[0];

  test("Firefox's dialect in today's words", () => {
    expect(
      mozilla(
        "allow 'self'; options inline-script eval-script nonsense; xhr-src a.example; img-src *",
      ),
    ).toEqual({
      browser: "Firefox 4–22",
      policies:
        "default-src 'self'; connect-src a.example; img-src *; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'",
      notes: ["unknown nonsense"],
    });
  });

  test("names without quotes", () => {
    expect(mozilla("allow none; img-src self")?.policies).toContain(
      "default-src 'none'; img-src 'self'",
    );
  });

  test("without allow everything is blocked", () => {
    expect(mozilla("script-src 'self'")).toMatchObject({
      policies: "default-src 'none'",
      notes: ["no-default script-src"],
    });
    expect(mozilla("default-src 'self'; form-action x")).toMatchObject({
      policies: "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'",
      notes: ["unknown form-action"],
    });
  });

  test("a policy elsewhere, alone and beside others", () => {
    expect(mozilla("policy-uri /policy")).toMatchObject({
      policies: "",
      notes: ["policy-uri policy-uri"],
    });
    expect(mozilla("policy-uri /policy; allow 'self'")).toMatchObject({
      policies: "default-src 'none'",
    });
  });

  test("Internet Explorer took it for the sandbox alone", () => {
    const [, explorer] = read({
      "X-Content-Security-Policy": "default-src 'self'; sandbox allow-forms",
    });
    expect(explorer).toEqual({
      browser: "Internet Explorer 10–11",
      policies: "sandbox allow-forms",
      notes: ["only-sandbox default-src"],
    });
  });

  test("tokens have the spans of what they stand for", () => {
    const value = "allow self; options inline-script";
    const [view] = parseLegacyHeaders({
      headers: new Headers({ "X-Content-Security-Policy": value }),
    });
    const script = view?.policies[0]?.directiveSet.find(({ name }) => name === "script-src");
    const spans = script?.value.map(({ offset, length }) => value.slice(offset, offset + length));
    expect(spans).toEqual(["self", "inline-script"]);
  });
});

describe("X-WebKit-CSP", () => {
  test("was read at Level 1", () => {
    expect(read({ "X-WebKit-CSP": "script-src 'self' 'nonce-a'; base-uri 'none'" })).toEqual([
      {
        browser: "Chrome 14–24, Safari 5.1–6",
        policies: "script-src 'self' 'nonce-a'",
        notes: ["unknown 'nonce-a'", "unknown base-uri 'none'"],
      },
    ]);
  });

  test("report-only", () => {
    const headers = new Headers({ "X-WebKit-CSP-Report-Only": "script-src 'self'" });
    const [view] = parseLegacyHeaders({ headers });
    expect(view?.policies[0]?.disposition).toBe("report");
  });
});

test("today's header is none of theirs", () => {
  expect(read({ "Content-Security-Policy": "default-src 'self'" })).toEqual([]);
});
