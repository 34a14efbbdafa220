/**
 * The service of one group: an ordered log, one commit for each epoch, the public group that it follows. What it was given
 * once it answers again in the same way.
 */

import { type CommitBundle, type Member, MlsError } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { type PublicContext, PublicGroup, readMessage } from "@conclave/mls/public-group";
import { hex, text } from "../people.ts";

export interface Entry {
  readonly index: number;
  readonly kind: "application" | "proposal" | "commit";
  readonly epoch: bigint;
  readonly bytes: Bytes;
  /** Who said it. */
  readonly by: string;
  /** Who stands in the group when it is said, by name. */
  readonly members: readonly string[];
}

export interface Invitation {
  readonly welcome: Bytes;
  readonly ratchetTree: Bytes;
  /** Where in the log a joiner begins to read. */
  readonly from: number;
}

/** Who stands at a leaf. */
export function nameOf({ leafNode: { credential } }: Pick<Member, "leafNode">): string {
  return credential.credentialType === "basic" ? text(credential.identity) : "?";
}

export class Service {
  readonly log: Entry[] = [];
  readonly invitations = new Map<string, Invitation[]>();
  readonly keyPackages = new Map<string, Bytes[]>();
  /** Since which epoch each member is there. */
  readonly since = new Map<string, bigint>();
  readonly #context: PublicContext;
  readonly #known = new Map<string, Entry>();
  readonly #nodes = new Map<number, Bytes>();
  #observer: PublicGroup;
  #groupInfo: Bytes;

  constructor(context: PublicContext, observer: PublicGroup, groupInfo: Bytes) {
    this.#context = context;
    this.#observer = observer;
    this.#groupInfo = groupInfo;
    for (const [index, node] of observer.nodes()) this.#nodes.set(index, node);
    for (const name of this.members()) this.since.set(name, observer.epoch);
  }

  get observer(): PublicGroup {
    return this.#observer;
  }

  /** With `external_pub`. */
  get groupInfo(): Bytes {
    return this.#groupInfo;
  }

  members(): string[] {
    return this.#observer.members().map(nameOf);
  }

  leafOf(name: string): number | undefined {
    return this.#observer.members().find((one) => nameOf(one) === name)?.leafIndex;
  }

  /** Starts again from what it stored. */
  async restart(): Promise<void> {
    const nodes = [...this.#nodes].sort(([a], [b]) => a - b);
    const state = this.#observer.state();
    const again = await PublicGroup.load(this.#context, { state, nodes });
    if (hex(again.ratchetTree()) !== hex(this.#observer.ratchetTree())) {
      throw new Error("the observer's records are of another tree than it holds");
    }
    this.#observer = again;
  }

  #append(entry: Omit<Entry, "index">): Entry {
    const added = { ...entry, index: this.log.length };
    this.log.push(added);
    this.#known.set(hex(entry.bytes), added);
    return added;
  }

  /** The entry, or undefined where it came too late. */
  async post(by: string, bytes: Bytes, bundle?: CommitBundle): Promise<Entry | undefined> {
    const known = this.#known.get(hex(bytes));
    if (known) return known;
    const { epoch, wireFormat, contentType } = readMessage(bytes);
    if (epoch !== this.#observer.epoch) return undefined;
    const members = this.members();
    if (wireFormat === "mls_private_message") {
      return this.#append({ kind: "application", epoch, bytes, by, members });
    }
    if (contentType === "proposal") {
      this.#observer = (await this.#observer.process(bytes)).group;
      return this.#append({ kind: "proposal", epoch, bytes, by, members });
    }
    if (!bundle) throw new Error("a commit without its bundle");
    const { group, event, changes } = await this.#observer.process(bytes);
    if (event.type !== "commit") throw new Error("no commit");
    await group.checkGroupInfo(bundle.groupInfo);
    const { groupInfoForJoiners } = bundle;
    if (!groupInfoForJoiners) throw new Error("a commit without what joiners need");
    await group.checkGroupInfo(groupInfoForJoiners);
    this.#observer = group;
    this.#groupInfo = groupInfoForJoiners;
    for (const { index, node } of changes) {
      if (node) this.#nodes.set(index, node);
      else this.#nodes.delete(index);
    }
    const entry = this.#append({ kind: "commit", epoch, bytes, by, members });
    const { added, removed, external, pathLeaf } = event.summary;
    for (const one of removed) this.since.delete(nameOf(one));
    if (external && pathLeaf) this.since.set(nameOf({ leafNode: pathLeaf }), group.epoch);
    for (const one of added) {
      const name = nameOf(one);
      this.since.set(name, group.epoch);
      if (!bundle.welcome) throw new MlsError("welcome", "12.4.3.1", "nothing for who was added");
      const ratchetTree = group.ratchetTree();
      const invitation = { welcome: bundle.welcome, ratchetTree, from: entry.index + 1 };
      this.invitations.set(name, [...(this.invitations.get(name) ?? []), invitation]);
    }
    return entry;
  }
}
