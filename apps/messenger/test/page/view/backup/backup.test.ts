import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PHRASE } from "../../demo/demo-engine.ts";
import { openSite, type Site } from "../../demo/site.ts";
import { copyOf } from "../../demo/views.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

describe("a copy of one's messages", () => {
  test("is saved into a file, by keyboard alone", async () => {
    const page = await site.open("home");
    await copyOf(page, "Save a copy");
    const dialog = page.getByRole("dialog", { name: "Save a copy of my messages" });
    await dialog.getByLabel("Your recovery phrase").focus();
    await page.keyboard.type(PHRASE);
    const downloading = page.waitForEvent("download");
    await page.keyboard.press("Enter");
    expect((await downloading).suggestedFilename()).toMatch(/^conclave-messages-.*\.backup$/);
    await dialog.getByRole("status").waitFor();
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    expect(await page.locator(":focus").getAttribute("aria-label")).toBe("Settings");
  });

  test("shows how far it is, and is given up on with its button or with the dialog", async () => {
    const page = await site.open("home");
    await page.evaluate(() => globalThis.demo.hold());
    await copyOf(page, "Save a copy", "Save");
    const bar = page.getByRole("progressbar", { name: "Saving…" });
    await expect.poll(() => bar.getAttribute("value")).toBe("1");
    expect(await page.locator(":focus").innerText()).toBe("Cancel");
    await page.keyboard.press("Enter");
    await page.getByText("Cancelled.").waitFor();
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await bar.waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  });

  test("that is older than the newest is brought only if one says so", async () => {
    const page = await site.open("home");
    await page.evaluate(() => globalThis.demo.failNext("restoreBackup", "backup-older"));
    await copyOf(page, "Bring my messages here", "Bring them here");
    await page.getByText("You have saved a newer copy since").waitFor();
    await page.getByRole("button", { name: "Bring this copy" }).click();
    await page.getByText("with 1204 messages in 5 conversations").waitFor();
    const asked = await page.evaluate(() =>
      globalThis.demo.calls.flatMap(([method, , , options]) =>
        method === "restoreBackup" ? [options] : [],
      ),
    );
    expect(asked).toEqual([{ older: false }, { older: true }]);
  });
});
