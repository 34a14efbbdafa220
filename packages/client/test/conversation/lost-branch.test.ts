/** A primary is lost, and its standby goes on without the last entries, which members were brought. */

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Doorbell, localDoorbell, openSqliteStore, type Store } from "@conclave/delivery";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Client } from "../../src/index.ts";
import {
  conversation,
  createWorld,
  until,
  untilMembers,
  untilState,
  untilTexts,
  type World,
} from "../world.ts";

let world: World;
let doorbell: Doorbell;
let primary: Store;
let inCharge: Store;
beforeEach(async () => {
  doorbell = localDoorbell();
  world = await createWorld({
    service: (store) => {
      primary = store;
      inCharge = store;
      const current = new Proxy(store, {
        get(_, name) {
          const value: unknown = Reflect.get(inCharge, name);
          return typeof value === "function" ? value.bind(inCharge) : value;
        },
      });
      return { store: current, doorbell };
    },
  });
});
afterEach(async () => {
  await world.close();
  if (inCharge !== primary) await inCharge.close();
});

it("what was brought of a branch that is lost is noticed by the log that goes on", async () => {
  const quiet = { receipt: 60_000 };
  const ada = await world.person("ada", quiet);
  const ben = await world.person("ben", quiet);
  const cem = await world.person("cem", quiet);
  const id = await ada.createConversation("Harbour");
  const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 3600, maxUses: 9 });
  await ben.acceptInvitation(fragment);
  await cem.acceptInvitation(fragment);
  for (const client of [ada, ben, cem]) await untilMembers(client, id, ["ada", "ben", "cem"]);
  await cem.close();
  const copy = join(world.folder, "standby.db");
  new DatabaseSync(join(world.folder, "service.db")).exec(`VACUUM INTO '${copy}'`);
  const standby = openSqliteStore(copy);
  await ada.sendText(id, "lost", "lost");
  for (const client of [ada, ben]) await untilTexts(client, id, ["lost"]);

  inCharge = standby;
  doorbell.ring({ type: "all" });
  const again = await world.device("cem", quiet);
  for (const text of ["one", "two"]) {
    await again.sendText(id, text, text);
    await untilState(again, id, text, "sent");
  }
  const warnings = async (client: Client): Promise<string> =>
    (await conversation(client, id)).warnings
      .map(({ code }) => code)
      .sort()
      .join();
  // What cem says shows a history without "lost"; "one" has the place of that, so who was there already finds it missing.
  for (const client of [ada, ben]) {
    await untilTexts(client, id, ["lost", "two"]);
    await until(client, async () => (await warnings(client)) === "history-differs,message-missing");
  }
  await ada.sendText(id, "we go on", "on");
  for (const client of [ada, ben]) await untilTexts(client, id, ["lost", "two", "we go on"]);
  await untilTexts(again, id, ["one", "two", "we go on"]);
  expect(await warnings(again)).toBe("history-differs");
});
