import { describe, expect, test } from "vitest";
import { factsOf } from "../../src/collect/facts.ts";
import { chromeAgent, factsFor, violationReport } from "./reports.ts";

describe("what may be a secret is left out", () => {
  test("of URLs: query, fragment, user and password", () => {
    const facts = factsFor({
      documentURL: "https://ann:pw@shop.example/reset?token=s3cret#s3cret",
      blockedURL: "https://cdn.example/a.js?key=s3cret",
      sourceFile: "https://shop.example/app.js?v=s3cret",
      referrer: "https://search.example/?q=s3cret",
    });
    expect(facts.documentURL).toBe("https://shop.example/reset");
    expect(facts.blockedURL).toBe("https://cdn.example/a.js");
    expect(facts.sourceFile).toBe("https://shop.example/app.js");
    expect(JSON.stringify(facts)).not.toMatch(/s3cret|pw/);
  });

  test("of what is no URL: all from a question mark on", () => {
    expect(factsFor({ documentURL: "/reset?token=s3cret" }).documentURL).toBe("/reset");
  });

  test.each([
    ["data:text/html,s3cret", "data"],
    ["javascript:s3cret()", "javascript"],
    ["blob:https://shop.example/s3cret", "blob"],
    ["moz-extension://0b2c-one-installation/a.js", "moz-extension"],
    ["safari-web-extension://0b2c-one-installation/a.js", "safari-web-extension"],
    ["chrome-extension://the-same-for-all/a.js", "chrome-extension://the-same-for-all/a.js"],
    ["inline", "inline"],
    ["", ""],
  ])("%s is kept as %j", (blockedURL, kept) => {
    expect(factsFor({ blockedURL }).blockedURL).toBe(kept);
  });

  test("the nonces of the policy, so that it is one policy for all responses", () => {
    const originalPolicy = "script-src  'nonce-s3cret' 'self';; report-to csp; script-src *";
    expect(factsFor({ originalPolicy }).policy).toBe(
      "script-src 'nonce-NONCE' 'self'; report-to csp",
    );
  });

  test("samples, where they are not wanted", () => {
    const options = { samples: false, userAgent: "" };
    expect(factsOf(violationReport({ sample: "s3cret" }), options).sample).toBe("");
  });

  test("of the user agent all but the family", () => {
    expect(factsFor().agent).toBe("Chrome");
    const silent = { ...violationReport(), userAgent: "" };
    const agentOf = (userAgent: string) => factsOf(silent, { samples: true, userAgent }).agent;
    expect(agentOf(`${chromeAgent} Edg/156.0.0.0`)).toBe("Edge");
    expect(agentOf("Mozilla/5.0 (X11; rv:150.0) Gecko/20100101 Firefox/150.0")).toBe("Firefox");
    expect(agentOf("Mozilla/5.0 (Macintosh) AppleWebKit/605 Version/19.0 Safari/605")).toBe(
      "Safari",
    );
    expect(agentOf("Mozilla/5.0 (compatible; examplebot/1.0)")).toBe("Robot");
    expect(agentOf("curl/8")).toBe("Other");
  });
});

test("what SQLite cannot give back as it was", () => {
  expect(factsFor({ sample: "a\0b\ud800c" }).sample).toBe("a\ufffdb\ufffdc");
});

test("long strings are cut", () => {
  const long = "x".repeat(100_000);
  const facts = factsFor({
    documentURL: `https://shop.example/${long}`,
    blockedURL: long,
    effectiveDirective: long,
    sample: long,
  });
  const lengths = [facts.documentURL, facts.blockedURL, facts.directive, facts.sample].map(
    (text) => text.length,
  );
  expect(lengths).toEqual([1_024, 1_024, 40, 128]);
  expect(factsFor({ originalPolicy: `img-src ${long}` }).policy).toBe("");
});

test("reports of the other types", () => {
  const envelope = { url: "https://shop.example/", age: 0, userAgent: "" };
  const options = { samples: true, userAgent: "" };
  const documentURL = "https://shop.example/";
  const blockedURL = "https://cdn.example/a.js";
  const integrity = { documentURL, blockedURL, destination: "script", reportOnly: true };
  expect(
    factsOf({ type: "integrity-violation", ...envelope, body: integrity }, options),
  ).toMatchObject({ directive: "integrity-policy", disposition: "report", blockedURL });
  const hash = {
    documentURL,
    subresourceURL: blockedURL,
    hash: "sha256-x",
    type: "subresource",
    destination: "script",
  };
  expect(factsOf({ type: "csp-hash", ...envelope, body: hash }, options)).toMatchObject({
    directive: "script",
    sample: "sha256-x",
    blockedURL,
  });
});
