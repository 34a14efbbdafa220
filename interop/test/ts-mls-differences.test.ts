import {
  deriveKeyPair,
  externalSenders,
  findExtension,
  type MlsErrorCode,
  readGroupInfo,
  suiteOf,
} from "@conclave/mls";
import * as ts from "ts-mls";
import { describe, expect, it } from "vitest";
import { conclave } from "../conclave.ts";
import { type Change, type Client, hex, type Member, utf8, type Wire } from "../member.ts";
import { Room } from "../room.ts";
import { crypto, POST_QUANTUM_SUITES } from "../suites.ts";
import { tsMls } from "../ts-mls.ts";

/**
 * Where ts-mls does otherwise than RFC 9420; README.md says who is right. A version of it that no longer does fails here,
 * and what the other tests leave out for its sake can then be put in.
 */

const PSK = utf8("a key from elsewhere");
const SECRET = utf8("what all of them know already");
const SETTING = { suite: 1, extensions: [], psks: new Map([[hex(PSK), SECRET]]) };

function ours(...names: readonly string[]): Promise<Client[]> {
  return Promise.all(names.map((name) => conclave.client(name, SETTING)));
}

/** A group that ts-mls founds, and the others on this package. */
async function foundedByThem(...names: readonly string[]): Promise<Room> {
  const room = await Room.found(await tsMls.client("alice", SETTING));
  await room.add(room.of("alice"), await ours(...names), { wire: "public" });
  return room;
}

async function commitOf(by: Member, changes: readonly Change[], wire: Wire = "public") {
  return (await by.commit(changes, { wire })).commit;
}

/** This package refuses what a member on ts-mls commits. */
async function expectRefused(
  by: Member,
  commit: Promise<Uint8Array<ArrayBuffer>>,
  code: MlsErrorCode,
): Promise<void> {
  const bytes = await commit;
  await expect(by.receive(bytes)).rejects.toMatchObject({ name: "MlsError", code });
}

/** A group of ours with bob in it, who is nothing but a state of ts-mls. */
async function withThem() {
  const [alice] = await ours("alice");
  if (!alice) throw new Error("nobody");
  const member = await alice.create({ groupId: utf8("room") });
  const cipherSuite = await ts.getCiphersuiteImpl("MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519");
  const context: ts.MlsContext = {
    cipherSuite,
    authService: ts.unsafeTestingAuthenticationService,
    externalPsks: { [ts.bytesToBase64(PSK)]: SECRET },
  };
  const credential = {
    credentialType: ts.defaultCredentialTypes.basic,
    identity: utf8("bob"),
  };
  const made = await ts.generateKeyPackage({ credential, cipherSuite });
  const keyPackage = ts.encode(ts.mlsMessageEncoder, {
    version: ts.protocolVersions.mls10,
    wireformat: ts.wireformats.mls_key_package,
    keyPackage: made.publicPackage,
  });
  const change = { type: "add", keyPackage: new Uint8Array(keyPackage) } as const;
  const { welcome } = await member.commit([change], { wire: "public", tree: true });
  await member.accept();
  const decoded = ts.decode(ts.mlsMessageDecoder, welcome ?? new Uint8Array());
  if (decoded?.wireformat !== ts.wireformats.mls_welcome) throw new Error("no Welcome");
  const state = await ts.joinGroup({
    context,
    welcome: decoded.welcome,
    keyPackage: made.publicPackage,
    privateKeys: made.privatePackage,
  });
  return { member, context, state, made };
}

function framed(bytes: Uint8Array): ts.MlsFramedMessage {
  const message = ts.decode(ts.mlsMessageDecoder, bytes);
  if (
    message?.wireformat !== ts.wireformats.mls_public_message &&
    message?.wireformat !== ts.wireformats.mls_private_message
  ) {
    throw new Error("no message of a group");
  }
  return message;
}

describe("ts-mls", () => {
  it("commits a single Remove without a path", async () => {
    const room = await foundedByThem("bob", "carol");
    const change = { type: "remove", leaf: room.of("carol").leaf() } as const;
    await expectRefused(room.of("bob"), commitOf(room.of("alice"), [change]), "path-required");
  });

  it("commits a single Update without a path", async () => {
    const room = await foundedByThem("bob", "carol");
    await room.propose(room.of("carol"), { type: "update" }, "public");
    await expectRefused(room.of("bob"), commitOf(room.of("alice"), []), "path-required");
  });

  it("commits new extensions without a path", async () => {
    const room = await foundedByThem("bob");
    const commit = commitOf(room.of("alice"), [{ type: "extensions", extensions: [] }]);
    await expectRefused(room.of("bob"), commit, "path-required");
  });

  it("encrypts the path of a commit to the keys that its Updates replaced", async () => {
    const room = await foundedByThem("bob", "carol", "dave");
    for (const name of ["carol", "dave"]) {
      await room.propose(room.of(name), { type: "update" }, "public");
    }
    const commit = commitOf(room.of("alice"), []);
    await expectRefused(room.of("carol"), commit, "hpke-open");
    // Bob, who proposed none, can go along.
    expect(await room.of("bob").receive(await commit)).toMatchObject({ type: "commit" });
  });

  it("encrypts the path of a commit to those whom it adds", async () => {
    const room = await foundedByThem("bob", "carol", "dave");
    const [erin] = await ours("erin");
    if (!erin) throw new Error("nobody");
    const commit = commitOf(room.of("alice"), [
      { type: "add", keyPackage: await erin.keyPackage() },
      { type: "remove", leaf: room.of("carol").leaf() },
      { type: "remove", leaf: room.of("dave").leaf() },
    ]);
    await expectRefused(room.of("bob"), commit, "update-path");
  });

  it("doesn't find a resumption PSK of the group's own when it commits", async () => {
    const room = await foundedByThem("bob");
    const commit = commitOf(room.of("alice"), [{ type: "resumption", epoch: 1n }]);
    await expect(commit).rejects.toThrow("Could not find pskId");
  });

  it("leaves the key of external_pub bare, and takes it so", async () => {
    const { member, context, state, made } = await withThem();
    const theirs = await ts.createGroupInfoWithExternalPub(state, [], context.cipherSuite);
    const key = theirs.extensions[0]?.extensionData;
    const right = findExtension(
      readGroupInfo(await member.groupInfo({ tree: false })).extensions,
      4,
    );
    expect(right).toEqual(new Uint8Array([32, ...(key ?? [])]));

    const groupInfo = ts.decode(ts.mlsMessageDecoder, await member.groupInfo({ tree: true }));
    if (groupInfo?.wireformat !== ts.wireformats.mls_group_info) throw new Error("no GroupInfo");
    const joining = ts.joinGroupExternal({
      context,
      groupInfo: groupInfo.groupInfo,
      keyPackage: made.publicPackage,
      privateKeys: made.privatePackage,
      resync: true,
    });
    await expect(joining).rejects.toThrow("Invalid public key");
  });

  it("takes external_senders for one sender, not a list", async () => {
    const [alice] = await ours("alice");
    if (!alice) throw new Error("nobody");
    const sender = {
      signatureKey: new Uint8Array(32).fill(7),
      credential: { credentialType: "basic", identity: utf8("a service") } as const,
    };
    const room = await Room.found(alice, { extensions: [externalSenders([sender])] });
    const joining = room.add(room.of("alice"), [await tsMls.client("bob", SETTING)], {
      wire: "public",
    });
    await expect(joining).rejects.toThrow("Could not decode group info");
  });

  it("refuses a tree where two parents above a leaf differ in their unmerged leaves", async () => {
    const [alice, bob, carol, dave, erin, fay] = await ours("a", "b", "c", "d", "e", "f");
    if (!alice || !bob || !carol || !dave || !erin || !fay) throw new Error("nobody");
    const room = await Room.found(alice);
    const wire = "public";
    await room.add(room.of("a"), [bob, carol], { wire });
    await room.commit(room.of("a"), [], { wire });
    // Unmerged in the parent of four leaves, but not in the root, which erin's path fills.
    await room.add(room.of("a"), [dave], { wire });
    await room.add(room.of("a"), [erin], { wire });
    await room.commit(room.of("e"), [], { wire });
    const greg = await tsMls.client("g", SETTING);
    const changes: Change[] = [];
    for (const client of [fay, greg]) {
      changes.push({ type: "add", keyPackage: await client.keyPackage() });
    }
    const { welcome } = await room.of("a").commit(changes, { wire, tree: true });
    if (!welcome) throw new Error("no Welcome");
    expect((await fay.join(welcome)).epoch()).toBe(6n);
    await expect(greg.join(welcome)).rejects.toThrow("unmerged_leaves");
  });

  it("can't process the commit that removes it", async () => {
    const { member, context, state } = await withThem();
    const commit = await commitOf(member, [{ type: "remove", leaf: 1 }]);
    const processing = ts.processMessage({ context, state, message: framed(commit) });
    await expect(processing).rejects.toThrow(Error);
  });

  it("forgets the external PSKs for a private commit, unless it is told that it is one", async () => {
    const { member, context, state } = await withThem();
    const message = framed(await commitOf(member, [{ type: "psk", id: PSK }], "private"));
    await expect(ts.processMessage({ context, state, message })).rejects.toThrow(
      "Could not find pskId",
    );
    if (message.wireformat !== ts.wireformats.mls_private_message) throw new Error("not private");
    const { privateMessage } = message;
    const result = await ts.processPrivateMessage({ context, state, privateMessage });
    expect(result.newState.groupContext.epoch).toBe(2n);
  });

  it.each(POST_QUANTUM_SUITES)("derives other keys from a secret in suite %i", async (number) => {
    const ikm = new Uint8Array(64).fill(5);
    const theirs = await ts.defaultCryptoProvider.getCiphersuiteImpl(number);
    const { publicKey } = await theirs.hpke.deriveKeyPair(ikm);
    const derived = await deriveKeyPair(suiteOf(crypto, number), ikm);
    const exported = await theirs.hpke.exportPublicKey(publicKey);
    expect(exported.length).toBe(derived.publicKey.length);
    expect(hex(exported)).not.toBe(hex(derived.publicKey));
  });
});
