import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PHRASE } from "../../demo/demo-engine.ts";
import { openSite, type Site } from "../../demo/site.ts";
import { begin, FRAGMENT, signUp, writeDown } from "../../demo/views.ts";

const WORDS = PHRASE.split(" ");
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
    expect(await page.getByRole("listitem").allTextContents()).toEqual(WORDS);
    await writeDown(page, WORDS);
    await page.getByText("No conversations yet").waitFor();
    expect(await page.content()).not.toContain(WORDS[0]);
  });

  test("asks whether the name is right before it is for good", async () => {
    const page = await site.open("new");
    const field = page.getByLabel("Your name");
    await field.fill("  Alma   Reyess ");
    await field.press("Enter");
    const dialog = page.getByRole("dialog", { name: "Is this your name?" });
    await dialog.getByText("Alma Reyess", { exact: true }).waitFor();
    await dialog.getByRole("button", { name: "Change it" }).click();
    await dialog.waitFor({ state: "detached" });
    expect(await field.evaluate((e) => e === document.activeElement)).toBe(true);
    const signUps = (): Promise<unknown> =>
      page.evaluate(() => globalThis.demo.calls.filter(([method]) => method === "signUp"));
    expect(await signUps()).toEqual([]);
    await field.fill("Alma Reyes");
    await begin(page);
    await page.getByRole("heading", { name: "Write these 12 words down" }).waitFor();
    expect(await signUps()).toEqual([["signUp", "Alma Reyes"]]);
  });

  test("asks two of the words back, and shows all again to who hasn't got them", async () => {
    const page = await site.open("new");
    await signUp(page);
    await page.getByRole("button", { name: "I wrote them down" }).click();
    const first = page.getByRole("textbox").first();
    await first.waitFor();
    expect(await first.evaluate((e) => e === document.activeElement)).toBe(true);
    await page.getByRole("button", { name: "Show the words again" }).click();
    await writeDown(page, WORDS.with(0, "wrong").fill("wrong"));
    await page.getByText(/^Word \d+ is another one/).waitFor();
    const confirmed = (): Promise<boolean> =>
      page.evaluate(() =>
        globalThis.demo.calls.some(([method]) => method === "confirmRecoveryPhrase"),
      );
    expect(await confirmed()).toBe(false);
    await page.getByRole("button", { name: "Show the words again" }).click();
    expect(await page.getByRole("listitem").allTextContents()).toEqual(WORDS);
    // As one types: with a capital, and a space after it.
    await writeDown(
      page,
      WORDS.map((word) => `${word.toUpperCase()} `),
    );
    await page.getByText("No conversations yet").waitFor();
    expect(await confirmed()).toBe(true);
  });

  test("lets one go on without the words, but not by accident", async () => {
    const page = await site.open("new", { permissions: ["clipboard-read", "clipboard-write"] });
    await signUp(page);
    await page.getByRole("button", { name: "Copy" }).click();
    await page.getByText("Copied.").waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(PHRASE);
    await page.getByRole("button", { name: "Go on without them" }).click();
    const dialog = page.getByRole("dialog", { name: "Go on without the words?" });
    await dialog.getByText("your account is gone for good").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("heading", { name: "Write these 12 words down" }).waitFor();
    await page.getByRole("button", { name: "Go on without them" }).click();
    await dialog.getByRole("button", { name: "Go on without" }).click();
    await page.getByText("No conversations yet").waitFor();
    expect(await page.getByRole("dialog").count()).toBe(0);
  });

  test.each([1, 2])("shows no word in two pieces, at 320 pixels, text times %i", async (times) => {
    const viewport = { width: 320 * times, height: 640 };
    const page = await site.open("new", { viewport });
    await page.evaluate((n) => {
      document.documentElement.style.fontSize = `${n * 100}%`;
    }, times);
    await signUp(page);
    const lines = await page.getByRole("listitem").evaluateAll((items) =>
      items.map((item) => {
        // The longest that there are.
        item.textContent = "question";
        const range = document.createRange();
        range.selectNodeContents(item);
        return [range.getClientRects().length, item.scrollWidth > item.clientWidth];
      }),
    );
    expect(lines).toEqual(lines.map(() => [1, false]));
  });

  test("keeps its field and its buttons within the card, at 320 pixels", async () => {
    const page = await site.open("new", { viewport: { width: 320, height: 640 } });
    await page.getByLabel("Your name").waitFor();
    const margins = await page.locator(".card input, .card button").evaluateAll((controls) =>
      controls.map((control) => {
        const { left, right } = control.getBoundingClientRect();
        return [left, document.documentElement.clientWidth - right];
      }),
    );
    expect(margins).toHaveLength(3);
    for (const [left, right] of margins) expect(right).toBe(left);
  });

  test("says in words why a name can't be had, and lets another be chosen", async () => {
    const page = await site.open("new");
    await page.evaluate(() => globalThis.demo.failNext("signUp", "name-taken"));
    await page.getByLabel("Your name").fill("Alma");
    await begin(page);
    const alert = page.getByRole("alert");
    await expect.poll(() => alert.textContent()).toMatch(/already has this name/);
    await signUp(page);
  });

  test("asks for an invite code where the service does, and says what is wrong with it", async () => {
    const page = await site.open("new");
    expect(await page.getByLabel("Your invite code").count()).toBe(0);
    await page.evaluate(() => globalThis.demo.failNext("signUp", "invite-needed"));
    await page.getByLabel("Your name").fill("Alma");
    await begin(page);
    const alert = page.getByRole("alert");
    await expect.poll(() => alert.textContent()).toMatch(/need an invite code/);
    await page.getByLabel("Your invite code").fill("K7D2-M9QX-4T5A-B6C7");
    for (const [code, words] of [
      ["invite-unknown", /isn't known here/],
      ["invite-spent", /has used this invite code/],
      ["invite-expired", /time of this invite code is over/],
      ["registration-closed", /takes no new accounts/],
    ] as const) {
      await page.evaluate((one) => globalThis.demo.failNext("signUp", one), code);
      await begin(page);
      await expect.poll(() => alert.textContent()).toMatch(words);
    }
    await begin(page);
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
    await expect.poll(() => field.inputValue()).toBe("K7D2-M9QX-4T5A-B6C7");
    await signUp(page);
    expect(await page.evaluate(() => sessionStorage.getItem("invite-code"))).toBeNull();
  });

  test("comes before an invitation, and leads back to it", async () => {
    const page = await site.open("new", { hash: `#${FRAGMENT}` });
    await page.getByText("You have been invited").waitFor();
    await signUp(page);
    await writeDown(page, WORDS);
    await page.getByRole("heading", { name: "Reading circle" }).waitFor();
    expect(await page.evaluate(() => globalThis.demo.calls.at(-1))).toEqual([
      "previewInvitation",
      FRAGMENT,
    ]);
  });
});
