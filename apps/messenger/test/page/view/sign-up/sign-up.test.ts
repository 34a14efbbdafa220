import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { PHRASE } from "../../demo/demo-engine.ts";
import { openSite, type Site } from "../../demo/site.ts";
import { FRAGMENT, signUp } from "../../demo/views.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

describe("sign-up", () => {
  test("asks for a name, shows the phrase once, then the conversations", async () => {
    const page = await site.open("new");
    expect(await page.getByLabel("Your name").evaluate((e) => e === document.activeElement)).toBe(
      true,
    );
    await signUp(page);
    expect(await page.getByRole("listitem").allTextContents()).toEqual(PHRASE.split(" "));
    await page.getByRole("button", { name: "I wrote them down" }).click();
    await page.getByText("No conversations yet").waitFor();
    expect(await page.content()).not.toContain(PHRASE.split(" ")[0]);
  });

  test("says in words why a name can't be had, and lets another be chosen", async () => {
    const page = await site.open("new");
    await page.evaluate(() => globalThis.demo.failNext("signUp", "name-taken"));
    await page.getByLabel("Your name").fill("Alma");
    await page.getByRole("button", { name: "Begin" }).click();
    const alert = page.getByRole("alert");
    await vi.waitFor(async () =>
      expect(await alert.textContent()).toMatch(/already has this name/),
    );
    await signUp(page);
  });

  test("asks for an invite code where the service does, and says what is wrong with it", async () => {
    const page = await site.open("new");
    expect(await page.getByLabel("Your invite code").count()).toBe(0);
    await page.evaluate(() => globalThis.demo.failNext("signUp", "invite-needed"));
    await page.getByLabel("Your name").fill("Alma");
    const begin = page.getByRole("button", { name: "Begin" });
    await begin.click();
    const alert = page.getByRole("alert");
    await vi.waitFor(async () => expect(await alert.textContent()).toMatch(/need an invite code/));
    await page.getByLabel("Your invite code").fill("K7D2-M9QX-4T5A-B6C7");
    for (const [code, words] of [
      ["invite-unknown", /isn't known here/],
      ["invite-spent", /has used this invite code/],
      ["invite-expired", /time of this invite code is over/],
      ["registration-closed", /takes no new accounts/],
    ] as const) {
      await page.evaluate((one) => globalThis.demo.failNext("signUp", one), code);
      await begin.click();
      await vi.waitFor(async () => expect(await alert.textContent()).toMatch(words));
    }
    await begin.click();
    await page.getByRole("heading", { name: "Write these 12 words down" }).waitFor();
    expect(await page.evaluate(() => globalThis.demo.calls.at(-1))).toEqual([
      "signUp",
      "Alma",
      "K7D2-M9QX-4T5A-B6C7",
    ]);
  });

  test("takes the code of a link, which leaves the address and outlives a reload", async () => {
    const page = await site.open("new", { hash: "#invite=K7D2-M9QX-4T5A-B6C7" });
    const field = page.getByLabel("Your invite code");
    expect(await field.inputValue()).toBe("K7D2-M9QX-4T5A-B6C7");
    expect(new URL(page.url()).hash).toBe("");
    await page.goto(`${new URL(page.url()).origin}/?new`);
    await vi.waitFor(async () => expect(await field.inputValue()).toBe("K7D2-M9QX-4T5A-B6C7"));
    await signUp(page);
    expect(await page.evaluate(() => sessionStorage.getItem("invite-code"))).toBeNull();
  });

  test("comes before an invitation, and leads back to it", async () => {
    const page = await site.open("new", { hash: `#${FRAGMENT}` });
    await page.getByText("You have been invited").waitFor();
    await signUp(page);
    await page.getByRole("button", { name: "I wrote them down" }).click();
    await page.getByRole("heading", { name: "Reading circle" }).waitFor();
    expect(await page.evaluate(() => globalThis.demo.calls.at(-1))).toEqual([
      "previewInvitation",
      FRAGMENT,
    ]);
  });
});
