import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, startMessengerProcess } from "./messenger-process.ts";
import { Person } from "./person.ts";

// A browser on a busy machine takes its time; whoever waits here waits for a condition.
let browser: Browser;
let messenger: MessengerProcess;
beforeAll(async () => {
  [browser, messenger] = await Promise.all([launchChromium(), startMessengerProcess("--tls")]);
});
afterAll(async () => {
  await browser?.close();
  await messenger?.dispose();
});

test("--tls: over https and its sockets, with the certificate that was made, people talk as over http", async () => {
  const ada = await Person.signUp(browser, messenger.pageOrigin, "Ada");
  await ada.begin("Harbour watch");
  const ben = await Person.signUp(browser, await ada.invite(), "Ben");
  await ben.join("Harbour watch");
  await ada.write("Over https");
  await expect
    .poll(async () => (await ben.messages()).map(({ text }) => text), { timeout: 30_000 })
    .toEqual(["Over https"]);
  expect([...ada.troubles, ...ben.troubles]).toEqual([]);
  expect(messenger.output).toMatch(/fingerprint \(SHA-256\) is ([0-9A-F]{2}:){31}[0-9A-F]{2}/);
});
