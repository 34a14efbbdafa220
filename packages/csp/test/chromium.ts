/** The one place from which the tests start a Chromium. */
import { type Browser, chromium } from "playwright-core";

/** With nothing in it that would turn a URL into another or ask for leave, so that policies alone decide. */
export function launchChromium(...args: readonly string[]): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,LocalNetworkAccessChecks,AutoupgradeMixedContent",
      ...args,
    ],
  });
}
