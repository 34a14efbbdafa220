/** Who is writing and what was read: three real profiles and the real server. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, startMessengerProcess } from "./messenger-process.ts";
import { Person } from "./person.ts";

const TITLE = "Night shift";

let browser: Browser;
let messenger: MessengerProcess;
let ada: Person;
let ben: Person;
let cleo: Person;
beforeAll(async () => {
  [browser, messenger] = await Promise.all([launchChromium(), startMessengerProcess()]);
  ada = await Person.signUp(browser, messenger.pageOrigin, "Ada");
  await ada.begin(TITLE);
  const link = await ada.invite();
  ben = await Person.signUp(browser, link, "Ben");
  await ben.join(TITLE);
  cleo = await Person.signUp(browser, link, "Cleo");
  await cleo.join(TITLE);
  for (const { page } of [ada, ben, cleo]) await page.getByText("3 members").first().waitFor();
});
afterAll(async () => {
  await browser?.close();
  await messenger?.dispose();
});

async function tellWhatIsRead({ page }: Person): Promise<void> {
  await page.getByRole("button", { name: "Settings" }).click();
  const dialog = page.getByRole("dialog", { name: "Settings" });
  await dialog.getByRole("checkbox", { name: /^What I have read/ }).check();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
}

const message = ({ page }: Person, text: string) =>
  page.locator("li.message").filter({ hasText: text });

/** A sentence that passes by itself, so the page watches from before it begins. */
async function shows({ page }: Person, where: string, sentence: string): Promise<void> {
  const isThere = ([selector, text]: readonly [string, string]): boolean =>
    [...document.querySelectorAll(selector)].some((one) => one.textContent === text);
  await page.waitForFunction(isThere, [where, sentence] as const);
}

describe("in a conversation", () => {
  test("the others see who is writing, until the message is there", async () => {
    const seen = [ada, cleo].flatMap((person) =>
      [".typing", '[role="status"]'].map((where) => shows(person, where, "Ben is writing…")),
    );
    await ben.page.getByRole("textbox", { name: "Message" }).pressSequentially("Anybody awake?");
    await Promise.all(seen);
    expect(await ben.page.locator(".typing").innerText()).toBe("");
    await ben.page.keyboard.press("Enter");
    for (const { page } of [ada, cleo]) {
      await page.locator("li.message", { hasText: "Anybody awake?" }).waitFor();
      await expect.poll(() => page.locator(".typing").innerText()).toBe("");
    }
  });

  test("who stops writing is seen to have stopped", async () => {
    const seen = shows(ada, ".typing", "Cleo is writing…");
    await cleo.page.getByRole("textbox", { name: "Message" }).pressSequentially("Hm");
    await seen;
    await expect.poll(() => ada.page.locator(".typing").innerText(), { timeout: 30_000 }).toBe("");
    await cleo.page.getByRole("textbox", { name: "Message" }).fill("");
  });

  test("nobody is told what one has read before one wants it; then each who tells it sees it", async () => {
    await ada.write("Tea at four");
    await message(ben, "Tea at four").waitFor();
    await message(cleo, "Tea at four").waitFor();
    await message(ada, "Tea at four").getByRole("img", { name: "Delivered" }).waitFor();
    expect(await ada.page.getByText(/^Read by/).count()).toBe(0);

    await tellWhatIsRead(ada);
    await tellWhatIsRead(ben);
    await ada.write("And cake");
    await message(ada, "And cake").getByText("Read by Ben").waitFor();
    await message(cleo, "And cake").waitFor();
    expect(await cleo.page.getByText(/^Read by/).count()).toBe(0);
    await tellWhatIsRead(cleo);
    await ada.write("And jam");
    await message(ada, "And jam").getByRole("img", { name: "Read by everyone" }).waitFor();
    await message(ada, "Tea at four").getByRole("img", { name: "Read by everyone" }).waitFor();
    await ada.page.reload();
    await message(ada, "And jam").getByRole("img", { name: "Read by everyone" }).waitFor();
    for (const person of [ada, ben, cleo]) expect(person.troubles).toEqual([]);
  });

  test("the service saw that there were signals, and nothing in them", async () => {
    expect(messenger.output).toContain('"route":"signal"');
    expect(messenger.output).not.toContain("writing");
  });
});
