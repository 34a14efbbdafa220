import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { CASES } from "../storage-contract.ts";
import { createWorld, type World } from "../world.ts";

let world: World;
let site: ViteDevServer;
let browser: Browser;
let address: string;

beforeAll(async () => {
  site = await createServer({
    root: fileURLToPath(new URL("./page", import.meta.url)),
    configFile: false,
    logLevel: "error",
    cacheDir: join(tmpdir(), `conclave-vite-${process.pid}`),
    resolve: { conditions: ["@conclave/source", "module", "browser", "development"] },
    server: { port: 0, host: "127.0.0.1", hmr: false, watch: null },
  });
  await site.listen();
  address = site.resolvedUrls?.local[0] ?? "";
  world = await createWorld({ allowedOrigins: [new URL(address).origin] });
  browser = await launchChromium();
});
afterAll(async () => {
  await browser.close();
  await site.close();
  await world.close();
});

async function openTab(context: BrowserContext, version = "now"): Promise<Page> {
  const page = await context.newPage();
  page.on("console", (message) => {
    if (process.env["CONCLAVE_LOG"]) console.error(message.text());
  });
  await page.goto(version.startsWith("next") ? `${address}?next` : address);
  await page.waitForFunction(() => "conclave" in globalThis);
  await page.evaluate(([origin, one]) => conclave.startWorker(origin, one), [
    world.origin,
    version,
  ] as const);
  return page;
}

const textsIn = (page: Page, id: string): Promise<readonly string[]> =>
  page.evaluate(async (wanted) => {
    const messages = await conclave.engine.messages(wanted, { limit: 100 });
    return messages.flatMap(({ body }) => (body.type === "text" ? [body.text] : []));
  }, id);

async function untilTexts(page: Page, id: string, expected: readonly string[]): Promise<void> {
  await expect.poll(() => textsIn(page, id)).toEqual(expected);
}

describe("storage in IndexedDB", () => {
  let page: Page;
  beforeAll(async () => {
    page = await (await browser.newContext()).newPage();
    await page.goto(address);
    await page.waitForFunction(() => "conclave" in globalThis);
  });
  afterAll(() => page.context().close());

  it.each(Object.keys(CASES))("%s", async (name) => {
    const done = page.evaluate((which) => conclave.runCase(which), name);
    await expect(done).resolves.toBeUndefined();
  });

  it("keeps keys that sign and can't be exported", async () => {
    const vault = await page.evaluate(() => conclave.vault());
    expect(vault).toEqual({ extractable: false, verified: true });
  });
});

describe("the engine of a browser", () => {
  it("is one for two tabs, and goes on in the other when its tab is closed", async () => {
    const context = await browser.newContext();
    const first = await openTab(context);
    await first.evaluate(() => conclave.engine.signUp("Dora"));
    const second = await openTab(context);
    const id = await second.evaluate(() => conclave.engine.createConversation("Tabs"));
    await Promise.all([
      first.evaluate((c) => conclave.engine.sendText(c, "from the first", "k1"), id),
      second.evaluate((c) => conclave.engine.sendText(c, "from the second", "k2"), id),
    ]);
    await expect.poll(async () => (await textsIn(first, id)).length).toBe(2);
    const order = await textsIn(first, id);
    await untilTexts(second, id, order);

    // The first tab's worker is the engine: it was there first.
    await first.close();
    await second.evaluate((c) => conclave.engine.sendText(c, "after the first", "k3"), id);
    await untilTexts(second, id, [...order, "after the first"]);
    // The same call with the same key, as after an answer that was lost.
    await second.evaluate((c) => conclave.engine.sendText(c, "after the first", "k3"), id);
    await untilTexts(second, id, [...order, "after the first"]);
    await context.close();
  });

  it("tells a tab how far a long call is, and ends it when the tab gives it up", async () => {
    const context = await browser.newContext();
    // The engine is this one's.
    await openTab(context);
    const tab = await openTab(context);
    const told = await tab.evaluate(async () => {
      const { engine } = conclave;
      const { recoveryPhrase: phrase } = await engine.signUp("Gwen");
      await engine.createConversation("Long");
      const saved: number[] = [];
      const onProgress = ({ done, total }: { readonly done: number; readonly total: number }) => {
        saved.push(done / total);
      };
      const file = await engine.saveBackup(phrase, { onProgress });
      const codeOf = (call: Promise<unknown>): Promise<unknown> =>
        call.then(
          () => "done",
          (error: object) => Reflect.get(error, "code"),
        );
      const end = new AbortController();
      const { signal } = end;
      const given = { signal, onProgress: () => end.abort() };
      const codes = [
        await codeOf(engine.restoreBackup(file, phrase, given)),
        await codeOf(engine.saveBackup(phrase, { signal: AbortSignal.abort() })),
      ];
      // The engine may have yet to hear of it.
      while ((await codeOf(engine.restoreBackup(file, phrase))) === "busy") {}
      return { saved: saved.at(-1), codes, again: await engine.restoreBackup(file, phrase) };
    });
    expect(told).toMatchObject({ saved: 1, codes: ["cancelled", "cancelled"] });
    expect(told.again).toMatchObject({ conversations: 1, messages: 1, added: 0 });
    await context.close();
  });

  it("talks with another browser, and remembers all after a reload", async () => {
    const [one, two] = [await browser.newContext(), await browser.newContext()];
    const [eva, fay] = [await openTab(one), await openTab(two)];
    await Promise.all([
      eva.evaluate(() => conclave.engine.signUp("Eva")),
      fay.evaluate(() => conclave.engine.signUp("Fay")),
    ]);
    const id = await eva.evaluate(() => conclave.engine.createConversation("Both"));
    const fragment = await eva.evaluate(
      async (c) =>
        (await conclave.engine.createInvitation(c, { expiresInSeconds: 600, maxUses: 1 })).fragment,
      id,
    );
    await fay.evaluate((f) => conclave.engine.acceptInvitation(f), fragment);
    await eva.evaluate((c) => conclave.engine.sendText(c, "hello", "e1"), id);
    await untilTexts(fay, id, ["hello"]);
    await fay.reload();
    await fay.waitForFunction(() => "conclave" in globalThis);
    await fay.evaluate((origin) => conclave.startWorker(origin), world.origin);
    await untilTexts(fay, id, ["hello"]);
    await fay.evaluate((c) => conclave.engine.sendText(c, "hello back", "f1"), id);
    await untilTexts(eva, id, ["hello", "hello back"]);
    expect(await textsIn(fay, id)).toEqual(["hello", "hello back"]);
    await one.close();
    await two.close();
  });

  it("tells a tab why a call failed", async () => {
    const context = await browser.newContext();
    const page = await openTab(context);
    const code = await page.evaluate(() =>
      conclave.engine
        .createConversation("Too early")
        .catch((error: unknown) =>
          error instanceof Error && "code" in error ? error.code : "none",
        ),
    );
    expect(code).toBe("no-account");
    await context.close();
  });
});

const recordsIn = (page: Page): Promise<{ readonly version: number; readonly keys: number }> =>
  page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open("conclave");
        request.onerror = () => reject(request.error);
        request.onsuccess = () => {
          const { result: database } = request;
          database.onversionchange = () => database.close();
          const all = database.transaction("records").objectStore("records").getAllKeys();
          all.onsuccess = () => {
            resolve({ version: database.version, keys: all.result.length });
            database.close();
          };
        };
      }),
  );

const codeOf = (page: Page): Promise<string> =>
  page.evaluate(() =>
    conclave.engine.snapshot().then(
      () => "none",
      (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : "?"),
    ),
  );

describe("two versions of the page", () => {
  it("the newer one takes over: the older says so, sends nothing more, and doesn't come back", async () => {
    const context = await browser.newContext();
    const old = await openTab(context);
    await old.evaluate(() => conclave.engine.signUp("Gus"));
    const id = await old.evaluate(() => conclave.engine.createConversation("Versions"));
    await old.evaluate((c) => conclave.engine.sendText(c, "from the old", "v1"), id);
    const next = await openTab(context, "next");
    await untilTexts(next, id, ["from the old"]);
    await expect.poll(() => old.evaluate(() => conclave.connections.at(-1))).toBe("outdated");
    expect(await codeOf(old)).toBe("outdated");
    await next.evaluate((c) => conclave.engine.sendText(c, "from the new", "v2"), id);
    await untilTexts(next, id, ["from the old", "from the new"]);

    // Without the newer page, the older one leaves the database alone, and says why; also when it is loaded again.
    await next.close();
    const before = await recordsIn(old);
    expect(before.version).toBe(2);
    const again = await openTab(context);
    expect(await codeOf(again)).toBe("outdated");
    expect(await recordsIn(old)).toEqual(before);
    const last = await openTab(context, "next");
    await untilTexts(last, id, ["from the old", "from the new"]);
    await context.close();
  });

  it("a step to a newer one that fails leaves the database whole: the older page goes on", async () => {
    const context = await browser.newContext();
    const old = await openTab(context);
    await old.evaluate(() => conclave.engine.signUp("Hedy"));
    const id = await old.evaluate(() => conclave.engine.createConversation("Half-way"));
    await old.evaluate((c) => conclave.engine.sendText(c, "kept", "w1"), id);
    await untilTexts(old, id, ["kept"]);
    const before = await recordsIn(old);
    const next = await openTab(context, "next, failing");
    expect(await codeOf(next)).toBe("storage");
    expect((await recordsIn(old)).version).toBe(1);
    expect((await recordsIn(old)).keys).toBeGreaterThanOrEqual(before.keys);
    await next.close();
    await old.reload();
    await old.waitForFunction(() => "conclave" in globalThis);
    await old.evaluate((origin) => conclave.startWorker(origin), world.origin);
    await untilTexts(old, id, ["kept"]);
    await context.close();
  });
});
