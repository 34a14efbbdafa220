import { readFile } from "node:fs/promises";
import { type Doorbell, localDoorbell } from "@conclave/delivery";
import type { Group } from "@conclave/mls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sameBytes } from "../src/bytes.ts";
import { type Listener, listenReady } from "./listener.ts";
import { addAll, commit, type Member, newMember, pathOf, startGroup } from "./member.ts";
import {
  type Answer,
  type Bytes,
  call,
  eventually,
  random,
  startWorld,
  type World,
} from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

function signal(at: World, by: Member, groupId: Bytes, body: Bytes): Promise<Answer> {
  return call(at, "POST", pathOf(groupId, "signals"), {
    token: by.token,
    body,
    headers: { "content-type": "application/octet-stream" },
  });
}

const heard = (listener: Listener): Bytes[] =>
  listener.frames.flatMap((frame) => (frame.type === "signal" ? [frame.body] : []));

let count = 0;

/** A group of two, who made it and who was added. */
async function aPair(
  at: World,
): Promise<{ ada: Member; ben: Member; groupId: Bytes; groups: readonly Group[] }> {
  const [ada, ben] = [
    await newMember(at, `Maker ${++count}`),
    await newMember(at, `Guest ${++count}`),
  ];
  const group = await startGroup(at, ada);
  const joined = await addAll(at, { member: ada, group }, [ben]);
  return { ada, ben, groupId: group.groupId, groups: [group, ...joined] };
}

describe("signals", () => {
  it("go to the members who listen, in every process, and not back to the sender", async () => {
    const doorbell = localDoorbell();
    const first = await startWorld({ doorbell });
    const second = await startWorld({ doorbell, store: first.store, keepStore: true });
    const { ada, ben, groupId } = await aPair(first);
    const other = await newMember(first, "Cleo");
    const adas = await listenReady(first, ada.token);
    const bens = await listenReady(second, ben.token);
    const others = await listenReady(second, other.token);
    const body = random(1024);
    expect((await signal(first, ada, groupId, body)).status).toBe(204);
    await eventually(() => heard(bens).length > 0);
    expect(bens.frames.at(-1)).toEqual({ type: "signal", groupId, body });
    expect((await signal(first, ben, groupId, random(9))).status).toBe(204);
    await eventually(() => heard(adas).length > 0);
    expect([heard(adas), heard(bens), heard(others)].map(({ length }) => length)).toEqual([
      1, 1, 0,
    ]);
    await second.close();
    await first.close();
  });

  it("come from members alone; of other groups one learns nothing", async () => {
    const { ada, groupId } = await aPair(world);
    const stranger = await newMember(world, "Dora");
    const adas = await listenReady(world, ada.token);
    const refused = await signal(world, stranger, groupId, random(9));
    const nowhere = await signal(world, stranger, random(16), random(9));
    expect(refused.status).toBe(404);
    expect(refused.body).toEqual(nowhere.body);
    await signal(world, (await aPair(world)).ada, groupId, random(9));
    expect(heard(adas)).toEqual([]);
  });

  it("are a kilobyte at most", async () => {
    const { ada, groupId } = await aPair(world);
    expect((await signal(world, ada, groupId, random(1025))).problem.code).toBe("too-large");
  });

  it("are not for those whose hello says so", async () => {
    const { ada, ben, groupId } = await aPair(world);
    const quiet = await listenReady(world, ben.token, { signals: false });
    const bens = await listenReady(world, ben.token, { signals: true });
    await signal(world, ada, groupId, random(9));
    await eventually(() => heard(bens).length > 0);
    expect(heard(quiet)).toEqual([]);
  });

  it("are few for a device and for a group, and others can't use up a group's", async () => {
    const few = await startWorld({
      limits: { signal: { burst: 2, perSecond: 0.01 }, groupSignal: { burst: 3, perSecond: 0.01 } },
    });
    const { ada, ben, groupId } = await aPair(few);
    const stranger = await newMember(few, "Eve");
    const by = async (who: Member): Promise<number> =>
      (await signal(few, who, groupId, random(9))).status;
    expect([await by(stranger), await by(stranger)]).toEqual([404, 404]);
    expect([await by(ada), await by(ada), await by(ada)]).toEqual([204, 204, 429]);
    expect([await by(ben), await by(ben)]).toEqual([204, 429]);
    const limited = await signal(few, ben, groupId, random(9));
    expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(0);
    await few.close();
  });

  it("are dropped where they come faster than they leave, and doorbells are not", async () => {
    const doorbell: Doorbell = localDoorbell();
    const busy = await startWorld({ doorbell });
    const { ben, groupId } = await aPair(busy);
    const bens = await listenReady(busy, ben.token);
    for (let i = 0; i < 500; i++) {
      const body = random(1000);
      doorbell.ring({ type: "signal", groupId, from: -1, accountId: random(32), body });
    }
    doorbell.ring({ type: "group", groupId, head: 77, joined: [], left: [] });
    await eventually(() => bens.frames.some((one) => one.type === "group" && one.head === 77));
    expect(heard(bens).length).toBeGreaterThan(0);
    expect(heard(bens).length).toBeLessThan(20);
    await busy.close();
  });

  it("of one account use up what is for its own, and not what is for the others", async () => {
    const doorbell: Doorbell = localDoorbell();
    const few = await startWorld({
      doorbell,
      limits: {
        signalFrames: { burst: 6, perSecond: 0.01 },
        signalFramesPerAccount: { burst: 2, perSecond: 0.01 },
      },
    });
    const { ben, groupId } = await aPair(few);
    const bens = await listenReady(few, ben.token);
    const [noisy, quiet] = [random(32), random(32)];
    const ring = (accountId: Bytes): void =>
      doorbell.ring({ type: "signal", groupId, from: -1, accountId, body: accountId });
    for (let i = 0; i < 20; i++) ring(noisy);
    ring(quiet);
    await eventually(() => heard(bens).some((body) => sameBytes(body, quiet)));
    expect(heard(bens)).toEqual([noisy, noisy, quiet]);
    // And all together so many.
    for (let i = 0; i < 5; i++) ring(random(32));
    doorbell.ring({ type: "group", groupId, head: 77, joined: [], left: [] });
    await eventually(() => bens.frames.some((one) => one.type === "group" && one.head === 77));
    expect(heard(bens)).toHaveLength(6);
    await few.close();
  });

  it("are read by the members of their epoch, with a key that the group exports", async () => {
    const { ada, ben, groupId, groups } = await aPair(world);
    const [adas, bens] = groups;
    if (!adas || !bens) throw new Error("two groups");
    const listener = await listenReady(world, ben.token);
    const epoch = new Uint8Array(8);
    const keyOf = async (group: Group): Promise<CryptoKey> => {
      const raw = group.exportSecret("Conclave 1 signal", groupId, 32);
      return crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
    };
    const iv = random(12);
    const how = { name: "AES-GCM", iv, additionalData: epoch };
    const content = new Uint8Array(64).fill(1);
    const sealed = new Uint8Array(await crypto.subtle.encrypt(how, await keyOf(adas), content));
    await signal(world, ada, groupId, new Uint8Array([...epoch, ...iv, ...sealed]));
    await eventually(() => heard(listener).length > 0);
    const [body] = heard(listener);
    const opened = await crypto.subtle.decrypt(how, await keyOf(bens), body?.slice(20) ?? sealed);
    expect(new Uint8Array(opened)).toEqual(content);
    // Whoever is removed has no key of a later epoch.
    await commit(world, ada, adas, {
      proposals: [{ proposalType: "remove", removed: bens.ownLeafIndex }],
    });
    const later = await crypto.subtle.encrypt(how, await keyOf(adas), content);
    const read = crypto.subtle.decrypt(how, await keyOf(bens), later);
    await expect(read).rejects.toMatchObject({ name: "OperationError" });
  });

  it("leave no trace in the store and the log", async () => {
    const { ada, ben, groupId } = await aPair(world);
    const bens = await listenReady(world, ben.token);
    const text = "a signal that nobody may find";
    await signal(world, ada, groupId, new Uint8Array(Buffer.from(text)));
    await eventually(() => heard(bens).length > 0);
    const files = [world.file, `${world.file}-wal`];
    for (const file of files) expect((await readFile(file)).includes(text)).toBe(false);
    const lines = JSON.stringify(world.lines);
    expect(lines).not.toContain(text);
    expect(lines).not.toContain(Buffer.from(text).toString("base64url"));
    expect(world.lines.at(-1)).toMatchObject({ route: "signal", status: 204 });
  });
});
