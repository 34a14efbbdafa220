/** Random groups: whatever people do, all members agree, and so does who follows them; from their records as well. */

import type { Group, Proposal } from "@conclave/mls";
import { EXTENSION, joinGroup, webCrypto } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup } from "@conclave/mls/public-group";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addProposal,
  found,
  hex,
  joinByLink,
  observe,
  type Person,
  person,
  reload,
  text,
  utf8,
} from "../people.ts";

const MOST = 8;
const SHARED = utf8("shared");

interface Step {
  readonly kind: "add" | "link" | "remove" | "commit" | "update" | "psk" | "extensions" | "say";
  /** Who does it, and to whom: the nth of those who are there. */
  readonly by: number;
  readonly to: number;
  /** Who starts again from storage afterwards. */
  readonly restart: number;
}
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom("add", "link", "remove", "commit", "update", "psk", "extensions", "say"),
  by: fc.nat(MOST - 1),
  to: fc.nat(MOST - 1),
  restart: fc.nat(2 * MOST),
});

class World {
  readonly #suite: number;
  readonly #members = new Map<Person, Group>();
  readonly #nodes = new Map<number, Bytes>();
  #observer: PublicGroup;
  #born = 1;

  private constructor(suite: number, founder: Person, group: Group, observer: PublicGroup) {
    this.#suite = suite;
    this.#members.set(founder, group);
    this.#observer = observer;
    for (const [index, node] of observer.nodes()) this.#nodes.set(index, node);
  }

  static async create(suite: number): Promise<World> {
    const founder = await World.#person(suite, 0);
    const group = await found(founder);
    return new World(suite, founder, group, await observe(founder, group));
  }

  /** Every other one's platform is a browser's. */
  static #person(suite: number, n: number): Promise<Person> {
    const crypto = n % 2 === 0 ? nodeCrypto : webCrypto;
    const externalPsk = async () => SHARED.slice();
    return person(`person ${n}`, { suite, crypto, externalPsk });
  }

  #nth(n: number): readonly [Person, Group] {
    const members = [...this.#members];
    const one = members[n % members.length];
    if (!one) throw new Error("nobody is left");
    return one;
  }

  async #observe(message: Bytes): Promise<void> {
    const { group, changes } = await this.#observer.process(message);
    for (const { index, node } of changes) {
      if (node) this.#nodes.set(index, node);
      else this.#nodes.delete(index);
    }
    this.#observer = group;
  }

  async #all(message: Bytes): Promise<void> {
    for (const [who, group] of this.#members) {
      const received = await group.receive(message);
      if (received.type === "commit" && received.removed) this.#members.delete(who);
    }
    await this.#observe(message);
  }

  async #commit(by: Group, proposals: readonly Proposal[]): Promise<Bytes | undefined> {
    const { commit, welcome } = await by.commit({ proposals });
    await this.#all(commit);
    return welcome;
  }

  async take({ kind, by, to, restart }: Step): Promise<void> {
    const [, actor] = this.#nth(by);
    const [, target] = this.#nth(to);
    switch (kind) {
      case "add": {
        if (this.#members.size >= MOST) break;
        const who = await World.#person(this.#suite, this.#born++);
        const welcome = await this.#commit(actor, [await addProposal(who)]);
        if (!welcome) throw new Error("no welcome");
        const joined = { welcome, ratchetTree: actor.ratchetTree(), signer: who.signer };
        this.#members.set(who, await joinGroup(who.context, joined));
        break;
      }
      case "link": {
        if (this.#members.size >= MOST) break;
        const who = await World.#person(this.#suite, this.#born++);
        let commit: Bytes | undefined;
        const host = {
          groupInfo: (options: { externalPub: boolean }) => actor.groupInfo(options),
          ratchetTree: () => actor.ratchetTree(),
          receive: async (message: Bytes) => {
            commit = message;
            return actor.receive(message);
          },
        } as Group;
        const others = [...this.#members.values()].filter((group) => group !== actor);
        const group = await joinByLink(who, host, others);
        if (commit) await this.#observe(commit);
        this.#members.set(who, group);
        break;
      }
      case "remove":
        if (actor !== target) {
          await this.#commit(actor, [{ proposalType: "remove", removed: target.ownLeafIndex }]);
        }
        break;
      case "commit":
        await this.#commit(actor, []);
        break;
      case "update":
        if (actor !== target) {
          await this.#all(await target.proposeUpdate());
          await this.#commit(actor, []);
        }
        break;
      case "psk": {
        const pskNonce = actor.exportSecret("nonce", utf8(""), 32);
        const psk = { pskType: "external", pskId: utf8("shared"), pskNonce } as const;
        await this.#commit(actor, [{ proposalType: "psk", psk }]);
        break;
      }
      case "extensions": {
        const extension = {
          extensionType: EXTENSION.requiredCapabilities,
          extensionData: Uint8Array.of(0, 0, to % 2 === 0 ? 0 : 2, ...(to % 2 === 0 ? [] : [0, 1])),
        };
        await this.#commit(actor, [
          { proposalType: "group_context_extensions", extensions: [extension] },
        ]);
        break;
      }
      case "say": {
        const message = await actor.send(utf8(`${by}`));
        for (const group of this.#members.values()) {
          if (group === actor) continue;
          const received = await group.receive(message);
          if (received.type !== "application" || text(received.data) !== `${by}`) {
            throw new Error("another message than was sent");
          }
        }
        break;
      }
    }
    const [sleeper, group] = this.#nth(restart);
    if (restart < MOST) this.#members.set(sleeper, await reload(sleeper, group));
  }

  /** What all who are there have, each different value once; and what follows from the records of the one who follows. */
  views(): {
    readonly authenticators: number;
    readonly exported: number;
    readonly members: readonly string[];
    readonly observer: string;
    readonly stored: string;
  } {
    const [[someone]] = [this.#nth(0)];
    const groups = [...this.#members.values()];
    const view = (group: Pick<Group, "epoch" | "ratchetTree" | "members">) =>
      `${group.epoch} ${group.members().length} ${hex(group.ratchetTree())}`;
    const nodes = [...this.#nodes].sort(([a], [b]) => a - b);
    const state = this.#observer.state();
    return {
      authenticators: new Set(groups.map((group) => hex(group.epochAuthenticator))).size,
      exported: new Set(groups.map((group) => hex(group.exportSecret("x", SHARED, 16)))).size,
      members: [...new Set(groups.map(view))],
      observer: view(this.#observer),
      stored: view(PublicGroup.load(someone.context, { state, nodes })),
    };
  }
}

describe.each([1, 3])("a group of suite %i", (suite) => {
  it("agrees after whatever its members do", { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 20 }), async (steps) => {
        const world = await World.create(suite);
        for (const one of steps) {
          await world.take(one);
          const { observer, ...rest } = world.views();
          expect(rest).toEqual({
            authenticators: 1,
            exported: 1,
            members: [observer],
            stored: observer,
          });
        }
      }),
      { numRuns: 6 },
    );
  });
});
