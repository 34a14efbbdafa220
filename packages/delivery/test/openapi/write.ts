/**
 * Writes `docs/openapi.json`: `npm run openapi`.
 * @module
 */

import { writeFile } from "node:fs/promises";
import { DOCUMENT_FILE, documentText } from "./document.ts";

await writeFile(DOCUMENT_FILE, documentText());
