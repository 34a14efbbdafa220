import { bytesToText } from "@conclave/delivery/protocol";
import { expect, it } from "vitest";
import { fromHex, randomBytes } from "../../src/bytes.ts";
import { type Client, ClientError, type Fetch } from "../../src/index.ts";
import { hostileService } from "../hostile/hostile-service.ts";
import { quietAccount } from "../quiet-account.ts";
import { sharedWorld } from "../shared-world.ts";
import { addWhenReady, conversation, until, untilMembers } from "../world.ts";

// Others may put a device into two groups.
const world = sharedWorld({ limits: { groupsPerDevice: 100, ownGroups: 98 } });

/** How many of the other member's are in. */
const devicesIn = (client: Client, id: string): Promise<number> =>
  until(
    client,
    async () => (await conversation(client, id)).members.find(({ self }) => !self)?.devices,
  );

it("an account is added with those of its devices that can take in another group", async () => {
  const ada = await world.person("Ada");
  const { clients } = await quietAccount(world, "Ben");
  const [phone] = clients;
  const add = async (): Promise<string> => {
    const id = await ada.createConversation("With Ben");
    await ada.addByName(id, "Ben");
    return id;
  };
  for (let i = 0; i < 2; i++) expect(await devicesIn(ada, await add())).toBe(2);
  const { groups = [] } = (await phone?.groups()) ?? {};
  expect(groups).toHaveLength(2);
  await phone?.giveUpGroup({ groupId: groups[0]?.groupId ?? randomBytes(16) });
  expect(await devicesIn(ada, await add())).toBe(1);
  // When none of them can, the person is told that it was refused.
  const failure = await add().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ClientError);
  expect(failure).toMatchObject({ code: "refused", message: "device-full" });
});

it("a revoked device goes though the one in its place is full, which comes when it can", async () => {
  const eva = await world.person("Eva", { poll: 200 });
  const { clients, revokeFirst } = await quietAccount(world, "Fay");
  const [phone, laptop] = clients;
  for (let i = 0; i < 2; i++) {
    const id = await eva.createConversation("With Fay");
    await eva.addByName(id, "Fay");
    await phone?.giveUpGroup({ groupId: fromHex(id) });
  }
  const id = await eva.createConversation("With a phone");
  await eva.addByName(id, "Fay");
  expect(await devicesIn(eva, id)).toBe(1);
  await revokeFirst();
  await untilMembers(eva, id, ["Eva"]);
  const { groups = [] } = (await laptop?.groups()) ?? {};
  for (const { groupId } of groups) await laptop?.giveUpGroup({ groupId });
  await untilMembers(eva, id, ["Eva", "Fay"]);
  expect(await devicesIn(eva, id)).toBe(1);
});

it("a commit that is left from before goes without devices that are full", async () => {
  const down = { now: false };
  const faulty: Fetch = async (input, init) => {
    if (down.now && input.endsWith("/commits")) throw new TypeError("down");
    return fetch(input, init);
  };
  const gus = await world.person("Gus", { fetch: faulty, WebSocket });
  const { clients } = await quietAccount(world, "Hal");
  const ids = [];
  for (let i = 0; i < 2; i++) {
    const id = await gus.createConversation("With Hal");
    ids.push(id);
    await gus.addByName(id, "Hal");
  }
  await clients[0]?.giveUpGroup({ groupId: fromHex(ids[0] ?? "") });
  const id = await gus.createConversation("With Hal's phone");
  down.now = true;
  gus.addByName(id, "Hal").catch(() => {});
  await expect
    .poll(async () => (await clients[0]?.countKeyPackages())?.pools[0]?.available)
    .toBe(5);
  await gus.close();
  const again = await world.device("Gus");
  expect(await devicesIn(again, id)).toBe(1);
});

it("a Welcome that can't be used takes up no place", async () => {
  const service = hostileService();
  let dealtWith = 0;
  const fetch: typeof service.fetch = (url, init) => {
    if (url.endsWith("/inbox/ack")) dealtWith++;
    return service.fetch(url, init);
  };
  const [cem, dan] = [await world.person("Cem"), await world.person("Dan", { fetch })];
  await until(dan, async () => (await dan.snapshot()).connection === "online");
  const add = async (): Promise<string> => {
    const id = await cem.createConversation("With Dan");
    await addWhenReady(cem, id, "Dan");
    return id;
  };
  // Whoever fills a device up may well do it with what nobody can open.
  service.answers.set(/^GET \/v1\/inbox$/u, (answer) => ({
    entries: (answer["entries"] as readonly Record<string, unknown>[]).map((entry) => ({
      ...entry,
      welcome: "AAAA",
    })),
  }));
  for (let i = 0; i < 3; i++) {
    await add();
    await until(dan, async () => dealtWith > i);
  }
  service.answers.clear();
  const id = await add();
  await until(dan, async () => (await dan.snapshot()).conversations.some((one) => one.id === id));
  expect((await conversation(dan, id)).title).toBe("With Dan");
});

it("a Welcome that can't be dealt with now holds up no other", async () => {
  let stuck: string | undefined;
  const busy: Fetch = async (input, init) => {
    if (stuck === undefined || !input.includes(stuck) || !input.includes("/tree")) {
      return fetch(input, init);
    }
    const problem = { type: "about:blank", title: "later", status: 503, code: "unavailable" };
    const headers = { "content-type": "application/problem+json" };
    return new Response(JSON.stringify(problem), { status: 503, headers });
  };
  const ida = await world.person("Ida");
  const jon = await world.person("Jon", { fetch: busy, WebSocket });
  const add = async (id: string): Promise<void> => {
    await until(ida, () =>
      ida.addByName(id, "Jon").then(
        () => true,
        () => false,
      ),
    );
  };
  const [one, two] = [await ida.createConversation("One"), await ida.createConversation("Two")];
  stuck = bytesToText(fromHex(one));
  for (const id of [one, two]) await add(id);
  const titles = async (): Promise<string> => {
    const { conversations } = await jon.snapshot();
    return conversations
      .map(({ title }) => title)
      .sort()
      .join();
  };
  await until(jon, async () => (await titles()) === "Two");
  stuck = undefined;
  await until(jon, async () => (await titles()) === "One,Two");
  expect((await jon.snapshot()).warnings).toEqual([]);
});
