import { readRatchetTree } from "@conclave/delivery/client";
import { bytesToText, linkIdOf } from "@conclave/delivery/protocol";
import { decode, opaque } from "@conclave/mls/codec";
import { expect, it } from "vitest";
import {
  addOf,
  aKeyPackage,
  commit,
  commitLinks,
  joinByWelcome,
  newLink,
  newMember,
  pathOf,
  readInbox,
  readLink,
  readTree,
  startGroup,
} from "./member.ts";
import { type Answer, type Bytes, call, random, startWorld } from "./world.ts";

const PART = 64 * 1024;

it("the tree of a large group comes in parts of bounded size, and can be gone on with", async () => {
  const world = await startWorld({ limits: { pageBytes: PART } });
  const ada = await newMember(world, "Ada");
  const { accountId, device } = ada.person;
  const held = await world.store.device(accountId, device.deviceId);
  // 5,000 leaves, some of them blank: what is in a node the service doesn't read here.
  const nodes: [number, Bytes][] = [];
  for (let i = 0; i < 9999; i++) if (i % 100 < 97) nodes.push([i, random(300)]);
  const groupId = random(16);
  await world.store.createGroup({
    groupId,
    device: held?.device ?? 0,
    leafIndex: 0,
    state: random(8),
    groupInfo: random(8),
    nodes,
    version: 0,
    groupLimit: 1,
    now: world.clock.now,
  });
  // What the service has of it in memory at one time is what it takes out of the store at one time.
  let most = 0;
  const treePart = world.store.treePart.bind(world.store);
  world.store.treePart = async (...given) => {
    const part = await treePart(...given);
    most = Math.max(most, part?.nodes.reduce((sum, [, node]) => sum + node.length, 0) ?? 0);
    return part;
  };
  const path = pathOf(groupId, "tree?epoch=0");
  let parts = 0;
  let largest = 0;
  const ask = async (from: number): Promise<Response> => {
    const answer = await call(world, "GET", `${path}&from=${from}`, { token: ada.token });
    parts++;
    largest = Math.max(largest, answer.body.length);
    return new Response(answer.body, { headers: answer.headers });
  };
  const expected = Buffer.concat(
    Array.from({ length: 9997 }, (_, i) =>
      i % 100 < 97
        ? [Uint8Array.of(1), nodes[Math.floor(i / 100) * 97 + (i % 100)]?.[1]]
        : [Uint8Array.of(0)],
    ).flat() as Uint8Array[],
  );
  const tree = await readRatchetTree(ask);
  expect(Buffer.compare(decode(opaque, tree), expected)).toBe(0);
  expect(parts).toBeGreaterThan(40);
  expect(most).toBeLessThanOrEqual(PART);
  expect(largest).toBeLessThan(PART + 2000);
  // From anywhere, as after a connection that broke off.
  const late = await call(world, "GET", `${path}&from=9900`, { token: ada.token });
  expect(late.headers.get("tree-next")).toBeNull();
  expect(Buffer.compare(late.body as Bytes, expected.subarray(-late.body.length))).toBe(0);
  await world.close();
});

it("the tree is that of the epoch that is asked for, or it is gone", async () => {
  const world = await startWorld();
  const [ada, ben, eve] = [
    await newMember(world, "Ada"),
    await newMember(world, "Ben"),
    await newMember(world, "Eve"),
  ];
  const group = await startGroup(world, ada);
  await commit(world, ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
  await commit(world, ada, group);
  const ask = (token: string, query: string): Promise<Answer> =>
    call(world, "GET", pathOf(group.groupId, `tree?${query}`), { token });
  expect((await ask(ada.token, "epoch=2")).status).toBe(200);
  // A Welcome of Ben's leads into it, no other's.
  expect((await ask(ada.token, "epoch=1")).problem.code).toBe("tree-gone");
  expect((await ask(ben.token, "epoch=1")).status).toBe(200);
  expect((await ask(ada.token, "epoch=3")).problem.code).toBe("tree-gone");
  expect((await ask(eve.token, "epoch=2")).problem.code).toBe("not-found");
  expect((await ask(ada.token, "epoch=2&from=x")).problem.code).toBe("bad-request");
  const [entry] = await readInbox(world, ben);
  expect(entry?.epoch).toBe(1n);
  await joinByWelcome(world, ben);
  expect((await ask(ben.token, "epoch=1")).problem.code).toBe("tree-gone");
  await world.close();
});

it("who holds a link reads the tree of the epoch it leads into, and no other", async () => {
  const world = await startWorld();
  const [ada, ben] = [await newMember(world, "Ada"), await newMember(world, "Ben")];
  const group = await startGroup(world, ada);
  const own = await newLink();
  await commitLinks(world, ada, group, [own]);
  const id = bytesToText(await linkIdOf(own.link.signatureKey));
  const { epoch } = (await readLink(world, ben, own)).body;
  const path = `/v1/links/${id}/tree?epoch=${epoch}`;
  expect(await readTree(world, ben, path)).toEqual(group.ratchetTree());
  await commit(world, ada, group);
  const ask = async (): Promise<string> =>
    (await call(world, "GET", path, { token: ben.token })).problem.code;
  expect(await ask()).toBe("tree-gone");
  await commitLinks(world, ada, group, []);
  expect(await ask()).toBe("link-closed");
  await world.close();
});
