/**
 * SHA-256 at once: what a request brings is hashed in less time than a thread takes to be asked.
 * @module
 */

import { hash } from "node:crypto";
import type { Bytes } from "@conclave/mls/codec";

export function sha256(bytes: Uint8Array): Bytes {
  return new Uint8Array(hash("sha256", bytes, "buffer"));
}
