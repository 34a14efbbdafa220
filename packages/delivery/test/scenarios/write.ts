/**
 * Writes `docs/delivery-scenarios.md`: `npm run scenarios`.
 * @module
 */

import { writeFileSync } from "node:fs";
import { markdown, PAGE } from "./table.ts";

writeFileSync(PAGE, markdown());
