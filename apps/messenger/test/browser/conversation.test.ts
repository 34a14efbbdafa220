import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, STORES, startMessengerProcessOn } from "./messenger-process.ts";
import { Person } from "./person.ts";

// A browser on a busy machine takes its time; whoever waits here waits for a condition.
const MINUTE = 60_000;
const TITLE = "Harbour watch";

let browser: Browser;
let messenger: MessengerProcess;
let ada: Person;
let ben: Person;
let cleo: Person;
/** By which Ben and Cleo come in. */
let link: string;

function numbered(name: string, from: number, to: number): readonly string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `${name} ${from + i}`);
}

/** Writes them one after another. */
async function writeAll(person: Person, texts: readonly string[], tab?: Page): Promise<void> {
  for (const text of texts) await person.write(text, tab);
}

/** What all of them show, once they show the same and each message has reached the service. */
async function agreement(people: readonly Person[], count: number): Promise<readonly string[]> {
  const views = people.map(async (person) => {
    await expect
      .poll(
        async () => {
          const shown = await person.messages();
          return [shown.length, shown.some(({ state }) => state === "waiting")];
        },
        { timeout: MINUTE, message: `what ${person.name} sees` },
      )
      .toEqual([count, false]);
    return (await person.messages()).map(({ text }) => text);
  });
  const [first = [], ...others] = await Promise.all(views);
  for (const other of others) expect(other).toEqual(first);
  return first;
}

describe.each(STORES)("on %s", (store) => {
  beforeAll(async () => {
    [browser, messenger] = await Promise.all([launchChromium(), startMessengerProcessOn(store)]);
  });
  afterAll(async () => {
    await browser?.close();
    await messenger?.dispose();
  });

  test("three people sign up, one begins a group, the others join by its link", {
    timeout: 3 * MINUTE,
  }, async () => {
    ada = await Person.signUp(browser, messenger.pageOrigin, "Ada");
    await ada.begin(TITLE);
    await ada.write("Before anybody came");
    link = await ada.invite();
    ben = await Person.signUp(browser, link, "Ben");
    await ben.join(TITLE);
    cleo = await Person.signUp(browser, link, "Cleo");
    await cleo.join(TITLE);
    for (const { page } of [ben, cleo]) expect(new URL(page.url()).hash).toBe("");
    for (const person of [ada, ben, cleo]) {
      await expect.poll(() => person.page.getByText("3 members").count()).toBeGreaterThan(0);
    }
  });

  test("who joins can't read what came before", async () => {
    await ada.write("Now that you are here");
    for (const person of [ben, cleo]) {
      expect(await agreement([person], 1)).toEqual(["Now that you are here"]);
    }
  });

  test("20 messages each, with a reload, two tabs at once, and the server killed in the middle: all there, once, in one order", {
    timeout: 5 * MINUTE,
  }, async () => {
    const adasTab = await ada.secondTab(TITLE);
    const benIsBack = Promise.withResolvers<void>();
    await Promise.all([
      writeAll(ada, numbered("Ada", 1, 10)),
      writeAll(ada, numbered("Ada", 11, 20), adasTab),
      (async () => {
        await writeAll(ben, numbered("Ben", 1, 8));
        await ben.page.reload();
        benIsBack.resolve();
        await writeAll(ben, numbered("Ben", 9, 20));
      })(),
      (async () => {
        await writeAll(cleo, numbered("Cleo", 1, 10));
        // The page comes from the same server: it is there by now, and what it loads beside perhaps not yet.
        await benIsBack.promise;
        await messenger.kill();
        await writeAll(cleo, numbered("Cleo", 11, 13));
        await messenger.start();
        await writeAll(cleo, numbered("Cleo", 14, 20));
      })(),
    ]);

    const order = (await agreement([ben, cleo], 61)).slice(1);
    expect(order.toSorted()).toEqual(
      ["Ada", "Ben", "Cleo"].flatMap((name) => numbered(name, 1, 20)).toSorted(),
    );
    expect((await agreement([ada], 62)).slice(2)).toEqual(order);
    // Each tab and each person is heard in the order in which they wrote.
    for (const [name, from, to] of [
      ["Ada", 1, 10],
      ["Ada", 11, 20],
      ["Ben", 1, 20],
      ["Cleo", 1, 20],
    ] as const) {
      const theirs = numbered(name, from, to);
      expect(order.filter((text) => theirs.includes(text))).toEqual(theirs);
    }
    await expect
      .poll(async () => (await ada.messages(adasTab)).slice(2).map(({ text }) => text))
      .toEqual(order);
    await adasTab.close();
  });

  test("what everybody has is shown as delivered", async () => {
    await expect
      .poll(
        async () => {
          const own = (await ada.messages()).filter(({ text }) => /^Ada \d+$/.test(text));
          return own.map(({ state }) => state);
        },
        { timeout: MINUTE },
      )
      .toEqual(numbered("Ada", 1, 20).map(() => "delivered"));
  });

  test("the tab in which the engine ran is closed: the other goes on", async () => {
    const tab = await ada.secondTab(TITLE);
    await ada.leaveFor(tab);
    await ada.write("From the other tab");
    expect((await agreement([ben, cleo], 62)).at(-1)).toBe("From the other tab");
  });

  test("who is removed can't read what follows, and is told", async () => {
    await ada.remove("Cleo");
    await cleo.page.getByText("You are no longer in this conversation").waitFor();
    await ada.write("Without Cleo");
    // The order is the service's, so he waits until it has come to him.
    await agreement([ben], 63);
    await ben.write("Indeed");
    expect((await agreement([ben], 64)).slice(-2)).toEqual(["Without Cleo", "Indeed"]);
    await cleo.page.reload();
    await cleo.page.getByText("You are no longer in this conversation").waitFor();
    expect(await agreement([cleo], 62)).not.toContain("Without Cleo");
    expect(await cleo.page.getByRole("textbox", { name: "Message" }).count()).toBe(0);
    expect(await ada.notices()).toContain("You removed Cleo");
  });

  test("the removal closed the link; who comes by a new one reads from then on", {
    timeout: 3 * MINUTE,
  }, async () => {
    const dana = await Person.signUp(browser, link, "Dana");
    await dana.page.getByRole("heading", { name: "This invitation can't be used" }).waitFor();
    await dana.page.getByRole("button", { name: "Not now" }).click();
    await dana.page.goto(await ada.invite());
    await dana.join(TITLE);
    await ada.write("Welcome, Dana");
    expect(await agreement([dana], 1)).toEqual(["Welcome, Dana"]);
  });

  test("nothing of it met the policy, and no exception was left over", async () => {
    for (const person of [ada, ben, cleo]) expect(person.troubles).toEqual([]);
  });
});
