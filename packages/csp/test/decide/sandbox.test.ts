import {
  getCspDerivedSandboxingFlags,
  parseSandboxingDirective,
  runGlobalObjectCspInitialization,
} from "@conclave/csp";
import { describe, expect, test } from "vitest";
import { pageWith } from "./client.ts";

describe("#sandbox-init and #run-document-csp-initialization", () => {
  test("a keyword lifts its flag and no other", () => {
    const flags = parseSandboxingDirective(["allow-scripts"]);
    expect(flags.has("scripts")).toBe(false);
    expect(flags.has("automatic features")).toBe(false);
    expect(flags.has("origin")).toBe(true);
  });
  test("policies add up, and those that only report add nothing", () => {
    const { cspList } = pageWith(
      "sandbox allow-scripts, sandbox allow-scripts allow-forms",
      "sandbox",
    );
    const flags = getCspDerivedSandboxingFlags(cspList);
    expect(flags.has("scripts")).toBe(false);
    expect(flags.has("forms")).toBe(true);
    expect(getCspDerivedSandboxingFlags(pageWith("default-src 'none'").cspList).size).toBe(0);
  });
});

describe("#run-global-object-csp-initialization", () => {
  const worker = (policy: string) => runGlobalObjectCspInitialization(pageWith(policy).cspList);
  test("a worker runs with scripts and an origin", () =>
    expect(worker("sandbox allow-scripts allow-same-origin").result).toBe("Allowed"));
  test.each(["sandbox", "sandbox allow-scripts", "sandbox allow-same-origin"])(
    "%s lets none run",
    (policy) => expect(worker(policy).result).toBe("Blocked"),
  );
});
