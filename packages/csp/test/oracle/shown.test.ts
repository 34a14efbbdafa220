/** Each difference between the text and Chromium by a case of its own, which a real Chromium is asked about, too. */
import {
  chromium,
  type DifferenceName,
  differences,
  parsePolicyList,
  shouldRtcConnectionsBeBlocked,
  specification,
} from "@conclave/csp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hash } from "./grammar.ts";
import { type Case, makeCase, Oracle } from "./run.ts";
import { bothOutcomes } from "./shown.ts";

/** Of a page of 40 probes. `npm run csp:oracle -- --shown 500` finds them anew when the grammar has changed. */
const SIZE = 40;
const byChance: readonly (readonly [DifferenceName, seed: number, probe: number])[] = [
  ["sample-stripped", 1, 6],
  ["function-parenthesized", 1, 12],
  ["integrity-of-scripts-alone", 4, 2],
  ["frame-names-origin", 5, 5],
  ["base-uri-names-url", 8, 20],
  ["websocket-scheme-kept", 8, 29],
  ["worklet-unreported", 11, 0],
  ["wildcard-takes-grammar", 12, 4],
  ["asked-before-upgrade", 13, 5],
  ["data-frame-unnamed", 14, 24],
  ["plugin-is-framed", 18, 3],
  ["self-excludes-blob", 21, 34],
  ["javascript-url-sampled", 26, 6],
  ["form-asks-both", 32, 24],
  ["hint-reported-by-first", 32, 31],
  ["ip-address-matches", 36, 20],
  ["upgrade-of-both", 37, 27],
  ["frame-upgrade-of-defaults", 37, 27],
  ["preload-redirect-unreported", 40, 14],
  ["query-ignored", 42, 36],
  ["duplicate-attribute-of-scripts", 87, 24],
  ["strict-dynamic-covers-workers", 104, 9],
  ["strict-dynamic-in-default-src", 130, 5],
  ["hash-padding-optional", 154, 4],
  ["trusted-types-eval-unchecked", 158, 13],
  ["hint-redirect-asks-default", 173, 19],
  ["hint-asked-by-kind", 176, 21],
  ["loopback-upgraded-on-redirect", 211, 0],
  ["not-ascii-shadows", 327, 1],
  ["self-covers-port-80", 348, 33],
];

/** Where chance would take long: the policy is one by hand. */
function inline(policyFor: (text: string) => string): Case {
  const page = makeCase(154, SIZE);
  const probes = page.probes.filter(({ id }) => id === "s154x4");
  const [text = ""] = probes[0]?.texts ?? [];
  return { ...page, probes, policies: [{ delivery: "header", text: policyFor(text) }] };
}
function dataUrl(policy: string): Case {
  const page = makeCase(14, SIZE);
  const probes = page.probes.filter(({ id }) => id === "s14x24");
  return { ...page, probes, policies: [{ delivery: "header", text: policy }] };
}
const byHand: readonly (readonly [DifferenceName, Case])[] = [
  ["hash-has-to-decode", inline(() => "script-src 'unsafe-inline' 'sha256-x'")],
  ["hash-name-hyphenated", inline((text) => `script-src 'sha-256-${hash(text, "sha256")}'`)],
  ["wildcard-host-of-any-scheme", dataUrl("frame-src data://*")],
];

/** What no probe can see. `report/sent-reports.test.ts` sees those of reports; WebRTC is below. */
const elsewhere: readonly DifferenceName[] = [
  "report-only-repeats",
  "source-file-without-query",
  "hash-report-url-stripped",
  "ancestors-violation-names-origin",
  "webrtc-not-enforced",
];

const cases: readonly (readonly [DifferenceName, Case])[] = [
  ...byChance.map(([difference, seed, index]): readonly [DifferenceName, Case] => {
    const page = makeCase(seed, SIZE);
    return [difference, { ...page, probes: page.probes.slice(index, index + 1) }];
  }),
  ...byHand,
];

let oracle: Oracle;
beforeAll(async () => {
  oracle = await Oracle.start();
});
afterAll(() => oracle?.close());

describe("differences", () => {
  test("each has its case", () => {
    const shown = [...cases.map(([name]) => name), ...elsewhere];
    expect(shown.toSorted()).toEqual(Object.keys(differences).toSorted());
  });

  test.each(cases)("%s", async (difference, page) => {
    const outcomes = await bothOutcomes({ difference, page });
    expect(outcomes.text).not.toEqual(outcomes.chromium);
    const tab = await oracle.openTab();
    expect(await oracle.differences(tab, page)).toEqual([]);
    await tab.context().close();
  });
});

test("webrtc-not-enforced: Chromium connects under webrtc 'block'", async () => {
  const policy = "webrtc 'block'";
  const url = "https://a.test/";
  const client = {
    url,
    cspList: { policies: parsePolicyList(policy), selfOrigin: url.slice(0, -1) },
  };
  expect(shouldRtcConnectionsBeBlocked(client, specification).result).toBe("Blocked");
  expect(shouldRtcConnectionsBeBlocked(client, chromium).result).toBe("Allowed");
  const tab = await oracle.openTab();
  const headers = { "Content-Type": "text/html", "Content-Security-Policy": policy };
  await tab.route(url, (route) => route.fulfill({ headers, body: "<!doctype html>" }));
  await tab.goto(url);
  const opened = await tab.evaluate<string>(`(async () => {
    const [a, b] = [new RTCPeerConnection(), new RTCPeerConnection()];
    a.onicecandidate = ({ candidate }) => b.addIceCandidate(candidate);
    b.onicecandidate = ({ candidate }) => a.addIceCandidate(candidate);
    const channel = a.createDataChannel("c");
    const open = new Promise((resolve) => { channel.onopen = () => resolve(channel.readyState); });
    await a.setLocalDescription(await a.createOffer());
    await b.setRemoteDescription(a.localDescription);
    await b.setLocalDescription(await b.createAnswer());
    await a.setRemoteDescription(b.localDescription);
    return await open;
  })()`);
  expect(opened).toBe("open");
  await tab.context().close();
});
