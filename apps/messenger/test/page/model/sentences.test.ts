import { ClientError, type Message, type MessageBody, type WarningCode } from "@conclave/client";
import { describe, expect, test } from "vitest";
import {
  counted,
  errorCodeOf,
  errorSentence,
  failureSentence,
  noticeSentence,
  previewSentence,
  typingSentence,
  warningWords,
} from "../../../src/page/model/sentences.ts";

const self = { accountId: "a", name: "Alma" };

describe("who is writing", () => {
  test.each([
    [[], ""],
    [["Ada"], "Ada is writing…"],
    [["Ada", "Ben"], "Ada and Ben are writing…"],
    [["Ada", "Ben", "Cleo"], "Ada, Ben and Cleo are writing…"],
    [["Ada", "Ben", "Cleo", "Dora"], "Several people are writing…"],
  ])("%j: %s", (names, sentence) => {
    expect(typingSentence(names)).toBe(sentence);
  });
});

describe("errors", () => {
  test("a client's error is known by its code, also across realms", () => {
    expect(errorCodeOf(new ClientError("name-taken", "taken"))).toBe("name-taken");
    expect(errorCodeOf({ code: "offline", message: "no network" })).toBe("offline");
  });

  test.each([new TypeError("x"), undefined, null, "offline", { code: "toString" }, { code: 5 }])(
    "%s is internal",
    (error) => {
      expect(errorCodeOf(error)).toBe("internal");
    },
  );

  test("a message's failure is told in words, also one nobody foresaw", () => {
    expect(failureSentence("text-too-long")).toBe(errorSentence("text-too-long"));
    expect(failureSentence("unheard-of")).toBe(errorSentence("internal"));
    expect(failureSentence(undefined)).toBe(errorSentence("internal"));
  });
});

describe("warnings", () => {
  const codes: readonly WarningCode[] = [
    "message-refused",
    "uninvited-member",
    "unlisted-device",
    "root-key-changed",
    "device-list-old",
    "device-list-fork",
    "message-replayed",
    "message-missing",
    "history-differs",
    "message-unreadable",
    "state-restored",
    "out-of-step",
  ];
  test.each(codes)("%s says what happened and what it means, with or without a name", (code) => {
    const named = warningWords({ code, at: 0, subject: "Jonas" });
    expect(`${named.title} ${named.text}`).toMatch(
      code === "state-restored" ? /copy/ : code === "out-of-step" ? /device/ : /Jonas/,
    );
    const unnamed = warningWords({ code, at: 0 });
    expect(`${unnamed.title} ${unnamed.text}`).not.toMatch(/undefined/);
    expect(unnamed.title).toMatch(/^[A-Z]/);
    expect(unnamed.text).toMatch(/^[A-Z].*\.$/s);
  });
});

describe("notices", () => {
  const change = (body: Partial<Extract<MessageBody, { type: "membership" }>>): string =>
    noticeSentence(
      { type: "membership", change: "joined", accountId: "j", name: "Jonas", ...body },
      "Jonas",
      self,
    );
  test.each([
    [change({ change: "created" }), "Jonas began this conversation"],
    [change({ change: "joined" }), "Jonas joined by a link"],
    [change({ change: "joined", accountId: "a", name: "Alma" }), "You joined by a link"],
    [change({ change: "added", by: "Priya" }), "Priya added Jonas"],
    [change({ change: "added", by: "Alma" }), "You added Jonas"],
    [change({ change: "added" }), "Jonas was added"],
    [change({ change: "removed", accountId: "a", by: "Priya" }), "Priya removed you"],
    [change({ change: "removed", accountId: "a" }), "You were removed"],
    [change({ change: "left" }), "Jonas left"],
    [noticeSentence({ type: "unreadable" }, "Jonas", self), "A message from Jonas can't be read"],
  ])("%s", (sentence, expected) => {
    expect(sentence).toBe(expected);
  });

  test("a preview says who wrote it", () => {
    const message: Message = {
      id: "1",
      conversationId: "c",
      accountId: "j",
      senderName: "Jonas",
      own: false,
      at: 0,
      body: { type: "text", text: "Tea?" },
      state: "received",
    };
    expect(previewSentence(message, self)).toBe("Jonas: Tea?");
    expect(previewSentence({ ...message, own: true }, self)).toBe("You: Tea?");
    expect(previewSentence({ ...message, body: { type: "unreadable" } }, self)).toMatch(/read$/);
  });

  test("counts agree with their nouns", () => {
    expect(counted(1, "member", "members")).toBe("1 member");
    expect(counted(0, "member", "members")).toBe("0 members");
  });
});
