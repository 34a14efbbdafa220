import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type OpenBrowser, openChromium } from "../../conformance/browser.ts";
import { MISSING, vectorsFolder } from "../../conformance/fetch.ts";
import { runFolder } from "../../conformance/main.ts";

let chromium: OpenBrowser;
beforeAll(async () => {
  chromium = await openChromium();
}, 60_000);
afterAll(() => chromium.close());

describe("the working group's test vectors in Chromium", () => {
  it("pass on WebCrypto", { timeout: 900_000 }, async (ctx) => {
    const folder = vectorsFolder();
    if (!folder) return ctx.skip(MISSING);
    const lines: string[] = [];
    const total = await runFolder(folder, (line) => lines.push(line), chromium.run);
    expect(lines.filter((line) => !/, 0 failed, /.test(line))).toEqual([]);
    expect(total.failed).toBe(0);
    expect(total.passed).toBeGreaterThanOrEqual(785);
  });

  it("count what is no vector as failed there too", async () => {
    const result = await chromium.run('[{"something": "else"}]');
    expect(result).toMatchObject({ passed: 0, failed: 1, kinds: ["unknown"] });
  });
});
