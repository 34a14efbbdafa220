import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../../../../scripts/chromium.ts";
import { type MessengerProcess, STORES, startMessengerProcessOn } from "./messenger-process.ts";
import { Person } from "./person.ts";

// A browser on a busy machine takes its time; whoever waits here waits for a condition.
const TITLE = "Lighthouse keepers of the north";
const TEXTS = [
  "The lamp room key is under the third stone",
  "We relight her at a quarter past four",
];

let browser: Browser;
let messenger: MessengerProcess;
describe.each(STORES)("on %s", (store) => {
  beforeAll(async () => {
    [browser, messenger] = await Promise.all([launchChromium(), startMessengerProcessOn(store)]);
  });
  afterAll(async () => {
    await browser?.close();
    await messenger?.dispose();
  });

  test("what the server stored and logged has nothing of what people wrote, of titles, phrases and links", {
    timeout: 180_000,
  }, async () => {
    const ada = await Person.signUp(browser, messenger.pageOrigin, "Ada Keeper");
    await ada.begin(TITLE);
    const link = await ada.invite();
    const ben = await Person.signUp(browser, link, "Ben Keeper");
    await ben.join(TITLE);
    await ada.write(TEXTS[0] ?? "");
    await ben.write(TEXTS[1] ?? "");
    for (const person of [ada, ben]) {
      await expect
        .poll(async () => (await person.messages()).map(({ text }) => text))
        .toEqual(TEXTS);
    }

    // Killed, so that whatever stood in a journal is still there.
    await messenger.kill();
    const places = new Map<string, Buffer>([["log", Buffer.from(messenger.output)]]);
    for (const folder of new Set([messenger.dataFolder, messenger.databaseFolder])) {
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        places.set(path, await readFile(path));
      }
    }

    // That this way of searching finds what is there: names stand in the directory, and routes in the log.
    const found = (needle: string | Buffer) =>
      [...places].filter(([, content]) => content.includes(needle)).map(([name]) => name);
    expect(found("Ada Keeper").join()).toContain(store === "sqlite" ? "conclave.sqlite" : "pg_wal");
    expect(found('"route":"commit"')).toEqual(["log"]);
    expect(messenger.output).not.toContain("Keeper");

    const fragment = new URL(link).hash.slice(1);
    // After a byte for the version: what the link's keys are made from.
    const seed = Buffer.from(fragment, "base64url").subarray(1, 33);
    expect(seed).toHaveLength(32);
    for (const secret of [...TEXTS, TITLE, ada.recoveryPhrase, ben.recoveryPhrase, fragment]) {
      expect(secret.length).toBeGreaterThan(20);
      for (const form of formsOf(Buffer.from(secret))) expect(found(form)).toEqual([]);
    }
    for (const form of formsOf(seed)) expect(found(form)).toEqual([]);
  });
});

/** As bytes, and as the texts in which bytes are stored and logged. */
function formsOf(bytes: Buffer): readonly (string | Buffer)[] {
  return [
    bytes,
    bytes.toString("hex"),
    bytes.toString("base64").replace(/=+$/, ""),
    bytes.toString("base64url"),
    Buffer.from(bytes.toString("utf8"), "utf16le"),
  ];
}
