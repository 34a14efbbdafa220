/** §6.3, §9: encrypted messages. Mallory, at leaf 3, has a member's keys. */

import type { MlsErrorCode } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import { type PrivateMessage, padme, unprotectPrivate } from "../../src/framing/private-message.ts";
import { forgeCommit, forgePrivate, type Inside, inside } from "../forge.ts";
import { expectAccepted, expectRefused, persons, type Room, room, text, utf8 } from "../people.ts";

const application = { contentType: "application", applicationData: utf8("hello") } as const;

async function stage(): Promise<{ readonly where: Room; readonly mallory: Inside }> {
  const where = await room(await persons(["alice", "bob", "carol", "mallory"]));
  return { where, mallory: await inside(where.at(3).person) };
}

function changed(message: Bytes, change: (message: PrivateMessage) => PrivateMessage): Bytes {
  const { privateMessage } = decodeMessageOf(message, "mls_private_message");
  return encodeMessage({
    wireFormat: "mls_private_message",
    privateMessage: change(privateMessage),
  });
}

function flipped(bytes: Bytes, at: number): Bytes {
  return bytes.with(at, (bytes.at(at) ?? 0) ^ 1) as Bytes;
}

async function read(where: Room, leafIndex: number, message: Bytes): Promise<string> {
  const received = await where.at(leafIndex).group.receive(message);
  return received.type === "application" ? text(received.data) : received.type;
}

describe("§6.3 a PrivateMessage", () => {
  it("is read by all members, and by no one twice", async () => {
    const { where, mallory } = await stage();
    const message = await forgePrivate(mallory, application);
    for (const leafIndex of [0, 1, 2]) {
      expect(await read(where, leafIndex, message)).toBe("hello");
      const again = where.at(leafIndex).group.receive(message);
      await expect(again).rejects.toMatchObject({ code: "generation-used" });
    }
    await expect(where.observer.process(message)).rejects.toMatchObject({
      code: "wrong-wire-format",
    });
  });

  it.each<[string, MlsErrorCode, (message: PrivateMessage) => PrivateMessage]>([
    ["authenticated data", "aead-open", (m) => ({ ...m, authenticatedData: utf8("other") })],
    ["content type", "aead-open", (m) => ({ ...m, contentType: "proposal" })],
    ["group id", "wrong-group", (m) => ({ ...m, groupId: utf8("other") })],
    ["epoch", "wrong-epoch", (m) => ({ ...m, epoch: m.epoch - 1n })],
    ["ciphertext", "aead-open", (m) => ({ ...m, ciphertext: flipped(m.ciphertext, -1) })],
    [
      "ciphertext's first bytes",
      "aead-open",
      (m) => ({ ...m, ciphertext: flipped(m.ciphertext, 0) }),
    ],
    ["ciphertext's length", "aead-open", (m) => ({ ...m, ciphertext: m.ciphertext.slice(0, 8) })],
    ["ciphertext, which is empty,", "aead-open", (m) => ({ ...m, ciphertext: utf8("") })],
    [
      "sender data",
      "aead-open",
      (m) => ({ ...m, encryptedSenderData: flipped(m.encryptedSenderData, 0) }),
    ],
    ["sender data, which is empty,", "aead-open", (m) => ({ ...m, encryptedSenderData: utf8("") })],
  ])("with another %s is refused, and its key stays for the real one", async (_, code, change) => {
    const { where, mallory } = await stage();
    const good = await forgePrivate(mallory, application);
    await expectRefused(where, 3, changed(good, change), code, { membersOnly: true });
    expect(await read(where, 0, good)).toBe("hello");
  });

  it("of our own is told apart, since its key is gone", async () => {
    const { where } = await stage();
    const { group } = where.at(0);
    const message = await group.send(utf8("mine"));
    await expect(group.receive(message)).rejects.toMatchObject({ code: "own-message" });
  });

  it("that a member signs as another is refused (§6.1)", async () => {
    const { where, mallory } = await stage();
    const bad = await forgePrivate(mallory, application, { as: 2 });
    for (const leafIndex of [0, 1]) {
      const { group } = where.at(leafIndex);
      await expect(group.receive(bad)).rejects.toMatchObject({ code: "signature" });
    }
    // The key that was misused still serves its owner.
    const good = await where.at(2).group.send(utf8("from carol"));
    expect(await read(where, 0, good)).toBe("from carol");
  });

  it("signed as if it were public is refused (§6.1)", async () => {
    const { where, mallory } = await stage();
    const bad = await forgePrivate(mallory, application, { signedAs: "mls_public_message" });
    await expectRefused(where, 3, bad, "signature", { membersOnly: true });
  });

  it("from a blank leaf is refused (§6.3.2)", async () => {
    const { where, mallory } = await stage();
    const { commit } = await where.at(0).group.commit({
      proposals: [{ proposalType: "remove", removed: 1 }],
    });
    for (const leafIndex of [0, 1, 2, 3]) await where.at(leafIndex).group.receive(commit);
    const after = await inside(mallory.person);
    const bad = await forgePrivate(after, application, { as: 1 });
    const { group } = where.at(0);
    await expect(group.receive(bad)).rejects.toMatchObject({ code: "unknown-sender" });
    // Not even a key is derived for nobody.
    const { privateMessage } = decodeMessageOf(bad, "mls_private_message");
    const { suite, secrets, secretTree, state } = after;
    const keys = { senderDataSecret: secrets.senderDataSecret, secretTree };
    await expect(
      unprotectPrivate(suite, keys, state.tree, privateMessage, undefined),
    ).rejects.toMatchObject({ code: "unknown-sender" });
  });

  it("of an epoch that has passed is refused (§6.1)", async () => {
    const { where, mallory } = await stage();
    const late = await forgePrivate(mallory, application);
    const { commit } = await where.at(0).group.commit();
    await expectAccepted(where, -1, commit);
    await expectRefused(where, 3, late, "wrong-epoch", { membersOnly: true });
  });

  it("carries a commit, too", async () => {
    const { where, mallory } = await stage();
    const commit = await forgeCommit(mallory, { wireFormat: "mls_private_message" });
    for (const leafIndex of [0, 1, 2]) expect(await read(where, leafIndex, commit)).toBe("commit");
    expect(where.at(0).group.epochAuthenticator).toEqual(where.at(1).group.epochAuthenticator);
    expect(await read(where, 1, await where.at(0).group.send(utf8("on")))).toBe("on");
  });

  it("carries a proposal, too, which a commit may name", async () => {
    const { where, mallory } = await stage();
    const proposal = { proposalType: "remove", removed: 1 } as const;
    const message = await forgePrivate(mallory, { contentType: "proposal", proposal });
    for (const leafIndex of [0, 1, 2])
      expect(await read(where, leafIndex, message)).toBe("proposal");
    const { commit } = await where.at(0).group.commit();
    await where.at(2).group.receive(commit);
    const gone = await where.at(1).group.receive(commit);
    expect(gone.type === "commit" && gone.removed).toBe(true);
  });
});

describe("§6.3.1 padding", () => {
  async function withTail(mallory: Inside, tail: Bytes): Promise<Bytes> {
    // The provider pads as it is told: what is sealed is the plaintext with another end.
    const provider = {
      ...nodeCrypto,
      seal: (...args: Parameters<typeof nodeCrypto.seal>) => {
        const [aead, key, nonce, aad, plaintext] = args;
        const content = plaintext.length > 40 ? Uint8Array.of(...plaintext, ...tail) : plaintext;
        return nodeCrypto.seal(aead, key, nonce, aad, content);
      },
    };
    return forgePrivate({ ...mallory, suite: { ...mallory.suite, provider } }, application);
  }

  it("of zeros is taken, however long", async () => {
    const { where, mallory } = await stage();
    expect(await read(where, 0, await withTail(mallory, new Uint8Array(1000)))).toBe("hello");
  });
  it.each([0, 500, 999])("with another byte at %i is refused", async (at) => {
    const { where, mallory } = await stage();
    const tail = new Uint8Array(1000).with(at, 1) as Bytes;
    await expectRefused(where, 3, await withTail(mallory, tail), "padding", { membersOnly: true });
  });
  it("hides the length among those of one Padmé class", async () => {
    const { where } = await stage();
    const { group } = where.at(0);
    const lengths = new Set<number>();
    for (let length = 1000; length < 1016; length++) {
      lengths.add((await group.send(new Uint8Array(length))).length);
    }
    expect(lengths.size).toBeLessThanOrEqual(2);
  });
  it("is as the application wants it, within bounds, for handshakes too (§15.1)", async () => {
    let padding = (length: number): number => Math.ceil(length / 512) * 512;
    const context = {
      padding: (length: number) => padding(length),
      handshakes: { send: "private" } as const,
    };
    const where = await room(await persons(["alice", "bob"], { context }));
    const { group } = where.at(0);
    const ciphertextOf = (message: Bytes) =>
      decodeMessageOf(message, "mls_private_message").privateMessage.ciphertext.length;
    for (const length of [0, 100, 300]) {
      const message = await group.send(new Uint8Array(length));
      expect(ciphertextOf(message)).toBe(512 + 16);
      await where.at(1).group.receive(message);
    }
    const { commit } = await group.commit();
    expect((ciphertextOf(commit) - 16) % 512).toBe(0);
    await group.discardPendingCommit();
    for (const wrong of [
      (length: number) => length - 1,
      (length: number) => length + 0.5,
      (length: number) => 2 * length + 2 ** 16 + 1,
      () => Number.NaN,
    ]) {
      padding = wrong;
      await expect(group.send(utf8("x"))).rejects.toThrow(TypeError);
    }
    // No key was lost by that.
    padding = padme;
    const received = await where.at(1).group.receive(await group.send(utf8("x")));
    expect(received.type === "application" && received.generation).toBe(3);
  });
  it("grows a message by 12 percent at most", () => {
    for (let length = 1; length < 5000; length++) {
      expect(padme(length)).toBeGreaterThanOrEqual(length);
      expect(padme(length)).toBeLessThanOrEqual(Math.max(length + 1, length * 1.12));
      expect(padme(padme(length))).toBe(padme(length));
    }
  });
});

describe("§9.1 generations", () => {
  it("may come in any order, each once", async () => {
    const { where, mallory } = await stage();
    const messages: Bytes[] = [];
    for (let i = 0; i < 6; i++) {
      const applicationData = utf8(`${i}`);
      messages.push(await forgePrivate(mallory, { ...application, applicationData }));
    }
    for (const i of [5, 0, 3, 1, 4, 2]) {
      const message = messages[i] ?? utf8("");
      expect(await read(where, 0, message)).toBe(`${i}`);
      await expect(where.at(0).group.receive(message)).rejects.toMatchObject({
        code: "generation-used",
      });
    }
  });

  it("are followed as far ahead as the bound, and not a step further, at once", async () => {
    const { where, mallory } = await stage();
    await read(where, 0, await forgePrivate(mallory, application));
    const far = await forgePrivate(mallory, application, { skip: 1024 });
    const tooFar = await forgePrivate(mallory, application);
    // What is refused costs no walk along the ratchet: its keys are not even asked for.
    const { group } = where.at(1);
    await expect(group.receive(tooFar)).rejects.toMatchObject({ code: "generation-too-far" });
    const onTime = await where.at(0).group.receive(far);
    expect(onTime.type).toBe("application");
  });
});

describe("§6.3.1 the reuse guard", () => {
  it("is fresh for each message, and goes into the nonce", async () => {
    const nonces = new Set<string>();
    const guards: Bytes[] = [];
    const provider = {
      ...nodeCrypto,
      random: (length: number) => {
        const bytes = nodeCrypto.random(length);
        if (length === 4) guards.push(bytes);
        return bytes;
      },
      seal: (...args: Parameters<typeof nodeCrypto.seal>) => {
        nonces.add(args[2].join());
        return nodeCrypto.seal(...args);
      },
    };
    const { mallory } = await stage();
    const guarded = { ...mallory, suite: { ...mallory.suite, provider } };
    await forgePrivate(guarded, application);
    await forgePrivate(guarded, application);
    expect(guards).toHaveLength(2);
    expect(nonces.size).toBe(4);
  });
});
