/**
 * The page's entry: one engine candidate for this tab, and a view of whichever tab's was elected.
 * @module
 */
import { connectToEngine } from "@conclave/client/browser";
import { loadConfiguration } from "./configuration.ts";
import { startEngineWorker } from "./engine-worker.ts";
import { showFailure, showPage } from "./show-page.ts";

async function main(): Promise<void> {
  if (!isSecureContext) {
    showFailure(
      "Browsers keep keys only for pages that came over https, or from this very computer. Ask whoever runs this service for its https address.",
    );
    return;
  }
  const incomplete = (): void =>
    showFailure("The page could not be loaded completely. Please reload it.");
  try {
    const { serviceOrigin } = await loadConfiguration(incomplete);
    let started = false;
    // Once there is an engine, it may be another tab's: this tab has no need of its own yet.
    startEngineWorker(serviceOrigin, () => {
      if (!started) incomplete();
    });
    await showPage(connectToEngine());
    started = true;
  } catch {
    incomplete();
  }
}

await main();
