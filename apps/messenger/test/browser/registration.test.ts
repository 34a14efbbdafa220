import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { begin } from "../page/demo/views.ts";
import { type MessengerProcess, startMessengerProcessOn } from "./messenger-process.ts";
import { Person } from "./person.ts";

// A browser on a busy machine takes its time; whoever waits here waits for a condition.
const DELIVERY = new URL("../../../../packages/delivery/src/cli/main.ts", import.meta.url).pathname;

let browser: Browser;
let messenger: MessengerProcess;
beforeAll(async () => {
  [browser, messenger] = await Promise.all([
    launchChromium(),
    startMessengerProcessOn("sqlite", "--registration", "invite"),
  ]);
});
afterAll(async () => {
  await browser?.close();
  await messenger?.dispose();
});

/** `conclave-delivery`, beside the server that runs. */
async function command(...args: readonly string[]): Promise<string> {
  const { PATH, HOME } = process.env;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--conditions=@conclave/source", DELIVERY, ...args],
    {
      env: {
        PATH,
        HOME,
        CONCLAVE_PUBLIC_ORIGIN: messenger.serviceOrigin,
        CONCLAVE_ALLOWED_ORIGINS: messenger.pageOrigin,
        CONCLAVE_DATA: messenger.dataFolder,
        CONCLAVE_REGISTRATION: "invite",
      },
    },
  );
  return stdout;
}

test("an operator's link lets one person make an account, and reaches no log", async () => {
  const [code = "", link = ""] = (await command("invite")).trim().split("  ");
  expect(link).toBe(`${messenger.pageOrigin}/#invite=${code}`);
  const ada = await Person.signUp(browser, link, "Ada");
  expect(new URL(ada.page.url()).hash).toBe("");
  await ada.begin("Tea");

  const page = await (await browser.newContext()).newPage();
  await page.goto(messenger.pageOrigin);
  await page.getByLabel("Your name").fill("Ben");
  await begin(page);
  const alert = page.getByRole("alert");
  await expect.poll(() => alert.textContent()).toMatch(/need an invite code/);
  await page.getByLabel("Your invite code").fill(code.toLowerCase());
  await begin(page);
  await expect.poll(() => alert.textContent()).toMatch(/has used this invite code/);
  const [other = ""] = (await command("invite")).split("  ");
  await page.getByLabel("Your invite code").fill(other);
  await begin(page);
  await page.getByRole("heading", { name: "Write these 12 words down" }).waitFor();

  expect(messenger.output).not.toContain(code);
  expect(await command("accounts", "list")).toMatch(/^Ada +enabled .*\nBen +enabled /);
  expect(ada.troubles).toEqual([]);
});
