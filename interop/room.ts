/**
 * A group whose members run on whatever library each was given, and the service between them: every message reaches every
 * other member, and after each commit they are asked whether they agree.
 * @module
 */

import type { Bytes } from "@conclave/mls";
import type { Change, Client, Link, Member, Proposed, RawExtension, Wire } from "./member.ts";
import { hex, utf8 } from "./member.ts";

export class Room {
  readonly #members: Member[];

  private constructor(founder: Member) {
    this.#members = [founder];
  }

  static async found(
    founder: Client,
    options: { readonly groupId?: string; readonly extensions?: readonly RawExtension[] } = {},
  ): Promise<Room> {
    const { groupId = "room", extensions = [] } = options;
    return new Room(await founder.create({ groupId: utf8(groupId), extensions }));
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  of(name: string): Member {
    const found = this.#members.find(({ client }) => client.name === name);
    if (!found) throw new Error(`no ${name} here`);
    return found;
  }

  #others(of: Member): Member[] {
    return this.#members.filter((member) => member !== of);
  }

  /** A proposal that everybody else gets. */
  async propose(by: Member, change: Proposed, wire: Wire): Promise<void> {
    const message = await by.propose(change, wire);
    for (const other of this.#others(by)) {
      const heard = await other.receive(message);
      if (heard.type !== "proposal") throw new Error(`a proposal was heard as ${heard.type}`);
    }
  }

  /** A commit that wins; `joining` come in by its Welcome, with the tree inside it or beside. */
  async commit(
    by: Member,
    changes: readonly Change[],
    options: {
      readonly wire: Wire;
      readonly joining?: readonly Client[];
      readonly tree?: "inside" | "beside";
    },
  ): Promise<void> {
    const { wire, joining = [], tree = "beside" } = options;
    const { commit, welcome } = await by.commit(changes, { wire, tree: tree === "inside" });
    const removed: Member[] = [];
    for (const other of this.#others(by)) {
      const heard = await other.receive(commit);
      if (heard.type !== "commit") throw new Error(`a commit was heard as ${heard.type}`);
      if (heard.removed) removed.push(other);
    }
    await by.accept();
    for (const member of removed) this.#members.splice(this.#members.indexOf(member), 1);
    if ((welcome === undefined) !== (joining.length === 0))
      throw new Error("Welcome and Adds differ");
    if (welcome) {
      const beside = tree === "beside" ? await by.tree() : undefined;
      for (const client of joining) {
        try {
          this.#members.push(await client.join(welcome, { tree: beside }));
        } catch (cause) {
          if (!client.library.refusesTree(cause)) throw cause;
        }
      }
    }
    await this.#removeStranded();
    await this.agree();
  }

  /** Who was added and could not come in is removed again. */
  async #removeStranded(): Promise<void> {
    const able = this.#members.find(({ client }) => client.library.can.has("commit one Remove"));
    if (!able) return;
    const present = new Set(this.#members.map((member) => member.leaf()));
    const stranded = able.leaves().filter((leaf) => !present.has(leaf));
    if (stranded.length === 0) return;
    const changes = stranded.map((leaf): Change => ({ type: "remove", leaf }));
    await this.commit(able, changes, { wire: "public" });
  }

  /** Two commit in the same epoch: the second loses, and nobody takes its commit any more (§14). */
  async race(winner: Member, loser: Member, wires: readonly [Wire, Wire]): Promise<void> {
    const lost = await loser.commit([], { wire: wires[1] });
    await this.commit(winner, [], { wire: wires[0] });
    for (const member of this.#others(loser)) await this.expectRefused(member, lost.commit);
    await this.agree();
  }

  /** By value: these come in. */
  async add(
    by: Member,
    joining: readonly Client[],
    options: { readonly wire: Wire; readonly tree?: "inside" | "beside" },
  ): Promise<void> {
    const changes: Change[] = [];
    for (const client of joining)
      changes.push({ type: "add", keyPackage: await client.keyPackage() });
    await this.commit(by, changes, { ...options, joining });
  }

  /**
   * Somebody comes in by an external commit to the GroupInfo of `host`; `resync`: in the place of a leaf of theirs. False where
   * their library refuses the tree.
   */
  async enter(
    client: Client,
    host: Member,
    options: { readonly tree: "inside" | "beside"; readonly resync?: Member },
  ): Promise<boolean> {
    const { tree, resync } = options;
    const groupInfo = await host.groupInfo({ tree: tree === "inside" });
    const beside = tree === "beside" ? await host.tree() : undefined;
    const entered = await client
      .enter(groupInfo, {
        tree: beside,
        resync: resync?.leaf(),
      })
      .catch((cause: unknown) => {
        if (client.library.refusesTree(cause)) return undefined;
        throw cause;
      });
    if (!entered) return false;
    if (resync) this.#members.splice(this.#members.indexOf(resync), 1);
    for (const other of this.#members) await other.receive(entered.commit);
    this.#members.push(entered.member);
    await this.agree();
    return true;
  }

  /** Somebody asks to be added, and `by` commits it. */
  async ask(client: Client, by: Member, wire: Wire): Promise<void> {
    const message = await client.ask(await by.groupInfo({ tree: false }));
    for (const member of this.#members) {
      const heard = await member.receive(message);
      if (heard.type !== "proposal") throw new Error(`a proposal was heard as ${heard.type}`);
    }
    await this.commit(by, [], { wire, joining: [client] });
  }

  /** The group that continues this one, made by `by`; `others` come along. */
  async link(
    by: Member,
    others: readonly Member[],
    link: Pick<Link, "how" | "suite"> & { readonly groupId: string },
  ): Promise<Room> {
    const keyPackages: Bytes[] = [];
    for (const { client } of others) keyPackages.push(await client.keyPackage(link.suite));
    const groupId = utf8(link.groupId);
    const { member, welcome } = await by.client.link(by, { ...link, groupId, keyPackages });
    const room = new Room(member);
    const tree = await member.tree();
    for (const former of others) {
      room.#members.push(await former.client.join(welcome, { tree, former }));
    }
    await room.agree();
    return room;
  }

  /** Everybody says something to everybody. */
  async chat(): Promise<void> {
    for (const by of this.#members) {
      const data = utf8(`from ${by.client.name} in ${by.epoch()}`);
      const message = await by.send(data, utf8("seen"));
      for (const other of this.#others(by)) await this.expectHeard(other, message, data);
    }
  }

  /** One says a few things, which the others hear in an order of their own. */
  async chatter(by: Member, roll: (below: number) => number): Promise<void> {
    const sent: { readonly data: Bytes; readonly message: Bytes }[] = [];
    for (let i = 0; i < 3; i++) {
      const data = utf8("x".repeat(roll(300)));
      sent.push({ data, message: await by.send(data) });
    }
    for (const other of this.#others(by)) {
      const left = [...sent];
      while (left.length > 0) {
        for (const { data, message } of left.splice(roll(left.length), 1)) {
          await this.expectHeard(other, message, data);
        }
      }
    }
  }

  async expectHeard(by: Member, message: Bytes, data: Bytes): Promise<void> {
    const heard = await by.receive(message);
    if (heard.type !== "application") throw new Error(`a message was heard as ${heard.type}`);
    if (hex(heard.data) !== hex(data)) throw new Error("another message was heard");
  }

  async expectRefused(by: Member, message: Bytes): Promise<void> {
    const taken = await by.receive(message).then(
      () => true,
      () => false,
    );
    if (taken) throw new Error(`${by.client.name} took what was not to be taken`);
  }

  /** All members hold the same epoch: its secrets, as authenticator and exporter show them, and its tree. */
  async agree(): Promise<void> {
    const views = new Map<string, string[]>();
    for (const member of this.#members) {
      const view = [
        String(member.epoch()),
        hex(member.authenticator()),
        hex(await member.exportSecret("interop", utf8("context"), 48)),
        hex(await member.tree()),
        member.leaves().join(),
      ].join(" ");
      views.set(view, [...(views.get(view) ?? []), member.client.name]);
    }
    if (views.size !== 1) {
      throw new Error(
        `members disagree: ${[...views.values()].map((names) => names.join("+")).join(" | ")}`,
      );
    }
    const [first] = this.#members;
    const leaves = this.#members.map((member) => member.leaf()).sort((a, b) => a - b);
    if (first && first.leaves().join() !== leaves.join())
      throw new Error("members and leaves differ");
  }
}
