import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, startMessengerProcess } from "./messenger-process.ts";

// A browser on a busy machine takes its time; whoever waits here waits for a condition.
let browser: Browser;
let messenger: MessengerProcess;
let page: Page;
beforeAll(async () => {
  [browser, messenger] = await Promise.all([launchChromium(), startMessengerProcess()]);
  page = await browser.newPage();
});
afterAll(async () => {
  await browser?.close();
  await messenger?.dispose();
});

test("the printed address opens it; the token leaves the address at once, and a reload keeps it", async () => {
  await page.goto(messenger.operatorUrl);
  await page.getByRole("heading", { name: "Policy violations" }).waitFor();
  expect(page.url()).toBe(new URL("/", messenger.operatorUrl).href);
  await page.reload();
  await page.getByRole("heading", { name: "Policy violations" }).waitFor();
});

test("without the token it asks for it, and takes no other", async () => {
  const { page: stranger, close } = await open();
  await stranger.getByLabel("Token").fill("wrong");
  await stranger.keyboard.press("Enter");
  await stranger.getByText("This token is not the one of the running server.").waitFor();
  expect(await stranger.getByRole("heading", { name: "Policy violations" }).isVisible()).toBe(
    false,
  );
  await stranger.getByLabel("Token").fill(new URL(messenger.operatorUrl).hash.slice(1));
  await stranger.getByRole("button", { name: "Open" }).click();
  await stranger.getByRole("heading", { name: "Policy violations" }).waitFor();
  await close();
});

test("what browsers report is shown as text, whatever it looks like", async () => {
  const body = {
    "document-uri": `${messenger.pageOrigin}/`,
    "blocked-uri": "https://a.example/<img src=x onerror=alert(1)>",
    "effective-directive": "script-src-elem",
  };
  await fetch(`${messenger.pageOrigin}/reports`, {
    method: "POST",
    headers: { "Content-Type": "application/csp-report" },
    body: JSON.stringify({ "csp-report": body }),
  });
  await page.reload();
  await page.getByRole("cell", { name: "https://a.example", exact: true }).waitFor();
  expect(await page.locator("img").count()).toBe(0);
});

test("its own policy refuses what the page doesn't need", async () => {
  const blocked = page.evaluate(
    () =>
      new Promise<string>((resolve) => {
        addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
        const script = document.createElement("script");
        script.append("document.title = 'ran'");
        document.body.append(script);
      }),
  );
  expect(await blocked).toBe("require-trusted-types-for");
  expect(await page.title()).not.toBe("ran");
});

async function open() {
  const context = await browser.newContext();
  const opened = await context.newPage();
  await opened.goto(new URL("/", messenger.operatorUrl).href);
  return { page: opened, close: () => context.close() };
}
