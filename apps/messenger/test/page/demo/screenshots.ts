/**
 * Pictures of the page, wide and narrow, light and dark.
 *
 *     node --conditions=@conclave/source apps/messenger/test/page/demo/screenshots.ts [folder] [view …]
 *
 * Without arguments: those in docs/images.
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openSite } from "./site.ts";
import { views } from "./views.ts";

const SIZES = {
  wide: { viewport: { width: 1280, height: 800 } },
  narrow: { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true },
} as const;
const IN_DOCS = ["sign-up", "conversation", "members", "join"];

const [folder = join(import.meta.dirname, "../../../../../docs/images"), ...names] =
  process.argv.slice(2);
const wanted = names.length > 0 || process.argv.length > 2 ? names : IN_DOCS;
await mkdir(folder, { recursive: true });
const site = await openSite();
for (const view of views) {
  if (wanted.length > 0 && !wanted.includes(view.name)) continue;
  for (const [size, options] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"] as const) {
      const page = await site.open(view.scene, {
        ...options,
        colorScheme,
        ...(view.hash === undefined ? {} : { hash: view.hash }),
      });
      await view.act?.(page);
      await page.screenshot({ path: join(folder, `${view.name}-${size}-${colorScheme}.png`) });
    }
  }
}
await site.close();
