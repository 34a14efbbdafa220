/**
 * What the process says of itself: one line an event, for machines or for eyes. Nothing in it says who, which group,
 * or what.
 * @module
 */

import type { LogLine } from "./service.ts";

/** `request`: everything; `event`: all but requests; `error`: what nobody foresaw. */
export type LogLevel = "request" | "event" | "error";

export interface Log {
  readonly request: (line: LogLine) => void;
  /** Something happened to the process. */
  readonly event: (event: string, details?: Details) => void;
  /** Something failed that should not. */
  readonly error: (event: string, details?: Details) => void;
}

type Details = Readonly<Record<string, string | number | undefined>>;

export function createLog(options: {
  readonly level: LogLevel;
  readonly format: "json" | "text";
  readonly write: (line: string) => void;
  readonly now: () => number;
}): Log {
  const { level, format, write, now } = options;

  function say(severity: "info" | "error", event: string, at: number, details: Details): void {
    const time = new Date(at).toISOString();
    if (format === "json") {
      write(`${JSON.stringify({ time, level: severity, event, ...details })}\n`);
      return;
    }
    const pairs = Object.entries(details).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    write(`${[time, severity, event, ...pairs].join(" ")}\n`);
  }

  return {
    request({ time, ...details }) {
      const severity = details.error === undefined ? "info" : "error";
      if (level === "request" || severity === "error") say(severity, "request", time, details);
    },
    event(event, details = {}) {
      if (level !== "error") say("info", event, now(), details);
    },
    error(event, details = {}) {
      say("error", event, now(), details);
    },
  };
}
