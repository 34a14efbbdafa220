/**
 * A run: writers write while what they write to is killed; then everything is compared with everything.
 * @module
 */

import { check, type Evidence, type Finding, type Logged } from "./check.ts";
import { connect } from "./connection.ts";
import type { Deployment } from "./deployment.ts";
import { type Ledger, newLedger } from "./ledger.ts";
import { seeded } from "./random.ts";
import { type Account, newWriter, type Writer } from "./writer.ts";

export interface Settings {
  readonly seconds: number;
  readonly writers: number;
  readonly groups: number;
  /** In how many groups each writer is, about. */
  readonly each: number;
  readonly seed: number;
}

export interface Report {
  readonly acknowledged: number;
  readonly epochs: number;
  readonly messages: number;
  readonly welcomes: number;
  /** Whole answers that said to try again, and attempts without an answer. */
  readonly retries: ReadonlyMap<string, number>;
  readonly refusals: ReadonlyMap<string, number>;
  readonly kills: ReadonlyMap<string, number>;
  readonly findings: readonly Finding[];
}

export async function run(deployment: Deployment, settings: Settings): Promise<Report> {
  const ledger = newLedger();
  const { seed } = settings;
  const random = seeded(seed);
  const everybody: Account[] = [];
  const size = Math.max(2, Math.round((settings.writers * settings.each) / settings.groups));
  const writers: Writer[] = [];
  for (let i = 0; i < settings.writers; i++) {
    const own = seeded(seed * 1000 + i);
    const ask = connect(deployment.urls, ledger, own);
    const writer = await newWriter(`Writer ${i}`, { ask, ledger, random: own, size, everybody });
    everybody.push(writer.account);
    writers.push(writer);
  }
  await together(writers, ledger, (writer) => writer.catchUp());
  const founders = new Map<string, Writer>();
  for (let i = 0; i < settings.groups; i++) {
    const founder = writers[i % writers.length];
    if (founder === undefined) throw new RangeError("there are no writers");
    const others = shuffled(everybody.filter((account) => account !== founder.account));
    founders.set(await founder.found(others.slice(0, size - 1)), founder);
  }

  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), settings.seconds * 1000);
  const killing = deployment
    .plague(random, over.signal)
    .catch((error: unknown) => {
      ledger.stuck.push(`what was killed did not come back: ${traceOf(error)}`);
    })
    .finally(() => over.abort());
  await together(writers, ledger, async (writer) => {
    while (!over.signal.aborted) await writer.act();
  });
  clearTimeout(timer);
  await killing;

  await together(writers, ledger, (writer) => writer.catchUp());
  const said = await prove([...founders.keys()], writers, ledger);
  await together(writers, ledger, (writer) => writer.catchUp());
  const logs = new Map<string, readonly Logged[]>();
  for (const [groupId, founder] of founders) logs.set(groupId, await founder.wholeLog(groupId));
  const readings = writers.flatMap((writer) => writer.readings());
  for (const { groupId, text } of said) {
    for (const { member, entries, end, groupId: id } of readings) {
      if (id !== groupId || end === undefined) continue;
      if (!entries.some((entry) => entry.text === text)) {
        ledger.stuck.push(`${member} did not read: ${text}`);
      }
    }
  }

  const { acknowledged, welcomesSent: sent, welcomesFound: found, claimed, stuck } = ledger;
  const evidence: Evidence = {
    acknowledged,
    logs,
    readings,
    welcomes: { sent, found },
    claimed,
    stuck: [...stuck, ...deployment.crashes],
  };
  const entries = [...logs.values()].flat();
  const epochs = entries.filter(({ kind }) => kind === "commit").length;
  return {
    acknowledged: acknowledged.length,
    epochs,
    messages: entries.length - epochs,
    welcomes: found.length,
    retries: ledger.retries,
    refusals: ledger.refusals,
    kills: deployment.kills,
    findings: check(evidence),
  };

  function shuffled<T>(values: readonly T[]): readonly T[] {
    const left = [...values];
    return Array.from(values, () => left.splice(random.between(0, left.length), 1)).flat();
  }
}

/** Each member of each group commits and sends once more, now that nothing is killed. */
async function prove(
  groupIds: readonly string[],
  writers: readonly Writer[],
  ledger: Ledger,
): Promise<readonly { readonly groupId: string; readonly text: string }[]> {
  const said: { groupId: string; text: string }[] = [];
  await together(writers, ledger, async (writer) => {
    for (const groupId of groupIds) {
      const text = await writer.prove(groupId);
      if (text !== undefined) said.push({ groupId, text });
    }
  });
  return said;
}

/** All at the same time. Who fails is stuck, and the others go on. */
async function together(
  writers: readonly Writer[],
  ledger: Ledger,
  work: (writer: Writer) => Promise<void>,
): Promise<void> {
  await Promise.all(
    writers.map(async (writer) => {
      try {
        await work(writer);
      } catch (error) {
        ledger.stuck.push(`${writer.account.name}: ${traceOf(error)}`);
      }
    }),
  );
}

function traceOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
