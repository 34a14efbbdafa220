import { describe, expect, test } from "vitest";
import {
  invitationLink,
  invitationOfHash,
  inviteCodeOfHash,
} from "../../../src/page/model/invitation-link.ts";

const FRAGMENT = "AbC-_9".repeat(14);

describe("invitation links", () => {
  test("what is put into a link is found in it", () => {
    const link = invitationLink("https://chat.example", FRAGMENT);
    expect(link).toBe(`https://chat.example/#${FRAGMENT}`);
    expect(invitationOfHash(new URL(link).hash)).toBe(FRAGMENT);
  });

  test.each(["", "#", "#.", "#!)"])("%s is no invitation", (hash) => {
    expect(invitationOfHash(hash)).toBeUndefined();
  });

  test.each([".", ")", ").", "!", "%22", "%20"])("a sentence's %s behind it is cut off", (rest) => {
    expect(invitationOfHash(`#${FRAGMENT}${decodeURIComponent(rest)}`)).toBe(FRAGMENT);
  });

  test("an operator's code is told apart from an invitation", () => {
    expect(inviteCodeOfHash("#invite=K7D2-M9QX")).toBe("K7D2-M9QX");
    expect(inviteCodeOfHash("#?invite=K7D2-M9QX).")).toBe("K7D2-M9QX");
    expect(inviteCodeOfHash(`#${FRAGMENT}`)).toBeUndefined();
    expect(inviteCodeOfHash("#invite=")).toBeUndefined();
  });

  test("a damaged one is taken for what it was meant to be, within bounds", () => {
    expect(invitationOfHash("#AbC")).toBe("AbC");
    expect(invitationOfHash(`#${"a".repeat(10_000)}`)).toHaveLength(400);
  });
});
