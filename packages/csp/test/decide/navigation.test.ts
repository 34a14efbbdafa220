import {
  createRequest,
  doesResponseAdhereToXFrameOptions,
  parsePolicyList,
  shouldNavigationRequestBeBlocked,
  shouldNavigationResponseBeBlocked,
} from "@conclave/csp";
import { describe, expect, test } from "vitest";
import { pageWith } from "./client.ts";

const to = (url: string) => createRequest({ url, destination: "document", mode: "navigate" });

describe("#form-action-pre-navigate", () => {
  const submit = (policy: string, type: "form-submission" | "other" = "form-submission") =>
    shouldNavigationRequestBeBlocked(to("https://b.example/f"), type, pageWith(policy));
  test("a listed target is allowed, another is not", async () => {
    expect((await submit("form-action b.example")).result).toBe("Allowed");
    expect((await submit("form-action 'self'")).result).toBe("Blocked");
  });
  test("it has no fallback and looks at forms alone", async () => {
    expect((await submit("default-src 'none'")).result).toBe("Allowed");
    expect((await submit("form-action 'none'", "other")).result).toBe("Allowed");
  });
});

describe("#should-block-navigation-request of a javascript: URL", () => {
  const run = (policy: string, defaultPolicy?: () => string | null) => {
    const options = defaultPolicy ? { defaultPolicy } : {};
    return shouldNavigationRequestBeBlocked(
      to("javascript:one()"),
      "other",
      pageWith(policy),
      options,
    );
  };
  test("is inline code", async () => {
    expect((await run("script-src 'unsafe-inline'")).result).toBe("Allowed");
    const { result, violations } = await run("script-src 'self'");
    expect([result, violations[0]?.effectiveDirective]).toEqual(["Blocked", "script-src-elem"]);
  });
  test("Trusted Types want a default policy that takes it", async () => {
    const required = "require-trusted-types-for 'script'";
    expect((await run(required)).result).toBe("Blocked");
    expect((await run(required, () => null)).result).toBe("Blocked");
    expect((await run(required, () => "two()")).result).toBe("Allowed");
  });
  test("'script' is the group's one spelling, for navigations as for sinks", async () => {
    const policies = "require-trusted-types-for 'script', require-trusted-types-for 'SCRIPT'";
    expect((await run(policies)).violations).toHaveLength(1);
  });
});

describe("#frame-ancestors-navigation-response", () => {
  const frame = (policy: string, ancestors: readonly string[], url = "https://a.example/f") =>
    shouldNavigationResponseBeBlocked({
      url,
      cspList: { policies: parsePolicyList(policy), selfOrigin: "https://a.example" },
      ancestors,
    }).result;
  test("every ancestor has to be listed", () => {
    const policy = "frame-ancestors 'self' https://b.example";
    expect(frame(policy, ["https://b.example", "https://a.example"])).toBe("Allowed");
    expect(frame(policy, ["https://b.example", "https://c.example"])).toBe("Blocked");
    expect(frame(policy, ["null"])).toBe("Blocked");
  });
  test("it has no fallback; local responses and top-level pages are not looked at", () => {
    expect(frame("default-src 'none'", ["https://c.example"])).toBe("Allowed");
    expect(frame("frame-ancestors 'none'", ["https://c.example"], "about:blank")).toBe("Allowed");
    expect(frame("frame-ancestors 'none'", [])).toBe("Allowed");
  });
});

describe("HTML, X-Frame-Options", () => {
  const adheres = (values: readonly string[], ancestor: string, policy = "") =>
    doesResponseAdhereToXFrameOptions(values, {
      url: "https://a.example/f",
      cspList: { policies: parsePolicyList(policy), selfOrigin: "https://a.example" },
      ancestors: [ancestor],
    });
  test.each([
    [["SAMEORIGIN"], "https://a.example"],
    [["nonsense"], "https://b.example"],
    [["ALLOWALL"], "https://b.example"],
    [[], "https://b.example"],
  ])("%j lets %s frame", (values, ancestor) => expect(adheres(values, ancestor)).toBe(true));
  test.each([
    [["DENY"], "https://a.example"],
    [["sameorigin"], "https://b.example"],
    [["DENY", "SAMEORIGIN"], "https://a.example"],
  ])("%j does not let %s frame", (values, ancestor) =>
    expect(adheres(values, ancestor)).toBe(false),
  );
  test("an enforced frame-ancestors takes its place", () =>
    expect(adheres(["DENY"], "https://b.example", "frame-ancestors *")).toBe(true));
});
