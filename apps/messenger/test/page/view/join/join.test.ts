import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSite, type Site } from "../../demo/site.ts";
import { FRAGMENT } from "../../demo/views.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());
const hash = `#${FRAGMENT}`;

describe("join", () => {
  test("shows who invites to what, and joins", async () => {
    const page = await site.open("empty", { hash });
    await page.getByRole("heading", { name: "Reading circle" }).waitFor();
    await page.getByText("Jonas Lind invites you. 3 members so far.").waitFor();
    await page.getByText("Checked: the Jonas Lind who made this link").waitFor();
    await page.getByRole("button", { name: "Join" }).click();
    await page.getByText("You joined by a link").first().waitFor();
    expect(await page.evaluate(() => globalThis.demo.calls)).toContainEqual([
      "acceptInvitation",
      FRAGMENT,
    ]);
  });

  test("the secret leaves the address at once, and the history with it", async () => {
    const page = await site.open("empty", { hash });
    expect(page.url()).not.toContain("#");
    expect(await page.evaluate(() => JSON.stringify(history.state))).not.toContain(FRAGMENT);
  });

  test("a link opened in a tab that is open already is taken as well", async () => {
    const page = await site.open("home");
    await page.evaluate((fragment) => {
      location.hash = fragment;
    }, hash);
    await page.getByRole("button", { name: "Join" }).waitFor();
    expect(page.url()).not.toContain("#");
  });

  test("a link that somebody else made can't be joined", async () => {
    const page = await site.open("false-link", { hash });
    await page.getByText("isn't the one who made this link").waitFor();
    expect(await page.getByRole("button", { name: "Join" }).count()).toBe(0);
  });

  test("a closed link is told in words; not now leads to the conversations", async () => {
    const page = await site.open("home", { hash });
    await page.evaluate(() => globalThis.demo.failNext("acceptInvitation", "link-closed"));
    await page.getByRole("button", { name: "Join" }).click();
    await page.getByText("This link is no longer open").waitFor();
    await page.getByRole("button", { name: "Not now" }).click();
    await page.getByRole("navigation").getByText("Sunday walk").waitFor();
    expect(await page.getByRole("button", { name: "Join" }).count()).toBe(0);
  });
});
