/**
 * The page's entry: one engine candidate for this tab, and a view of whichever tab's was elected.
 * @module
 */
import { connectToEngine } from "@conclave/client/browser";
import { fetchConfiguration } from "./configuration.ts";
import { startEngineWorker } from "./engine-worker.ts";
import { showFailure, showPage } from "./show-page.tsx";

async function main(): Promise<void> {
  if (!isSecureContext) {
    showFailure(
      "Browsers keep keys only for pages that came over https, or from this very computer. Ask whoever runs this service for its https address.",
    );
    return;
  }
  try {
    const { serviceOrigin } = await fetchConfiguration();
    startEngineWorker(serviceOrigin);
    await showPage(connectToEngine());
  } catch {
    showFailure("The page could not be loaded completely. Please reload it.");
  }
}

await main();
