/** The one place from which these tests start a Chromium. */
import type { Browser } from "playwright-core";
import { launchChromium as launch } from "../../../scripts/chromium.ts";

/** With nothing in it that would turn a URL into another or ask for leave, so that policies alone decide. */
export function launchChromium(...args: readonly string[]): Promise<Browser> {
  return launch(
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,LocalNetworkAccessChecks,AutoupgradeMixedContent",
    ...args,
  );
}
