/**
 * What a person should know about, until they say that they do. Each kind is kept once for an account
 * and conversation, so that a hostile peer can't fill the store with them.
 * @module
 */

import type { Batch } from "@conclave/mls";
import { type Codec, decode, optional, struct, utf8 } from "@conclave/mls/codec";
import type { ConversationId, Warning, WarningCode } from "./api.ts";
import { type Changes, type ClientStorage, count, put } from "./storage.ts";

const PREFIX = "warning/";
/** The scope of warnings that belong to no conversation. */
const NOWHERE = "-";

interface StoredWarning {
  readonly code: string;
  readonly at: number;
  readonly accountId: string | undefined;
  readonly subject: string | undefined;
}
const StoredWarning: Codec<StoredWarning> = struct({
  code: utf8,
  at: count,
  accountId: optional(utf8),
  subject: optional(utf8),
});

export class Warnings {
  readonly #storage: ClientStorage;
  readonly #byKey = new Map<string, Warning>();

  constructor(storage: ClientStorage) {
    this.#storage = storage;
  }

  async load(): Promise<void> {
    for (const [key, bytes] of await this.#storage.list(PREFIX)) {
      const { code, at, accountId, subject } = decode(StoredWarning, bytes);
      this.#byKey.set(key, {
        // Only what `stage` was given is ever stored.
        code: code as WarningCode,
        at,
        ...(accountId !== undefined && { accountId }),
        ...(subject !== undefined && { subject }),
      });
    }
  }

  /** Puts the warning into a batch. Call what comes back once the batch is applied. */
  stage(batch: Changes, scope: ConversationId | undefined, warning: Warning): () => void {
    const { code, at, accountId, subject } = warning;
    const key = `${PREFIX}${scope ?? NOWHERE}/${code}/${accountId ?? NOWHERE}`;
    put(batch, key, StoredWarning, { code, at, accountId, subject });
    return () => this.#byKey.set(key, warning);
  }

  of(scope: ConversationId | undefined): readonly Warning[] {
    const prefix = `${PREFIX}${scope ?? NOWHERE}/`;
    return [...this.#byKey]
      .filter(([key]) => key.startsWith(prefix))
      .map(([, warning]) => warning)
      .sort((a, b) => a.at - b.at);
  }

  async dismiss(scope: ConversationId | undefined): Promise<void> {
    const prefix = `${PREFIX}${scope ?? NOWHERE}/`;
    const keys = [...this.#byKey.keys()].filter((key) => key.startsWith(prefix));
    const batch: Batch = { delete: keys };
    await this.#storage.apply(batch);
    for (const key of keys) this.#byKey.delete(key);
  }
}
