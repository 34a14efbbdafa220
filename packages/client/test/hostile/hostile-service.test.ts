import { randomBytes } from "node:crypto";
import {
  bytesFromText,
  bytesToText,
  encodeDeviceIdentity,
  openDeviceList,
  signDeviceList,
} from "@conclave/delivery/protocol";
import {
  createKeyPackage,
  defaultCapabilities,
  joinExternally,
  memoryStorage,
} from "@conclave/mls";
import { encode, opaque } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { fromHex } from "../../src/bytes.ts";
import { type Client, ClientError, type WarningCode } from "../../src/index.ts";
import { decodeFragment, linkKeysOf, openSealed } from "../../src/invitation.ts";
import { nodeCrypto } from "../../src/node/index.ts";
import { signerOfSeed } from "../../src/phrase.ts";
import { sharedWorld } from "../shared-world.ts";
import {
  conversation,
  gather,
  say,
  texts,
  until,
  untilMembers,
  untilState,
  untilTexts,
} from "../world.ts";
import { type Entry, type HostileService, hostileService } from "./hostile-service.ts";

const world = sharedWorld();
let people = 0;

interface Victim {
  readonly service: HostileService;
  readonly ada: Client;
  readonly ben: Client;
  readonly names: readonly [ada: string, ben: string];
}

/** Ada, to whom the service is hostile, and Ben. */
async function victim(): Promise<Victim> {
  const names = [`Ada ${++people}`, `Ben ${people}`] as const;
  const service = hostileService();
  const ada = await world.person(names[0], { fetch: service.fetch, poll: 50 });
  return { service, ada, ben: await world.person(names[1]), names };
}

async function untilWarned(client: Client, id: string, code: WarningCode) {
  return until(client, async () =>
    (await conversation(client, id)).warnings.find((warning) => warning.code === code),
  );
}

const bytes = (length: number) => new Uint8Array(randomBytes(length));

/** Someone whom the service made up. */
function madeUp() {
  const root = signerOfSeed(bytes(32));
  const leaf = signerOfSeed(bytes(32));
  const deviceId = bytes(16);
  const identityOf = (rootKey: Uint8Array<ArrayBuffer>) =>
    ({
      credentialType: "basic",
      identity: encodeDeviceIdentity({ rootKey, deviceId, signatureKey: leaf.publicKey }),
    }) as const;
  const listAs = (name: string) => {
    const now = BigInt(Math.floor(Date.now() / 1000));
    return signDeviceList(
      {
        name,
        version: 1n,
        previousHash: new Uint8Array(0),
        issuedAt: now,
        expiresAt: now + 3600n,
        devices: [{ deviceId, signatureKey: leaf.publicKey, signInKey: bytes(32), revokedAt: 0n }],
      },
      root,
    );
  };
  return { root, leaf, identityOf, listAs };
}

const mls = {
  crypto: nodeCrypto,
  authentication: { validate: async () => {}, isSuccessor: async () => true },
  now: Date.now,
};
// 0xf0c1: a leaf without it could not be in the group.
const capabilities = defaultCapabilities(nodeCrypto, { extensions: [0xf0c1] });

describe("a service that turned hostile", () => {
  it("adds a made-up user by external commit: refused, and shown", async () => {
    const { service, ada, ben, names } = await victim();
    const id = await gather(ada, [ben]);
    const { fragment } = await ben.createInvitation(id, { expiresInSeconds: 600, maxUses: 9 });
    await until(ada, async () => (await conversation(ada, id)).links === 2);

    // It was even told GroupInfo and external_pub of this epoch; it has not the link's signing key.
    const keys = await linkKeysOf(decodeFragment(fragment).seed);
    let held = { sealedGroupInfo: "" };
    service.answers.set(/^GET \/v1\/links\/[\w-]+$/u, (answer) => {
      held = answer as typeof held;
      return answer;
    });
    await ada.previewInvitation(fragment);
    const stranger = madeUp();
    const list = bytesToText(await stranger.listAs("Stranger"));
    service.answers.set(/device-list$/u, () => ({ deviceList: list }));
    const { bundle } = await joinExternally(
      { ...mls, storage: memoryStorage() },
      {
        groupInfo: await openSealed(nodeCrypto, keys, bytesFromText(held.sealedGroupInfo)),
        ratchetTree: encode(opaque, service.trees.at(-1) ?? bytes(0)),
        credential: stranger.identityOf(stranger.root.publicKey),
        signer: stranger.leaf,
        capabilities,
        authenticatedData: bytes(97),
      },
    );
    const entries = { at: 0 };
    service.editLog = (log) => {
      entries.at ||= log.length;
      const epoch = String(BigInt(log[entries.at - 1]?.epoch ?? "0") + 1n);
      const forged = entry("commit", epoch, bytesToText(bundle.commit));
      return [...log.slice(0, entries.at), forged, ...log.slice(entries.at)];
    };
    await untilWarned(ada, id, "uninvited-member");
    await untilMembers(ada, id, names);
    await say(ben, id, "who was that?");
    await untilTexts(ada, id, ["who was that?"]);
    await say(ada, id, "nobody");
    await untilTexts(ben, id, ["who was that?", "nobody"]);
    expect((await conversation(ada, id)).members).toHaveLength(2);
  });

  it("adds a made-up device to an account: left out, and shown", async () => {
    const { service, ada, ben, names } = await victim();
    const id = await ada.createConversation("Devices");
    let list = "";
    service.answers.set(/lookup$/u, (answer) => {
      list = String(answer["deviceList"]);
      return answer;
    });
    service.answers.set(/claim$/u, async (answer) => {
      const claimed = answer["keyPackages"] as readonly unknown[];
      if (claimed.length === 0) return answer;
      const { rootKey } = await openDeviceList(bytesFromText(list));
      const { leaf, identityOf } = madeUp();
      const seconds = BigInt(Math.floor(Date.now() / 1000));
      const { keyPackage } = await createKeyPackage(
        { ...mls, storage: memoryStorage() },
        {
          suite: 3,
          credential: identityOf(rootKey),
          signer: leaf,
          capabilities,
          lifetime: { notBefore: seconds - 60n, notAfter: seconds + 3600n },
        },
      );
      const deviceId = bytesToText(bytes(16));
      const device = { deviceId, keyPackage: bytesToText(keyPackage), lastResort: false };
      return { ...answer, keyPackages: [...claimed, device] };
    });
    // The first time, Ben's own key packages may still be on their way.
    await until(ada, async () => {
      const error = await ada.addByName(id, names[1]).catch((failure: unknown) => failure);
      return !(error instanceof ClientError) || error.code === "already-member";
    });
    await untilMembers(ben, id, names);
    await untilWarned(ada, id, "unlisted-device");
    const member = (await conversation(ada, id)).members.find(({ self }) => !self);
    expect(member?.devices).toBe(1);
  });

  it("swaps a name's root key: refused, and shown", async () => {
    const { service, ada, ben, names } = await victim();
    await gather(ada, [ben]);
    const other = await ada.createConversation("Another");
    const list = bytesToText(await madeUp().listAs(names[1]));
    service.answers.set(/lookup$/u, () => ({ deviceList: list }));
    await expect(ada.addByName(other, names[1])).rejects.toMatchObject({
      code: "root-key-changed",
    });
    const { warnings } = await until(ada, async () => {
      const snapshot = await ada.snapshot();
      return snapshot.warnings.length > 0 && snapshot;
    });
    expect(warnings.map(({ code, subject }) => [code, subject])).toEqual([
      ["root-key-changed", names[1]],
    ]);
    expect((await conversation(ada, other)).members).toHaveLength(1);
  });

  it("serves an old device list: shown, as soon as its owner says that there is a newer one", async () => {
    const names = [`Ada ${++people}`, `Ben ${people}`] as const;
    const service = hostileService();
    const ada = await world.person(names[0], { fetch: service.fetch, poll: 50 });
    const ben = await world.device(names[1]);
    const { recoveryPhrase } = await ben.signUp(names[1]);
    let first: unknown;
    service.answers.set(/device-list$/u, (answer) => {
      first ??= answer;
      return first;
    });
    const id = await gather(ada, [ben]);
    await say(ben, id, "with the first list");
    await untilTexts(ada, id, ["with the first list"]);
    expect((await ada.snapshot()).warnings).toEqual([]);

    await ben.replaceDeviceList(recoveryPhrase, (devices) => devices);
    await say(ben, id, "with the second");
    await until(ada, async () =>
      (await ada.snapshot()).warnings.some(
        ({ code, subject }) => code === "device-list-old" && subject === names[1],
      ),
    );
  });

  it("replays a message: shown once, and told", async () => {
    const { service, ada, ben } = await victim();
    const id = await gather(ada, [ben]);
    await say(ben, id, "once");
    await untilTexts(ada, id, ["once"]);
    service.editLog = (log) => {
      const at = log.findIndex(({ kind }) => kind === "application");
      return [...log.slice(0, at + 1), ...log.slice(at, at + 1), ...log.slice(at + 1)];
    };
    await say(ben, id, "twice");
    await until(ada, async () => (await texts(ada, id)).includes("twice"));
    await untilWarned(ada, id, "message-replayed");
    expect(await texts(ada, id)).toEqual(["once", "twice"]);
  });

  it("replays a message of one's own: told as that, and one may go on", async () => {
    const { service, ada, ben } = await victim();
    const id = await gather(ada, [ben]);
    await say(ada, id, "once");
    await untilTexts(ben, id, ["once"]);
    service.editLog = (log) => {
      const at = log.findIndex(({ kind }) => kind === "application");
      return [...log.slice(0, at + 1), ...log.slice(at, at + 1), ...log.slice(at + 1)];
    };
    await say(ben, id, "and then");
    await untilTexts(ada, id, ["once", "and then"]);
    await untilWarned(ada, id, "message-replayed");
    await say(ada, id, "still here");
    await untilTexts(ben, id, ["once", "and then", "still here"]);
  });

  it("withholds a message: the gap is told", async () => {
    const { service, ada, ben, names } = await victim();
    const id = await gather(ada, [ben]);
    let withheld: string | undefined;
    service.editLog = (log) => {
      withheld ??= log.find(({ kind }) => kind === "application")?.message;
      return log.filter(({ message }) => message !== withheld);
    };
    await say(ben, id, "withheld");
    await say(ben, id, "shown");
    await untilTexts(ada, id, ["shown"]);
    expect((await untilWarned(ada, id, "message-missing")).subject).toBe(names[1]);
  });

  it("withholds so many that keys would be derived for them: the next is unreadable", async () => {
    for (const [withheld, readable] of [
      [10, true],
      [20, false],
    ] as const) {
      const { service, ada, ben } = await victim();
      const id = await gather(ada, [ben]);
      let hide = false;
      const hidden = new Set<string>();
      service.editLog = (log) => {
        for (const { kind, message } of log) {
          if (hide && kind === "application") hidden.add(message);
        }
        return log.filter(({ message }) => !hidden.has(message));
      };
      hide = true;
      for (let i = 0; i < withheld; i++) await say(ben, id, `withheld ${i}`);
      await untilState(ben, id, `withheld ${withheld - 1}`, "sent");
      await until(ada, async () => hidden.size >= withheld);
      hide = false;
      await say(ben, id, "shown");
      await untilWarned(ada, id, readable ? "message-missing" : "message-unreadable");
      expect(await texts(ada, id)).toEqual(readable ? ["shown"] : []);
    }
  });

  it("withholds a member's last words: another's message tells that the histories differ", async () => {
    const { service, ada, ben } = await victim();
    const cy = await world.person(`Cy ${people}`);
    const id = await gather(ada, [ben, cy]);
    let withheld: string | undefined;
    service.editLog = (log) => {
      withheld ??= log.find(({ kind }) => kind === "application")?.message;
      return log.filter(({ message }) => message !== withheld);
    };
    await say(ben, id, "not for Ada");
    await untilTexts(cy, id, ["not for Ada"]);
    await say(cy, id, "I read that");
    await untilTexts(ada, id, ["I read that"]);
    expect((await untilWarned(ada, id, "history-differs")).subject).toMatch(/^Cy/u);
  });

  it("makes up a Welcome into a group that one is in: refused, and the group goes on", async () => {
    const { service, ada, ben, names } = await victim();
    const id = await gather(ada, [ben]);
    const made = {
      seq: 1,
      groupId: bytesToText(fromHex(id)),
      epoch: "1000",
      commitSeq: 1000,
      welcome: bytesToText(bytes(100)),
    };
    let shown = false;
    service.answers.set(/^GET \/v1\/inbox$/u, (answer) => {
      const entries = shown ? answer["entries"] : [made];
      shown = true;
      return { entries };
    });
    // Another's Welcome makes it look into its inbox.
    const other = await ben.createConversation("Another");
    await until(ben, async () => {
      const error = await ben.addByName(other, names[0]).catch((failure: unknown) => failure);
      return !(error instanceof ClientError) || error.code === "already-member";
    });
    await until(ada, async () =>
      (await ada.snapshot()).warnings.some(({ code }) => code === "message-refused"),
    );
    await say(ben, id, "still here");
    await untilTexts(ada, id, ["still here"]);
    await say(ada, id, "so am I");
    await untilTexts(ben, id, ["still here", "so am I"]);
  });

  it("forges a commit: refused, and the group goes on", async () => {
    const { service, ada, ben, names } = await victim();
    const id = await gather(ada, [ben]);
    const position = { at: 0 };
    // Where the group is stands on the second page.
    let pages = 0;
    service.answers.set(/^GET \/v1\/groups$/u, (answer) =>
      ++pages === 1 ? { groups: [], next: bytesToText(new Uint8Array(1)) } : answer,
    );
    service.editLog = (log) => {
      position.at ||= log.length;
      const last = log.findLast(({ kind }) => kind === "commit");
      if (!last) return log;
      // A true commit, its epoch counted up: whoever has no signing key can do no better.
      const epoch = BigInt(last.epoch) + 1n;
      const commit = bytesFromText(last.message);
      const groupId = fromHex(id);
      const found = Buffer.from(commit).indexOf(Buffer.from(groupId));
      new DataView(commit.buffer).setBigUint64(found + groupId.length, epoch);
      const forged = entry("commit", String(epoch), bytesToText(commit));
      return [...log.slice(0, position.at), forged, ...log.slice(position.at)];
    };
    await untilWarned(ada, id, "message-refused");
    await until(ada, async () => pages > 1);
    await untilMembers(ada, id, names);
    await say(ben, id, "still here");
    await untilTexts(ada, id, ["still here"]);
    await say(ada, id, "so am I");
    await untilTexts(ben, id, ["still here", "so am I"]);
    expect((await conversation(ada, id)).members).toHaveLength(2);
  });
});

function entry(kind: Entry["kind"], epoch: string, message: string): Entry {
  return { seq: 0, epoch, kind, message, acceptedAt: Date.now() };
}
