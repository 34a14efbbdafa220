import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSite, type Site } from "../../demo/site.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

describe("in use elsewhere", () => {
  test("says so in the place of everything else, and goes on when one wants", async () => {
    const page = await site.open("home");
    await page.evaluate(() => globalThis.demo.connect("elsewhere"));
    const heading = page.getByRole("heading", { name: "Your account is in use" });
    await heading.waitFor();
    expect(await heading.evaluate((e) => e === document.activeElement)).toBe(true);
    expect(await page.getByRole("navigation").count()).toBe(0);
    await page.evaluate(() => globalThis.demo.failNext("takeOver", "storage"));
    await page.getByRole("button", { name: "Go on here" }).click();
    await expect.poll(() => page.getByRole("alert").textContent()).toMatch(/could not save/);
    await page.getByRole("button", { name: "Go on here" }).click();
    await page.getByRole("navigation").waitFor();
  });
});
