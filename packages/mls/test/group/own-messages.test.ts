import { loadGroup, memoryStorage, type Storage } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { add, found, person, utf8 } from "../people.ts";

/** A storage with the records that another one has now: a copy that was put back. */
async function copyOf(storage: Storage): Promise<Storage> {
  const copy = memoryStorage();
  await copy.apply({ put: await storage.list("") });
  return copy;
}

describe("§14 a message of our own in the log", () => {
  it("is refused as used where this state sent it", async () => {
    const alice = await person("alice");
    const a = await found(alice);
    await add(a, [await person("bob")]);
    const message = await a.send(utf8("hello"));
    await expect(a.receive(message)).rejects.toMatchObject({ code: "own-message" });
  });

  it("shows that a state is an older copy", async () => {
    const alice = await person("alice");
    const bob = await person("bob");
    const a = await found(alice);
    const [b] = await add(a, [bob]);
    const backup = await copyOf(alice.storage);
    const message = await a.send(utf8("after the backup"));
    const restored = await loadGroup(
      { ...alice.context, storage: backup },
      { groupId: a.groupId, signer: alice.signer },
    );
    await expect(restored?.receive(message)).rejects.toMatchObject({ code: "state-old" });
    await expect(b?.receive(message)).resolves.toMatchObject({ type: "application" });
  });

  it("§9.1 keeps an older copy from sending, once it is known to be one", async () => {
    const alice = await person("alice");
    const a = await found(alice);
    const [b] = await add(a, [await person("bob")]);
    const backup = await copyOf(alice.storage);
    const message = await a.send(utf8("after the backup"));
    const context = { ...alice.context, storage: backup };
    const restored = await loadGroup(context, { groupId: a.groupId, signer: alice.signer });
    if (!restored || !b) throw new Error("no group");
    await expect(restored.receive(message)).rejects.toMatchObject({ code: "state-old" });
    const before = await backup.list("");
    for (const sending of [
      () => restored.send(utf8("with the same key")),
      () => restored.propose({ proposalType: "remove", removed: 1 }),
      () => restored.proposeUpdate(),
      () => restored.commit(),
    ]) {
      await expect(sending()).rejects.toMatchObject({ code: "state-old", section: "9.1" });
    }
    expect(await backup.list("")).toEqual(before);
    // What others send it still reads, and it follows their commits.
    const received = await restored.receive(await b.send(utf8("hello")));
    expect(received).toMatchObject({ type: "application" });
    const { commit } = await b.commit();
    await expect(restored.receive(commit)).resolves.toMatchObject({ type: "commit" });
    await expect(restored.send(utf8("later"))).rejects.toMatchObject({ code: "state-old" });
  });

  it("§14 isn't read where a commit is stored that another epoch was composed in", async () => {
    const alice = await person("alice");
    const a = await found(alice);
    const { storage } = alice;
    const load = () => loadGroup(alice.context, { groupId: a.groupId, signer: alice.signer });
    await a.commit();
    const [key = ""] = [...(await storage.list("group/")).keys()].filter((one) =>
      one.endsWith("/pending"),
    );
    const pending = await storage.get(key);
    if (!pending) throw new Error("no commit");
    expect((await load())?.pendingCommit).toBeDefined();
    await a.discardPendingCommit();
    await a.receive((await a.commit()).commit);
    await storage.apply({ put: new Map([[key, pending]]) });
    await expect(load()).rejects.toMatchObject({ code: "storage", section: "14" });
  });

  it("shows that as well where it is a proposal in the clear", async () => {
    const alice = await person("alice");
    const a = await found(alice);
    const [b] = await add(a, [await person("bob")]);
    const backup = await copyOf(alice.storage);
    const update = await a.proposeUpdate();
    const restored = await loadGroup(
      { ...alice.context, storage: backup },
      { groupId: a.groupId, signer: alice.signer },
    );
    await expect(restored?.receive(update)).rejects.toMatchObject({ code: "state-old" });
    expect(restored?.pendingProposals).toEqual([]);
    await b?.receive(update);
    await expect(a.receive(update)).resolves.toMatchObject({ type: "proposal" });
  });
});
