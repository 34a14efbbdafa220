import type { Browser, BrowserContext } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, startMessengerProcess } from "./messenger-process.ts";
import { Person } from "./person.ts";

const TITLE = "Boathouse";
const ENGINE = /\/worker-[^/]*\.js$/;

let browser: Browser;
let messenger: MessengerProcess;
beforeAll(async () => {
  [browser, messenger] = await Promise.all([launchChromium(), startMessengerProcess()]);
});
afterAll(async () => {
  await browser?.close();
  await messenger?.dispose();
});

/** From now on no such file can be loaded, until `allow` is called; `refused` resolves when the first was not. */
async function refuse(
  context: BrowserContext,
  file: RegExp,
): Promise<{ readonly refused: Promise<void>; readonly allow: () => void }> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let allowed = false;
  await context.route(file, async (route) => {
    await (allowed ? route.continue() : route.abort());
    resolve();
  });
  return {
    refused: promise,
    allow: () => {
      allowed = true;
    },
  };
}

describe("a page of which a part could not be loaded", () => {
  test("the engine, while another tab's works: shows what that has, and goes on with its own once that tab is closed", async () => {
    const ada = await Person.signUp(browser, messenger.pageOrigin, "Ada");
    await ada.begin(TITLE);
    const { refused, allow } = await refuse(ada.context, ENGINE);
    const tab = await ada.secondTab(TITLE);
    await refused;
    allow();
    await ada.leaveFor(tab);
    await ada.write("From the other tab");
    expect(await ada.messages()).toMatchObject([{ text: "From the other tab" }]);
  });

  test.each([
    ["engine", ENGINE],
    ["configuration", /\/config\.json$/],
  ])("the %s: says so, and is there by itself once it could be", async (what, file) => {
    const ben = await Person.signUp(browser, messenger.pageOrigin, `Ben of the ${what}`);
    await ben.begin(TITLE);
    const { allow } = await refuse(ben.context, file);
    await ben.page.reload();
    const incomplete = ben.page.getByText("could not be loaded completely");
    await incomplete.waitFor();
    allow();
    await ben.page.getByRole("textbox", { name: "Message" }).waitFor();
    expect(await incomplete.count()).toBe(0);
  });
});
