/** Valid bytes of every kind: what a group of five says and stores, and arbitrary values of each structure. */

import type { Group } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { PublicGroup } from "@conclave/mls/public-group";
import {
  add,
  addProposal,
  joinByLink,
  keyPackageOf,
  type Person,
  person,
  persons,
  type Room,
  room,
  utf8,
} from "../people.ts";

const SECRET = utf8("shared");

/** What was said, and what stands in the storages. */
export interface Said {
  readonly messages: readonly Bytes[];
  readonly trees: readonly Bytes[];
  /** Records by the kind that their key tells. */
  readonly records: ReadonlyMap<string, readonly Bytes[]>;
  readonly publicStates: readonly Bytes[];
  readonly room: Room;
  readonly outsider: Person;
}

const KINDS: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ["state", /\/state$/],
  ["secrets", /\/secrets$/],
  ["pending", /\/pending$/],
  ["node", /\/node\/\d+$/],
  ["key", /\/(key|update)\/[^/]+$/],
  ["ratchet", /\/tree\/\d+\/r\//],
  ["message key", /\/tree\/\d+\/k\//],
  ["proposal", /\/proposal\/\d+$/],
  ["key package", /^key-package\//],
];

async function recordsOf(people: readonly Person[]): Promise<Map<string, Bytes[]>> {
  const records = new Map<string, Bytes[]>(KINDS.map(([kind]) => [kind, []]));
  for (const { storage } of people) {
    for (const [key, value] of await storage.list("")) {
      const kind = KINDS.find(([, pattern]) => pattern.test(key))?.[0];
      if (kind) records.get(kind)?.push(value);
    }
  }
  return records;
}

/** Five people who have done a bit of everything, with a commit under way and proposals pending. */
export async function conversation(): Promise<Said> {
  const externalPsk = async () => SECRET.slice();
  const options = { externalPsk, capabilities: { extensions: [0xf001], proposals: [0xf002] } };
  const people = await persons(["alice", "bob", "carol", "dave", "erin"], options);
  const where = await room(people, {
    extensions: [
      { extensionType: 3, extensionData: Uint8Array.of(2, 0xf0, 1, 2, 0xf0, 2, 2, 0, 1) },
      { extensionType: 0xf001, extensionData: utf8("the application's own") },
    ],
  });
  const messages: Bytes[] = [];
  const trees: Bytes[] = [];
  const everyone = [...where.groups];
  const all = async (message: Bytes): Promise<void> => {
    messages.push(message);
    for (const group of everyone) if (group.status === "active") await group.receive(message);
  };
  const commit = async (by: Group, proposals: Parameters<Group["commit"]>[0] = {}) => {
    const bundle = await by.commit({ ...proposals, groupInfoForJoiners: true });
    await all(bundle.commit);
    messages.push(bundle.groupInfo);
    if (bundle.groupInfoForJoiners) messages.push(bundle.groupInfoForJoiners);
    if (bundle.welcome) messages.push(bundle.welcome);
    trees.push(by.ratchetTree());
    return bundle;
  };
  const [alice, bob, carol] = [where.at(0).group, where.at(1).group, where.at(2).group];
  await commit(bob);
  await commit(carol);
  const frank = await person("frank", options);
  await all(await bob.proposeUpdate());
  await commit(alice, { proposals: [await addProposal(frank)] });
  const psk = { pskType: "external", pskId: utf8("shared"), pskNonce: new Uint8Array(32) } as const;
  await commit(bob, { proposals: [{ proposalType: "psk", psk }] });
  await commit(bob, { proposals: [{ proposalType: "remove", removed: 5 }], joinerExtensions: [] });
  const grace = await person("grace", options);
  const joined = await joinByLink(grace, alice, everyone.slice(1));
  everyone.push(joined);
  trees.push(joined.ratchetTree());
  const heidi = await person("heidi", options);
  const [h] = await add(alice, [heidi], everyone.slice(1));
  if (h) everyone.push(h);
  for (const by of [alice, bob, carol]) {
    await by.send(utf8("a message that comes late, or never"));
    const message = await by.send(utf8("hello"));
    messages.push(message);
    for (const group of everyone) if (group !== by) await group.receive(message);
  }
  const outsider = await person("outsider", options);
  messages.push(await keyPackageOf(outsider), await keyPackageOf(frank));
  messages.push(await alice.groupInfo({ externalPub: true }));
  const proposals = [
    await carol.proposeUpdate(),
    await bob.propose({ proposalType: "remove", removed: 4 }),
    await bob.propose({ proposalType: "psk", psk }),
    await bob.propose({ proposalType: "other", number: 0xf002, data: utf8("custom") }),
    await carol.propose(await addProposal(outsider)),
  ];
  for (const proposal of proposals) await all(proposal);
  const pending = await alice.commit();
  messages.push(pending.commit);
  trees.push(alice.ratchetTree());
  let { observer } = where;
  const groupInfo = await bob.groupInfo({ externalPub: false });
  observer = await PublicGroup.open(where.at(0).person.context, {
    groupInfo,
    ratchetTree: bob.ratchetTree(),
  });
  const publicStates = [observer.state()];
  for (const proposal of proposals) observer = (await observer.process(proposal)).group;
  publicStates.push(observer.state());
  return {
    messages,
    trees,
    records: await recordsOf([...people, grace, heidi, outsider]),
    publicStates,
    room: { ...where, groups: everyone, observer, people: [...people, grace, heidi] },
    outsider,
  };
}
