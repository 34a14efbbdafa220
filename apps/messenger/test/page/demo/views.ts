/**
 * Every view of the page: the scene it begins in, and how one gets there. For the pictures, and
 * for what must hold of all of them.
 * @module
 */
import type { Page } from "playwright-core";
import { PHRASE } from "./demo-engine.ts";
import type { SceneName } from "./scenes.ts";

export interface View {
  readonly name: string;
  readonly scene: SceneName;
  readonly hash?: string;
  readonly act?: (page: Page) => Promise<void>;
}

/** An invitation's secret, as it stands in a link. */
export const FRAGMENT = "AX3b".repeat(22);

/** Opens a conversation from the list, then presses buttons by their names. */
export const open =
  (title: string, ...buttons: readonly string[]) =>
  async (page: Page): Promise<void> => {
    await page.getByRole("navigation").getByRole("button", { name: title }).click();
    for (const name of buttons) await page.getByRole("button", { name }).first().click();
  };

export async function signUp(page: Page): Promise<void> {
  await page.getByLabel("Your name").fill("Alma Reyes");
  await begin(page);
  await page.getByRole("heading", { name: "Write these 12 words down" }).waitFor();
}

/** With the name that is entered, which is asked about once. */
export async function begin(page: Page): Promise<void> {
  await press(page, "Begin");
  await page.getByRole("dialog").getByRole("button", { name: "Begin" }).click();
}

/** To the question for two of the words; answered, where they are given. */
export async function writeDown(page: Page, words?: readonly string[]): Promise<void> {
  await press(page, "I wrote them down");
  const labels = page.locator("label", { hasText: /^Word \d+$/ });
  await labels.first().waitFor();
  if (words === undefined) return;
  for (const label of await labels.allTextContents()) {
    await page.getByLabel(label, { exact: true }).fill(words[Number(label.slice(5)) - 1] ?? "");
  }
  await press(page, "Go on");
}

const press = (page: Page, name: string): Promise<void> =>
  page.getByRole("button", { name, exact: true }).click();

/** To one of the dialogs about copies of messages; filled in, where it is gone on with. */
export async function copyOf(page: Page, dialog: string, action?: string): Promise<void> {
  await press(page, "Settings");
  await press(page, dialog);
  if (action === undefined) return;
  await page.getByLabel("Your recovery phrase").fill(PHRASE);
  const file = page.getByLabel("The file");
  const chosen = {
    name: "conclave-messages-2026-05-03.backup",
    mimeType: "application/octet-stream",
    buffer: Buffer.from("a copy"),
  };
  if ((await file.count()) > 0) await file.setInputFiles(chosen);
  await press(page, action);
}

/** Tries to add somebody who can't be reached, or isn't there. */
export async function addInVain(page: Page, name: string): Promise<void> {
  await page.evaluate(() => globalThis.demo.failNext("addByName", "name-unknown"));
  await page.getByLabel("Add by name").fill(name);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByText("Nobody can be added by this name").waitFor();
}

export const views: readonly View[] = [
  { name: "sign-up", scene: "new" },
  {
    name: "begin-as",
    scene: "new",
    async act(page) {
      await page.getByLabel("Your name").fill("Alma Reyes");
      await press(page, "Begin");
      await page.getByRole("dialog").waitFor();
    },
  },
  { name: "recovery-phrase", scene: "new", act: signUp },
  {
    name: "check-phrase",
    scene: "new",
    async act(page) {
      await signUp(page);
      await writeDown(page);
    },
  },
  {
    name: "without-phrase",
    scene: "new",
    async act(page) {
      await signUp(page);
      await press(page, "Go on without them");
      await page.getByRole("dialog").waitFor();
    },
  },
  {
    name: "recover",
    scene: "new",
    act: (page) => page.getByRole("button", { name: "I have a recovery phrase" }).click(),
  },
  {
    name: "came-back",
    scene: "new",
    async act(page) {
      await press(page, "I have a recovery phrase");
      await page.getByLabel("Your recovery phrase").fill(PHRASE);
      await press(page, "Bring it back");
      await page.getByText("Your account is back").waitFor();
    },
  },
  { name: "lost", scene: "lost" },
  {
    name: "outdated",
    scene: "home",
    act: (page) => page.evaluate(() => globalThis.demo.connect("outdated")),
  },
  { name: "empty", scene: "empty" },
  {
    name: "new-conversation",
    scene: "home",
    act: (page) => page.getByRole("button", { name: "New conversation" }).click(),
  },
  { name: "asked", scene: "asked" },
  { name: "settings", scene: "home", act: (page) => press(page, "Settings") },
  { name: "save-copy", scene: "home", act: (page) => copyOf(page, "Save a copy") },
  {
    name: "saving-copy",
    scene: "home",
    async act(page) {
      await page.evaluate(() => globalThis.demo.hold());
      await copyOf(page, "Save a copy", "Save");
      await page.getByRole("progressbar").waitFor();
    },
  },
  {
    name: "bring-messages",
    scene: "home",
    act: (page) => copyOf(page, "Bring my messages here"),
  },
  {
    name: "older-copy",
    scene: "home",
    async act(page) {
      await page.evaluate(() => globalThis.demo.failNext("restoreBackup", "backup-older"));
      await copyOf(page, "Bring my messages here", "Bring them here");
      await page.getByText("You have saved a newer copy since").waitFor();
    },
  },
  {
    name: "brought-messages",
    scene: "home",
    async act(page) {
      await copyOf(page, "Bring my messages here", "Bring them here");
      await page.getByText("All of them are here now").waitFor();
    },
  },
  { name: "restored", scene: "restored", act: open("Sunday walk") },
  { name: "settings-people", scene: "asked", act: (page) => press(page, "Settings") },
  { name: "waiting", scene: "asked", act: open("Reading circle", "Members") },
  { name: "block", scene: "home", act: open("Reading circle", "Members", "Block Tomasz") },
  {
    name: "ask",
    scene: "home",
    async act(page) {
      await open("Reading circle", "Members")(page);
      await addInVain(page, "Mira Okafor");
    },
  },
  { name: "list", scene: "home" },
  { name: "join", scene: "home", hash: `#${FRAGMENT}` },
  { name: "false-link", scene: "false-link", hash: `#${FRAGMENT}` },
  { name: "conversation", scene: "home", act: open("Reading circle") },
  { name: "alone", scene: "home", act: open("House") },
  {
    name: "lively",
    scene: "lively",
    async act(page) {
      await open("Reading circle")(page);
      await page.evaluate(() => globalThis.demo.type("7c0000a1", ...globalThis.people));
      await page.getByText("Jonas Lind and Tomasz are writing…").first().waitFor();
    },
  },
  { name: "members", scene: "home", act: open("Reading circle", "Members") },
  { name: "invite", scene: "home", act: open("Reading circle", "Invite") },
  { name: "invitation", scene: "home", act: open("Reading circle", "Invite", "Make a link") },
  {
    name: "safety-number",
    scene: "home",
    act: open("Reading circle", "Members", "Safety number of Priya Nair"),
  },
  { name: "remove", scene: "home", act: open("Reading circle", "Members", "Remove Tomasz") },
  {
    name: "trouble",
    scene: "trouble",
    async act(page) {
      await page.evaluate(() => globalThis.demo.connect("offline"));
      await open("Committee")(page);
    },
  },
  {
    name: "elsewhere",
    scene: "home",
    act: (page) => page.evaluate(() => globalThis.demo.connect("elsewhere")),
  },
  { name: "left", scene: "home", act: open("Moving day") },
];
