/**
 * "Look again", said to whoever listens: the sockets of this process, and those of others that share its store.
 * A ring may be lost; what it is about is in the store.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { LogEntry } from "./protocol/index.ts";

export type Ring =
  /** The log of a group has grown; these devices came and went with it. */
  | {
      readonly type: "group";
      readonly groupId: Bytes;
      readonly head: number;
      readonly joined: readonly number[];
      readonly left: readonly number[];
      /** What the log has at its head, in the process that took it: others read it. It is durable, as it was acknowledged. */
      readonly entry?: LogEntry;
    }
  /** A member of the group can't follow a commit. */
  | { readonly type: "reports"; readonly groupId: Bytes }
  /** There is a Welcome for these devices. */
  | { readonly type: "inbox"; readonly devices: readonly number[] }
  /** Somebody asks to reach their account, or one that they asked allowed it. */
  | { readonly type: "contacts"; readonly devices: readonly number[] }
  /** They have few key packages left, or their last resort was served. */
  | { readonly type: "key-packages"; readonly devices: readonly number[] }
  /** A member of the group says this, for the moment: at most 1 KB, which goes to all others that listen and is stored nowhere. */
  | {
      readonly type: "signal";
      readonly groupId: Bytes;
      /** The device that says it, and its account. */
      readonly from: number;
      readonly accountId: Bytes;
      readonly body: Bytes;
    }
  /** The sessions of these devices are over. */
  | { readonly type: "revoked"; readonly devices: readonly number[] }
  /** One session is over. */
  | { readonly type: "signed-out"; readonly tokenHash: Bytes }
  /** Rings may have been lost: whatever is listened for may be there. */
  | { readonly type: "all" };

export interface Doorbell {
  readonly ring: (ring: Ring) => void;
  /** The answer ends it. */
  readonly listen: (listener: (ring: Ring) => void) => () => void;
}

/** For a service that is one process. */
export function localDoorbell(): Doorbell {
  const listeners = new Set<(ring: Ring) => void>();
  return {
    ring(ring) {
      for (const listener of listeners) listener(ring);
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
