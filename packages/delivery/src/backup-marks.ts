/**
 * What an account notes about its newest backup, so that an older one is not taken for it. The backup itself is wherever the person
 * keeps it; what is noted is sealed for the account's own devices, but for a number, which only grows.
 * @module
 */

import type { Call, Handlers } from "./call.ts";
import type { BackupMarkResponse } from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { Store } from "./store/store.ts";

export function createBackupMarks({
  store,
}: {
  readonly store: Store;
}): Handlers<"backupMark" | "setBackupMark"> {
  async function backupMark({ device }: Call<"backupMark">): Promise<BackupMarkResponse> {
    const mark = await store.backupMark(device.accountId);
    return mark === undefined ? {} : { mark };
  }

  async function setBackupMark({ device, body }: Call<"setBackupMark">): Promise<undefined> {
    const { accountId } = device;
    if ((await store.setBackupMark(accountId, await body())) === "set") return;
    const held = await store.backupMark(accountId);
    throw new Refusal("backup-older", "the account has a newer backup", {
      members: { number: held?.number ?? 0 },
    });
  }

  return { backupMark, setBackupMark };
}
