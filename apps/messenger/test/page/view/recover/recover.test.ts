import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PHRASE } from "../../demo/demo-engine.ts";
import { openSite, type Site } from "../../demo/site.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

describe("recovery", () => {
  test("takes the phrase as it was noted, and says what follows", async () => {
    const page = await site.open("new");
    await page.getByRole("button", { name: "I have a recovery phrase" }).press("Enter");
    const field = page.getByLabel("Your recovery phrase");
    await expect.poll(() => field.evaluate((e) => e === document.activeElement)).toBe(true);
    // What browsers keep of forms, and what keyboards learn, somebody else may read.
    expect(await field.getAttribute("autocomplete")).toBe("off");
    await field.fill(
      PHRASE.split(" ")
        .map((word, i) => `${i + 1}. ${word.toUpperCase()},`)
        .join("\n"),
    );
    await page.getByText("12 of 12 words").waitFor();
    await page.evaluate(() => globalThis.demo.failNext("recover", "phrase-wrong"));
    await field.press("Enter");
    await page.getByText("No account has these twelve words").waitFor();
    await field.press("Enter");
    await page.getByText("Each conversation follows as soon as").waitFor();
    expect(await page.evaluate(() => globalThis.demo.calls.at(-1))).toEqual(["recover", PHRASE]);
    await page.getByRole("button", { name: "Bring my messages here" }).click();
    await page.getByRole("dialog", { name: "Bring my messages here" }).waitFor();
  });
});
