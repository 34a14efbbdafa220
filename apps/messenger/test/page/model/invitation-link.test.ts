import { describe, expect, test } from "vitest";
import { invitationLink, invitationOfHash } from "../../../src/page/model/invitation-link.ts";

const FRAGMENT = "AbC-_9".repeat(14);

describe("invitation links", () => {
  test("what is put into a link is found in it", () => {
    const link = invitationLink("https://chat.example", FRAGMENT);
    expect(link).toBe(`https://chat.example/#${FRAGMENT}`);
    expect(invitationOfHash(new URL(link).hash)).toBe(FRAGMENT);
  });

  test.each(["", "#", "#short", `#${FRAGMENT}!`, `#${"a".repeat(201)}`, FRAGMENT])(
    "%s is no invitation",
    (hash) => {
      expect(invitationOfHash(hash)).toBeUndefined();
    },
  );
});
