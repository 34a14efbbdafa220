import { chromium, upgradeRequest, upgradesInsecureRequests } from "@conclave/csp";
import { expect, test } from "vitest";
import { pageWith } from "./client.ts";

const { cspList } = pageWith("upgrade-insecure-requests");
const upgraded = (url: string, more = {}) =>
  upgradeRequest({ url: new URL(url), destination: "image", ...more }, cspList).href;

test("only a policy that is enforced upgrades", () => {
  expect(upgradesInsecureRequests(cspList)).toBe(true);
  expect(upgradesInsecureRequests(pageWith("", "upgrade-insecure-requests").cspList)).toBe(false);
});

test.each([
  ["http://b.example/x", "https://b.example/x"],
  ["http://b.example:8080/x", "https://b.example:8080/x"],
  ["ws://b.example/", "wss://b.example/"],
  ["http://localhost/", "http://localhost/"],
  ["http://127.0.0.1/", "http://127.0.0.1/"],
  ["https://b.example/", "https://b.example/"],
])("%s becomes %s", (from, to) => expect(upgraded(from)).toBe(to));

test("a top-level navigation only to hosts whose pages upgrade", () => {
  const navigation = { isTopLevelNavigation: true };
  const upgradeInsecureNavigationsSet = new Set(["b.example"]);
  expect(upgraded("http://b.example/", navigation)).toBe("http://b.example/");
  expect(upgraded("http://b.example/", { ...navigation, upgradeInsecureNavigationsSet })).toBe(
    "https://b.example/",
  );
});

test("Chromium upgrades loopback where a redirect leads to it", () => {
  const request = { url: new URL("http://127.0.0.1/"), destination: "image", isRedirected: true };
  expect(upgradeRequest(request, cspList, chromium).href).toBe("https://127.0.0.1/");
  expect(upgradeRequest(request, cspList).href).toBe("http://127.0.0.1/");
});
