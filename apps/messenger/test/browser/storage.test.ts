/** What becomes of a browser's storage: copied, dropped in part, of another version. */

import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium, launchProfile } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, startMessengerProcess } from "./messenger-process.ts";
import { Person } from "./person.ts";

const MINUTE = 60_000;

let browser: Browser;
let messenger: MessengerProcess;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "conclave-profiles-"));
  [browser, messenger] = await Promise.all([launchChromium(), startMessengerProcess()]);
});
afterAll(async () => {
  await browser?.close();
  await messenger?.dispose();
  await rm(folder, { recursive: true, force: true });
});

async function open(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  await page.goto(messenger.pageOrigin);
  return page;
}

const inUse = (page: Page) => page.getByRole("heading", { name: "Your account is in use" });
const textsIn = async (page: Page) => page.locator("li.message .message-text").allTextContents();

describe("a profile that is copied", () => {
  test("runs in one of two browsers: the other says so, sends nothing, and may take over", async () => {
    const title = "Copies";
    const [original, copy] = [join(folder, "original"), join(folder, "copy")];
    let context = await launchProfile(original);
    const ada = await Person.signUpIn(context, messenger.pageOrigin, "Ada");
    await ada.begin(title);
    const link = await ada.invite();
    const ben = await Person.signUp(browser, link, "Ben");
    await ben.join(title);
    await context.close();
    await cp(original, copy, { recursive: true });

    context = await launchProfile(original);
    const first = await open(context);
    const room = (page: Page) => page.getByRole("navigation").getByRole("button", { name: title });
    await room(first).click();
    await ada.write("from the first", first);
    await expect.poll(() => textsIn(ben.page), { timeout: MINUTE }).toEqual(["from the first"]);

    const other = await launchProfile(copy);
    const second = await open(other);
    await inUse(second).waitFor();
    expect(await second.getByRole("navigation").count()).toBe(0);
    // A second tab of the copy, and one that is loaded again, change nothing.
    await second.reload();
    await inUse(second).waitFor();
    await inUse(await open(other)).waitFor();
    await ada.write("still the first", first);
    const both = ["from the first", "still the first"];
    await expect.poll(() => textsIn(ben.page), { timeout: MINUTE }).toEqual(both);
    // Nor do they to a tab of the first that is loaded again.
    await first.reload();
    await first.getByRole("textbox", { name: "Message" }).waitFor();

    await second.getByRole("button", { name: "Go on here" }).click();
    await room(second).waitFor();
    await inUse(first).waitFor();
    await room(second).click();
    await second.getByText("This browser's data is older than what it once sent").waitFor();
    expect(await textsIn(ben.page)).toEqual(both);
    await context.close();
    await other.close();
  });
});

describe("a browser that drops what it kept", () => {
  /** Deletes databases or records as a browser does, whoever uses them. */
  const drop = (page: Page, what: "database" | "keys" | "groups"): Promise<void> =>
    page.evaluate(
      (part) =>
        new Promise<void>((resolve, reject) => {
          if (part === "database") {
            const request = indexedDB.deleteDatabase("conclave");
            request.onsuccess = () => resolve();
            request.onerror = () => reject(request.error);
            return;
          }
          const request = indexedDB.open("conclave");
          request.onerror = () => reject(request.error);
          request.onsuccess = () => {
            const { result: database } = request;
            const name = part === "keys" ? "keys" : "records";
            const transaction = database.transaction(name, "readwrite");
            if (part === "keys") transaction.objectStore(name).clear();
            else transaction.objectStore(name).delete(IDBKeyRange.bound("group/", "group/\u007f"));
            transaction.oncomplete = () => {
              database.close();
              resolve();
            };
          };
        }),
      what,
    );

  test.each([
    ["database", "while it is used"],
    ["keys", "and is started again"],
    ["groups", "and is started again"],
  ] as const)(
    "loses its %s %s: the page says so, and the phrase leads to a fresh device",
    async (what, when) => {
      const [title, name] = [`Lost ${what}`, `Lea ${what}`];
      const mia = await Person.signUp(browser, messenger.pageOrigin, `Mia ${what}`);
      await mia.begin(title);
      const lea = await Person.signUp(browser, await mia.invite(), name);
      await lea.join(title);
      await lea.write("with the old device");
      await expect.poll(() => textsIn(mia.page), { timeout: MINUTE }).toHaveLength(1);

      await drop(lea.page, what);
      if (when === "and is started again") await lea.page.reload();
      const lost = lea.page.getByRole("heading", { name: `This browser lost ${name}'s data` });
      await lost.waitFor({ timeout: MINUTE });
      // It stays so, and a second tab says the same.
      await lea.page.reload();
      await lost.waitFor();
      const second = await open(lea.context);
      await second.getByRole("heading", { name: `This browser lost ${name}'s data` }).waitFor();
      await second.close();

      const field = lea.page.getByLabel("Your recovery phrase");
      const button = lea.page.getByRole("button", { name: "Bring it back" });
      await field.fill(lea.recoveryPhrase.split(" ").toReversed().join(" "));
      await button.click();
      await lea.page.getByText("No account has these twelve words").waitFor();
      await field.fill(lea.recoveryPhrase);
      await button.click();
      await lea.page
        .getByRole("navigation")
        .getByRole("button", { name: title })
        .click({ timeout: MINUTE });
      await lea.write("with the new device");
      const both = ["with the old device", "with the new device"];
      await expect.poll(() => textsIn(mia.page), { timeout: MINUTE }).toEqual(both);
      await mia.page.getByRole("button", { name: "Members", exact: true }).click();
      await expect.poll(() => mia.page.getByText(/2 devices/).count(), { timeout: MINUTE }).toBe(0);
      await lea.page.reload();
      await lea.page.getByRole("textbox", { name: "Message" }).waitFor();
      expect(await lea.messages()).toHaveLength(1);
      expect([...lea.troubles, ...mia.troubles]).toEqual([]);
      await lea.context.close();
      await mia.context.close();
    },
  );
});
