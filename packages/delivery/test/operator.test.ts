import { expect, it } from "vitest";
import { createMetrics } from "../src/metrics.ts";
import { createOperatorSite, type Report } from "../src/operator.ts";

const TOKEN = "a-token-for-the-operator";
const REPORT: Report = {
  startedAt: Date.UTC(2026, 0, 2, 3, 4, 5),
  version: "1.2.3",
  database: "SQLite",
  state: "running",
  status: { sockets: 1200, backlog: 0, requests: 3, waitingForTurn: 4, waitingForStore: 5 },
  statistics: {
    accounts: 4,
    devices: 5,
    groups: 6,
    welcomes: 7,
    bytes: 3 * 1024 * 1024,
    facts: { swept: Date.UTC(2026, 0, 2) },
  },
};

function aSite(
  change: { readonly token?: string; readonly report?: Report; readonly isReady?: boolean } = {},
) {
  const { token, report = REPORT, isReady = true } = change;
  const metrics = createMetrics();
  const site = createOperatorSite({
    metrics,
    token,
    report: async () => report,
    isReady: async () => isReady,
  });
  const get = (path: string, authorization?: string): Promise<Response> => {
    const headers = authorization === undefined ? {} : { authorization };
    return site.fetch(new Request(`http://127.0.0.1${path}`, { headers }));
  };
  return { metrics, get };
}

const basic = (password: string): string =>
  `Basic ${Buffer.from(`operator:${password}`).toString("base64")}`;

it("gives metrics, health and readiness to whoever reaches it", async () => {
  const { get } = aSite();
  expect(await (await get("/metrics")).text()).toContain("process_start_time_seconds");
  expect((await get("/health")).status).toBe(200);
  expect((await get("/ready")).status).toBe(200);
  const notReady = await aSite({ isReady: false }).get("/ready");
  expect([notReady.status, await notReady.text()]).toEqual([503, "not ready\n"]);
  expect((await get("/elsewhere")).status).toBe(404);
});

it("shows the page for the token alone, and not at all where there is none", async () => {
  const { get } = aSite({ token: TOKEN });
  for (const wrong of [undefined, basic("wrong"), `Bearer ${TOKEN}x`, "Basic", basic("")]) {
    const refused = await get("/", wrong);
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toMatch(/^Basic realm=/);
    expect(await refused.text()).not.toContain("<");
  }
  for (const right of [basic(TOKEN), `Bearer ${TOKEN}`]) {
    expect((await get("/", right)).status).toBe(200);
  }
  expect((await aSite().get("/", basic(TOKEN))).status).toBe(404);
});

it("says what the service does, in text, under a policy that allows its style alone", async () => {
  const { get, metrics } = aSite({ token: TOKEN });
  metrics.request({ time: 0, route: "log", status: 410, duration: 1, code: "gone" });
  const response = await get("/", basic(TOKEN));
  const policy = response.headers.get("content-security-policy") ?? "";
  expect(policy).toMatch(
    /^default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'/,
  );
  expect(response.headers.get("cache-control")).toBe("no-store");
  const text = await response.text();
  for (const [name, value] of [
    ["State", "running"],
    ["Version", "1.2.3"],
    ["Running since", "2026-01-02 03:04:05 UTC"],
    ["WebSockets", "1,200"],
    ["Size", "3 MiB"],
    ["Accounts", "4"],
    ["Last sweep", "2026-01-02 00:00:00 UTC"],
    ["Last back-up by this program", "never"],
    ["gone", "1"],
  ]) {
    expect(text).toContain(`<th scope="row">${name}</th><td>${value}</td>`);
  }
  expect(text).not.toContain("<script");
  const style = await get("/style.css");
  expect(style.headers.get("content-type")).toBe("text/css; charset=utf-8");
  const broken = aSite({ token: TOKEN, report: { ...REPORT, statistics: undefined } });
  expect(await (await broken.get("/", basic(TOKEN))).text()).toContain("doesn&#39;t answer");
});
