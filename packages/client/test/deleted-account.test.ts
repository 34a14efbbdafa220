import { describe, expect, it } from "vitest";
import type { Client, Fetch } from "../src/index.ts";
import { accountIdOf, operatedWorld } from "./operated-world.ts";
import { gather, say, until, untilState, untilTexts } from "./world.ts";

const { world, operator } = operatedWorld();

const refused = { code: "account-deleted" };
const isDeleted = async (client: Client): Promise<void> => {
  await until(client, async () => (await client.snapshot()).connection === "deleted");
};

/** What goes to the service, counted. */
function counted(): { readonly fetch: Fetch; readonly count: () => number } {
  let requests = 0;
  return {
    fetch: (url, init) => {
      requests += 1;
      return fetch(url, init);
    },
    count: () => requests,
  };
}

describe("an account that was deleted", () => {
  it("is told so; what was read can still be read, and nothing is sent", async () => {
    const [ada, ben] = [await world.person("Ada"), await world.person("Ben")];
    const id = await gather(ada, [ben]);
    await say(ben, id, "before");
    await untilTexts(ada, id, ["before"]);
    await operator.deleteAccount(await accountIdOf(ada));
    await isDeleted(ada);
    await say(ada, id, "too late");
    await untilState(ada, id, "too late", "failed");
    await expect(ada.addByName(id, "Cleo")).rejects.toMatchObject(refused);
    const terms = { expiresInSeconds: 60, maxUses: 1 };
    await expect(ada.createInvitation(id, terms)).rejects.toMatchObject(refused);
    await untilTexts(ada, id, ["before", "too late"]);
    await ada.close();

    // A device that starts finds it out likewise.
    const again = await world.device("Ada");
    await isDeleted(again);
    await expect(again.contacts()).rejects.toMatchObject(refused);
    await say(again, id, "much too late");
    await untilState(again, id, "much too late", "failed");
  });

  it("asks the service no more, until its client is opened anew", async () => {
    // By how often one whose account is only disabled asks again, it is known that time has passed.
    const clock = counted();
    const disabled = await world.person("Disabled", { fetch: clock.fetch, WebSocket });
    const { fetch, count } = counted();
    // Both look at the log all the time.
    const poll = 50;
    const [eva, fay] = [
      await world.person("Eva", { fetch, WebSocket, poll }),
      await world.person("Fay"),
    ];
    const rooms = [await gather(fay, [eva]), await gather(fay, [eva])];
    await operator.disable(await accountIdOf(disabled));
    await operator.deleteAccount(await accountIdOf(eva));
    await isDeleted(eva);
    const [known, then] = [count(), clock.count()];
    for (const id of rooms) {
      await say(eva, id, "too late");
      await untilState(eva, id, "too late", "failed");
    }
    await expect(eva.contacts()).rejects.toMatchObject(refused);
    await expect.poll(clock.count).toBeGreaterThan(then + 20);
    expect(count()).toBe(known);
    await eva.close();

    const again = await world.device("Eva", { fetch, WebSocket });
    await isDeleted(again);
    expect(count()).toBeGreaterThan(known);
  });

  it("has nothing waiting any more of what was written while it was disabled", async () => {
    const [hal, ida] = [await world.person("Hal"), await world.person("Ida")];
    const id = await gather(hal, [ida]);
    const accountId = await accountIdOf(hal);
    await operator.disable(accountId);
    await until(hal, async () => (await hal.snapshot()).connection === "disabled");
    await say(hal, id, "in between");
    await untilState(hal, id, "in between", "waiting");
    await operator.deleteAccount(accountId);
    const { failure } = await untilState(hal, id, "in between", "failed");
    expect(failure).toBe("account-deleted");
  });

  it("doesn't come back by its phrase", async () => {
    const first = await world.device("first");
    const { recoveryPhrase } = await first.signUp("Gus");
    const accountId = await accountIdOf(first);
    await first.close();
    await operator.deleteAccount(accountId);
    const fresh = await world.device("fresh");
    await expect(fresh.recover(recoveryPhrase)).rejects.toMatchObject(refused);
  });
});
