/**
 * What the service did since it started, counted from the lines of its log: numbers for the operator, and no more
 * than the log itself says.
 * @module
 */

import type { LogLine } from "@conclave/delivery";

export interface Counter {
  readonly name: string;
  readonly value: number;
}

export interface Counters {
  readonly count: (line: LogLine) => void;
  readonly list: () => readonly Counter[];
}

const accepted = (route: LogLine["route"]) => (line: LogLine) =>
  line.route === route && line.status < 300;

const COUNTERS: readonly (readonly [name: string, counts: (line: LogLine) => boolean])[] = [
  ["Accounts made", accepted("register")],
  ["Sign-ins", accepted("signIn")],
  ["Groups made", accepted("createGroup")],
  ["Commits", accepted("commit")],
  ["Messages", accepted("message")],
  ["Requests", () => true],
  ["Refused", ({ status }) => status >= 400 && status < 500],
  ["Failed", ({ status }) => status >= 500],
];

export function createCounters(): Counters {
  const values = COUNTERS.map(() => 0);
  return {
    count(line) {
      COUNTERS.forEach(([, counts], i) => {
        if (counts(line)) values[i] = (values[i] ?? 0) + 1;
      });
    },
    list: () => COUNTERS.map(([name], i) => ({ name, value: values[i] ?? 0 })),
  };
}
