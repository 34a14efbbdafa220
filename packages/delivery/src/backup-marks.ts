/**
 * What an account notes about its newest backup, so that an older one is not taken for it. The backup itself is wherever the person
 * keeps it; what is noted is sealed for the account's own devices, but for a number, which only grows.
 * @module
 */

import type { Call, Handlers } from "./call.ts";
import { type BackupMarkResponse, SIGN_IN_WINDOW } from "./protocol/index.ts";
import { clockSkew, Refusal } from "./refusal.ts";
import type { Store } from "./store/store.ts";

export function createBackupMarks({
  store,
  now,
}: {
  readonly store: Store;
  readonly now: () => number;
}): Handlers<"backupMark" | "setBackupMark"> {
  async function backupMark({ device }: Call<"backupMark">): Promise<BackupMarkResponse> {
    const mark = await store.backupMark(device.accountId);
    return mark === undefined ? {} : { mark };
  }

  async function setBackupMark({ device, body }: Call<"setBackupMark">): Promise<undefined> {
    const { accountId } = device;
    const mark = await body();
    // Whoever has a device for a while could otherwise note a number that no later backup gets past.
    if (mark.number > now() + SIGN_IN_WINDOW * 1000) {
      throw clockSkew("the backup is said to be of a time to come", now());
    }
    if ((await store.setBackupMark(accountId, mark)) === "set") return;
    const held = await store.backupMark(accountId);
    throw new Refusal("backup-older", "the account has a newer backup", {
      members: { number: held?.number ?? 0 },
    });
  }

  return { backupMark, setBackupMark };
}
