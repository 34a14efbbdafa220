/**
 * The description as the repository holds it.
 * @module
 */

import { openApiDocument } from "../../src/openapi.ts";

export const DOCUMENT_FILE: URL = new URL("../../../../docs/openapi.json", import.meta.url);

export function documentText(): string {
  return `${JSON.stringify(openApiDocument(), undefined, 2)}\n`;
}
