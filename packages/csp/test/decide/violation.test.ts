import {
  chromium,
  createRequest,
  explain,
  obtainBlockedUri,
  shouldRequestBeBlocked,
  stripUrlForUseInReports,
} from "@conclave/csp";
import { expect, test } from "vitest";
import { pageWith } from "./client.ts";

test.each([
  ["https://u:p@a.example/x?q#f", "https://a.example/x?q"],
  ["data:text/plain,secret", "data"],
  ["blob:https://a.example/0", "blob"],
  ["custom+x://host/path", "custom+x"],
])("#strip-url-for-use-in-reports: %s is %s", (url, stripped) =>
  expect(stripUrlForUseInReports(new URL(url))).toBe(stripped),
);

test("#obtain-violation-blocked-uri: a frame's, by the text and by Chromium", () => {
  const request = createRequest({ url: "https://b.example/x?q", destination: "iframe" });
  const { violations } = shouldRequestBeBlocked(request, pageWith("frame-src 'none'"));
  const [violation] = violations;
  expect(violation && obtainBlockedUri(violation)).toBe("https://b.example/x?q");
  expect(violation && obtainBlockedUri(violation, chromium)).toBe("https://b.example");
});

test("#create-violation-for-request: the first URL is named, not where a redirect led", () => {
  const first = createRequest({ url: "https://a.example/x", destination: "image" });
  const request = { ...first, currentUrl: new URL("https://b.example/secret"), redirectCount: 1 };
  const [violation] = shouldRequestBeBlocked(request, pageWith("img-src 'self'")).violations;
  expect(violation && obtainBlockedUri(violation)).toBe("https://a.example/x");
});

test("explain: which directive, which token, and what would have allowed it", () => {
  const image = createRequest({ url: "https://b.example/x.png", destination: "image" });
  const [blocked] = explain(shouldRequestBeBlocked(image, pageWith("default-src 'self'")));
  expect(blocked?.text).toBe(
    "Blocked by default-src (which stands in for img-src): nothing in its list matches.",
  );
  expect(blocked?.remedies.map(({ add }) => add)).toEqual([
    "https://b.example/x.png",
    "https://b.example",
  ]);
  const [allowed] = explain(shouldRequestBeBlocked(image, pageWith("img-src *.example")));
  expect(allowed?.text).toBe("Allowed by img-src: *.example matches the URL.");
  expect(allowed?.tokens.map(({ text, offset }) => [text, offset])).toEqual([["*.example", 8]]);
  expect(allowed?.remedies).toEqual([]);
});
