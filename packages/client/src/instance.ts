/**
 * Which running copy of a device this is. Each start of the engine takes an id at random, and signs in in the place of those whose
 * state it has: their ids are in storage. Who has a copy of the profile has ids that others have since gone on from, and is
 * refused by the service: one state is used by one engine, and no key of it twice.
 * @module
 */

import type { ClientInstance } from "@conclave/delivery/client";
import { INSTANCES } from "@conclave/delivery/protocol";
import { type Bytes, type Codec, encode, fixed, struct, vector } from "@conclave/mls/codec";
import { equal, randomBytes } from "./bytes.ts";
import { type ClientStorage, read } from "./storage.ts";

export const INSTANCES_RECORD = "instances";

/** The one that the service took last, as far as is known, then those that were announced since; one of them may be the last. */
interface Known {
  readonly ids: readonly Bytes[];
}
const Known: Codec<Known> = struct({ ids: vector(fixed(16)) });

export interface OwnInstance extends ClientInstance {
  /** From the next sign-in on it goes on in the place of whatever copy there is: a person wants that. */
  readonly takeOver: () => void;
}

export function ownInstance(options: {
  readonly storage: ClientStorage;
  /** Another copy signed in. */
  readonly refused: () => void;
  /** The storage can't be written, or is another engine's by now. */
  readonly failed: (error: unknown) => void;
}): OwnInstance {
  const { storage, refused, failed } = options;
  const id = randomBytes(16);
  let wanted = false;

  async function keep(ids: readonly Bytes[]): Promise<void> {
    try {
      await storage.apply({ put: new Map([[INSTANCES_RECORD, encode(Known, { ids })]]) });
    } catch (error) {
      failed(error);
      throw error;
    }
  }

  return {
    takeOver() {
      wanted = true;
    },
    async announce() {
      const { ids } = (await read(storage, Known, INSTANCES_RECORD)) ?? { ids: [] };
      const others = ids.filter((one) => !equal(one, id));
      const succeeds = [...others.slice(0, 1), ...others.slice(1).slice(2 - INSTANCES)];
      // Written also where nothing changes: it fails where another engine has the storage.
      await keep([...succeeds, id]);
      return { id, succeeds, takeOver: wanted };
    },
    async entered() {
      wanted = false;
      await keep([id]);
    },
    refused,
  };
}
