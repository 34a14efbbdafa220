/** Where each difference shows: a probe whose answer changes when the text is followed in this one thing. */
import { chromium, type DifferenceName, differences } from "@conclave/csp";
import type { Probe } from "./probes.ts";
import { type Case, expectedOutcome, makeCase, type Outcome } from "./run.ts";

export interface Shown {
  readonly difference: DifferenceName;
  /** With that one probe. */
  readonly page: Case;
}

/** What the engine says as Chromium does, and what it says where it follows the text in this. */
export async function bothOutcomes({
  difference,
  page,
}: Shown): Promise<{ readonly chromium: Outcome; readonly text: Outcome }> {
  const [probe] = page.probes;
  if (!probe) throw new Error("a case has a probe");
  const without = { name: "text", has: (name: DifferenceName) => name !== difference };
  return {
    chromium: await expectedOutcome(probe, page, chromium),
    text: await expectedOutcome(probe, page, without),
  };
}

/** Searches the first `count` cases of `size` probes; each difference is shown once. */
export async function findShown(count: number, size: number): Promise<Shown[]> {
  const wanted = new Set(Object.keys(differences) as DifferenceName[]);
  const found: Shown[] = [];
  for (let seed = 1; seed <= count && wanted.size > 0; seed++) {
    const page = makeCase(seed, size);
    for (const probe of page.probes) {
      for (const difference of (await differencesAsked(probe, page)).intersection(wanted)) {
        const shown = { difference, page: { ...page, probes: [probe] } };
        const outcomes = await bothOutcomes(shown);
        if (JSON.stringify(outcomes.chromium) === JSON.stringify(outcomes.text)) continue;
        wanted.delete(difference);
        found.push(shown);
      }
    }
  }
  return found;
}

/** The differences that the answer may depend on. */
async function differencesAsked(probe: Probe, page: Case): Promise<Set<DifferenceName>> {
  const asked = new Set<DifferenceName>();
  const has = (name: DifferenceName): boolean => {
    asked.add(name);
    return true;
  };
  await expectedOutcome(probe, page, { name: "recording", has });
  return asked;
}
