/**
 * The page for those who don't see it, or don't use a mouse: axe on every view, light and dark,
 * and the whole way to a sent message by keyboard alone.
 */
import axe from "axe-core";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PHRASE } from "../page/demo/demo-engine.ts";
import { openSite, type Site } from "../page/demo/site.ts";
import { views } from "../page/demo/views.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

/** What axe finds serious or critical, with where. */
async function findings(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
}

declare global {
  var axe: typeof import("axe-core");
}

describe.each(["light", "dark"] as const)("axe, %s", (colorScheme) => {
  test.each(views)("$name", async ({ scene, hash, act }) => {
    const page = await site.open(scene, { colorScheme, ...(hash === undefined ? {} : { hash }) });
    await act?.(page);
    expect(await findings(page)).toEqual([]);
  });

  test("narrow", async () => {
    const viewport = { width: 390, height: 780 };
    const page = await site.open("home", { colorScheme, viewport });
    expect(await findings(page)).toEqual([]);
    await page.getByRole("button", { name: "Reading circle" }).click();
    expect(await findings(page)).toEqual([]);
  });
});

test.each(["lively", "ask", "waiting", "settings-people"])(
  "%s fits a screen of 320 pixels, and axe finds nothing there",
  async (name) => {
    const view = views.find((one) => one.name === name);
    const page = await site.open(view?.scene ?? "home", { viewport: { width: 320, height: 640 } });
    await view?.act?.(page);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
    expect(await findings(page)).toEqual([]);
  },
);

test.each(views)("$name: a fingertip finds what it aims at", async ({ scene, hash, act }) => {
  const page = await site.open(scene, {
    viewport: { width: 390, height: 780 },
    hasTouch: true,
    isMobile: true,
    ...(hash === undefined ? {} : { hash }),
  });
  await act?.(page);
  const small = await page
    .locator("button, select, textarea, input[type=text]")
    .evaluateAll((all) =>
      all.flatMap((element) => {
        const { width, height } = element.getBoundingClientRect();
        // Of what isn't shown, both are 0.
        return width > 0 && (width < 44 || height < 44)
          ? [`${element.ariaLabel ?? element.textContent}: ${width} × ${height}`]
          : [];
      }),
    );
  expect(small).toEqual([]);
});

test("axe is awake: it finds a button without a name", async () => {
  const page = await site.open("home");
  await page.evaluate(() =>
    document.querySelector("nav")?.append(document.createElement("button")),
  );
  expect((await findings(page)).join()).toMatch(/button-name/);
});

describe("keyboard alone", () => {
  /** Tab until this has the focus: it must be reachable, and its focus be seen. */
  async function tabTo(page: Page, role: "button" | "textbox", name: string): Promise<void> {
    const wanted = page.getByRole(role, { name, exact: true });
    for (let steps = 0; steps < 25; steps++) {
      const focused = await wanted.evaluateAll((elements) =>
        elements.some(
          (element) =>
            element === document.activeElement &&
            // The composer shows it around the field and its button.
            [element, element.closest(".composer-field")].some(
              (shown) => shown !== null && getComputedStyle(shown).outlineStyle !== "none",
            ),
        ),
      );
      if (focused) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`${role} "${name}" can't be reached`);
  }

  test("from the sign-up to a sent message, and back out of a dialog", async () => {
    const page = await site.open("new");
    await tabTo(page, "textbox", "Your name");
    await page.keyboard.type("Alma Reyes");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Is this your name?" }).waitFor();
    await tabTo(page, "button", "Begin");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Write these 12 words down" }).waitFor();
    await tabTo(page, "button", "I wrote them down");
    await page.keyboard.press("Enter");
    for (const label of await page.locator("label").allTextContents()) {
      await tabTo(page, "textbox", label);
      await page.keyboard.type(PHRASE.split(" ")[Number(label.slice(5)) - 1] ?? "");
    }
    await page.keyboard.press("Enter");
    await page.getByRole("navigation").waitFor();

    await tabTo(page, "button", "New conversation");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "New conversation" }).waitFor();
    await tabTo(page, "textbox", "Title");
    await page.keyboard.type("Tea");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Tea" }).waitFor();

    await tabTo(page, "textbox", "Message");
    await page.keyboard.type("Hello");
    await page.keyboard.press("Enter");
    await page.getByRole("listitem").filter({ hasText: "Hello" }).last().waitFor();

    await tabTo(page, "button", "Members");
    await page.keyboard.press("Enter");
    await tabTo(page, "button", "Invite by a link");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Invite by a link" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(await page.locator(":focus").innerText()).toContain("Invite by a link");
  });
});
