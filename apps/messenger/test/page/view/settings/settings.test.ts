import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSite, type Site } from "../../demo/site.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

describe("settings", () => {
  test("show the rule in force and change it; what fails is said and changes nothing", async () => {
    const page = await site.open("home");
    await page.getByRole("button", { name: "Settings" }).click();
    const dialog = page.getByRole("dialog", { name: "Settings" });
    const open = dialog.getByRole("radio", { name: /^Everybody who knows my name/ });
    const ask = dialog.getByRole("radio", { name: /^Only people I allow/ });
    await open.waitFor();
    expect([await open.isChecked(), await ask.isChecked()]).toEqual([true, false]);
    await page.evaluate(() => globalThis.demo.failNext("setContactRule", "offline"));
    await ask.click();
    await dialog.getByText("There is no connection").waitFor();
    expect([await open.isChecked(), await ask.isChecked()]).toEqual([true, false]);
    await ask.check();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    expect(await page.locator(":focus").getAttribute("aria-label")).toBe("Settings");
    await page.keyboard.press("Enter");
    await ask.waitFor();
    expect(await ask.isChecked()).toBe(true);
    const sets = await page.evaluate(() =>
      globalThis.demo.calls.filter(([method]) => method === "setContactRule"),
    );
    expect(sets).toEqual([
      ["setContactRule", "ask"],
      ["setContactRule", "ask"],
    ]);
  });

  test("are there again for who closes and opens them in one go", async () => {
    const page = await site.open("home");
    const dialog = page.getByRole("dialog", { name: "Settings" });
    await page.getByRole("button", { name: "Settings" }).click();
    for (let i = 0; i < 20; i++) {
      await dialog.waitFor();
      await Promise.all([page.keyboard.press("Escape"), page.keyboard.press("Enter")]);
      // What the browser says of the one that is closed comes by now.
      await page.evaluate(() => new Promise((done) => setTimeout(done, 20)));
      expect(await dialog.isVisible()).toBe(true);
    }
  });

  test("have what others are told: receipts only where one wants it; what fails changes nothing", async () => {
    const page = await site.open("home");
    await page.evaluate(() => globalThis.demo.failNext("contacts", "offline"));
    await page.getByRole("button", { name: "Settings" }).click();
    const dialog = page.getByRole("dialog", { name: "Settings" });
    const typing = dialog.getByRole("checkbox", { name: /^That I am writing/ });
    const receipts = dialog.getByRole("checkbox", { name: /^What I have read/ });
    expect([await typing.isChecked(), await receipts.isChecked()]).toEqual([true, false]);
    await receipts.check();
    await page.evaluate(() => globalThis.demo.failNext("setSignalSettings", "storage"));
    await typing.click();
    await dialog.getByText("could not save it").waitFor();
    expect([await typing.isChecked(), await receipts.isChecked()]).toEqual([true, true]);
    const sets = await page.evaluate(() =>
      globalThis.demo.calls.filter(([method]) => method === "setSignalSettings"),
    );
    expect(sets).toEqual([
      ["setSignalSettings", { typing: true, receipts: true }],
      ["setSignalSettings", { typing: false, receipts: true }],
    ]);
  });

  test("say when the service can't be asked, and ask again", async () => {
    const page = await site.open("home");
    await page.evaluate(() => globalThis.demo.failNext("contacts", "offline"));
    await page.getByRole("button", { name: "Settings" }).click();
    const dialog = page.getByRole("dialog", { name: "Settings" });
    await dialog.getByText("There is no connection").waitFor();
    expect(await dialog.getByRole("radio").count()).toBe(0);
    await dialog.getByRole("button", { name: "Try again" }).click();
    await dialog.getByRole("radio").first().waitFor();
  });

  test("list whom one asked, allowed, put off and blocked, and take it back", async () => {
    const page = await site.open("asked");
    await page.getByRole("button", { name: "Settings" }).click();
    const dialog = page.getByRole("dialog", { name: "Settings" });
    const asked = dialog.getByRole("list", { name: "Whom you asked" });
    expect(await asked.getByRole("listitem").allInnerTexts()).toMatchObject(
      [/Mira Okafor\s+Lets you add them/, /Henrik\s+Asked/].map((pattern) =>
        expect.stringMatching(pattern),
      ),
    );
    await asked.getByRole("button", { name: "Take back the request to Henrik" }).click();
    await asked.getByText("Henrik").waitFor({ state: "detached" });

    const answered = dialog.getByRole("list", { name: "Whom you answered" });
    await answered.getByRole("button", { name: "Unblock Somebody Loud" }).click();
    await answered.getByText("Somebody Loud").waitFor({ state: "detached" });
    await answered.getByRole("button", { name: "Allow Erik" }).click();
    await answered
      .getByRole("listitem")
      .filter({ hasText: "Erik" })
      .getByText("May add you")
      .waitFor();
    await answered.getByRole("button", { name: "Take back Priya Nair" }).click();
    await answered.getByText("Priya Nair").waitFor({ state: "detached" });
    await answered.getByText("Somebody whose account is gone").waitFor();
    const said = await page.evaluate(() =>
      globalThis.demo.calls.filter(([method]) => /^(answer|forget|withdraw)Contact$/.test(method)),
    );
    expect(said).toEqual([
      ["withdrawContact", "Henrik"],
      ["forgetContact", "0c0c0a02"],
      ["answerContact", "0c0c0a03", "allowed"],
      ["forgetContact", "0b0b0202"],
    ]);
  });
});
