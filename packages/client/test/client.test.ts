import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { type Client, createClient, type Fetch } from "../src/index.ts";
import { nodeCrypto, openProfile } from "../src/node/index.ts";
import { sharedWorld } from "./shared-world.ts";
import {
  conversation,
  createWorld,
  eventsOf,
  gather,
  say,
  until,
  untilState,
  untilTexts,
} from "./world.ts";

const world = sharedWorld();

describe("signing up", () => {
  it("makes an account that is there after a restart, and can't be made twice", async () => {
    const client = await world.device("Ada");
    expect((await client.snapshot()).account).toBeUndefined();
    const events = eventsOf(client);
    const { recoveryPhrase } = await client.signUp("  Ada   Lovelace ");
    expect(recoveryPhrase.split(" ")).toHaveLength(12);
    const { account } = await client.snapshot();
    expect(account).toMatchObject({ name: "Ada Lovelace", recoveryPhrasePending: true });
    expect(events).toContainEqual({ type: "account", account });
    await expect(client.signUp("Ada")).rejects.toMatchObject({ code: "account-exists" });
    await client.confirmRecoveryPhrase();
    await client.close();
    const again = await world.device("Ada");
    expect((await again.snapshot()).account).toEqual({ ...account, recoveryPhrasePending: false });
  });

  it("is refused under a name that is taken, or that is none", async () => {
    await world.person("Taken");
    const client = await world.device("second");
    await expect(client.signUp("Taken")).rejects.toMatchObject({ code: "name-taken" });
    await expect(client.signUp(" \u200b ")).rejects.toMatchObject({ code: "name-invalid" });
    await client.signUp("Not taken");
  });

  it("needs a code where the service takes new accounts by code alone", async () => {
    const [code, other] = ["K7D2-M9QX-4T5A-B6C7", "0000-1111-2222-3333"];
    const closed = await createWorld({ registration: "invite", inviteCodes: [code, other] });
    const client = await closed.device("Guest");
    await expect(client.signUp("Guest")).rejects.toMatchObject({ code: "invite-needed" });
    await expect(client.signUp("Guest", "K7D2")).rejects.toMatchObject({ code: "invite-unknown" });
    const first = await closed.device("First");
    await first.signUp("First", code.toLowerCase());
    await expect(client.signUp("Guest", code)).rejects.toMatchObject({ code: "invite-spent" });
    await client.signUp("Guest", other);
    expect((await client.snapshot()).account).toMatchObject({ name: "Guest" });
    await closed.close();
  });

  it("whose answer was lost is made good by trying again, also after a crash", async () => {
    for (const crash of [false, true]) {
      let lost = 0;
      const name = `Lost ${crash}`;
      const client = await world.device(name, {
        fetch: async (input, init) => {
          const response = await fetch(input, init);
          if (input.endsWith("/v1/accounts") && lost++ === 0) throw new TypeError("lost");
          return response;
        },
      });
      await expect(client.signUp(name)).rejects.toMatchObject({ code: "offline" });
      if (crash) await client.close();
      const again = crash ? await world.device(name) : client;
      expect((await again.signUp(name)).recoveryPhrase.split(" ")).toHaveLength(12);
      await again.createConversation("It works");
    }
  });

  it("keeps the phrase nowhere", async () => {
    const client = await world.device("Phrase");
    const { recoveryPhrase } = await client.signUp("Phrase");
    await client.close();
    const file = readFileSync(join(world.folder, "Phrase.db"));
    for (const word of [recoveryPhrase, recoveryPhrase.slice(0, 30)]) {
      expect(file.includes(word)).toBe(false);
    }
  });

  it("comes before everything else", async () => {
    const client = await world.device("nobody");
    const code = { code: "no-account" };
    await expect(client.createConversation("x")).rejects.toMatchObject(code);
    await expect(client.acceptInvitation("x")).rejects.toMatchObject(code);
    await expect(client.safetyNumber("x")).rejects.toMatchObject(code);
  });
});

describe("an account's device list", () => {
  it("is renewed with the phrase alone", async () => {
    const client = await world.device("Owner");
    const { recoveryPhrase } = await client.signUp("Owner");
    const other = await world.device("Other owner");
    const { recoveryPhrase: foreign } = await other.signUp("Other owner");
    const keep = (devices: Parameters<Parameters<Client["replaceDeviceList"]>[1]>[0]) => devices;
    await expect(client.replaceDeviceList(foreign, keep)).rejects.toMatchObject({
      code: "phrase-wrong",
    });
    await client.replaceDeviceList(recoveryPhrase, keep);
    await client.replaceDeviceList(recoveryPhrase, keep);
    await client.close();
    const again = await world.device("Owner");
    await again.replaceDeviceList(recoveryPhrase, keep);
    expect((await again.snapshot()).warnings).toEqual([]);
  });
});

describe("a device that is revoked", () => {
  it("enters no group any more; until then it does", async () => {
    const [uma, vic] = [await world.person("Uma"), await world.device("Vic")];
    const { recoveryPhrase } = await vic.signUp("Vic");
    const before = await uma.createConversation("Before");
    // Its key packages may still be on their way.
    await until(uma, async () =>
      uma.addByName(before, "Vic").then(
        () => true,
        () => false,
      ),
    );
    await expect(vic.revokeDevice(recoveryPhrase, "00".repeat(16))).rejects.toMatchObject({
      code: "refused",
    });
    let deviceId = "";
    await vic.replaceDeviceList(recoveryPhrase, (devices) => {
      for (const device of devices) deviceId = Buffer.from(device.deviceId).toString("hex");
      return devices;
    });
    await vic.revokeDevice(recoveryPhrase, deviceId);
    const after = await uma.createConversation("After");
    await expect(uma.addByName(after, "Vic")).rejects.toMatchObject({ code: "no-key-packages" });
  });
});

describe("what a view sees", () => {
  it("is the same safety number on both sides, and who was verified", async () => {
    const [eva, fay] = [await world.person("Eva"), await world.person("Fay")];
    const id = await gather(eva, [fay]);
    const idOf = async (client: Client) => (await client.snapshot()).account?.accountId ?? "";
    const number = await eva.safetyNumber(await idOf(fay));
    expect(await fay.safetyNumber(await idOf(eva))).toBe(number);
    await eva.setVerified(await idOf(fay), true);
    const verified = (await conversation(eva, id)).members.map((m) => [m.name, m.verified]);
    expect(verified).toContainEqual(["Fay", true]);
    expect(verified).toContainEqual(["Eva", false]);
    await expect(eva.setVerified("00", true)).rejects.toMatchObject({ code: "name-unknown" });
  });

  it("counts what is unread until it is read, also after a restart", async () => {
    const [gil, hal] = [await world.person("Gil"), await world.person("Hal")];
    const id = await gather(gil, [hal]);
    for (const text of ["one", "two", "three"]) await say(gil, id, text);
    await untilTexts(hal, id, ["one", "two", "three"]);
    expect((await conversation(hal, id)).unread).toBe(3);
    expect((await conversation(gil, id)).unread).toBe(0);
    await hal.close();
    const again = await world.device("Hal");
    expect((await conversation(again, id)).unread).toBe(3);
    await again.markRead(id);
    expect((await conversation(again, id)).unread).toBe(0);
    await say(gil, id, "four");
    await until(again, async () => (await conversation(again, id)).unread === 1);
    expect((await conversation(again, id)).lastMessage?.body).toEqual({
      type: "text",
      text: "four",
    });
  });

  it("pages through messages without losing any", async () => {
    const ida = await world.person("Ida");
    const id = await ida.createConversation("Long");
    const all = Array.from({ length: 25 }, (_, i) => `text ${i}`);
    for (const text of all) await say(ida, id, text);
    await untilState(ida, id, "text 24", "sent");
    const seen: string[] = [];
    let before: number | undefined;
    for (;;) {
      const page = await ida.messages(id, { limit: 7, ...(before !== undefined && { before }) });
      if (page.length === 0) break;
      seen.unshift(
        ...page.flatMap(({ body }) => (body.type === "text" ? [body.text] : [body.type])),
      );
      before = page[0]?.seq;
    }
    expect(seen).toEqual(["membership", ...all]);
  });

  it("changes by events that replace what they name", async () => {
    const [jo, kim] = [await world.person("Jo"), await world.person("Kim")];
    const events = eventsOf(jo);
    const id = await gather(jo, [kim]);
    await jo.sendText(id, "hello", "the key");
    await untilState(jo, id, "hello", "delivered");
    const states = events.flatMap((event) =>
      event.type === "messages"
        ? event.messages.flatMap(({ body, state }) => (body.type === "text" ? [state] : []))
        : [],
    );
    expect(states[0]).toBe("waiting");
    expect(states).toContain("sent");
    expect(states.at(-1)).toBe("delivered");
    const ids = new Set(
      events.flatMap((event) =>
        event.type === "messages"
          ? event.messages.flatMap((m) => (m.body.type === "text" ? [m.id] : []))
          : [],
      ),
    );
    expect(ids.size).toBe(1);
  });
});

describe("an engine that another took over from", () => {
  it("stops at its next write, and says so", async () => {
    const first = await world.person("Frozen");
    const id = await first.createConversation("Tabs");
    const profile = openProfile(join(world.folder, "Frozen.db"));
    const second = await createClient({
      ...profile,
      crypto: nodeCrypto,
      service: { origin: world.origin },
    });
    await expect(first.sendText(id, "from the past", "k")).rejects.toMatchObject({
      code: "fenced",
    });
    await second.sendText(id, "from now", "k");
    await untilState(second, id, "from now", "sent");
    await second.close();
  });
});

describe("the service's files", () => {
  it("have nothing of what was written, of titles, or of the links' secrets", async () => {
    const [lea, max] = [await world.person("Lea"), await world.person("Max")];
    const id = await lea.createConversation("The title of titles");
    const terms = { expiresInSeconds: 600, maxUses: 3 };
    const { fragment } = await lea.createInvitation(id, terms);
    await max.acceptInvitation(fragment);
    await say(lea, id, "the text of texts");
    await untilState(lea, id, "the text of texts", "delivered");
    const seed = Buffer.from(fragment, "base64url").subarray(1, 33);
    const secrets = ["The title of titles", "the text of texts", fragment, seed];
    const files = readdirSync(world.folder).filter((name) => name.startsWith("service.db"));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const content = readFileSync(join(world.folder, file));
      for (const secret of secrets) expect(content.includes(secret)).toBe(false);
    }
  });
});

describe("an account whose device is lost", () => {
  it("comes back by its phrase on a fresh device, in the conversations that it was in; the old one is out", async () => {
    const [ana, lost] = [await world.person("Ana"), await world.device("Lost")];
    const { recoveryPhrase } = await lost.signUp("Lost");
    const { account } = await lost.snapshot();
    const id = await gather(ana, [lost]);
    await say(lost, id, "before");
    await untilTexts(ana, id, ["before"]);

    const fresh = await world.device("Fresh");
    const other = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    await expect(fresh.recover(other)).rejects.toMatchObject({ code: "phrase-wrong" });
    await expect(fresh.recover("twelve words")).rejects.toMatchObject({ code: "phrase-wrong" });
    await fresh.recover(recoveryPhrase);
    expect((await fresh.snapshot()).account).toEqual({ ...account, recoveryPhrasePending: false });
    await expect(fresh.recover(recoveryPhrase)).rejects.toMatchObject({ code: "account-exists" });

    await until(fresh, async () => (await fresh.snapshot()).conversations.length > 0);
    await say(fresh, id, "after");
    await untilTexts(ana, id, ["before", "after"]);
    const { members } = await conversation(ana, id);
    expect(members.map(({ name, devices }) => [name, devices])).toContainEqual(["Lost", 1]);
    await say(ana, id, "welcome back");
    await untilTexts(fresh, id, ["after", "welcome back"]);
    // Nobody is told that somebody left or came: it is the same account.
    const told = (await ana.messages(id, { limit: 99 })).filter(
      ({ body }) => body.type === "membership",
    );
    expect(told.map(({ body }) => body.type === "membership" && body.change)).toEqual([
      "created",
      "joined",
    ]);
    // The old device can't sign in, and what it wrote last is of no use.
    await until(lost, async () => (await lost.snapshot()).connection === "offline");
    await say(lost, id, "from the lost device");
    await say(ana, id, "still here");
    await untilTexts(fresh, id, ["after", "welcome back", "still here"]);
    await fresh.close();
    const again = await world.device("Fresh");
    await untilTexts(again, id, ["after", "welcome back", "still here"]);
  });
});

describe("a profile of which a part is gone", () => {
  const parts: Readonly<Record<string, string>> = {
    "the account": "DELETE FROM records WHERE key = 'account'",
    "all records": "DELETE FROM records",
    keys: "DELETE FROM keys",
    "the state of a group": "DELETE FROM records WHERE key LIKE 'group/%'",
    "a group's secrets": "DELETE FROM records WHERE key LIKE 'group/%/secrets'",
    "a conversation's place": "DELETE FROM records WHERE key LIKE 'position/%'",
  };
  it.each(Object.keys(parts))(
    "%s: says so, sends nothing, and begins again by the phrase",
    async (part) => {
      const name = `Torn ${part}`;
      const [bea, torn] = [await world.person(`Bea ${part}`), await world.device(name)];
      const { recoveryPhrase } = await torn.signUp(name);
      const id = await gather(bea, [torn]);
      await say(torn, id, "whole");
      await untilTexts(bea, id, ["whole"]);
      await torn.close();
      const file = new DatabaseSync(join(world.folder, `${name}.db`));
      const { changes } = file.prepare(parts[part] ?? "").run();
      file.close();
      expect(changes).toBeGreaterThan(0);

      let requests = 0;
      const count: Fetch = (url, init) => {
        requests += 1;
        return fetch(url, init);
      };
      const left = await world.device(name, { fetch: count });
      const { account, lost, conversations } = await left.snapshot();
      expect([account, lost, conversations]).toEqual([undefined, true, []]);
      await expect(left.createConversation("No")).rejects.toMatchObject({ code: "no-account" });
      expect(requests).toBe(0);
      await left.recover(recoveryPhrase);
      await until(left, async () => (await left.snapshot()).conversations.length > 0);
      expect((await left.snapshot()).lost).toBe(false);
      await say(left, id, "again");
      await untilTexts(bea, id, ["whole", "again"]);
      expect((await conversation(bea, id)).warnings).toEqual([]);
    },
  );
});
