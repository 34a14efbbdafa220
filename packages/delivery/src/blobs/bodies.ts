/**
 * Where the bytes of blobs are: the one seam between the service and whatever keeps them.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";

/**
 * Parts are written once, under names that nothing refers to before they are durable: so there is nothing to
 * replace, nothing to complete, and what a crash leaves behind is found under its blob. Both names are hexadecimal
 * and the service's own.
 */
export interface BlobBodies {
  /** Durable when it resolves. */
  readonly put: (blob: string, part: string, bytes: Bytes) => Promise<void>;
  /** `undefined` where there is no such part. */
  readonly get: (blob: string, part: string) => Promise<Bytes | undefined>;
  /** One part; it may never have been there. */
  readonly removePart: (blob: string, part: string) => Promise<void>;
  /** All that is there of a blob, also parts of which only this knows. */
  readonly remove: (blob: string) => Promise<void>;
}
