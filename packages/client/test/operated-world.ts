/**
 * A world whose operator takes accounts away.
 */

import { localDoorbell, type Store } from "@conclave/delivery";
import { fromHex } from "../src/bytes.ts";
import type { Client } from "../src/index.ts";
import { sharedWorld } from "./shared-world.ts";
import type { World } from "./world.ts";

/** Each does what the operator's command does. */
export interface Operator {
  /** Ends the account's sessions. Without `quietly` its devices are told at once; with it they find out by what they ask next. */
  readonly disable: (accountId: string, how?: "quietly") => Promise<void>;
  readonly enable: (accountId: string) => Promise<void>;
  readonly deleteAccount: (accountId: string) => Promise<void>;
}

export function operatedWorld(): { readonly world: World; readonly operator: Operator } {
  const doorbell = localDoorbell();
  let store: Store | undefined;
  const world = sharedWorld({
    service: (own) => {
      store = own;
      return { doorbell };
    },
  });
  const theStore = (): Store => {
    if (!store) throw new Error("there is a store while tests run");
    return store;
  };
  return {
    world,
    operator: {
      disable: async (accountId, how) => {
        const disabled = await theStore().setDisabled(fromHex(accountId), Date.now());
        if (typeof disabled !== "object") throw new Error("there is such an account");
        if (how !== "quietly") doorbell.ring({ type: "revoked", devices: disabled.devices });
      },
      enable: async (accountId) => {
        await theStore().setDisabled(fromHex(accountId), undefined);
      },
      deleteAccount: async (accountId) => {
        const deleted = await theStore().deleteAccount(fromHex(accountId), { now: Date.now() });
        if (typeof deleted !== "object") throw new Error("there is such an account");
        doorbell.ring({ type: "revoked", devices: deleted.devices });
      },
    },
  };
}

export async function accountIdOf(client: Client): Promise<string> {
  const { account } = await client.snapshot();
  if (!account) throw new Error("the device has an account");
  return account.accountId;
}
