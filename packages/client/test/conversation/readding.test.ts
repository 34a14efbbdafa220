import { join } from "node:path";
import { ReportRequest, signReport, toJson } from "@conclave/delivery/protocol";
import {
  type CryptoProvider,
  createKeyPackage,
  defaultCapabilities,
  loadGroup,
  memoryStorage,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { fromHex } from "../../src/bytes.ts";
import { leafLifetime, SUITE } from "../../src/environment.ts";
import type { Client, Fetch } from "../../src/index.ts";
import { nodeCrypto, openProfile } from "../../src/node/index.ts";
import { sharedWorld } from "../shared-world.ts";
import {
  conversation,
  createWorld,
  gather,
  say,
  texts,
  until,
  untilMembers,
  untilTexts,
  type World,
} from "../world.ts";

const world = sharedWorld();
let people = 0;

/**
 * Cryptography of a member that keeps to no rule: from `spoil` on, these ciphertexts don't open, counted in the order in which they are
 * made, a path's first and from its bottom.
 */
function spoiling() {
  let spoiled: ReadonlySet<number> = new Set();
  let made = 0;
  const dhEphemeral: CryptoProvider["dhEphemeral"] = async (group, peer, among) => {
    const place = made++;
    const honest = await nodeCrypto.dhEphemeral?.(group, peer, among);
    if (!honest) throw new TypeError("the provider makes no ephemeral keys");
    return spoiled.has(place) ? { ...honest, secret: honest.secret.map((byte) => ~byte) } : honest;
  };
  return {
    crypto: { ...nodeCrypto, dhEphemeral },
    spoil: (...places: readonly number[]): void => {
      spoiled = new Set(places);
      made = 0;
    },
  };
}

/** Lets no message to groups through while it is blocked; commits and reports pass. Of what is in the inbox nothing goes while it is deaf. */
function watching() {
  const seen = { blocked: false, deaf: false, reports: [] as ReportRequest[] };
  const watched: Fetch = async (input, init) => {
    const { pathname } = new URL(input);
    if (seen.deaf && pathname.endsWith("/inbox/ack")) throw new TypeError("the network is down");
    if (init.method === "POST" && pathname.endsWith("/messages") && seen.blocked) {
      throw new TypeError("the network is down");
    }
    if (init.method === "POST" && pathname.endsWith("/reports") && typeof init.body === "string") {
      seen.reports.push(ReportRequest.parse(JSON.parse(init.body)));
    }
    return fetch(input, init);
  };
  return { seen, fetch: watched };
}

/** Ada, Ben and Cy, and Dan, who can spoil his commits: at leaves 0 to 3. Ada and Ben share a node. */
async function foursome(
  options: { readonly place?: World; readonly poll?: number; readonly adas?: Fetch } = {},
) {
  const { place = world, poll, adas } = options;
  const { crypto, spoil } = spoiling();
  const names = ["Ada", "Ben", "Cy", "Dan"].map((name) => `${name} back ${++people}`);
  const watched = [watching(), watching(), watching()];
  const honest: Client[] = [];
  for (const [i, { fetch: watchedFetch }] of watched.entries()) {
    const through = i === 0 && adas ? adas : watchedFetch;
    honest.push(await place.person(names[i] ?? "", { fetch: through, ...(poll && { poll }) }));
  }
  const dan = await place.person(names[3] ?? "", { crypto });
  const [ada, ben, cy] = honest as [Client, Client, Client];
  const id = await gather(ada, [ben, cy, dan]);
  await say(ada, id, "before");
  for (const one of [ben, cy, dan]) await untilTexts(one, id, ["before"]);
  const seen = watched.map((one) => one.seen);
  return { ada, ben, cy, dan, id, names, spoil, seen, everyone: [ada, ben, cy, dan] };
}
type Stage = Awaited<ReturnType<typeof foursome>>;

/** Dan makes a link, by a commit that is of no use to those at these places of its path. */
async function spoilCommit(
  { dan, id, spoil }: Stage,
  ...places: readonly number[]
): Promise<string> {
  spoil(...places);
  const { fragment } = await dan.createInvitation(id, { expiresInSeconds: 600, maxUses: 9 });
  spoil();
  return fragment;
}

async function codes(client: Client, id: string): Promise<readonly string[]> {
  return (await conversation(client, id)).warnings.map(({ code }) => code);
}

/** All of them read what each of them writes, and all show the same members, each once. */
async function untilTogether(
  { id, names }: Pick<Stage, "id" | "names">,
  members: readonly Client[],
  word: string,
): Promise<void> {
  for (const [i, one] of members.entries()) {
    await untilMembers(one, id, names);
    await say(one, id, `${word} ${i}`);
  }
  for (const one of members) {
    for (const i of members.keys()) {
      await until(one, async () => (await texts(one, id)).includes(`${word} ${i}`));
    }
    const { members: shown } = await conversation(one, id);
    expect(shown.map(({ devices }) => devices)).toEqual(names.map(() => 1));
  }
}

describe("scenario 12: a commit that shuts members out", () => {
  it("is reported by one with proof; another brings it back, and what waits is sent once", async () => {
    const on = await foursome();
    const { ada, ben, cy, dan, id, seen } = on;
    const [, , cys] = seen;
    if (!cys) throw new Error("nobody");
    cys.blocked = true;
    await say(cy, id, "waiting");
    const fragment = await spoilCommit(on, 0);
    await until(cy, async () => (await codes(cy, id)).includes("out-of-step"));
    await say(ada, id, "meanwhile");
    await untilTexts(ben, id, ["before", "meanwhile"]);
    cys.blocked = false;
    await until(
      cy,
      async () =>
        (await conversation(cy, id)).status === "active" &&
        say(cy, id, "back").then(
          () => true,
          () => false,
        ),
    );
    await untilTexts(ada, id, ["before", "meanwhile", "waiting", "back"]);
    await untilTogether(on, [ada, ben, cy, dan], "all");
    // What came while Cy was out is lost to Cy alone; what Cy had is there.
    expect((await texts(cy, id)).slice(0, 1)).toEqual(["before"]);
    expect((await texts(cy, id)).filter((one) => one === "waiting")).toHaveLength(1);
    expect(await texts(cy, id)).not.toContain("meanwhile");
    expect(cys.reports.at(0)?.proof?.length).toBeGreaterThan(32);
    // Dan commits no more; the others do. The link that he made is open.
    await expect(dan.revokeInvitations(id)).rejects.toMatchObject({ code: "refused" });
    expect((await conversation(ada, id)).links).toBe(2);
    const eve = await world.person(`Eve back ${++people}`);
    expect(await eve.acceptInvitation(fragment)).toBe(id);
    // Nobody is said to have gone or come.
    await until(ben, async () => (await conversation(ben, id)).members.length === 5);
    const messages = await ben.messages(id, { limit: 100 });
    const changes = messages.flatMap(({ body }) =>
      body.type === "membership" ? [body.change] : [],
    );
    expect(changes).toEqual(["joined", "joined", "joined", "joined"]);
  });

  it("may shut out two that share a node: the third brings both back", async () => {
    const on = await foursome();
    const { ada, ben, cy, id, seen } = on;
    await spoilCommit(on, 1);
    for (const one of [ada, ben]) {
      await until(one, async () => (await codes(one, id)).includes("out-of-step"));
    }
    await until(cy, async () => {
      const ready = [ada, ben].map((one) =>
        say(one, id, "hello").then(
          () => true,
          () => false,
        ),
      );
      return (await Promise.all(ready)).every(Boolean);
    });
    await untilTogether(on, on.everyone, "all");
    expect(await codes(cy, id)).toEqual([]);
    const [adas, bens, cys] = seen;
    expect(adas?.reports.at(0)?.proof).toEqual(bens?.reports.at(0)?.proof);
    expect(cys?.reports).toEqual([]);
  });

  it("is reported without a proof by one whose key somebody who went could use", async () => {
    const on = await foursome();
    const { ada, cy, dan, id, seen } = on;
    const eve = await world.person(`Eve back ${++people}`);
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 600, maxUses: 9 });
    await eve.acceptInvitation(fragment);
    await until(ada, async () => (await conversation(ada, id)).members.length === 5);
    await ada.removeMember(id, (await eve.snapshot()).account?.accountId ?? "");
    for (const one of on.everyone) await untilMembers(one, id, on.names);
    await spoilCommit(on, 0);
    await until(cy, async () =>
      say(cy, id, "back").then(
        () => true,
        () => false,
      ),
    );
    await until(ada, async () => (await texts(ada, id)).includes("back"));
    const [, , cys] = seen;
    await until(cy, async () => (cys?.reports.length ?? 0) > 0);
    expect(cys?.reports.map(({ proof }) => proof)).toEqual([undefined]);
    await dan.revokeInvitations(id);
  });

  it("that shuts out all but its maker ends the conversation for them: they begin another", async () => {
    const on = await foursome();
    const { ada, ben, cy, dan, id, seen } = on;
    await spoilCommit(on, 0, 1);
    for (const one of [ada, ben, cy]) {
      await until(one, async () => (await codes(one, id)).includes("out-of-step"));
      await expect(say(one, id, "hello?")).rejects.toMatchObject({ code: "refused" });
    }
    await until(ada, async () => seen.every(({ reports }) => reports.length > 0));
    await expect(dan.revokeInvitations(id)).rejects.toMatchObject({ code: "refused" });
    const next = await gather(ada, [ben, cy]);
    await say(ben, next, "here");
    await untilTexts(ada, next, ["here"]);
  });

  it("is reported after a restart, too", async () => {
    const on = await foursome();
    const { ada, id, spoil, dan, names } = on;
    const name = `Fay back ${++people}`;
    const down = { now: false };
    const faulty: Fetch = async (input, init) => {
      if (down.now && new URL(input).pathname.endsWith("/reports")) throw new TypeError("down");
      return fetch(input, init);
    };
    const fay = await world.person(name, { fetch: faulty });
    const { fragment } = await ada.createInvitation(id, { expiresInSeconds: 600, maxUses: 9 });
    await fay.acceptInvitation(fragment);
    for (const one of on.everyone) await untilMembers(one, id, [...names, name]);
    down.now = true;
    // Fay is alone on the right of the tree: what Dan encrypts for that side is the last of his path.
    spoil(2);
    await dan.createInvitation(id, { expiresInSeconds: 600, maxUses: 9 });
    spoil();
    await until(fay, async () => (await codes(fay, id)).includes("out-of-step"));
    await fay.close();
    const again = await world.device(name);
    await until(again, async () =>
      say(again, id, "back").then(
        () => true,
        () => false,
      ),
    );
    await until(ada, async () => (await texts(ada, id)).includes("back"));
    expect((await conversation(ada, id)).members).toHaveLength(5);
  });
});

describe("a member that can take in no Welcome", () => {
  it("keeps no other from coming back, is told of, and comes back later", async () => {
    const full = await createWorld({ limits: { inbox: 1 } });
    try {
      const on = await foursome({ place: full, poll: 200 });
      const { ada, ben, cy, id, names, seen } = on;
      const [adas] = seen;
      if (!adas) throw new Error("nobody");
      adas.deaf = true;
      const other = await cy.createConversation("Another");
      await until(cy, () =>
        cy.addByName(other, names[0] ?? "").then(
          () => true,
          () => false,
        ),
      );
      await spoilCommit(on, 1);
      for (const one of [ada, ben]) {
        await until(one, async () => (await codes(one, id)).includes("out-of-step"));
      }
      await until(ben, async () =>
        say(ben, id, "back").then(
          () => true,
          () => false,
        ),
      );
      await until(cy, async () => (await texts(cy, id)).includes("back"));
      await until(cy, async () => (await codes(cy, id)).includes("device-left-out"));
      await expect(say(ada, id, "and I?")).rejects.toMatchObject({ code: "refused" });
      adas.deaf = false;
      await until(ada, async () =>
        say(ada, id, "I, too").then(
          () => true,
          () => false,
        ),
      );
      await untilTogether(on, on.everyone, "all");
    } finally {
      await full.close();
    }
  });
});

describe("a member that asks to return by what nobody can use", () => {
  it("keeps no other from coming back", async () => {
    const shown: { report: Bytes | undefined } = { report: undefined };
    const adas: Fetch = async (input, init) => {
      const { pathname } = new URL(input);
      const response = await fetch(input, init);
      if (init.method !== "GET" || !pathname.endsWith("/reports") || !shown.report) return response;
      const answer = (await response.json()) as { readonly reports: readonly unknown[] };
      const reports = [{ seq: 1, report: shown.report, proven: false }, ...answer.reports];
      return new Response(toJson({ ...answer, reports }), {
        headers: { "content-type": "application/json" },
      });
    };
    const on = await foursome({ adas });
    const { ada, ben, cy, id, names } = on;
    await ben.close();
    shown.report = await unusableReport(names[1] ?? "", id);
    await spoilCommit(on, 0);
    await until(cy, async () =>
      say(cy, id, "back").then(
        () => true,
        () => false,
      ),
    );
    await until(ada, async () => (await texts(ada, id)).includes("back"));
    expect(await codes(ada, id)).toContain("device-left-out");
    expect((await conversation(ada, id)).members).toHaveLength(4);
  });

  /** Ben's, with a key package that lacks what the group requires. */
  async function unusableReport(name: string, id: string): Promise<Bytes> {
    const { storage, vault } = openProfile(join(world.folder, `${name}.db`));
    const signer = await vault.open("leaf");
    if (!signer) throw new Error("no key");
    const accept = { validate: async () => {}, isSuccessor: async () => true };
    const context = { crypto: nodeCrypto, storage, authentication: accept, now: Date.now };
    const groupId = fromHex(id);
    const group = await loadGroup(context, { groupId, signer });
    const leaf = group
      ?.members()
      .find(({ leafIndex }) => leafIndex === group.ownLeafIndex)?.leafNode;
    if (!leaf) throw new Error("no leaf");
    const { keyPackage } = await createKeyPackage(
      { ...context, storage: memoryStorage() },
      {
        suite: SUITE,
        credential: leaf.credential,
        signer,
        capabilities: defaultCapabilities(nodeCrypto),
        lifetime: leafLifetime(Date.now()),
      },
    );
    await storage.close();
    const commitHash = new Uint8Array(32);
    const { encryptionKey } = leaf;
    return signReport({ groupId, commitHash, encryptionKey, keyPackage }, signer);
  }
});

describe("a service that shows reports of its own", () => {
  it("takes nobody out by one that is over, or that another key signed", async () => {
    const on = await foursome();
    const { ada, ben, cy, id, seen, names } = on;
    await spoilCommit(on, 0);
    await until(cy, async () =>
      say(cy, id, "back").then(
        () => true,
        () => false,
      ),
    );
    await until(ben, async () => (await texts(ben, id)).includes("back"));
    const [, , cys] = seen;
    const old = cys?.reports[0]?.report;
    if (!old) throw new Error("no report");
    const forged = old.with(-1, (old.at(-1) ?? 0) ^ 1) as typeof old;
    const posts: string[] = [];
    let shown = 0;
    const lying: Fetch = async (input, init) => {
      const { pathname } = new URL(input);
      if (init.method === "POST") posts.push(pathname.split("/").at(-1) ?? "");
      if (init.method !== "GET" || !pathname.endsWith("/reports")) return fetch(input, init);
      shown++;
      const reports = [old, forged, old.slice(1)].map((report) => ({
        seq: 1,
        report,
        proven: true,
      }));
      return new Response(toJson({ reports }), { headers: { "content-type": "application/json" } });
    };
    await ada.close();
    const again = await world.device(names[0] ?? "", { fetch: lying });
    await until(again, async () => shown > 0);
    await untilTogether(on, [again, ben, cy], "all");
    expect(posts).not.toContain("commits");
  });
});
