import { expect, it } from "vitest";
import { createLog, type LogLevel } from "../src/log.ts";

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5);
const REQUEST = { time: TIME, route: "log", status: 200, duration: 3 } as const;
const FAILED = { ...REQUEST, status: 500, code: "internal", error: "TypeError at x" } as const;

function lines(level: LogLevel, format: "json" | "text"): readonly string[] {
  const written: string[] = [];
  const log = createLog({ level, format, write: (line) => written.push(line), now: () => TIME });
  log.request(REQUEST);
  log.request(FAILED);
  log.event("started", { version: "1.0.0" });
  log.error("sweep-failed");
  return written;
}

it("writes one JSON object a line", () => {
  const time = "2026-01-02T03:04:05.000Z";
  expect(lines("request", "json").map((line) => JSON.parse(line))).toEqual([
    { time, level: "info", event: "request", route: "log", status: 200, duration: 3 },
    {
      time,
      level: "error",
      event: "request",
      route: "log",
      status: 500,
      duration: 3,
      code: "internal",
      error: "TypeError at x",
    },
    { time, level: "info", event: "started", version: "1.0.0" },
    { time, level: "error", event: "sweep-failed" },
  ]);
});

it("writes less when less is wanted, and never fewer than the errors", () => {
  const events = (level: LogLevel) =>
    lines(level, "json").map((line) => (JSON.parse(line) as { event: string }).event);
  expect(events("event")).toEqual(["request", "started", "sweep-failed"]);
  expect(events("error")).toEqual(["request", "sweep-failed"]);
});

it("writes for eyes", () => {
  expect(lines("request", "text")[0]).toBe(
    "2026-01-02T03:04:05.000Z info request route=log status=200 duration=3\n",
  );
});
