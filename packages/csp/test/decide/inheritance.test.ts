import {
  type CspList,
  determineNavigationCspList,
  determineWorkerCspList,
  parsePolicyList,
} from "@conclave/csp";
import { expect, test } from "vitest";

const list = (selfOrigin: string): CspList => ({
  policies: parsePolicyList("default-src 'self'"),
  selfOrigin,
});
const [response, initiator, parent, history, blobCreator, owner] = [
  list("https://response"),
  list("https://initiator"),
  list("https://parent"),
  list("https://history"),
  list("https://blob"),
  list("https://owner"),
] as const;
const sources = { response, initiator, parent, blobCreator };

test.each([
  ["https://a.example/", response],
  ["about:srcdoc", parent],
  ["about:blank", initiator],
  ["data:text/html,x", initiator],
  ["blob:https://a.example/0", blobCreator],
])("a document at %s gets its policies from where HTML says", (responseUrl, from) =>
  expect(determineNavigationCspList({ ...sources, responseUrl })).toBe(from),
);

test("what the history entry kept comes first, and without an initiator it is the response", () => {
  const blank = { responseUrl: "about:blank" };
  expect(determineNavigationCspList({ ...sources, ...blank, history })).toBe(history);
  expect(determineNavigationCspList({ response, ...blank })).toBe(response);
});

test.each([
  ["https://a.example/w.js", response],
  ["data:text/javascript,1", owner],
  ["blob:https://a.example/0", blobCreator],
])("a worker at %s", (responseUrl, from) =>
  expect(determineWorkerCspList({ responseUrl, response, owner, blobCreator })).toBe(from),
);
