import { createEndpoint, type EndpointOptions, openReportStore } from "@conclave/csp/collect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { delivery } from "./reports.ts";

const newType = "application/reports+json";
const oldType = "application/csp-report";
const now = Date.UTC(2026, 10, 26, 17, 30);

function site(options: Partial<EndpointOptions> = {}) {
  const store = openReportStore(":memory:");
  const endpoint = createEndpoint({ store, now: () => now, ...options });
  const post = (
    body: string | ReadableStream<Uint8Array<ArrayBuffer>>,
    headers: Record<string, string> = {},
    address = "192.0.2.1",
  ) => {
    const init = {
      method: "POST",
      headers: { "Content-Type": newType, ...headers },
      body,
      duplex: "half",
    };
    return endpoint(new Request("https://reports.example/reports", init), { address });
  };
  return { store, endpoint, post };
}

async function refusal(response: Response): Promise<unknown> {
  expect(response.headers.get("Content-Type")).toBe("application/problem+json");
  const { title, ...problem } = await response.json();
  expect(title).toMatch(/^[A-Z]/);
  expect(problem.status).toBe(response.status);
  return problem;
}

describe("takes", () => {
  test("what report-to sends, several at once", async () => {
    const { store, post } = site();
    const response = await post(delivery({}, {}, { blockedURL: "inline" }));
    expect(response.status).toBe(204);
    expect(await response.text()).toBe("");
    expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
    expect(store.groups().map(({ blocked, count }) => [blocked, count])).toEqual([
      ["https://cdn.example", 2],
      ["inline", 1],
    ]);
  });

  test("what report-uri sends, with the request's user agent", async () => {
    const { store, post } = site();
    const report = {
      "document-uri": "https://shop.example/",
      "violated-directive": "img-src 'self'",
      "blocked-uri": "https://cdn.example/a.png",
      "original-policy": "img-src 'self'",
    };
    const headers = { "Content-Type": oldType, "User-Agent": "Mozilla/5.0 Firefox/150.0" };
    expect((await post(JSON.stringify({ "csp-report": report }), headers)).status).toBe(204);
    expect(store.groups()).toMatchObject([{ directive: "img-src", type: "csp-violation" }]);
    expect(store.details(1)?.agents).toEqual([{ agent: "Firefox", count: 1 }]);
  });

  test("reports of other types, and keeps nothing of them", async () => {
    const { store, post } = site();
    expect((await post('[{"type":"deprecation","body":{}}]')).status).toBe(204);
    expect((await post("[]")).status).toBe(204);
    expect(store.size()).toBe(0);
  });

  test("no samples, where they are not wanted", async () => {
    const { store, post } = site({ samples: false });
    await post(delivery({ blockedURL: "inline", sample: "s3cret" }));
    expect(JSON.stringify([store.groups(), store.details(1)])).not.toContain("s3cret");
  });

  test("reports of other sites, as noise", async () => {
    const { store, post } = site({ sites: ["https://other.example/"] });
    await post(delivery({}));
    expect(store.groups()).toMatchObject([{ class: "elsewhere" }]);
  });
});

test("any origin may send: the preflight", async () => {
  const { endpoint } = site();
  const response = await endpoint(
    new Request("https://reports.example/reports", {
      method: "OPTIONS",
      headers: {
        Origin: "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
      },
    }),
  );
  expect(response.status).toBe(204);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "Content-Type",
  });
});

describe("refuses", () => {
  test("other methods", async () => {
    const { endpoint, store } = site();
    const response = await endpoint(new Request("https://reports.example/reports"));
    expect(response.headers.get("Allow")).toBe("OPTIONS, POST");
    expect(await refusal(response)).toEqual({ status: 405, code: "method" });
    expect(store.refusals(now)).toEqual([{ reason: "method", count: 1 }]);
  });

  test.each([
    ["text/plain", "[]", 415, "report-media-type"],
    [newType, "[", 400, "report-syntax"],
    [newType, '[{"type":"csp-violation"}]', 400, "report-shape"],
    [
      newType,
      JSON.stringify(Array.from({ length: 101 }, () => ({ type: "x" }))),
      413,
      "report-too-large",
    ],
  ])("%s %s", async (contentType, body, status, code) => {
    const { post, store } = site();
    const response = await post(body, { "Content-Type": contentType });
    expect(await refusal(response)).toEqual({ status, code });
    expect(store.size()).toBe(0);
  });

  test("compressed bodies", async () => {
    const response = await site().post("[]", { "Content-Encoding": "gzip" });
    expect(await refusal(response)).toEqual({ status: 415, code: "content-encoding" });
  });

  test("a body that is too large, before it is read to its end", async () => {
    const { post } = site({ maxBody: 1_000 });
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(100).fill(0x20));
      },
    });
    expect(await refusal(await post(endless))).toEqual({ status: 413, code: "report-too-large" });
    expect(pulled).toBeLessThan(15);
  });

  test("a body that says itself that it is too large, unread", async () => {
    const { post } = site({ maxBody: 1_000 });
    const untouched = new ReadableStream<Uint8Array<ArrayBuffer>>(
      { pull: () => Promise.reject(new Error("was read")) },
      { highWaterMark: 0 },
    );
    const response = await post(untouched, { "Content-Length": "1001" });
    expect(await refusal(response)).toEqual({ status: 413, code: "report-too-large" });
  });

  test("an address that sends too many; others may go on", async () => {
    const { post, store } = site({ perAddress: { burst: 3, perMinute: 1 } });
    expect((await post(delivery({}, {}))).status).toBe(204);
    const response = await post(delivery({}, {}));
    expect(response.headers.get("Retry-After")).toBe("60");
    expect(await refusal(response)).toEqual({ status: 429, code: "rate-limit" });
    expect((await post(delivery({}), {}, "192.0.2.2")).status).toBe(204);
    expect(store.groups()).toMatchObject([{ count: 3 }]);
  });

  test("long reports count for as many as they are long", async () => {
    const { post } = site({ perAddress: { burst: 5, perMinute: 1 } });
    const long = delivery({ originalPolicy: `img-src ${"a".repeat(2_048 * 2)}` });
    expect(long.length).toBeLessThan(2_048 * 3);
    expect((await post(long)).status).toBe(204);
    expect((await post(long)).status).toBe(429);
    // What was refused cost its first alone.
    expect((await post(delivery({}))).status).toBe(204);
    expect((await post(delivery({}))).status).toBe(429);
  });

  test("bytes that are no report count, too", async () => {
    const { post } = site({ perAddress: { burst: 5, perMinute: 1 } });
    const junk = "[".repeat(2_048 * 3);
    expect((await post(junk)).status).toBe(400);
    expect((await post(junk)).status).toBe(429);
  });

  test("all together, when they send too many", async () => {
    const { post } = site({ overall: { burst: 2, perMinute: 1 } });
    expect((await post(delivery({}), {}, "192.0.2.1")).status).toBe(204);
    expect((await post(delivery({}), {}, "192.0.2.2")).status).toBe(204);
    expect((await post(delivery({}), {}, "192.0.2.3")).status).toBe(429);
  });
});

test("whatever a stranger sends, nothing throws, and what is stored can be shown", async () => {
  const rate = { burst: 1e9, perMinute: 1e9 };
  const { post, store } = site({ perAddress: rate, overall: rate });
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
    fc.constantFrom("inline", "eval", "data:x", "http://[", "about:srcdoc", "\0", "\ud800", "//"),
  );
  const body = fc.record(
    {
      documentURL: text,
      blockedURL: text,
      effectiveDirective: fc.oneof(
        text,
        fc.constantFrom("script-src-elem", "img-src", "__proto__"),
      ),
      originalPolicy: fc.oneof(
        text,
        fc.constantFrom("default-src 'none'", "script-src *; img-src"),
      ),
      sourceFile: text,
      sample: text,
      disposition: fc.constantFrom("enforce", "report"),
      lineNumber: fc.nat(Number.MAX_SAFE_INTEGER),
      statusCode: fc.nat(Number.MAX_SAFE_INTEGER),
    },
    { requiredKeys: [] },
  );
  const type = fc.constantFrom("csp-violation", "csp-hash", "integrity-violation", "other");
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ type, url: text, user_agent: text, body })),
      async (list) => {
        const { status } = await post(JSON.stringify(list));
        expect([204, 400]).toContain(status);
      },
    ),
    { numRuns: 200 },
  );
  for (const { id } of store.groups({ limit: 1_000 })) expect(store.details(id)).toBeDefined();
});
