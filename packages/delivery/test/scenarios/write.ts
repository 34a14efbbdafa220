/**
 * Writes `docs/delivery-scenarios.md`: `npm run scenarios`.
 * @module
 */

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { orUsage } from "../../../mls/conformance/command-line.ts";
import { markdown, PAGE } from "./table.ts";

orUsage("npm run scenarios", parseArgs);
writeFileSync(PAGE, markdown());
