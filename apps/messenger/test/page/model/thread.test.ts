import type { Message } from "@conclave/client";
import { describe, expect, test } from "vitest";
import { createThread } from "../../../src/page/model/thread.ts";
import { createDemoEngine } from "../demo/demo-engine.ts";
import { jonas, scenes } from "../demo/scenes.ts";

const texts = (messages: readonly Message[]): readonly string[] =>
  messages.map(({ body }) => (body.type === "text" ? body.text : body.type));

describe("createThread", () => {
  test("loads the newest page, then older ones until there are none", async () => {
    const engine = createDemoEngine(scenes.long);
    const thread = createThread(engine, "000000d1");
    expect(thread.older.value).toBe("unknown");
    await thread.load();
    expect(texts(thread.messages.value).at(0)).toBe("Line 131");
    expect(texts(thread.messages.value).at(-1)).toBe("Line 180");
    expect(thread.older.value).toBe("more");

    await Promise.all([thread.loadOlder(), thread.loadOlder()]);
    expect(texts(thread.messages.value).at(0)).toBe("Line 81");
    await thread.loadOlder();
    await thread.loadOlder();
    expect(texts(thread.messages.value)).toEqual(
      Array.from({ length: 180 }, (_, i) => `Line ${i + 1}`),
    );
    expect(thread.older.value).toBe("none");
    await thread.loadOlder();
    expect(engine.calls.filter(([method]) => method === "messages")).toHaveLength(4);
  });

  test("what a backup brought comes with a page that is read anew, and no message in between is left out", async () => {
    const engine = createDemoEngine(scenes.long);
    const thread = createThread(engine, "000000d1");
    await thread.load();
    await thread.loadOlder();
    engine.connect("offline");
    await engine.sendText("000000d1", "Waiting", "key");
    await engine.restoreBackup(new Blob([]), "words");
    await expect.poll(() => thread.messages.value).toHaveLength(51);
    expect(texts(thread.messages.value).at(0)).toBe("Line 131");
    expect(texts(thread.messages.value).at(-1)).toBe("Waiting");
    expect(thread.older.value).toBe("more");
    await thread.loadOlder();
    expect(texts(thread.messages.value).at(0)).toBe("Line 81");
  });

  test("a message that waits stands last, and takes its place when it is sent", async () => {
    const engine = createDemoEngine(scenes.home);
    const thread = createThread(engine, "2c0000a2");
    await thread.load();
    engine.connect("offline");
    await engine.sendText("2c0000a2", "Ridge it is.", "key");
    engine.receive("2c0000a2", jonas, "Ten o'clock?");
    expect(texts(thread.messages.value).slice(-2)).toEqual(["Ten o'clock?", "Ridge it is."]);
    expect(thread.messages.value.at(-1)?.state).toBe("waiting");
  });

  test("tells what others write, not what one writes oneself or is told again", async () => {
    const engine = createDemoEngine(scenes.home);
    const thread = createThread(engine, "2c0000a2");
    const received: Message[] = [];
    thread.onReceived((message) => received.push(message));
    await thread.load();
    engine.receive("2c0000a2", jonas, "Ten o'clock?");
    engine.receive("4e0100a3", jonas, "elsewhere");
    await engine.sendText("2c0000a2", "Yes.", "key");
    expect(texts(received)).toEqual(["Ten o'clock?"]);
    expect(texts(thread.messages.value)).not.toContain("elsewhere");
  });

  test("what it finds when it opens is no news", async () => {
    const engine = createDemoEngine(scenes.home);
    const thread = createThread(engine, "2c0000a2");
    const received: Message[] = [];
    thread.onReceived((message) => received.push(message));
    const loading = thread.load();
    engine.receive("2c0000a2", jonas, "Ten o'clock?");
    await loading;
    expect(received).toEqual([]);
  });

  test("what came while the page was fetched stays", async () => {
    const engine = createDemoEngine(scenes.home);
    const thread = createThread(engine, "2c0000a2");
    const loading = thread.load();
    engine.receive("2c0000a2", jonas, "Ten o'clock?");
    await loading;
    expect(texts(thread.messages.value).at(-1)).toBe("Ten o'clock?");
    expect(thread.messages.value).toHaveLength(4);
  });

  test("a failed page is told by its code, and can be asked for again", async () => {
    const engine = createDemoEngine(scenes.home);
    engine.failNext("messages", "storage");
    const thread = createThread(engine, "2c0000a2");
    await thread.load();
    expect(thread.error.value).toBe("storage");
    await thread.load();
    expect(thread.error.value).toBeUndefined();
    expect(thread.messages.value).toHaveLength(3);
  });

  test("a discarded message is gone, in every tab; if that fails it stays", async () => {
    const engine = createDemoEngine(scenes.trouble);
    const thread = createThread(engine, "150200b1");
    await thread.load();
    const failed = thread.messages.value.find((m) => m.state === "failed");
    engine.failNext("discardFailed", "storage");
    await expect(thread.discard(failed?.id ?? "")).rejects.toThrow("storage");
    expect(thread.messages.value).toContain(failed);
    const otherTab = createThread(engine, "150200b1");
    await otherTab.load();
    await thread.discard(failed?.id ?? "");
    expect(thread.messages.value).not.toContain(failed);
    expect(otherTab.messages.value).not.toContain(failed);
  });

  test("a closed thread hears nothing more", async () => {
    const engine = createDemoEngine(scenes.home);
    const thread = createThread(engine, "2c0000a2");
    await thread.load();
    thread.close();
    engine.receive("2c0000a2", jonas, "Ten o'clock?");
    expect(thread.messages.value).toHaveLength(3);
  });
});
