/**
 * Writes `docs/openapi.json`: `npm run openapi`.
 * @module
 */

import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { orUsage } from "../../../mls/conformance/command-line.ts";
import { DOCUMENT_FILE, documentText } from "./document.ts";

orUsage("npm run openapi", parseArgs);
await writeFile(DOCUMENT_FILE, documentText());
