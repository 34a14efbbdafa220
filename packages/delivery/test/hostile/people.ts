/**
 * Those who attack, with what they may have: accounts and groups of their own, whose requests are good until they are spoiled. And those
 * who are attacked: what of theirs nobody else may see.
 * @module
 */

import { bytesToText, linkIdOf, PROBLEMS, proveLink, toJson } from "@conclave/delivery/protocol";
import {
  addAll,
  aGroup,
  aKeyPackage,
  bundleBody,
  commitLinks,
  type Member,
  newLink,
  newMember,
  startGroup,
} from "../member.ts";
import { type Bytes, call, newPerson, proveSignIn, random, signList } from "../world.ts";
import type { Talk } from "./honest.ts";
import type { Place } from "./run.ts";

/** A request that the service would take. */
export interface Good {
  readonly method: string;
  readonly path: string;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface Attacker {
  readonly member: Member;
  readonly groupId: Bytes;
  readonly good: readonly Good[];
}

export interface Target {
  /** Ids of the attacked that an attacker came to know. */
  readonly groupIds: readonly Bytes[];
  readonly accountIds: readonly Bytes[];
  readonly linkIds: readonly Bytes[];
  readonly sessionIds: readonly Bytes[];
  readonly blobIds: readonly Bytes[];
  readonly names: readonly string[];
  /** A token that is good, for the run alone: whoever is answered with it learned it. */
  readonly secrets: readonly { readonly what: string; readonly text: string }[];
  /** A token that ended. */
  readonly staleToken: string;
}

const MLS = "message/mls";

function json(method: string, path: string, value: unknown): Good {
  return { method, path, type: "application/json", body: Buffer.from(toJson(value)) };
}

const OCTETS = "application/octet-stream";

/** An upload that is half done. */
async function aBlob(place: Place, { token }: Member): Promise<Bytes> {
  const headers = { "content-type": OCTETS, "upload-length": "131072" };
  const made = await call(place, "POST", "/v1/blobs", { token, headers, body: random(65_536) });
  return new Uint8Array(Buffer.from(made.body.blobId, "base64url"));
}

export async function anAttacker(place: Place, name: string): Promise<Attacker> {
  const member = await newMember(place, name);
  const group = await startGroup(place, member);
  const { groupId } = group;
  const at = `/v1/groups/${bytesToText(groupId)}`;
  const other = await newPerson(`${name} again`);
  const messages: Good[] = [];
  for (let i = 0; i < 4; i++) {
    const message = await group.send(random(100));
    messages.push({ method: "POST", path: `${at}/messages`, type: MLS, body: message });
  }
  const fresh = await aGroup(member);
  const newGroup = {
    groupInfo: await fresh.groupInfo({ externalPub: false }),
    ratchetTree: fresh.ratchetTree(),
  };
  const bundle = await bundleBody(group, await group.commit());
  const keyPackages = [await aKeyPackage(member), await aKeyPackage(member)];
  const proof = await proveLink(
    { groupId, epoch: 0n, leafNode: random(60) },
    (await newLink()).key,
  );
  const blob = bytesToText(await aBlob(place, member));
  const { accountId } = member.person;
  const account = bytesToText(accountId);
  const good: Good[] = [
    ...messages,
    json("POST", `${at}/commits`, bundle),
    json("POST", `${at}/commits`, { ...bundle, welcome: proof }),
    json("POST", "/v1/groups", newGroup),
    json("POST", "/v1/key-packages", { keyPackages, lastResort: await aKeyPackage(member) }),
    json("POST", "/v1/key-packages/claim", { accountId, suites: [1] }),
    json("POST", "/v1/accounts", {
      deviceList: await signList(other),
      signIn: await proveSignIn(other),
    }),
    json("POST", "/v1/sessions", { signIn: await proveSignIn(member.person) }),
    json("POST", "/v1/directory/lookup", { name }),
    json("PUT", `/v1/accounts/${account}/device-list`, {
      deviceList: await signList(member.person),
    }),
    json("DELETE", `/v1/accounts/${account}`, { deviceList: await signList(member.person) }),
    json("POST", "/v1/inbox/ack", { upTo: 0 }),
    json("POST", "/v1/sessions/end", { deviceId: random(16) }),
    json("POST", "/v1/contacts/requests", { name: "whoever it is" }),
    json("PUT", `/v1/contacts/${bytesToText(random(32))}`, { state: "allowed" }),
    json("PUT", "/v1/account/contact", { contact: "ask" }),
    { method: "DELETE", path: `/v1/contacts/${bytesToText(random(32))}` },
    { method: "DELETE", path: `/v1/sessions/${bytesToText(random(32))}` },
    {
      method: "POST",
      path: `${at}/signals`,
      type: OCTETS,
      body: random(200),
    },
    {
      method: "POST",
      path: "/v1/blobs",
      type: OCTETS,
      headers: { "upload-length": "3000", "upload-complete": "?1" },
      body: random(3000),
    },
    {
      method: "PATCH",
      path: `/v1/blobs/${blob}`,
      type: "application/partial-upload",
      headers: { "upload-offset": "65536", "upload-complete": "?1" },
      body: random(65_536),
    },
    { method: "GET", path: `/v1/blobs/${blob}`, headers: { range: "bytes=5-900" } },
    ...[
      `${at}/log?after=0&limit=5`,
      `${at}/tree`,
      `${at}/tree?epoch=0`,
      `/v1/accounts/${account}/device-list`,
      "/v1/groups",
      "/v1/inbox?after=0",
      "/v1/key-packages",
      "/v1/sessions",
      "/v1/contacts",
      "/v1/contacts/requests",
      "/health",
    ].map((path) => ({ method: "GET", path })),
  ];
  return { member, groupId, good };
}

/** The attacked: those who talk, and two whom nobody may reach, with a link, an inbox, key packages and a session. */
export async function targetOf(place: Place, talk: Talk): Promise<Target> {
  const [ada, ben] = [
    await newMember(place, "Canary Adalind Quillfeather"),
    await newMember(place, "Canary Benedikt Murmelstein"),
  ];
  const group = await startGroup(place, ada);
  const link = await newLink();
  await commitLinks(place, ada, group, [link]);
  const hidden = await startGroup(place, ada);
  await addAll(place, { member: ada, group: hidden }, []).catch(() => undefined);
  const keyPackages = [await aKeyPackage(ben), await aKeyPackage(ben)];
  await call(place, "POST", "/v1/key-packages", { token: ben.token, body: { keyPackages } });
  const sessions = await call(place, "GET", "/v1/sessions", { token: ada.token });
  const sessionIds: Bytes[] = sessions.body.sessions.map(
    (one: { readonly sessionId: string }) =>
      new Uint8Array(Buffer.from(one.sessionId, "base64url")),
  );
  const old = await call(place, "POST", "/v1/sessions", {
    body: { signIn: await proveSignIn(ben.person) },
  });
  const staleToken: string = old.body.token;
  await call(place, "DELETE", "/v1/sessions", { token: staleToken });
  const everybody = [ada, ben, ...talk.members];
  const secrets = [
    ...everybody.flatMap(({ person, token }) => [
      { what: "a name", text: person.name },
      { what: "a token", text: token },
      { what: "a device", text: bytesToText(person.device.deviceId) },
      { what: "a sign-in key", text: bytesToText(person.device.signInKey) },
    ]),
    ...keyPackages.map((one) => ({ what: "a key package", text: bytesToText(one) })),
    { what: "a group that is not named", text: bytesToText(hidden.groupId) },
    { what: "a file of ours", text: "/packages/delivery" },
    { what: "the store", text: "SQLITE" },
  ];
  return {
    groupIds: [talk.groupId, group.groupId],
    accountIds: everybody.map(({ person }) => person.accountId),
    linkIds: [await linkIdOf(link.link.signatureKey)],
    sessionIds,
    blobIds: [await aBlob(place, ada), await aBlob(place, ben)],
    names: everybody.map(({ person }) => person.name),
    secrets,
    staleToken,
  };
}

/** Whether a code is one that the service has. */
export function isCode(code: unknown): boolean {
  return typeof code === "string" && Object.hasOwn(PROBLEMS, code);
}
