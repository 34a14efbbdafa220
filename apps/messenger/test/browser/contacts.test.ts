/** Asking somebody who wants to be asked first: two real profiles and the real server. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, startMessengerProcess } from "./messenger-process.ts";
import { Person } from "./person.ts";

let browser: Browser;
let messenger: MessengerProcess;
let ada: Person;
let ben: Person;
beforeAll(async () => {
  [browser, messenger] = await Promise.all([launchChromium(), startMessengerProcess()]);
  ada = await Person.signUp(browser, messenger.pageOrigin, "Ada");
  ben = await Person.signUp(browser, messenger.pageOrigin, "Ben");
});
afterAll(async () => {
  await browser?.close();
  await messenger?.dispose();
});

/** Chooses in the settings who may write first. */
async function choose(page: Page, rule: string): Promise<void> {
  await page.getByRole("button", { name: "Settings" }).click();
  const dialog = page.getByRole("dialog", { name: "Settings" });
  await dialog.getByRole("radio", { name: rule }).check();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
}

/** Tries to add somebody to the open conversation. */
async function add(page: Page, name: string): Promise<void> {
  await page.getByLabel("Add by name").fill(name);
  await page.getByRole("button", { name: "Add", exact: true }).click();
}

const room = (page: Page, title: string) =>
  page.getByRole("navigation").getByRole("button", { name: title });

describe("who wants to be asked first", () => {
  test("is asked, allows it, and is added from the answer", async () => {
    await choose(ben.page, "Only people I allow");
    await ada.begin("Allotment");
    await ada.page.getByRole("button", { name: "Members", exact: true }).click();
    await add(ada.page, "Ben");
    await ada.page.getByText("Nobody can be added by this name").waitFor();
    await ada.page.getByRole("button", { name: "Ask Ben" }).click();
    const request = ben.page.getByRole("region", { name: "A request by Ada" });
    await request.waitFor();
    // It is still known that one waits when the page is loaded again.
    await ada.page.reload();
    await ada.page.getByRole("button", { name: "Take back the request to Ben" }).waitFor();
    await request.getByRole("button", { name: "Allow" }).click();
    const answer = ada.page.getByRole("region", { name: "An answer by Ben" });
    await answer.getByRole("button", { name: "Add to Allotment" }).click();
    await ada.page.getByRole("heading", { name: "2 members" }).waitFor();
    await room(ben.page, "Allotment").click();
    await ada.write("Welcome");
    await expect
      .poll(async () => (await ben.messages()).map(({ text }) => text))
      .toEqual(["Welcome"]);
    await answer.waitFor({ state: "detached" });
    expect(await ada.page.getByRole("list", { name: "Whom you asked" }).count()).toBe(0);
  });

  test("sees a request no more that is taken back, and blocks whom it likes", async () => {
    const cleo = await Person.signUp(browser, messenger.pageOrigin, "Cleo");
    await cleo.begin("Unasked");
    await cleo.page.getByRole("button", { name: "Members", exact: true }).click();
    await add(cleo.page, "Ben");
    await cleo.page.getByRole("button", { name: "Ask Ben" }).click();
    const request = ben.page.getByRole("region", { name: "A request by Cleo" });
    await request.waitFor();
    await cleo.page.getByRole("button", { name: "Take back the request to Ben" }).click();
    await request.waitFor({ state: "detached" });

    await add(cleo.page, "Ben");
    await cleo.page.getByRole("button", { name: "Ask Ben" }).click();
    await request.getByRole("button", { name: "Block" }).click();
    await request.waitFor({ state: "detached" });
    await choose(ben.page, "Everybody who knows my name");
    await add(cleo.page, "Ben");
    await cleo.page.getByText("Nobody can be added by this name").waitFor();

    await ben.page.getByRole("button", { name: "Settings" }).click();
    await ben.page.getByRole("button", { name: "Unblock Cleo" }).click();
    await ben.page.getByRole("button", { name: "Unblock Cleo" }).waitFor({ state: "detached" });
    await ben.page.keyboard.press("Escape");
    await add(cleo.page, "Ben");
    await cleo.page.getByRole("heading", { name: "2 members" }).waitFor();
    await room(ben.page, "Unasked").waitFor();
    for (const person of [ada, ben, cleo]) expect(person.troubles).toEqual([]);
  });
});
