import { proposeChanges } from "@conclave/csp/collect";
import { describe, expect, test } from "vitest";

const documentURL = "https://shop.example/basket";

async function propose(
  originalPolicy: string,
  effectiveDirective: string,
  blockedURL: string,
  sample = "",
) {
  const report = { documentURL, originalPolicy, effectiveDirective, blockedURL, sample };
  const proposals = await proposeChanges(report);
  // Whatever is proposed, the engine agrees.
  const changes = proposals.flatMap(({ change }) => change ?? []);
  expect(changes.filter(({ confirmed }) => !confirmed)).toEqual([]);
  return proposals;
}
const policiesOf = async (...report: Parameters<typeof propose>) =>
  (await propose(...report)).flatMap(({ change }) => change?.policy ?? []);
const adviceOf = async (...report: Parameters<typeof propose>) =>
  (await propose(...report)).map(({ advice }) => advice);

describe("URLs: the file, then the host", () => {
  test("in the directive that is there", async () => {
    const policy = "default-src 'none'; img-src 'self' data:";
    expect(await policiesOf(policy, "img-src", "https://img.example/a;b,c.png")).toEqual([
      "default-src 'none'; img-src 'self' data: https://img.example/a%3Bb%2Cc.png",
      "default-src 'none'; img-src 'self' data: https://img.example",
    ]);
  });

  test("in a directive of its own, where default-src stands in", async () => {
    const policy = "default-src 'self' 'unsafe-inline' 'nonce-x'; base-uri 'none'";
    expect(await policiesOf(policy, "font-src", "https://f.example:8443/")).toEqual([
      "default-src 'self' 'unsafe-inline' 'nonce-x'; font-src 'self' https://f.example:8443; base-uri 'none'",
    ]);
  });

  test("scripts keep what default-src has for them", async () => {
    const policy = "default-src 'self' 'unsafe-eval'";
    expect(await policiesOf(policy, "script-src-elem", "https://cdn.example/")).toEqual([
      "default-src 'self' 'unsafe-eval'; script-src 'self' 'unsafe-eval' https://cdn.example",
    ]);
  });

  test("workers get a directive of theirs, not the scripts' one", async () => {
    const policy = "script-src 'self' 'nonce-x'";
    expect(await policiesOf(policy, "worker-src", "https://cdn.example/")).toEqual([
      "script-src 'self' 'nonce-x'; worker-src 'self' https://cdn.example",
    ]);
  });

  test("'none' goes when something comes", async () => {
    expect(await policiesOf("img-src 'none'", "img-src", "https://img.example/")).toEqual([
      "img-src https://img.example",
    ]);
  });

  test("of the site itself: 'self'", async () => {
    const policy = "connect-src 'none'";
    expect(await policiesOf(policy, "connect-src", "https://shop.example/api")).toEqual([
      "connect-src https://shop.example/api",
      "connect-src 'self'",
    ]);
  });

  test("what else is allowed then is said", async () => {
    const [file, host] = await propose(
      "script-src 'self'",
      "script-src-elem",
      "https://cdn.example/a.js",
    );
    expect(file?.alsoAllows.join()).toMatch(/redirects.*workers/);
    expect(host?.alsoAllows.join()).toContain("everything that cdn.example serves");
    const [image] = await propose("img-src 'self'", "img-src", "https://cdn.example/");
    expect(image?.change?.findings).toEqual([]);
  });

  test("what the judge has against it is said, and nothing that was there before", async () => {
    const policy = "default-src 'none'; script-src 'self'; img-src *";
    const library = "https://ajax.googleapis.com/ajax/libs/jquery/3.7.1/jquery.min.js";
    const [file, host] = await propose(policy, "script-src-elem", library);
    const typesOf = (proposal: typeof file) =>
      proposal?.change?.findings?.map(({ severity, type }) => `${severity} ${type}`) ?? [];
    expect(typesOf(host)).toContain("high script-host-jsonp");
    expect(typesOf(file).join()).not.toContain("high");
    expect(typesOf(host).join()).not.toMatch(/img|form-action|base-uri/);
  });

  test("beside a nonce or 'strict-dynamic' the page changes, not the policy", async () => {
    const url = "https://cdn.example/a.js";
    const strict = "script-src 'nonce-x' 'strict-dynamic'";
    expect(await adviceOf(strict, "script-src-elem", url)).toEqual([
      expect.stringContaining("nonce"),
    ]);
    const [first, ...others] = await adviceOf("script-src 'nonce-x'", "script-src-elem", url);
    expect(first).toContain("nonce");
    expect(others).toHaveLength(2);
  });

  test("that are allowed already were redirected", async () => {
    const [advice, ...others] = await adviceOf(
      "img-src 'self'",
      "img-src",
      "https://shop.example/a",
    );
    expect(advice).toContain("redirects");
    expect(others).toEqual([]);
  });

  test("without a host: the scheme, and what that means for scripts", async () => {
    expect(await policiesOf("img-src 'self'", "img-src", "data")).toEqual(["img-src 'self' data:"]);
    const [proposal] = await propose("worker-src 'self'", "worker-src", "blob");
    expect(proposal?.change?.findings).toMatchObject([{ type: "worker-open" }]);
    expect(await propose("img-src 'self'", "img-src", "javascript")).toEqual([]);
  });
});

describe("inline code", () => {
  const hash = "'sha256-DIm7WJS6ZKDYe5qFLPy+h4JFI9Bol5QmYC57mt3Fb00='";

  test("by its hash, where the sample is all of it", async () => {
    expect(await policiesOf("script-src 'self'", "script-src-elem", "inline", "start()")).toEqual([
      `script-src 'self' ${hash}`,
    ]);
    expect(await policiesOf("default-src 'none'", "script-src", "inline", "start()")).toEqual([
      `default-src 'none'; script-src ${hash}`,
    ]);
  });

  test.each(["x".repeat(40), "start();…", ""])("not by the hash of a part: %j", async (sample) => {
    expect(await policiesOf("script-src 'self'", "script-src-elem", "inline", sample)).toEqual([]);
    expect(await adviceOf("script-src 'self'", "script-src-elem", "inline", sample)).toHaveLength(
      1,
    );
  });

  test("attributes need 'unsafe-hashes', and the judge says what that means", async () => {
    const proposals = await propose("script-src 'self'", "script-src-attr", "inline", "start()");
    expect(proposals.at(0)?.advice).toContain("addEventListener");
    expect(proposals.at(1)?.change?.policy).toBe(`script-src 'self' 'unsafe-hashes' ${hash}`);
    expect(proposals.at(1)?.change?.findings).toMatchObject([{ type: "script-unsafe-hashes" }]);
  });

  test("styles", async () => {
    const proposals = await propose("style-src 'self'", "style-src-attr", "inline", "color:red");
    expect(proposals.at(0)?.advice).toContain("element.style");
    expect(proposals.at(1)?.change?.directive).toBe("style-src");
  });

  test("a nonce, where the policy has one", async () => {
    const [advice] = await adviceOf("script-src 'nonce-x'", "script-src-elem", "inline");
    expect(advice).toBe("Give the element the response's nonce.");
  });
});

test("eval: better not; WebAssembly alone", async () => {
  const [without, allow] = await propose("script-src 'self'", "script-src", "eval");
  expect(without?.change).toBeUndefined();
  expect(allow?.change?.policy).toBe("script-src 'self' 'unsafe-eval'");
  expect(allow?.change?.findings).toMatchObject([{ type: "script-unsafe-eval" }]);
  expect(await policiesOf("default-src 'self'", "script-src", "wasm-eval")).toEqual([
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
  ]);
});

test("Trusted Types: the policy's name; for a sink another page", async () => {
  const created = ["trusted-types", "trusted-types-policy"] as const;
  expect(await policiesOf("trusted-types 'none'", ...created, "lit-html")).toEqual([
    "trusted-types lit-html",
  ]);
  expect(await policiesOf("trusted-types a", ...created, "a")).toEqual([
    "trusted-types a 'allow-duplicates'",
  ]);
  expect(await propose("trusted-types a", ...created, "b; script-src *")).toEqual([]);
  const sink = [
    "require-trusted-types-for",
    "trusted-types-sink",
    "Element innerHTML|<b>",
  ] as const;
  const [advice] = await adviceOf("require-trusted-types-for 'script'", ...sink);
  expect(advice).toContain("Element innerHTML");
});

test("a policy of more than 16 KB is changed, but not judged", async () => {
  const start = "script-src 'self'; img-src ";
  for (const [length, isJudged] of [
    [16_384, true],
    [16_385, false],
  ] as const) {
    const policy = start + "a".repeat(length - start.length);
    const [, allow] = await propose(policy, "script-src", "eval");
    expect(allow?.change?.policy).toContain("'unsafe-eval'");
    const types = allow?.change?.findings?.map(({ type }) => type);
    expect(types).toEqual(isJudged ? ["script-unsafe-eval"] : undefined);
  }
});

test("nothing for what cannot be, or is not said", async () => {
  expect(await propose("script-src *", "script-src", "https://cdn.example/a.js")).toEqual([]);
  expect(await propose("", "script-src", "https://cdn.example/a.js")).toEqual([]);
  expect(await propose("img-src 'self'", "img-src", "not a URL")).toEqual([]);
});
