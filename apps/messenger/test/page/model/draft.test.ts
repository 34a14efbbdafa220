import { describe, expect, test } from "vitest";
import { createDraft } from "../../../src/page/model/draft.ts";
import { createDemoEngine } from "../demo/demo-engine.ts";
import { scenes } from "../demo/scenes.ts";

function setUp() {
  const engine = createDemoEngine(scenes.home);
  let keys = 0;
  const draft = createDraft(engine, "4e0100a3", () => `key ${++keys}`);
  const sent = (): readonly unknown[] => engine.calls.filter(([method]) => method === "sendText");
  return { engine, draft, sent };
}

describe("createDraft", () => {
  test("the text stays until the engine has it", async () => {
    const { draft, sent } = setUp();
    draft.text.value = "  Hello\nthere ";
    const sending = draft.send();
    expect(draft.sending.value).toBe(true);
    expect(draft.text.value).toBe("  Hello\nthere ");
    await sending;
    expect(draft.text.value).toBe("");
    expect(sent()).toEqual([["sendText", "4e0100a3", "Hello\nthere", "key 1"]]);
  });

  test("pressing Enter twice sends once", async () => {
    const { draft, sent } = setUp();
    draft.text.value = "Hello";
    await Promise.all([draft.send(), draft.send()]);
    expect(sent()).toHaveLength(1);
  });

  test("nothing is not sent", async () => {
    const { draft, sent } = setUp();
    draft.text.value = " \n ";
    await draft.send();
    expect(sent()).toEqual([]);
  });

  test("after a failure the text is still there; the same text goes under the same key", async () => {
    const { engine, draft, sent } = setUp();
    engine.failNext("sendText", "storage");
    draft.text.value = "Hello";
    await draft.send();
    expect(draft.error.value).toBe("storage");
    expect(draft.text.value).toBe("Hello");
    await draft.send();
    expect(draft.error.value).toBeUndefined();
    expect(sent().map((call) => (call as readonly unknown[])[3])).toEqual(["key 1", "key 1"]);
  });

  test("another text has another key, and so has the same text sent again", async () => {
    const { engine, draft, sent } = setUp();
    engine.failNext("sendText", "storage");
    draft.text.value = "Hello";
    await draft.send();
    draft.text.value = "Hello!";
    await draft.send();
    draft.text.value = "Hello!";
    await draft.send();
    expect(sent().map((call) => (call as readonly unknown[])[3])).toEqual([
      "key 1",
      "key 2",
      "key 3",
    ]);
  });
});
