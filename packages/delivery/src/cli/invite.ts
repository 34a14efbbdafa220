/**
 * `conclave-delivery invite`: codes for new accounts, made, listed and revoked; the service may run meanwhile.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type Configuration, didYouMean } from "../config.ts";
import { openBeside } from "../database.ts";
import { inviteHash, newInviteCode } from "../invites.ts";
import { OperatorError } from "../operator-error.ts";
import type { Store, StoredInvite } from "../store/store.ts";
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

const MINUTE = 60 * 1000;
const UNITS: Readonly<Record<string, number>> = {
  m: MINUTE,
  h: 60 * MINUTE,
  d: 24 * 60 * MINUTE,
};
/** The longest that a code may hold. */
const LONGEST = 3650 * 24 * 60 * MINUTE;
/** How many are made at a time. */
const MOST = 1000;
const PAGE = 500;
/** How much of its hash names a code, in hexadecimal digits. */
const ID = 12;

export const invite: Command = {
  help: `Usage: conclave-delivery invite [--count N] [--expires TIME] [--json] [--config FILE]
       conclave-delivery invite list [--json] [--config FILE]
       conclave-delivery invite revoke ID|CODE... [--json] [--config FILE]

Makes codes, each for one new account where \`registration\` is "invite". A code is shown here and never again: the
database has a hash of it. Where the configuration names one page that may use the service, its link is shown too.
The service may run meanwhile.

  --count N       so many of them; 1 by default
  --expires TIME  how long they hold: 30m, 12h, 14d; 14d by default

  list            those that there are: id, state, until when
  revoke          from now on nobody can use them; by the id that \`list\` shows, or the code itself

${JSON_OPTION}${CONFIG_OPTION}`,
  async run(world) {
    const { flags, values, config, rest } = parseCommand(
      world.args,
      ["json"],
      ["count", "expires"],
    );
    const [what, ...named] = rest;
    const making = what === undefined;
    if (!making && (values.count ?? values.expires) !== undefined) {
      throw new UsageError("--count and --expires are for making codes");
    }
    const json = flags.has("json");
    switch (what) {
      case undefined: {
        const count = countOf(values.count ?? "1");
        const lifetime = lifetimeOf(values.expires ?? "14d");
        return make(world, await configurationOf(world, config), { count, lifetime, json });
      }
      case "list":
        expectArguments(rest, "list");
        return list(world, await configurationOf(world, config), json);
      case "revoke":
        if (named.length === 0) throw new UsageError("ID or CODE is missing");
        return revoke(world, await configurationOf(world, config), named, json);
      default:
        throw new UsageError(
          `invite can list and revoke, not ${JSON.stringify(what)}${didYouMean(what, ["list", "revoke"])}`,
        );
    }
  },
};

function countOf(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= MOST) return count;
  throw new UsageError(`--count has to be a whole number from 1 to ${MOST}`);
}

function lifetimeOf(text: string): number {
  const [, count = "", unit = ""] = /^(\d+)([mhd])$/.exec(text) ?? [];
  const lifetime = Number(count) * (UNITS[unit] ?? 0);
  if (lifetime > 0 && lifetime <= LONGEST) return lifetime;
  throw new UsageError("--expires has to be a time such as 30m, 12h or 14d, at most 3650d");
}

function idOf(hash: Bytes): string {
  return Buffer.from(hash).toString("hex").slice(0, ID);
}

async function make(
  world: World,
  configuration: Configuration,
  how: { readonly count: number; readonly lifetime: number; readonly json: boolean },
): Promise<0> {
  const madeAt = world.now();
  const expiresAt = madeAt + how.lifetime;
  const made = Array.from({ length: how.count }, () => {
    const code = newInviteCode();
    const hash = inviteHash(code);
    if (hash === undefined) throw new Error("a code that was just made is none");
    return { code, hash, madeAt, expiresAt };
  });
  const { store, close } = await openBeside(configuration.database.url);
  try {
    await store.addInvites(made);
  } finally {
    await close();
  }
  const [page, ...others] = configuration.allowedOrigins;
  const linkOf = (code: string): string | undefined =>
    page === undefined || others.length > 0 ? undefined : `${page}/#invite=${code}`;
  if (how.json) {
    const shown = made.map(({ code, hash }) => ({
      id: idOf(hash),
      code,
      link: linkOf(code),
      expiresAt: timeText(expiresAt),
    }));
    writeJson(world, shown);
    return 0;
  }
  for (const { code } of made) world.write(`${[code, linkOf(code) ?? ""].join("  ").trimEnd()}\n`);
  if (configuration.registration !== "invite") {
    world.complain(
      `conclave-delivery: registration is "${configuration.registration}", so nobody needs a code: set it to "invite"\n`,
    );
  }
  return 0;
}

async function allInvites(store: Store): Promise<readonly StoredInvite[]> {
  const all: StoredInvite[] = [];
  for (let after: Bytes | undefined; ; ) {
    const page = await store.invites({ ...(after && { after }), limit: PAGE });
    all.push(...page);
    after = page.at(-1)?.hash;
    if (page.length < PAGE) break;
  }
  return all.toSorted((a, b) => a.madeAt - b.madeAt);
}

function stateOf({ spentAt, expiresAt }: StoredInvite, now: number): "open" | "spent" | "expired" {
  if (spentAt !== undefined) return "spent";
  return expiresAt > now ? "open" : "expired";
}

async function list(world: World, { database }: Configuration, json: boolean): Promise<0> {
  const { store, close } = await openBeside(database.url);
  try {
    const rows = (await allInvites(store)).map((one) => ({
      id: idOf(one.hash),
      state: stateOf(one, world.now()),
      madeAt: timeText(one.madeAt),
      expiresAt: timeText(one.expiresAt),
      ...(one.spentAt !== undefined && { spentAt: timeText(one.spentAt) }),
    }));
    if (json) writeJson(world, rows);
    else if (rows.length === 0) world.write("There are no codes.\n");
    else {
      for (const { id, state, madeAt, expiresAt, spentAt } of rows) {
        const until = spentAt === undefined ? `until ${expiresAt}` : `at ${spentAt}`;
        world.write(`${id}  ${state.padEnd(7)} ${until}, made ${madeAt}\n`);
      }
    }
  } finally {
    await close();
  }
  return 0;
}

async function revoke(
  world: World,
  { database }: Configuration,
  named: readonly string[],
  json: boolean,
): Promise<0> {
  const { store, close } = await openBeside(database.url);
  try {
    const all = await allInvites(store);
    const found = named.map((name) => {
      const hash = inviteHash(name);
      const id = hash === undefined ? name.toLowerCase() : idOf(hash);
      const known = all.filter((one) => idOf(one.hash) === id);
      const [first] = known;
      // What was typed may be a code: it isn't said again.
      if (first === undefined)
        throw new OperatorError("there is no such code: `list` shows those that there are");
      if (first.spentAt !== undefined)
        throw new OperatorError(`${id} is spent: its account is there`);
      return { id, known };
    });
    for (const { id, known } of found) {
      for (const { hash } of known) await store.revokeInvite(hash);
      if (!json) world.write(`${id} is revoked.\n`);
    }
    if (json)
      writeJson(
        world,
        found.map(({ id }) => ({ id, state: "revoked" })),
      );
  } finally {
    await close();
  }
  return 0;
}
