import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, startMessengerProcess } from "./messenger-process.ts";

// A browser on a busy machine takes its time; whoever waits here waits for a condition.
/** Stands in everything that is inserted, and sets a mark on the page if it ever runs. */
const INSERTED = `document.documentElement.dataset.inserted = "ran"; void "inserted-text"`;

interface Way {
  readonly name: string;
  /** Markup that an attacker got into the document. */
  readonly markup?: string;
  /** What a hole in a script of the page would let an attacker do. */
  readonly act?: (page: Page) => Promise<void>;
  /** What the operator's page lists: what was blocked, by which directive. */
  readonly listed: readonly [blocked: string, directive: string];
}

const WAYS: readonly Way[] = [
  {
    name: "an inline script",
    markup: `<script>${INSERTED}</script>`,
    listed: ["inline", "script-src-elem"],
  },
  {
    name: "an event handler",
    markup: `<img src="/missing.png" onerror='${INSERTED}'>`,
    listed: ["inline", "script-src-attr"],
  },
  {
    name: "a javascript: link",
    markup: `<a id="inserted" href='javascript:${INSERTED}'>Click</a>`,
    act: (page) => page.evaluate(() => document.getElementById("inserted")?.click()),
    listed: ["inline", "script-src-elem"],
  },
  {
    name: "a script from a foreign address",
    markup: `<script src="https://evil.example/inserted-text.js?inserted-text"></script>`,
    listed: ["https://evil.example", "script-src-elem"],
  },
  {
    name: "a script from our own address that isn't the page's",
    markup: `<script src="/inserted-text.js"></script>`,
    listed: ["elsewhere", "script-src-elem"],
  },
  {
    name: "eval",
    act: (page) =>
      page.evaluate((code) => {
        // In a task of the page's own: the debugger's are free to evaluate.
        // oxlint-disable-next-line no-eval
        setTimeout(() => eval(code));
      }, INSERTED),
    listed: ["trusted-types-sink", "require-trusted-types-for"],
  },
  {
    name: "a string into innerHTML",
    act: (page) =>
      page.evaluate((code) => {
        setTimeout(() => {
          document.body.innerHTML = `<img src="/missing.png" onerror='${code}'>`;
        });
      }, INSERTED),
    listed: ["trusted-types-sink", "require-trusted-types-for"],
  },
  {
    name: "a worker from a blob",
    act: (page) =>
      page.evaluate(() => {
        setTimeout(() => {
          const url = URL.createObjectURL(new Blob(["postMessage('inserted-text')"]));
          new Worker(url).addEventListener("message", () => {
            document.documentElement.dataset["inserted"] = "ran";
          });
        });
      }),
    listed: ["trusted-types-sink", "require-trusted-types-for"],
  },
];

let browser: Browser;
let messenger: MessengerProcess;
beforeAll(async () => {
  [browser, messenger] = await Promise.all([launchChromium(), startMessengerProcess()]);
});
afterAll(async () => {
  await browser?.close();
  await messenger?.dispose();
});

/** The page with the markup in it, served as the server serves it but for that. */
async function openWith(way: Way, { policy }: { readonly policy: boolean }): Promise<Page> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const foreign = /^https:\/\/evil\.example\//;
  await page.route(foreign, (route) =>
    route.fulfill({ contentType: "text/javascript", body: INSERTED }),
  );
  await page.route("**/inserted-text.js", (route) =>
    route.fulfill({ contentType: "text/javascript", body: INSERTED }),
  );
  await page.route(`${messenger.pageOrigin}/`, async (route) => {
    const response = await route.fetch();
    const headers = response.headers();
    if (!policy) {
      delete headers["content-security-policy"];
      delete headers["integrity-policy"];
    }
    const body = (await response.text()).replace("</body>", `${way.markup ?? ""}</body>`);
    await route.fulfill({ response, headers, body });
  });
  await page.goto(messenger.pageOrigin);
  await page.getByRole("heading", { name: "Conclave" }).waitFor();
  await way.act?.(page);
  return page;
}

function ran(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.dataset["inserted"] === "ran");
}

/** How often the operator's page lists it. */
async function countOf(operator: Page, [blocked, directive]: Way["listed"]): Promise<number> {
  await operator.reload();
  await operator.getByRole("heading", { name: "Policy violations" }).waitFor();
  const rows = operator.getByRole("row").filter({ hasText: directive });
  const texts = await rows.evaluateAll((all) =>
    all.map((row) => [...row.children].map((cell) => cell.textContent ?? "")),
  );
  const row = texts.find(
    (cells) => cells[0] === blocked && cells[1] === directive && cells[2] === "/",
  );
  return Number(row?.[3] ?? 0);
}

test.each(WAYS)("without the policy $name would run: the test can tell", async (way) => {
  const page = await openWith(way, { policy: false });
  await expect.poll(() => ran(page), { timeout: 30_000 }).toBe(true);
  await page.context().close();
});

describe("under the policy", () => {
  let operator: Page;
  beforeAll(async () => {
    operator = await browser.newPage();
    await operator.goto(messenger.operatorUrl);
  });

  test.each(WAYS)(
    "$name is blocked, and listed for the operator without what was inserted",
    async (way) => {
      const before = await countOf(operator, way.listed);
      const page = await openWith(way, { policy: true });
      await expect.poll(() => countOf(operator, way.listed), { timeout: 30_000 }).toBe(before + 1);
      expect(await ran(page)).toBe(false);
      expect(await operator.content()).not.toContain("inserted-text");
      await page.context().close();
    },
  );

  test("a page that nobody meddled with violates nothing", async () => {
    await operator.getByRole("button", { name: "Clear" }).click();
    await operator.getByText("None. Whenever a browser blocks something").waitFor();
    const page = await openWith({ name: "nothing", listed: ["", ""] }, { policy: true });
    await page.reload();
    await page.getByRole("heading", { name: "Conclave" }).waitFor();
    await operator.reload();
    await operator.getByText("None. Whenever a browser blocks something").waitFor();
    expect(await operator.getByRole("table").isVisible()).toBe(false);
  });
});
