import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jonas } from "../../demo/scenes.ts";
import { openSite, type Site } from "../../demo/site.ts";
import { open } from "../../demo/views.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

const receive = (page: Page, id: string, text: string): Promise<void> =>
  page.evaluate(
    ([conversation, from, words]) => globalThis.demo.receive(conversation, from, words),
    [id, jonas, text] as const,
  );
const fromBottom = (page: Page): Promise<number> =>
  page
    .getByRole("region", { name: "Messages" })
    .evaluate((e) => Math.round(e.scrollHeight - e.scrollTop - e.clientHeight));

describe("composer", () => {
  test("Enter sends, Shift and Enter begin a new line, the field is empty again", async () => {
    const page = await site.open("home");
    await open("House")(page);
    const field = page.getByRole("textbox", { name: "Message" });
    await expect.poll(() => field.evaluate((e) => e === document.activeElement)).toBe(true);
    await page.keyboard.type("One");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("two");
    await page.keyboard.press("Enter");
    const text = page.locator(".message-text").last();
    await expect.poll(() => text.textContent()).toBe("One\ntwo");
    expect(await field.inputValue()).toBe("");
  });

  test("what can't be stored stays in the field, with the reason", async () => {
    const page = await site.open("home");
    await open("House")(page);
    await page.evaluate(() => globalThis.demo.failNext("sendText", "text-too-long"));
    const field = page.getByRole("textbox", { name: "Message" });
    await field.fill("So long");
    await field.press("Enter");
    await page.getByText("This message is too long.").waitFor();
    expect(await field.inputValue()).toBe("So long");
  });

  test("a half-written message waits in its own conversation", async () => {
    const page = await site.open("home");
    await open("House")(page);
    await page.getByRole("textbox", { name: "Message" }).fill("half");
    await open("Sunday walk")(page);
    expect(await page.getByRole("textbox", { name: "Message" }).inputValue()).toBe("");
    await open("House")(page);
    expect(await page.getByRole("textbox", { name: "Message" }).inputValue()).toBe("half");
  });

  test("one who is out of the conversation can't write", async () => {
    const page = await site.open("home");
    await open("Moving day")(page);
    await page.getByText("You are no longer in this conversation").waitFor();
    expect(await page.getByRole("textbox", { name: "Message" }).count()).toBe(0);
    expect(await page.getByRole("button", { name: "Members" }).count()).toBe(0);
  });
});

describe("timeline", () => {
  test("every state of a message is told to those who can't see the icon", async () => {
    const page = await site.open("trouble");
    await open("Committee")(page);
    await page.getByText("A message from Jonas Lind can't be read").waitFor();
    for (const state of ["Sent", "Waiting to be sent", "Not sent"]) {
      expect(await page.getByRole("img", { name: state, exact: true }).count()).toBe(1);
    }
  });

  test("a failed message says why, and can be discarded", async () => {
    const page = await site.open("trouble");
    await open("Committee")(page);
    const failed = page.getByRole("listitem").filter({ hasText: "Not sent." });
    expect(await failed.innerText()).toContain("This message is too long");
    await failed.getByRole("button", { name: "Discard" }).click();
    await failed.waitFor({ state: "detached" });
  });

  test("markup is text, an address leads where it says", async () => {
    const page = await site.open("home");
    await open("House")(page);
    const markup = `<img src=x onerror="document.title='pwned'"> https://a.example/x.`;
    await receive(page, "4e0100a3", markup);
    const text = page.locator(".message-text").last();
    await expect.poll(() => text.textContent()).toBe(markup);
    expect(await text.locator("img").count()).toBe(0);
    const link = text.getByRole("link");
    expect(await link.getAttribute("href")).toBe("https://a.example/x");
    expect(await link.getAttribute("rel")).toContain("noreferrer");
  });

  test("scrolling up brings what is older, and doesn't move what one reads", async () => {
    const page = await site.open("long");
    await open("A long story")(page);
    await expect.poll(() => fromBottom(page)).toBe(0);
    expect(await page.locator("li.message").count()).toBe(50);
    const timeline = page.getByRole("region", { name: "Messages" });
    const line = page.getByText("Line 131", { exact: true });
    await timeline.evaluate((element) => {
      element.scrollTop = 10;
    });
    await page.getByText("Line 81", { exact: true }).waitFor({ state: "attached" });
    // The line that was on top is still in sight, although fifty stand above it now.
    const { top, height } = await line.evaluate((element) => {
      const frame = element.closest("section")?.getBoundingClientRect();
      return {
        top: element.getBoundingClientRect().top - (frame?.top ?? 0),
        height: frame?.height ?? 0,
      };
    });
    expect(top).toBeGreaterThan(0);
    expect(top).toBeLessThan(height);
  });

  test("who is at the bottom stays there; who reads above is told what is new", async () => {
    const page = await site.open("long");
    await open("A long story")(page);
    await receive(page, "000000d1", "at the bottom");
    await page.getByText("at the bottom").last().waitFor();
    await expect.poll(() => fromBottom(page)).toBe(0);

    const timeline = page.getByRole("region", { name: "Messages" });
    await timeline.evaluate((element) => {
      element.scrollTop -= 600;
    });
    const newest = page.getByRole("button", { name: "Newest" });
    await newest.waitFor();
    await receive(page, "000000d1", "while reading above");
    await page.getByRole("button", { name: "1 new" }).click();
    await expect.poll(() => fromBottom(page)).toBe(0);
    await expect.poll(() => page.title()).toBe("Conclave");
  });

  test("what others write is announced", async () => {
    const page = await site.open("home");
    await open("House")(page);
    await receive(page, "4e0100a3", "Thank you");
    const log = page.getByRole("log");
    await expect.poll(() => log.textContent()).toBe("Jonas Lind: Thank you");
  });
});

describe("what others do at the moment", () => {
  test("who is writing is shown while it lasts, and told to listeners once a minute at most", async () => {
    const page = await site.open("lively");
    await open("Reading circle")(page);
    const type = (who: number) =>
      page.evaluate((count) => {
        globalThis.demo.type("7c0000a1", ...globalThis.people.slice(0, count));
      }, who);
    const shown = page.locator(".typing");
    const heard = page.getByRole("status").filter({ hasText: "writing" });
    await type(1);
    await expect.poll(() => shown.innerText()).toBe("Jonas Lind is writing…");
    expect(await heard.allTextContents()).toEqual(["Jonas Lind is writing…"]);
    await type(0);
    await expect.poll(() => shown.innerText()).toBe("");
    expect(await heard.count()).toBe(0);
    await type(2);
    await expect.poll(() => shown.innerText()).toBe("Jonas Lind and Tomasz are writing…");
    expect(await heard.count()).toBe(0);
    // In another conversation nobody is.
    await open("Sunday walk")(page);
    await expect.poll(() => shown.innerText()).toBe("");
  });

  test("that oneself is writing is told for a text, and not for an empty field", async () => {
    const page = await site.open("lively");
    await open("Sunday walk")(page);
    const told = () =>
      page.evaluate(() => globalThis.demo.calls.filter(([method]) => method === "tellTyping"));
    const field = page.getByRole("textbox", { name: "Message" });
    await field.fill("   ");
    expect(await told()).toEqual([]);
    await field.fill("Boots");
    expect(await told()).toEqual([["tellTyping", "2c0000a2"]]);
  });

  test("what was read by all is marked, and who has read the newest is named; the others are asked", async () => {
    const page = await site.open("lively");
    await open("Reading circle")(page);
    const item = (text: string) => page.locator("li.message").filter({ hasText: text });
    await item("So far").getByRole("img", { name: "Read by everyone" }).waitFor();
    await item("See you on Thursday").getByText("Read by Priya Nair and Tomasz").waitFor();
    expect(await page.getByText(/^Read by Priya/).count()).toBe(1);
    expect(await page.evaluate(() => globalThis.demo.calls)).toContainEqual([
      "askReaders",
      "7c0000a1",
    ]);
    // Who doesn't tell doesn't ask.
    const home = await site.open("home");
    await open("Reading circle")(home);
    const methods = await home.evaluate(() => globalThis.demo.calls.map(([method]) => method));
    expect(methods).not.toContain("askReaders");
  });
});
