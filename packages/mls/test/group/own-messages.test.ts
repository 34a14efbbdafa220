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
