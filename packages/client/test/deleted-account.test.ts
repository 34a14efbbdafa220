import { localDoorbell, type Store } from "@conclave/delivery";
import { describe, expect, it } from "vitest";
import { fromHex } from "../src/bytes.ts";
import { sharedWorld } from "./shared-world.ts";
import { gather, say, until, untilState, untilTexts } from "./world.ts";

const doorbell = localDoorbell();
let store: Store | undefined;
const world = sharedWorld({
  service: (own) => {
    store = own;
    return { doorbell };
  },
});

/** As the operator's command does. */
async function deleteAccount(accountId: string): Promise<void> {
  const deleted = await store?.deleteAccount(fromHex(accountId), { now: Date.now() });
  if (typeof deleted !== "object") throw new Error("there is such an account");
  doorbell.ring({ type: "revoked", devices: deleted.devices });
}

describe("an account that was deleted", () => {
  it("is told so; what was read can still be read, and nothing is sent", async () => {
    const [ada, ben] = [await world.person("Ada"), await world.person("Ben")];
    const id = await gather(ada, [ben]);
    await say(ben, id, "before");
    await untilTexts(ada, id, ["before"]);
    const { accountId = "" } = (await ada.snapshot()).account ?? {};
    await deleteAccount(accountId);
    await until(ada, async () => (await ada.snapshot()).connection === "deleted");
    await say(ada, id, "too late");
    await untilState(ada, id, "too late", "failed");
    const refused = { code: "account-deleted" };
    await expect(ada.addByName(id, "Cleo")).rejects.toMatchObject(refused);
    const terms = { expiresInSeconds: 60, maxUses: 1 };
    await expect(ada.createInvitation(id, terms)).rejects.toMatchObject(refused);
    await untilTexts(ada, id, ["before", "too late"]);
    await ada.close();

    // A device that starts finds it out likewise.
    const again = await world.device("Ada");
    await until(again, async () => (await again.snapshot()).connection === "deleted");
    await expect(again.contacts()).rejects.toMatchObject(refused);
  });

  it("doesn't come back by its phrase", async () => {
    const first = await world.device("first");
    const { recoveryPhrase } = await first.signUp("Gus");
    const { accountId = "" } = (await first.snapshot()).account ?? {};
    await first.close();
    await deleteAccount(accountId);
    const fresh = await world.device("fresh");
    await expect(fresh.recover(recoveryPhrase)).rejects.toMatchObject({ code: "account-deleted" });
  });
});
