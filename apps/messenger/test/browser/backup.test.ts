/**
 * One's messages, carried from one browser to another by a file, in two real profiles.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, launchProfile } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, startMessengerProcess } from "./messenger-process.ts";
import { Person } from "./person.ts";

const MINUTE = 60_000;

let messenger: MessengerProcess;
let browser: Browser;
let folder: string;
const profiles: BrowserContext[] = [];
beforeAll(async () => {
  messenger = await startMessengerProcess();
  browser = await launchChromium();
  folder = await mkdtemp(join(tmpdir(), "conclave-copies-"));
});
afterAll(async () => {
  await Promise.all(profiles.map((profile) => profile.close()));
  await browser.close();
  await messenger.dispose();
  await rm(folder, { recursive: true });
});

async function profile(name: string): Promise<BrowserContext> {
  const context = await launchProfile(join(folder, name));
  profiles.push(context);
  return context;
}

async function openDialog(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("button", { name, exact: true }).click();
}

async function saveCopy({ page, recoveryPhrase }: Person, path: string): Promise<void> {
  await openDialog(page, "Save a copy");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Your recovery phrase").fill(recoveryPhrase);
  const downloading = page.waitForEvent("download");
  await dialog.getByRole("button", { name: "Save", exact: true }).click();
  const download = await downloading;
  expect(download.suggestedFilename()).toMatch(/^conclave-messages-\d{4}-\d\d-\d\d\.backup$/);
  await download.saveAs(path);
  await dialog.getByRole("button", { name: "Done" }).click();
}

test("a copy of one's messages is saved in one browser and brought to another; an older or changed one is refused", async () => {
  const mia = await Person.signUp(browser, messenger.pageOrigin, "Mia");
  await mia.begin("Carried");
  const link = await mia.invite();
  const lea = await Person.signUpIn(await profile("first"), link, "Lea");
  await lea.join("Carried");
  await mia.write("hello Lea");
  await lea.page.getByText("hello Lea", { exact: true }).waitFor({ timeout: MINUTE });
  await lea.write("hello Mia");
  const [older, newer, changed] = ["older", "newer", "changed"].map((name) => join(folder, name));
  if (!older || !newer || !changed) throw new Error("three files");
  await saveCopy(lea, older);
  await lea.write("one more");
  await expect
    .poll(async () => (await lea.messages()).map(({ state }) => state), { timeout: MINUTE })
    .toEqual(["received", "delivered", "delivered"]);
  await saveCopy(lea, newer);
  const bytes = await readFile(newer);
  for (const secret of ["hello", "Carried", "Mia"]) expect(bytes.includes(secret)).toBe(false);
  bytes[bytes.length - 30] = (bytes[bytes.length - 30] ?? 0) ^ 1;
  await writeFile(changed, bytes);

  const page = await (await profile("second")).newPage();
  const troubles: string[] = [];
  page.on("pageerror", (error) => troubles.push(String(error)));
  await page.goto(messenger.pageOrigin);
  await page.getByRole("button", { name: "I have a recovery phrase" }).click();
  await page.getByLabel("Your recovery phrase").fill(lea.recoveryPhrase);
  await page.getByRole("button", { name: "Bring it back" }).click();
  const room = page.getByRole("navigation").getByRole("button", { name: "Carried" });
  await room.click({ timeout: MINUTE });
  await page.getByRole("textbox", { name: "Message" }).waitFor();
  expect(await page.locator("li.message").count()).toBe(0);

  await openDialog(page, "Bring my messages here");
  const dialog = page.getByRole("dialog");
  const bring = dialog.getByRole("button", { name: "Bring them here" });
  await dialog.getByLabel("Your recovery phrase").fill(lea.recoveryPhrase);
  await dialog.getByLabel("The file").setInputFiles(changed);
  await bring.click();
  await dialog.getByText("This copy isn't whole, or was changed").waitFor();
  await dialog.getByLabel("The file").setInputFiles(older);
  await bring.click();
  await dialog.getByText("You have saved a newer copy since").waitFor();
  await dialog.getByRole("button", { name: "Bring this copy" }).waitFor();
  expect(await page.locator("li.message").count()).toBe(0);
  await dialog.getByLabel("The file").setInputFiles(newer);
  await bring.click();
  await dialog.getByText("All of them are here now").waitFor();
  await dialog.getByRole("button", { name: "Done" }).click();

  const texts = (): Promise<readonly string[]> =>
    page.locator("li.message .message-text").allInnerTexts();
  await expect.poll(texts).toEqual(["hello Lea", "hello Mia", "one more"]);
  expect(await page.locator("li.message").getByLabel("From a copy").count()).toBe(3);
  await mia.write("welcome back");
  await page.getByText("welcome back", { exact: true }).waitFor({ timeout: MINUTE });
  const all = ["hello Lea", "hello Mia", "one more", "welcome back"];
  expect(await texts()).toEqual(all);

  await openDialog(page, "Bring my messages here");
  await dialog.getByLabel("Your recovery phrase").fill(lea.recoveryPhrase);
  await dialog.getByLabel("The file").setInputFiles(newer);
  await bring.click();
  await dialog.getByText("All of them were here already").waitFor();
  await page.reload();
  await page.getByRole("textbox", { name: "Message" }).waitFor();
  await expect.poll(texts).toEqual(all);
  expect(await page.locator("li.message").getByLabel("From a copy").count()).toBe(3);
  expect([...troubles, ...lea.troubles, ...mia.troubles]).toEqual([]);
});
