import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSite, type Site } from "../../demo/site.ts";
import { open } from "../../demo/views.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());
const narrow = { viewport: { width: 390, height: 780 } };

describe("home", () => {
  test("lists the conversations with what is unread, in the title too", async () => {
    const page = await site.open("home");
    const entries = page.getByRole("navigation").getByRole("listitem");
    expect(await entries.count()).toBe(4);
    expect(await entries.nth(1).innerText()).toMatch(/Sunday walk[^]*Jonas Lind: Nearly[^]*2/);
    expect(await page.title()).toBe("(2) Conclave");
    await open("Sunday walk")(page);
    await expect.poll(() => page.title()).toBe("Conclave");
  });

  test("where it is narrow, one thing at a time; back leads to the list and to the focus", async () => {
    const page = await site.open("home", narrow);
    await open("Sunday walk")(page);
    const list = page.getByRole("navigation", { name: "Conversations" });
    await list.waitFor({ state: "hidden" });
    await page.getByRole("button", { name: "Members" }).click();
    await page.getByRole("heading", { name: "Sunday walk" }).waitFor({ state: "hidden" });
    await page.goBack();
    await page.getByRole("heading", { name: "Sunday walk" }).waitFor();
    await page.getByRole("button", { name: "Back to the conversations" }).click();
    await list.waitFor();
    await expect.poll(() => page.locator(":focus").innerText()).toContain("Sunday walk");
  });

  test("where it is wide, list, conversation and members stand side by side", async () => {
    const page = await site.open("home", { viewport: { width: 1280, height: 800 } });
    await open("Sunday walk", "Members")(page);
    await page.getByRole("complementary", { name: "Members" }).waitFor();
    expect(await page.getByRole("heading", { name: "Sunday walk" }).isVisible()).toBe(true);
    expect(await page.getByRole("navigation").isVisible()).toBe(true);
    expect(await page.getByRole("button", { name: "Back to the conversations" }).isVisible()).toBe(
      false,
    );
  });

  test("a reload finds the open conversation again, and the address never names it", async () => {
    const page = await site.open("home");
    await open("Sunday walk")(page);
    expect(page.url()).toMatch(/\/\?home$/);
    await page.reload();
    await page.getByRole("heading", { name: "Sunday walk" }).waitFor();
  });

  test("begins a conversation", async () => {
    const page = await site.open("empty");
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.getByLabel("Title").fill("Tea");
    await page.getByRole("dialog").getByRole("button", { name: "Begin" }).click();
    await page.getByRole("heading", { name: "Tea" }).waitFor();
    await page.getByText("You began this conversation").first().waitFor();
    expect(await page.getByRole("dialog").count()).toBe(0);
  });

  test("says when there is no connection, and when it is back", async () => {
    const page = await site.open("home");
    await page.evaluate(() => globalThis.demo.connect("offline"));
    const banner = page.getByRole("status").filter({ hasText: "No connection" });
    await banner.waitFor();
    expect(await page.getByRole("navigation").innerText()).toContain("Offline");
    await page.evaluate(() => globalThis.demo.connect("online"));
    await banner.waitFor({ state: "detached" });
  });

  test("says when the account was disabled, which isn't a missing connection", async () => {
    const page = await site.open("home", { viewport: { width: 320, height: 640 } });
    await page.evaluate(() => globalThis.demo.connect("disabled"));
    const banner = page.getByRole("status").filter({ hasText: "has disabled your account" });
    await banner.waitFor();
    await open("Sunday walk")(page);
    expect(await banner.isVisible()).toBe(true);
    expect(await page.getByText("No connection").count()).toBe(0);
  });

  test("says when the account was deleted", async () => {
    const page = await site.open("home", { viewport: { width: 320, height: 640 } });
    await page.evaluate(() => globalThis.demo.connect("deleted"));
    const banner = page.getByRole("status").filter({ hasText: "Your account was deleted" });
    await banner.waitFor();
    expect(await page.getByText("No connection").count()).toBe(0);
  });

  test("warnings are told once each, with their number, until they are understood", async () => {
    const page = await site.open("trouble");
    await page.getByText("The name Priya Nair now leads to somebody else").waitFor();
    await open("Committee")(page);
    const main = page.getByRole("main");
    await main.getByText("You don't all see the same conversation").waitFor();
    expect(await main.getByText("A message can't be read").count()).toBe(1);
    await main.getByText("2 times, last").waitFor();
    await main.getByRole("button", { name: "Understood" }).click();
    await main.getByText("A message can't be read").waitFor({ state: "detached" });
  });

  test("asks again for a phrase that was never confirmed", async () => {
    const page = await site.open("trouble");
    await page.getByRole("button", { name: "I have it" }).click();
    await page.getByText("Did you write down").waitFor({ state: "detached" });
    expect(await page.evaluate(() => globalThis.demo.calls)).toContainEqual([
      "confirmRecoveryPhrase",
    ]);
  });

  test("says what it means to have no phrase, to who hasn't", async () => {
    const page = await site.open("trouble");
    await page.getByRole("button", { name: "I don't" }).click();
    const dialog = page.getByRole("dialog", { name: "Go on without a recovery phrase?" });
    await dialog.getByText("begin a new account in another browser").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "I don't" }).click();
    await dialog.getByRole("button", { name: "Go on without" }).click();
    await page.getByText("Did you write").waitFor({ state: "detached" });
    expect(await page.evaluate(() => globalThis.demo.calls)).toContainEqual([
      "confirmRecoveryPhrase",
    ]);
  });

  test("the focus stays near when what had it goes", async () => {
    const page = await site.open("asked");
    const focused = (): Promise<string> =>
      page.evaluate(() => {
        const { activeElement: at } = document;
        return at === document.body
          ? ""
          : (at?.closest("section, nav, main, aside")?.ariaLabel ?? "");
      });
    await page.getByRole("button", { name: "Not now" }).press("Enter");
    await page.getByRole("region", { name: /^A request by/ }).waitFor({ state: "detached" });
    await expect.poll(() => focused()).toBe("An answer by Mira Okafor");
    await page.getByRole("button", { name: "Understood" }).press("Enter");
    await page.getByRole("region", { name: /^An answer by/ }).waitFor({ state: "detached" });
    await expect.poll(() => focused()).not.toBe("");
  });

  test("the sentence of a banner stands beside its sign, also where it is narrow", async () => {
    const page = await site.open("home", { viewport: { width: 320, height: 640 } });
    await page.evaluate(() => globalThis.demo.connect("offline"));
    const banner = page.getByRole("status").filter({ hasText: "No connection" });
    const [sign, words] = await Promise.all([
      banner.locator("svg").boundingBox(),
      banner.locator("p").boundingBox(),
    ]);
    expect(words?.x).toBeGreaterThanOrEqual((sign?.x ?? 0) + (sign?.width ?? 0));
  });

  test("asks whether somebody may reach one, and tells the engine the answer", async () => {
    const page = await site.open("asked");
    const asking = page.getByRole("region", { name: "A request by Ingrid Sørensen" });
    await page.evaluate(() => globalThis.demo.failNext("answerContact", "offline"));
    await asking.getByRole("button", { name: "Allow" }).click();
    await asking.getByText("There is no connection").waitFor();
    await asking.getByRole("button", { name: "Allow" }).click();
    await asking.waitFor({ state: "detached" });
    expect(await page.evaluate(() => globalThis.demo.calls)).toContainEqual([
      "answerContact",
      "0c0c0a01",
      "allowed",
    ]);
  });
});
