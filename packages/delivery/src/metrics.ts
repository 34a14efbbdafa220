/**
 * Numbers for Prometheus. Labels are names out of tables of ours (routes, codes, methods of the store): never an id,
 * a name or an address.
 * @module
 */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Doorbell, Ring } from "./doorbell.ts";
import type { LogLine, ServiceStatus } from "./service.ts";
import type { Statistics, Store } from "./store/store.ts";

export interface Metrics {
  /** Counts a request. */
  readonly request: (line: LogLine) => void;
  /** The same store, with each method's time taken. */
  readonly store: (store: Store) => Store;
  /** The same doorbell, with its rings counted. */
  readonly doorbell: (doorbell: Doorbell) => Doorbell;
  /** From now on, what the service says of itself is among the numbers. */
  readonly watch: (status: () => ServiceStatus) => void;
  /** Counts what a sweep deleted, by kind. */
  readonly swept: (counts: Readonly<Record<string, number>>, now: number) => void;
  /** What the store holds, as of its last look: counting it takes a while, so it isn't done whenever somebody asks. */
  readonly holds: (statistics: Statistics) => void;
  /** Refusals since the start, by code, the most frequent first. */
  readonly refusals: () => Promise<readonly (readonly [code: string, count: number])[]>;
  /** In the text format of Prometheus. */
  readonly text: () => Promise<string>;
  readonly contentType: string;
}

/** Seconds: from what a read of SQLite takes to where clients give up. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Of what the store holds. */
const HELD = [
  ["accounts", "Accounts, as of the last sweep."],
  ["devices", "Devices that are not revoked, as of the last sweep."],
  ["groups", "Groups, as of the last sweep."],
  ["welcomes", "Welcomes that wait in inboxes, as of the last sweep."],
  ["bytes", "Bytes of the database, as of the last sweep."],
] as const;
const LAST_BACKUP = "When `conclave-delivery backup` last made a copy.";

export function createMetrics(): Metrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });
  const requests = new Histogram({
    name: "conclave_request_seconds",
    help: "Requests by route and status, and how long they took.",
    labelNames: ["route", "status"],
    buckets: SECONDS,
    registers,
  });
  const refusals = new Counter({
    name: "conclave_refusals_total",
    help: "Requests that were refused, by the problem's code.",
    labelNames: ["code"],
    registers,
  });
  const storeSeconds = new Histogram({
    name: "conclave_store_seconds",
    help: "Transactions of the store by method, and how long they took.",
    labelNames: ["method"],
    buckets: SECONDS,
    registers,
  });
  const storeFailures = new Counter({
    name: "conclave_store_failures_total",
    help: "Transactions of the store that failed, by method.",
    labelNames: ["method"],
    registers,
  });
  const rings = new Counter({
    name: "conclave_rings_total",
    help: "Rings of the doorbell: rung by this process, and heard from any.",
    labelNames: ["type", "direction"],
    registers,
  });
  const swept = new Counter({
    name: "conclave_swept_total",
    help: "What sweeps deleted: rows that had expired, messages past their time.",
    labelNames: ["kind"],
    registers,
  });
  const sweptAt = new Gauge({
    name: "conclave_last_sweep_timestamp_seconds",
    help: "When the last sweep ended.",
    registers,
  });

  const gauges = new Map<string, Gauge>();
  function gaugeOf(name: string, help: string): Gauge {
    const held = gauges.get(name);
    if (held !== undefined) return held;
    const full = name === "bytes" ? "conclave_database_bytes" : `conclave_${name}`;
    const made = new Gauge({ name: full, help, registers });
    gauges.set(name, made);
    return made;
  }

  return {
    request({ route, status, duration, code }) {
      requests.observe({ route, status: String(status) }, duration / 1000);
      if (code !== undefined) refusals.inc({ code });
    },
    store: (store) => measured(store, storeSeconds, storeFailures),
    doorbell: (doorbell) => ({
      ...doorbell,
      ring(ring) {
        rings.inc({ type: ring.type, direction: "rung" });
        doorbell.ring(ring);
      },
      listen(listener) {
        return doorbell.listen((ring: Ring) => {
          rings.inc({ type: ring.type, direction: "heard" });
          listener(ring);
        });
      },
    }),
    watch(status) {
      const gauges = [
        ["sockets", "sockets", "WebSockets that are open."],
        ["backlog", "backlog", "Frames that wait for a WebSocket to take them."],
        ["requests", "requests", "Requests under way."],
        [
          "waiting_for_turn",
          "waitingForTurn",
          "Commits and messages that wait for their turn in a group.",
        ],
        [
          "waiting_for_store",
          "waitingForStore",
          "What waits to be written by the store, or for one of its connections.",
        ],
      ] as const;
      for (const [name, field, help] of gauges) {
        const gauge: Gauge = new Gauge({
          name: `conclave_${name}`,
          help,
          registers,
          collect: () => gauge.set(status()[field]),
        });
      }
    },
    swept(counts, now) {
      for (const [kind, count] of Object.entries(counts)) swept.inc({ kind }, count);
      sweptAt.set(now / 1000);
    },
    holds(statistics) {
      for (const [field, help] of HELD) gaugeOf(field, help).set(statistics[field]);
      const backedUp = statistics.facts["backed-up"];
      // Where this program never made a copy there is no such number, rather than one of 1970.
      if (backedUp !== undefined) {
        gaugeOf("last_backup_timestamp_seconds", LAST_BACKUP).set(backedUp / 1000);
      }
    },
    async refusals() {
      const { values } = await refusals.get();
      return values
        .map(({ labels, value }) => [String(labels.code), value] as const)
        .sort(([, a], [, b]) => b - a);
    },
    text: () => register.metrics(),
    contentType: register.contentType,
  };
}

/** No transactions, and not what requests ask for. */
const UNMEASURED: ReadonlySet<PropertyKey> = new Set(["waiting", "close"]);

/** Every method takes its time. */
function measured(store: Store, seconds: Histogram<"method">, failures: Counter<"method">): Store {
  const methods = new Map<PropertyKey, unknown>();
  return new Proxy(store, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function" || typeof name !== "string" || UNMEASURED.has(name)) {
        return method;
      }
      const known = methods.get(name);
      if (known !== undefined) return known;
      const timed = async (...values: readonly unknown[]): Promise<unknown> => {
        const stop = seconds.startTimer({ method: name });
        try {
          return await Reflect.apply(method, target, values);
        } catch (error) {
          failures.inc({ method: name });
          throw error;
        } finally {
          stop();
        }
      };
      methods.set(name, timed);
      return timed;
    },
  });
}
