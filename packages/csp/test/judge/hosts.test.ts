import { bypassHosts } from "@conclave/csp/judge";
import { expect, test } from "vitest";

test("more than 300 hosts, each with a class, a place, a year and a source", () => {
  expect(new Set(bypassHosts.map(({ host }) => host)).size).toBeGreaterThan(300);
  for (const { host, paths, seen, source } of bypassHosts) {
    expect(host).toBe(new URL(`https://${host}`).hostname);
    for (const path of paths) expect(path).toMatch(/^\//);
    expect(paths.length).toBeGreaterThan(0);
    expect(seen).toBeGreaterThan(2015);
    expect(source).not.toBe("");
  }
});

test("no host comes twice with one class and source", () => {
  const keys = bypassHosts.map((entry) => `${entry.host} ${entry.class} ${entry.source}`);
  expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
});
