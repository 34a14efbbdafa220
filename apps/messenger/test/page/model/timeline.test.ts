import type { Message } from "@conclave/client";
import { describe, expect, test } from "vitest";
import { timelineOf } from "../../../src/page/model/timeline.ts";

const noon = new Date(2026, 2, 3, 12).getTime();
const MINUTE = 60_000;
let serial = 0;
const message = (accountId: string, at: number, body?: Message["body"]): Message => ({
  id: String(++serial),
  conversationId: "c",
  seq: serial,
  accountId,
  senderName: accountId,
  own: false,
  at,
  body: body ?? { type: "text", text: "…" },
  state: "received",
});
const runs = (...messages: readonly Message[]): readonly string[] =>
  timelineOf(messages).map((item) =>
    item.type === "message"
      ? `${item.message.accountId}${item.first ? " first" : ""}${item.last ? " last" : ""}`
      : item.type,
  );

describe("timelineOf", () => {
  test("joins what one person writes within five minutes", () => {
    expect(
      runs(
        message("a", noon),
        message("a", noon + 4 * MINUTE),
        message("b", noon + 5 * MINUTE),
        message("b", noon + 10 * MINUTE),
      ),
    ).toEqual(["day", "a first", "a last", "b first last", "b first last"]);
  });

  test("begins each day with its name, and no run crosses it", () => {
    const midnight = new Date(2026, 2, 4).getTime();
    expect(runs(message("a", midnight - MINUTE), message("a", midnight))).toEqual([
      "day",
      "a first last",
      "day",
      "a first last",
    ]);
  });

  test("what is no text stands alone and ends a run", () => {
    const joined = {
      type: "membership",
      change: "joined",
      accountId: "b",
      name: "b",
    } as const;
    expect(
      runs(
        message("a", noon),
        message("b", noon, joined),
        message("a", noon),
        message("a", noon, { type: "unreadable" }),
      ),
    ).toEqual(["day", "a first last", "notice", "a first last", "notice"]);
  });
});
