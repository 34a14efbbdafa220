import {
  CspError,
  deniedFeatures,
  type SecurityHeadersOptions,
  securityHeaders,
} from "@conclave/csp";
import { describe, expect, test } from "vitest";

const headers = (options: SecurityHeadersOptions, nonce = "abc") =>
  Object.fromEntries(securityHeaders(options, nonce));

function refusal(options: SecurityHeadersOptions): string {
  try {
    securityHeaders(options, "abc");
    return "accepted";
  } catch (error) {
    if (error instanceof CspError) return error.code;
    throw error;
  }
}

describe("securityHeaders", () => {
  test("without options sets the neighbours alone", () => {
    expect(headers({})).toEqual({
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Resource-Policy": "same-origin",
      "Permissions-Policy": deniedFeatures.map((feature) => `${feature}=()`).join(", "),
    });
  });

  test("each neighbour can be changed", () => {
    expect(
      headers({
        contentTypeOptions: "nosniff",
        referrerPolicy: "same-origin",
        crossOriginOpenerPolicy: "same-origin-allow-popups",
        crossOriginResourcePolicy: "cross-origin",
        crossOriginEmbedderPolicy: "require-corp",
        permissionsPolicy: { camera: ["self", "https://a.test"], usb: ["*"], fullscreen: [] },
        strictTransportSecurity: { maxAge: 63_072_000, includeSubDomains: true, preload: true },
        frameOptions: "SAMEORIGIN",
      }),
    ).toEqual({
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "same-origin",
      "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
      "Cross-Origin-Resource-Policy": "cross-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
      "Permissions-Policy":
        "accelerometer=(), browsing-topics=(), " +
        'camera=(self "https://a.test"), display-capture=(), geolocation=(), gyroscope=(), hid=(), ' +
        "idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), " +
        "screen-wake-lock=(), serial=(), usb=*, window-management=(), xr-spatial-tracking=(), fullscreen=()",
      "Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload",
      "X-Frame-Options": "SAMEORIGIN",
    });
  });

  test("each neighbour can be left out", () => {
    expect(
      headers({
        contentTypeOptions: false,
        referrerPolicy: false,
        crossOriginOpenerPolicy: false,
        crossOriginResourcePolicy: false,
        crossOriginEmbedderPolicy: false,
        permissionsPolicy: false,
        strictTransportSecurity: false,
        policy: { "frame-ancestors": ["'none'"] },
        frameOptions: false,
      }),
    ).toEqual({ "Content-Security-Policy": "frame-ancestors 'none'" });
  });

  test("a policy can be a value or made from the nonce", () => {
    expect(
      headers({
        policy: (nonce) => ({ "script-src": [`'nonce-${nonce}'`] }),
        reportOnly: { "img-src": ["'none'"] },
      }),
    ).toMatchObject({
      "Content-Security-Policy": "script-src 'nonce-abc'",
      "Content-Security-Policy-Report-Only": "img-src 'none'",
    });
  });

  test("several policies stand in one header, each to be kept", () => {
    const set = headers({
      policy: (nonce) => [
        { "script-src": [`'nonce-${nonce}'`], "frame-ancestors": ["'self'"] },
        { "img-src": ["'none'"], "frame-ancestors": ["'none'"] },
      ],
      reportOnly: [{ "style-src": ["'self'"] }, { "font-src": ["'none'"] }],
    });
    expect(set["Content-Security-Policy"]).toBe(
      "script-src 'nonce-abc'; frame-ancestors 'self', img-src 'none'; frame-ancestors 'none'",
    );
    expect(set["Content-Security-Policy-Report-Only"]).toBe("style-src 'self', font-src 'none'");
    expect(set["X-Frame-Options"]).toBe("DENY");
  });

  test("an endpoint that any of them names has to be known", () => {
    const policy = [{ "img-src": ["*"] }, { "img-src": ["*"], "report-to": "main" }];
    expect(refusal({ policy })).toBe("unknown-endpoint");
    expect(refusal({ policy, reportingEndpoints: { main: "/" } })).toBe("accepted");
  });

  test("false leaves a policy out", () => {
    expect(Object.keys(headers({ policy: false, reportOnly: false }))).not.toContain(
      "Content-Security-Policy",
    );
  });

  test.each([
    ["'none'", "DENY"],
    ["'self'", "SAMEORIGIN"],
    ["https://a.test", undefined],
    ["'self' https://a.test", undefined],
  ])("X-Frame-Options follows frame-ancestors %s", (ancestors, expected) => {
    const set = headers({ policy: { "frame-ancestors": ancestors.split(" ") } });
    expect(set["X-Frame-Options"]).toBe(expected);
  });

  test("X-Frame-Options does not follow a policy that only reports", () => {
    const set = headers({ reportOnly: { "frame-ancestors": ["'none'"] } });
    expect(set["X-Frame-Options"]).toBeUndefined();
  });

  test("endpoints and integrity policies are structured fields", () => {
    expect(
      headers({
        policy: { "img-src": ["*"], "report-to": "main" },
        reportingEndpoints: { main: "/reports?a=b;c", "second.*_-1": 'https://a.test/"\\' },
        integrityPolicy: { blockedDestinations: ["script", "style"], endpoints: ["main"] },
        integrityPolicyReportOnly: { blockedDestinations: ["script"] },
      }),
    ).toMatchObject({
      "Reporting-Endpoints": 'main="/reports?a=b;c", second.*_-1="https://a.test/\\"\\\\"',
      "Integrity-Policy": "blocked-destinations=(script style), endpoints=(main)",
      "Integrity-Policy-Report-Only": "blocked-destinations=(script)",
    });
  });

  test.each<[string, SecurityHeadersOptions]>([
    ["unknown-endpoint", { policy: { "report-to": "main" } }],
    ["unknown-endpoint", { reportOnly: { "report-to": "b" }, reportingEndpoints: { a: "/a" } }],
    ["unknown-endpoint", { policy: { "report-to": "constructor" }, reportingEndpoints: {} }],
    [
      "unknown-endpoint",
      { integrityPolicy: { blockedDestinations: ["script"], endpoints: ["main"] } },
    ],
    [
      "unknown-endpoint",
      { integrityPolicyReportOnly: { blockedDestinations: ["script"], endpoints: ["main"] } },
    ],
    ["invalid-header", { reportingEndpoints: { Main: "/a" } }],
    ["invalid-header", { reportingEndpoints: { "a b": "/a" } }],
    ["invalid-header", { reportingEndpoints: { a: "/a\r\nX: y" } }],
    ["invalid-header", { reportingEndpoints: { a: "/ü" } }],
    ["invalid-header", { reportingEndpoints: { a: "" } }],
    ["invalid-header", { integrityPolicy: { blockedDestinations: ["x) y" as never] } }],
    ["invalid-header", { permissionsPolicy: { "camera=*, usb": [] } }],
    ["invalid-header", { permissionsPolicy: { camera: ["https://ü.test"] } }],
    ["invalid-header", { strictTransportSecurity: { maxAge: -1 } }],
    ["invalid-header", { strictTransportSecurity: { maxAge: 0.5 } }],
    ["invalid-header", { strictTransportSecurity: { maxAge: Number.NaN } }],
    ["separator-in-value", { policy: { "img-src": ["a; b"] } }],
  ])("refuses, with %s, %o", (code, options) => expect(refusal(options)).toBe(code));
});
