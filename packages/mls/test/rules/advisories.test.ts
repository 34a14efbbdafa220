/** Faults that other implementations had: each is broken by the tests of some rules, or by one here. */

import { MlsError } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { decodeMessage } from "../../src/framing/message.ts";
import { forgePrivate, forgeProposal, type Inside, inside } from "../forge.ts";
import { hex, person, persons, reload, room, text, utf8 } from "../people.ts";
import { ADVISORIES } from "./advisories.ts";
import { FAMILIES } from "./list.ts";
import { collect } from "./rule.ts";
import { casesOf } from "./table.ts";

const files = Object.values(FAMILIES).flatMap(([, file]) => file ?? []);
const cases = await collect(async () => {
  for (const file of files) await import(new URL(file, import.meta.url).href);
});

describe("a fault of others", () => {
  it.each(ADVISORIES.filter(({ rules }) => rules.length > 0))("$name: $fault", ({ rules }) => {
    for (const id of rules) {
      const kinds = casesOf(cases, id).map(({ kind }) => kind);
      expect([id, kinds.some((kind) => kind !== "accepts")]).toEqual([id, true]);
    }
  });
});

const application = { contentType: "application", applicationData: utf8("hello") } as const;

describe("GHSA-rrmv-c79f-cf5r", () => {
  it("every beginning of a message ends in an MlsError", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const { commit, groupInfo } = await where.at(0).group.commit();
    for (const message of [commit, groupInfo]) {
      for (let length = 0; length < message.length; length++) {
        expect(() => decodeMessage(message.slice(0, length))).toThrow(MlsError);
      }
    }
  });
});

describe("openmls#1846", () => {
  it("after a restart a message that was read stays read", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const { group, person: bob } = where.at(1);
    const message = await where.at(0).group.send(utf8("once"));
    await group.receive(message);
    const again = await reload(bob, group);
    await expect(again.receive(message)).rejects.toMatchObject({ code: "generation-used" });
  });
});

describe("amethyst#2471", () => {
  it.each([3, 5, 6, 7, 9])("a group of %i reads all its members", async (size) => {
    const names = Array.from({ length: size }, (_, i) => `member ${i}`);
    const where = await room(await persons(names));
    const said = new Set<string>();
    for (const [leafIndex, { person: who }] of names.map((_, i) => [i, where.at(i)] as const)) {
      const by: Inside = await inside(who);
      const message = await forgePrivate(by, application);
      const listener = where.at(leafIndex === 0 ? 1 : 0).group;
      const received = await listener.receive(message);
      if (received.type !== "application") throw new Error("no application message");
      said.add(`${received.sender}: ${text(received.data)}`);
    }
    expect(said.size).toBe(size);
    expect(new Set(where.groups.map((group) => hex(group.epochAuthenticator))).size).toBe(1);
  });
});

describe("openmls#2186", () => {
  it("a proposal by a leaf beyond the tree is nobody's, in a group of any size", async () => {
    for (const size of [1, 2, 3]) {
      const names = Array.from({ length: size }, (_, i) => `member ${i}`);
      const where = await room([await person("founder"), ...(await persons(names))]);
      const by = await inside(where.at(0).person);
      const { leafCount } = by.state.tree;
      for (const leafIndex of [leafCount, leafCount + 1, 2 ** 32 - 1]) {
        const sender = { senderType: "member", leafIndex } as const;
        const remove = { proposalType: "remove", removed: 0 } as const;
        const bad = await forgeProposal(by, remove, { sender });
        await expect(where.at(1).group.receive(bad)).rejects.toMatchObject({
          code: "unknown-sender",
        });
      }
    }
  });
});
