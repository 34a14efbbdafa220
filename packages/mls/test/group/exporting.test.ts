/** draft-ietf-mls-extensions, "Exported Secrets": what is stored before a secret is given out. */

import { type Batch, type Group, memoryStorage } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { add, found, hex, type Person, person, reload, utf8 } from "../people.ts";

const COMPONENT = 0x8001;

async function two() {
  const inner = memoryStorage();
  const batches: Batch[] = [];
  const disk = { fails: undefined as "before" | "after" | undefined };
  const storage = {
    ...inner,
    apply: async (batch: Batch) => {
      batches.push(batch);
      const { fails } = disk;
      if (fails === "before") throw new Error("the disk is gone");
      await inner.apply(batch);
      if (fails) throw new Error("the disk is gone");
    },
  };
  const [alice, bob] = [await person("alice", { storage }), await person("bob")];
  const a = await found(alice);
  const [b] = await add(a, [bob]);
  if (!b) throw new Error("nobody");
  batches.length = 0;
  return { alice, a, b, batches, disk };
}

async function everything({ storage }: Person): Promise<string> {
  return [...(await storage.list("")).values()].map(hex).join(" ");
}

async function next(groups: readonly Group[], by: Group): Promise<void> {
  const { commit } = await by.commit();
  for (const group of groups) await group.receive(commit);
}

describe("a secret for a component", () => {
  it("is given out once it is stored as such, with records of the application, in one batch", async () => {
    const { a, b, batches } = await two();
    const secret = await a.safeExportSecret(COMPONENT, {
      and: (given) => ({ put: new Map([["mine", given.slice()]]) }),
    });
    expect(batches).toHaveLength(1);
    const put = [...(batches[0]?.put ?? [])].map(([key]) => key.split("/").at(-1));
    expect(new Set(put)).toEqual(new Set(["mine", "position", "secrets"]));
    expect(batches[0]?.put?.get("mine")).toEqual(secret);
    expect(hex(await b.safeExportSecret(COMPONENT))).toBe(hex(secret));
    expect(secret).toHaveLength(32);
  });

  it("is nowhere in storage, and other messages write nothing of it", async () => {
    const { alice, a, batches } = await two();
    const secret = hex(await a.safeExportSecret(COMPONENT));
    expect(await everything(alice)).not.toContain(secret);
    batches.length = 0;
    await a.send(utf8("hello"));
    expect([...(batches[0]?.put ?? [])].filter(([key]) => key.endsWith("/secrets"))).toEqual([]);
  });

  it("stays where the application's records can't be had", async () => {
    const { a, b, batches } = await two();
    const and = () => {
      throw new Error("not now");
    };
    await expect(a.safeExportSecret(COMPONENT, { and })).rejects.toThrow("not now");
    expect(batches).toEqual([]);
    const secret = await a.safeExportSecret(COMPONENT);
    expect(hex(secret)).toBe(hex(await b.safeExportSecret(COMPONENT)));
  });

  it.each(["before", "after"] as const)(
    "is not given out by a group whose storage fails %s a write",
    async (fails) => {
      const { alice, a, b, disk } = await two();
      disk.fails = fails;
      await expect(a.safeExportSecret(COMPONENT)).rejects.toThrow("the disk is gone");
      disk.fails = undefined;
      await expect(a.safeExportSecret(COMPONENT)).rejects.toMatchObject({ code: "storage" });
      const again = (await reload(alice, a)).safeExportSecret(COMPONENT);
      const outcome = await again.then(hex, (error: unknown) => error);
      const secret = hex(await b.safeExportSecret(COMPONENT));
      const lost = expect.objectContaining({ code: "generation-used" });
      expect(outcome).toEqual(fails === "before" ? secret : lost);
    },
  );

  it("ends with its epoch, whoever commits, in memory and in storage", async () => {
    const { alice, a, b } = await two();
    for (const by of [a, b]) {
      await a.safeExportSecret(COMPONENT);
      const root = await everything(alice);
      await next([a, b], by);
      const [record] = [...(await alice.storage.list("group/"))].filter(([key]) =>
        key.endsWith("/secrets"),
      );
      expect(root).not.toContain(hex(record?.[1] ?? utf8("none")));
      const secrets = [await a.safeExportSecret(7), await b.safeExportSecret(7)].map(hex);
      expect(secrets[0]).toBe(secrets[1]);
    }
  });

  it("is not for who left", async () => {
    const { a } = await two();
    await a.remove();
    await expect(a.safeExportSecret(COMPONENT)).rejects.toMatchObject({ code: "removed" });
  });
});
