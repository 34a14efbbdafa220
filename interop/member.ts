/**
 * What a test asks of a member, whichever library it runs on. Every message between members is bytes on the wire.
 * @module
 */

import type { Bytes } from "@conclave/mls";

/** What a proposal is to do; `update` only as a proposal of its own, to be committed by somebody else. */
export type Change =
  | { readonly type: "add"; readonly keyPackage: Bytes }
  | { readonly type: "remove"; readonly leaf: number }
  /** An external PSK; both sides know it by this id. */
  | { readonly type: "psk"; readonly id: Bytes }
  /** The resumption PSK of an epoch of this group. */
  | { readonly type: "resumption"; readonly epoch: bigint }
  | { readonly type: "extensions"; readonly extensions: readonly RawExtension[] }
  | { readonly type: "reinit"; readonly groupId: Bytes; readonly suite: number };
export type Proposed = Change | { readonly type: "update" };

/** An extension as RFC 9420 §13.4 has it on the wire. */
export interface RawExtension {
  readonly extensionType: number;
  readonly extensionData: Bytes;
}

/** How proposals and commits travel (§6). */
export type Wire = "public" | "private";

export type Heard =
  | { readonly type: "application"; readonly data: Bytes; readonly authenticatedData: Bytes }
  | { readonly type: "proposal" }
  | { readonly type: "commit"; readonly removed: boolean };

export interface Made {
  readonly commit: Bytes;
  /** For those whom the commit adds. */
  readonly welcome: Bytes | undefined;
}

/** A client that may come into groups. */
export interface Client {
  readonly library: Library;
  readonly name: string;
  /** For the setting's suite unless another is given. */
  readonly keyPackage: (suite?: number) => Promise<Bytes>;
  readonly create: (options: {
    readonly groupId: Bytes;
    readonly extensions?: readonly RawExtension[];
  }) => Promise<Member>;
  /** By a Welcome, with the tree (§12.4.3.3) where it is not inside; `former`: ours in the group that it continues. */
  readonly join: (
    welcome: Bytes,
    options?: { readonly tree?: Bytes | undefined; readonly former?: Member },
  ) => Promise<Member>;
  /** By an external commit, which is taken as accepted. */
  readonly enter: (
    groupInfo: Bytes,
    options?: { readonly tree?: Bytes | undefined; readonly resync?: number | undefined },
  ) => Promise<{ readonly member: Member; readonly commit: Bytes }>;
  /** A group that continues another (§11.2, §11.3), in which these come along; its first commit is taken as accepted. */
  readonly link: (
    former: Member,
    link: Link,
  ) => Promise<{
    readonly member: Member;
    readonly welcome: Bytes;
  }>;
  /** Asks to be added, by a new_member_proposal (§12.1.8). */
  readonly ask: (groupInfo: Bytes) => Promise<Bytes>;
}

export interface Link {
  readonly how: "reinit" | "branch";
  readonly groupId: Bytes;
  readonly suite: number;
  readonly keyPackages: readonly Bytes[];
}

export interface Member {
  readonly client: Client;
  readonly leaf: () => number;
  readonly epoch: () => bigint;
  /** The leaves that are not blank. */
  readonly leaves: () => number[];
  readonly authenticator: () => Bytes;
  readonly exportSecret: (label: string, context: Bytes, length: number) => Promise<Bytes>;
  readonly tree: () => Promise<Bytes>;
  readonly groupInfo: (options: { readonly tree: boolean }) => Promise<Bytes>;
  readonly send: (data: Bytes, authenticatedData?: Bytes) => Promise<Bytes>;
  readonly propose: (change: Proposed, wire: Wire) => Promise<Bytes>;
  /** Over all pending proposals and `changes`; the member stays in its epoch until `accept`. `tree`: inside the Welcome. */
  readonly commit: (
    changes: readonly Change[],
    options: { readonly wire: Wire; readonly tree?: boolean },
  ) => Promise<Made>;
  readonly accept: () => Promise<void>;
  readonly receive: (message: Bytes) => Promise<Heard>;
}

/** What not every library does as RFC 9420 has it. */
export type Ability =
  | "commit an Update"
  | "commit one Remove"
  | "commit an Add beside Removes"
  | "commit extensions"
  | "commit a resumption PSK";

/** An implementation of RFC 9420. */
export interface Library {
  readonly name: string;
  readonly can: ReadonlySet<Ability>;
  /** Whether this is how it refuses some trees that RFC 9420 has as valid. */
  readonly refusesTree: (cause: unknown) => boolean;
  readonly client: (name: string, setting: Setting) => Promise<Client>;
}

/** What all clients of a test share. */
export interface Setting {
  readonly suite: number;
  /** Extension types that every client lists. */
  readonly extensions: readonly number[];
  /** External PSKs by id in hexadecimal. */
  readonly psks: ReadonlyMap<string, Bytes>;
}

/** Seconds since the epoch, around now. */
export function lifetime(): { readonly notBefore: bigint; readonly notAfter: bigint } {
  const now = BigInt(Math.floor(Date.now() / 1000));
  return { notBefore: now - 3_600n, notAfter: now + 30n * 86_400n };
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text);
}
