import {
  doesSinkTypeRequireTrustedTypes,
  getTrustedTypeCompliantString,
  getTrustedTypeDataForAttribute,
  shouldTrustedTypePolicyCreationBeBlocked,
} from "@conclave/csp";
import { describe, expect, test } from "vitest";
import { pageWith } from "./client.ts";

const required = "require-trusted-types-for 'script'";

test("does sink type require trusted types: report-only policies where they are asked for", () => {
  const asks = (enforce: string, report: string, all: boolean) =>
    doesSinkTypeRequireTrustedTypes(pageWith(enforce, report).cspList, "'script'", all);
  expect(asks(required, "", false)).toBe(true);
  expect(asks("", required, true)).toBe(true);
  expect(asks("", required, false)).toBe(false);
  expect(asks("require-trusted-types-for", "", true)).toBe(false);
});

describe("get Trusted Type compliant string", () => {
  const sink = { expectedType: "TrustedHTML", input: "<b>", sink: "Element innerHTML" } as const;
  test("a trusted value passes, a string does not", () => {
    const trusted = getTrustedTypeCompliantString({ ...sink, isTrusted: true }, pageWith(required));
    expect(trusted.decision.result).toBe("Allowed");
    const { decision } = getTrustedTypeCompliantString(sink, pageWith(required));
    expect(decision.result).toBe("Blocked");
    expect(decision.violations[0]?.sample).toBe("Element innerHTML|<b>");
  });
  test("a default policy's value takes the string's place", () => {
    const defaultPolicy = (value: string) => value.toUpperCase();
    const { value, decision } = getTrustedTypeCompliantString(
      { ...sink, defaultPolicy },
      pageWith(required),
    );
    expect([value, decision.result]).toEqual(["<B>", "Allowed"]);
  });
});

describe("should Trusted Type policy creation be blocked", () => {
  const create = (list: string, created: readonly string[] = []) =>
    shouldTrustedTypePolicyCreationBeBlocked("one", created, pageWith(`trusted-types ${list}`))
      .result;
  test.each(["one", "*", "two one"])("%s allows it", (list) =>
    expect(create(list)).toBe("Allowed"),
  );
  test.each(["", "two", "'none'", "ONE"])("%j does not", (list) =>
    expect(create(list)).toBe("Blocked"),
  );
  test("a second of the name needs 'allow-duplicates'", () => {
    expect(create("one", ["one"])).toBe("Blocked");
    expect(create("one 'allow-duplicates'", ["one"])).toBe("Allowed");
  });
});

test("get Trusted Type data for attribute", () => {
  const of = (localName: string, attribute: string) =>
    getTrustedTypeDataForAttribute({ localName }, attribute);
  expect(of("iframe", "srcdoc")?.sink).toBe("HTMLIFrameElement srcdoc");
  expect(of("script", "src")?.expectedType).toBe("TrustedScriptURL");
  expect(of("b", "onclick")?.expectedType).toBe("TrustedScript");
  expect(of("b", "title")).toBeNull();
  expect(of("img", "src")).toBeNull();
});
