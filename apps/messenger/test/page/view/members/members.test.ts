import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSite, type Site } from "../../demo/site.ts";
import { addInVain, FRAGMENT, open } from "../../demo/views.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

describe("members", () => {
  test("says who is who", async () => {
    const page = await site.open("home");
    await open("Reading circle", "Members")(page);
    const members = page.getByRole("complementary").getByRole("listitem");
    expect(await members.nth(0).innerText()).toMatch(/Alma Reyes\s*You/);
    expect(await members.nth(1).innerText()).toMatch(/Jonas Lind\s*Verified[^]*2 devices/);
    expect(await members.nth(0).getByRole("button").count()).toBe(0);
  });

  test("removes after a question, and not without it", async () => {
    const page = await site.open("home");
    await open("Reading circle", "Members", "Remove Tomasz")(page);
    const dialog = page.getByRole("dialog", { name: "Remove Tomasz?" });
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    expect(await page.locator(":focus").innerText()).toContain("Remove");
    await page.keyboard.press("Enter");
    await dialog.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("heading", { name: "3 members" }).waitFor();
    const removals = await page.evaluate(() =>
      globalThis.demo.calls.filter(([method]) => method === "removeMember"),
    );
    expect(removals).toHaveLength(1);
  });

  test("adds by name, or says why not", async () => {
    const page = await site.open("home");
    await open("Reading circle", "Members")(page);
    await page.evaluate(() => globalThis.demo.failNext("addByName", "name-unknown"));
    await page.getByLabel("Add by name").fill("Mira");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText("Nobody can be added by this name").waitFor();
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("heading", { name: "5 members" }).waitFor();
    expect(await page.getByRole("complementary").innerText()).toContain("Mira");
  });

  test("offers to ask who can't be reached, shows who was asked, and takes it back", async () => {
    const page = await site.open("home");
    await open("Reading circle", "Members")(page);
    await addInVain(page, "Mira");
    const panel = page.getByRole("complementary", { name: "Members" });
    const offer = panel.getByRole("region", { name: "Ask Mira" });
    expect(await offer.innerText()).toMatch(/they see yours, Alma Reyes,/);
    // Another name is another question.
    await page.getByLabel("Add by name").fill("Mir");
    await offer.waitFor({ state: "detached" });
    await page.getByLabel("Add by name").fill("Mira");
    await page.evaluate(() => globalThis.demo.failNext("askContact", "busy"));
    await offer.getByRole("button", { name: "Ask Mira" }).click();
    await offer.getByText("Too much at once").waitFor();
    await offer.getByRole("button", { name: "Ask Mira" }).click();
    const asked = panel.getByRole("list", { name: "Whom you asked" });
    await asked.getByText("Asked today at").waitFor();
    expect(await panel.getByText("Nobody can be added by this name").count()).toBe(0);
    expect(await page.getByLabel("Add by name").inputValue()).toBe("");
    expect(await page.getByLabel("Add by name").evaluate((e) => e === document.activeElement)).toBe(
      true,
    );
    await asked.getByRole("button", { name: "Take back the request to Mira" }).click();
    await asked.waitFor({ state: "detached" });
    expect(await page.evaluate(() => globalThis.demo.calls.slice(-2))).toEqual([
      ["askContact", "Mira"],
      ["withdrawContact", "Mira"],
    ]);
  });

  test("adds who was asked and allows it, from the list or from the banner", async () => {
    const page = await site.open("asked");
    await open("Sunday walk", "Members")(page);
    const asked = page.getByRole("list", { name: "Whom you asked" });
    await asked.getByRole("button", { name: "Add Mira Okafor" }).click();
    await page.getByRole("heading", { name: "4 members" }).waitFor();
    expect(await asked.getByText("Mira Okafor").count()).toBe(0);
    await page.evaluate(() => globalThis.demo.allow("Henrik"));
    const banner = page.getByRole("region", { name: "An answer by Henrik" });
    await banner.getByRole("button", { name: "Add to Sunday walk" }).click();
    await page.getByRole("heading", { name: "5 members" }).waitFor();
    await banner.waitFor({ state: "detached" });
  });

  test("blocks after a question", async () => {
    const page = await site.open("home");
    await open("Reading circle", "Members", "Block Tomasz")(page);
    await page.getByRole("dialog").getByRole("button", { name: "Block" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(await page.evaluate(() => globalThis.demo.calls)).toContainEqual([
      "answerContact",
      "0b0b0b04",
      "blocked",
    ]);
    const tomasz = page.getByRole("listitem").filter({ hasText: "Tomasz" });
    await tomasz.getByText("Blocked", { exact: true }).waitFor();
    await tomasz.getByRole("button", { name: "Unblock Tomasz" }).click();
    await tomasz.getByText("Blocked", { exact: true }).waitFor({ state: "detached" });
    await tomasz.getByRole("button", { name: "Block Tomasz" }).waitFor();
    expect(await page.evaluate(() => globalThis.demo.calls.at(-1))).toEqual([
      "forgetContact",
      "0b0b0b04",
    ]);
  });

  test("shows who is blocked already", async () => {
    const page = await site.open("asked");
    await page.evaluate(() => globalThis.demo.answerContact("0b0b0202", "blocked"));
    await open("Reading circle", "Members")(page);
    await page.getByRole("button", { name: "Unblock Priya Nair" }).waitFor();
    expect(await page.getByRole("button", { name: /^Unblock/ }).count()).toBe(1);
  });

  test("keeps the focus when the one it was on is removed", async () => {
    const page = await site.open("home");
    await open("Reading circle", "Members", "Remove Tomasz")(page);
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).press("Enter");
    await page.getByRole("heading", { name: "3 members" }).waitFor();
    const panel = page.getByRole("complementary", { name: "Members" });
    await expect.poll(() => panel.locator(":focus").count()).toBe(1);
  });

  test("leaves after a question", async () => {
    const page = await site.open("home");
    await open("Reading circle", "Members", "Leave the conversation")(page);
    await page.getByRole("dialog").getByRole("button", { name: "Leave" }).click();
    await page.getByText("You are no longer in this conversation").waitFor();
    expect(await page.evaluate(() => globalThis.demo.calls)).toContainEqual(["leave", "7c0000a1"]);
  });
});

describe("safety number", () => {
  test("shows sixty digits, and remembers that they were compared", async () => {
    const page = await site.open("home");
    await open("Reading circle", "Members", "Safety number of Priya Nair")(page);
    const dialog = page.getByRole("dialog", { name: "Safety number" });
    const groups = await dialog.getByRole("listitem").allTextContents();
    expect(groups).toHaveLength(12);
    expect(groups.every((group) => /^\d{5}$/.test(group))).toBe(true);
    await page.setViewportSize({ width: 320, height: 640 });
    const lines = await dialog.getByRole("listitem").evaluateAll((items) =>
      items.map((item) => {
        const range = document.createRange();
        range.selectNodeContents(item);
        return range.getClientRects().length;
      }),
    );
    expect(lines).toEqual(groups.map(() => 1));
    expect(await dialog.evaluate((element) => element.scrollWidth <= element.clientWidth)).toBe(
      true,
    );
    await dialog.getByLabel("they match").check();
    await page.keyboard.press("Escape");
    expect(await page.getByRole("complementary").getByText("Verified").count()).toBe(2);
  });
});

describe("invitations", () => {
  test("makes a link on the chosen terms, copies it, closes it", async () => {
    const page = await site.open("home", { permissions: ["clipboard-read", "clipboard-write"] });
    await open("Sunday walk", "Invite")(page);
    const dialog = page.getByRole("dialog", { name: "Invite by a link" });
    await dialog.getByLabel("Open for").selectOption("1 day");
    await dialog.getByLabel("Lets in").selectOption("1 person");
    await dialog.getByRole("button", { name: "Make a link" }).click();
    const link = `${new URL(page.url()).origin}/#${FRAGMENT}`;
    expect(await dialog.getByLabel("Invitation link").inputValue()).toBe(link);
    expect(await page.evaluate(() => globalThis.demo.calls.at(-1))).toEqual([
      "createInvitation",
      "2c0000a2",
      { expiresInSeconds: 86_400, maxUses: 1 },
    ]);
    await dialog.getByRole("button", { name: "Copy" }).click();
    await dialog.getByRole("button", { name: "Copied" }).waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(link);
    await dialog.getByRole("button", { name: "Close the link" }).click();
    await dialog.getByRole("button", { name: "Make a link" }).waitFor();
    expect(await dialog.getByText("open.").count()).toBe(0);
  });
});
