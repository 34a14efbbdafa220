import type { Member, Message } from "@conclave/client";
import { describe, expect, test } from "vitest";
import { readByOf } from "../../../src/page/model/read-by.ts";

const member = (name: string, readUpTo: number, self = false): Member => ({
  accountId: name,
  name,
  devices: 1,
  self,
  verified: false,
  readUpTo,
});
const message = (seq: number | undefined, own = true): Message => ({
  id: `m${seq}`,
  conversationId: "c",
  ...(seq !== undefined && { seq }),
  accountId: own ? "Ada" : "Ben",
  senderName: own ? "Ada" : "Ben",
  own,
  at: 0,
  body: { type: "text", text: `${seq}` },
  state: own ? "sent" : "received",
});
const messages = [
  message(1),
  message(2, false),
  message(3),
  message(4),
  message(5),
  message(undefined),
];

describe("readByOf", () => {
  test("marks what all have read, and names who has read more at the newest of it", () => {
    const members = [member("Ada", 9, true), member("Ben", 4), member("Cleo", 1)];
    expect([...readByOf({ members, readByAll: 1 }, messages)]).toEqual([
      ["m4", ["Ben"]],
      ["m1", "all"],
    ]);
  });

  test("says nothing where nobody says anything", () => {
    const members = [member("Ada", 9, true), member("Ben", 0)];
    expect(readByOf({ members, readByAll: 0 }, messages).size).toBe(0);
  });

  test("what all had read stays so, whoever came since", () => {
    const members = [member("Ada", 0, true), member("Ben", 0), member("New", 0)];
    expect([...readByOf({ members, readByAll: 4 }, messages)].map(([id]) => id)).toEqual([
      "m4",
      "m3",
      "m1",
    ]);
  });
});
