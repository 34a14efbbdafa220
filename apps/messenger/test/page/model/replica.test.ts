import type { ClientEvent, ConversationSummary, Snapshot } from "@conclave/client";
import { describe, expect, test } from "vitest";
import { createReplica } from "../../../src/page/model/replica.ts";
import { createDemoEngine } from "../demo/demo-engine.ts";
import { jonas, scenes } from "../demo/scenes.ts";

const titles = (conversations: readonly ConversationSummary[]): readonly string[] =>
  conversations.map((c) => c.title);

describe("createReplica", () => {
  test("shows the snapshot, the newest conversation first", async () => {
    const replica = createReplica(createDemoEngine(scenes.home));
    expect(replica.conversations.value).toEqual([]);
    await replica.load();
    expect(replica.account.value?.name).toBe("Alma Reyes");
    expect(replica.connection.value).toBe("online");
    expect(titles(replica.conversations.value)).toEqual([
      "Reading circle",
      "Sunday walk",
      "House",
      "Moving day",
    ]);
    expect(replica.unread.value).toBe(2);
  });

  test("follows events: what changed is replaced, and rises", async () => {
    const engine = createDemoEngine(scenes.home);
    const replica = createReplica(engine);
    await replica.load();
    engine.receive("4e0100a3", jonas, "Got them.");
    engine.connect("offline");
    engine.warn({ code: "device-list-old", at: 1 });
    expect(titles(replica.conversations.value)[0]).toBe("House");
    expect(replica.conversations.value).toHaveLength(4);
    expect(replica.unread.value).toBe(3);
    expect(replica.connection.value).toBe("offline");
    expect(replica.warnings.value).toHaveLength(1);
  });

  test("an event that overtakes the snapshot is not undone by it", async () => {
    const engine = createDemoEngine(scenes.home);
    const listeners: ((event: ClientEvent) => void)[] = [];
    let answer: (snapshot: Snapshot) => void = () => {};
    const replica = createReplica({
      ...engine,
      subscribe(listener) {
        listeners.push(listener);
        return () => {};
      },
      snapshot: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const loaded = replica.load();
    listeners[0]?.({ type: "connection", connection: "online" });
    answer({
      ...scenes.home,
      connection: "connecting",
      asked: [],
      signalSettings: { typing: true, receipts: true },
    });
    await loaded;
    expect(replica.connection.value).toBe("online");
  });

  test("one that is being joined stands first", async () => {
    const joining: ConversationSummary = {
      id: "11",
      title: "New",
      status: "joining",
      members: [],
      unread: 0,
      warnings: [],
      links: 0,
      readByAll: 0,
    };
    const conversations = [...scenes.home.conversations, joining];
    const replica = createReplica(createDemoEngine({ ...scenes.home, conversations }));
    await replica.load();
    expect(titles(replica.conversations.value)[0]).toBe("New");
  });

  test("dismissed warnings are gone, and the engine knows", async () => {
    const engine = createDemoEngine(scenes.trouble);
    const replica = createReplica(engine);
    await replica.load();
    expect(replica.warnings.value).toHaveLength(1);
    await replica.dismissWarnings();
    expect(replica.warnings.value).toEqual([]);
    expect(engine.calls.at(-1)).toEqual(["dismissWarnings", undefined]);
  });
});
