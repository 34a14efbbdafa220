/**
 * What the page of a conformance run offers: vectors, run with this browser's WebCrypto.
 * @module
 */

import { webCrypto } from "../../src/crypto/webcrypto.ts";
import { type Result, runVectors } from "../run.ts";

declare global {
  var conformance: ((json: string) => Promise<Result>) | undefined;
}

globalThis.conformance = (json) => runVectors({ crypto: webCrypto }, json);
