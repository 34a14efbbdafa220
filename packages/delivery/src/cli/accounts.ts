/**
 * `conclave-delivery accounts`: the accounts as the operator sees them, which is without anything that they say; the service may
 * run meanwhile.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "../bytes.ts";
import { didYouMean } from "../config.ts";
import { openBeside, type StoreBeside } from "../database.ts";
import { OperatorError } from "../operator-error.ts";
import { normalizeName } from "../protocol/index.ts";
import type { Account, Store } from "../store/store.ts";
import { inWords } from "../system-error.ts";
import {
  CONFIG_OPTION,
  type Command,
  configurationOf,
  expectArguments,
  JSON_OPTION,
  parseCommand,
  timeText,
  UsageError,
  type World,
  writeJson,
} from "./command.ts";

const PAGE = 500;
const VERBS = ["list", "show", "disable", "enable", "delete"] as const;
type Verb = (typeof VERBS)[number];

export const accounts: Command = {
  help: `Usage: conclave-delivery accounts list [--json] [--config FILE]
       conclave-delivery accounts show NAME|ID [--json] [--config FILE]
       conclave-delivery accounts disable NAME|ID [--json] [--config FILE]
       conclave-delivery accounts enable NAME|ID [--json] [--config FILE]
       conclave-delivery accounts delete NAME|ID --yes [--json] [--config FILE]

Who has an account, and what becomes of it. The service may run meanwhile, and hears of it at once.

  list           every account: its name, its state, its id
  show           one of them: its devices, sessions, groups and blobs, as far as the service knows of them
  disable        none of its devices can sign in, and those that are signed in are no more; all that it has stays
  enable         takes that back
  delete         as when the person deletes it: the name is free, and what was the account's alone is gone for good
  --yes          is asked for by \`delete\`
${JSON_OPTION}${CONFIG_OPTION}`,
  async run(world) {
    const { flags, config, rest } = parseCommand(world.args, ["json", "yes"]);
    const verb = VERBS.find((one) => one === rest[0]);
    if (verb === undefined) {
      const [word] = rest;
      const said =
        word === undefined ? "" : `, not ${JSON.stringify(word)}${didYouMean(word, VERBS)}`;
      throw new UsageError(`accounts can ${VERBS.join(", ")}${said}`);
    }
    expectArguments(rest, "VERB", ...(verb === "list" ? [] : ["NAME or ID"]));
    if (verb === "delete" && !flags.has("yes")) {
      throw new UsageError("delete can't be taken back: say --yes");
    }
    if (verb !== "delete" && flags.has("yes")) throw new UsageError("--yes is for delete");
    const { database } = await configurationOf(world, config);
    const beside = await openBeside(database.url);
    try {
      if (verb === "list") await list(world, beside.store, flags.has("json"));
      else {
        const account = await find(beside.store, rest[1] ?? "");
        await act(verb, { world, beside, account, json: flags.has("json") });
      }
    } finally {
      await beside.close();
    }
    return 0;
  },
};

/** By the id where it looks like one: no name is that long. */
async function find(store: Store, named: string): Promise<Account> {
  const id = /^[0-9a-f]{64}$/i.test(named) ? new Uint8Array(Buffer.from(named, "hex")) : undefined;
  const account = await store.findAccount(
    id === undefined ? { name: nameOf(named) } : { accountId: id },
  );
  if (account === undefined) {
    throw new OperatorError(`there is no account ${JSON.stringify(named)}: \`list\` shows them`);
  }
  return account;
}

function nameOf(text: string): string {
  try {
    return normalizeName(text);
  } catch {
    throw new UsageError(`${JSON.stringify(text)} is neither a name nor an id`);
  }
}

function hex(bytes: Bytes): string {
  return Buffer.from(bytes).toString("hex");
}

function stateOf({ disabledAt }: Account): "enabled" | "disabled" {
  return disabledAt === undefined ? "enabled" : "disabled";
}

/** Page by page: there may be many. */
async function list(world: World, store: Store, json: boolean): Promise<void> {
  let after: string | undefined;
  let separator = "[";
  do {
    const page = await store.accounts({ ...(after !== undefined && { after }), limit: PAGE });
    for (const account of page) {
      const [id, state] = [hex(account.accountId), stateOf(account)];
      if (!json) world.write(`${account.name.padEnd(24)} ${state.padEnd(8)} ${id}\n`);
      else {
        world.write(`${separator}\n  ${JSON.stringify({ name: account.name, state, id })}`);
        separator = ",";
      }
    }
    after = page.length === PAGE ? page.at(-1)?.name : undefined;
  } while (after !== undefined);
  if (json) world.write(separator === "[" ? "[]\n" : "\n]\n");
}

async function act(
  verb: Exclude<Verb, "list">,
  {
    world,
    beside,
    account,
    json,
  }: {
    readonly world: World;
    readonly beside: StoreBeside;
    readonly account: Account;
    readonly json: boolean;
  },
): Promise<void> {
  const { store } = beside;
  const { accountId, name } = account;
  const now = world.now();
  const done = (state: string, sentence: string): void => {
    if (json) writeJson(world, { name, id: hex(accountId), state });
    else world.write(`${name} ${sentence}\n`);
  };
  const gone = (): OperatorError => new OperatorError(`${name} was deleted meanwhile`);
  switch (verb) {
    case "show":
      return show(world, store, account, json);
    case "disable": {
      const disabled = await store.setDisabled(accountId, now);
      if (disabled === "unknown") throw gone();
      await tell(world, beside, disabled.devices);
      return done("disabled", "is disabled: nobody is signed in, and nobody can.");
    }
    case "enable":
      if ((await store.setDisabled(accountId, undefined)) === "unknown") throw gone();
      return done("enabled", "is enabled.");
    case "delete": {
      const deleted = await store.deleteAccount(accountId, { now });
      if (typeof deleted === "string") throw gone();
      await tell(world, beside, deleted.devices);
      return done("deleted", "is deleted, and the name is free.");
    }
  }
}

/** What was done is done, whether the service hears of it or not: it looks anyway, with each request and each heartbeat. */
async function tell(world: World, beside: StoreBeside, devices: readonly number[]): Promise<void> {
  try {
    await beside.ringRevoked(devices, world.now());
  } catch (error) {
    const reason = error instanceof OperatorError ? error.message : inWords(error);
    if (reason === undefined) throw error;
    world.complain(
      `conclave-delivery: warning: a service that runs was not told, and ends open connections with its next heartbeat: ${reason}\n`,
    );
  }
}

async function show(world: World, store: Store, account: Account, json: boolean): Promise<void> {
  const { accountId, name, disabledAt } = account;
  const now = world.now();
  const listed = await store.devicesOf(accountId);
  const sessions = await store.sessionsOf(accountId, now);
  const groups = new Set<string>();
  for (const { device } of listed) {
    for (const group of await store.currentGroupsOf(device, Number.MAX_SAFE_INTEGER)) {
      groups.add(hex(group.groupId));
    }
  }
  const blobs = await blobsOf(store, accountId, now);
  const devices = listed.map(({ deviceId, revokedAt }) => ({
    id: hex(deviceId),
    sessions: sessions.filter((one) => sameBytes(one.deviceId, deviceId)).length,
    ...(revokedAt !== 0n && { revokedAt: timeText(Number(revokedAt) * 1000) }),
  }));
  if (json) {
    const shown = {
      name,
      id: hex(accountId),
      state: stateOf(account),
      ...(disabledAt !== undefined && { disabledAt: timeText(disabledAt) }),
      listExpiresAt: timeText(Number(account.expiresAt) * 1000),
      groups: groups.size,
      blobs: blobs.count,
      blobBytes: blobs.bytes,
      devices,
    };
    writeJson(world, shown);
    return;
  }
  const rows = [
    ["name", name],
    ["id", hex(accountId)],
    ["state", disabledAt === undefined ? "enabled" : `disabled since ${timeText(disabledAt)}`],
    ["device list until", timeText(Number(account.expiresAt) * 1000)],
    ["groups", String(groups.size)],
    ["blobs", `${blobs.count}, ${blobs.bytes} bytes`],
    ...devices.map((device) => [
      "device",
      `${device.id}, ${device.revokedAt === undefined ? `${device.sessions} sessions` : `revoked ${device.revokedAt}`}`,
    ]),
  ];
  for (const [what = "", how = ""] of rows) world.write(`${what.padEnd(18)} ${how}\n`);
}

async function blobsOf(
  store: Store,
  accountId: Bytes,
  now: number,
): Promise<{ readonly count: number; readonly bytes: number }> {
  let count = 0;
  let bytes = 0;
  for (let after: Bytes | undefined; ; ) {
    const page = await store.blobsOf(accountId, { ...(after && { after }), limit: PAGE, now });
    count += page.length;
    for (const { size } of page) bytes += size;
    after = page.at(-1)?.blobId;
    if (page.length < PAGE) return { count, bytes };
  }
}
