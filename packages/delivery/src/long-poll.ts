/**
 * Requests that wait for something to read: what the socket does for those who can't hold one open. Each reads, and where there
 * is nothing reads again when what it waits for is rung, until its time is over.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "./bytes.ts";
import type { Doorbell, Ring } from "./doorbell.ts";
import type { Limits } from "./limits.ts";
import { bytesToText } from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { Session } from "./sessions.ts";

export interface LongPolls {
  /**
   * What `read` answers: as soon as `isEnough` of that, otherwise when `seconds` are over, the caller has gone or the service ends.
   * Throws `Refusal` with `too-many-requests`, or with `not-signed-in` where the session ends meanwhile.
   */
  readonly until: <T>(
    wait: {
      /** A group's log behind a place in it, or the inbox of the device. */
      readonly on: { readonly groupId: Bytes; readonly after: number } | "inbox";
      readonly session: Session;
      /** Throws `Refusal` where the session is over. */
      readonly stillSignedIn: () => Promise<void>;
      /** Nothing, or 0: it is read once. */
      readonly seconds: number | undefined;
      readonly signal: AbortSignal;
    },
    read: () => Promise<T>,
    isEnough: (answer: T) => boolean | Promise<boolean>,
  ) => Promise<T>;
  /** All that wait answer with what they have. */
  readonly close: () => void;
}

interface Waiting {
  readonly session: Session;
  /** Where in the log. */
  readonly after: number;
  /** Whether something was rung since it read. */
  rung: boolean;
  /** Whether its session may be over, and the word of that lost. */
  isDoubted: boolean;
  end: "over" | "signed-out" | undefined;
  wake: () => void;
}

export function createLongPolls(service: {
  readonly doorbell: Doorbell;
  readonly limits: Limits;
}): LongPolls {
  const { doorbell, limits } = service;
  const waiting = new Map<string, Set<Waiting>>();
  const perDevice = new Map<number, number>();
  let count = 0;
  let closed = false;

  function ring(key: string, change: (one: Waiting) => void): void {
    for (const one of waiting.get(key) ?? []) {
      change(one);
      if (one.rung || one.end !== undefined) one.wake();
    }
  }

  const signOut = (of: (session: Session) => boolean): void => {
    for (const key of waiting.keys()) {
      ring(key, (one) => {
        if (of(one.session)) one.end = "signed-out";
      });
    }
  };

  function hear(heard: Ring): void {
    const look = (one: Waiting): void => {
      one.rung = true;
    };
    if (heard.type === "group") {
      const { head, left } = heard;
      // Who waits for what comes later reads nothing now, unless it is out.
      ring(groupKey(heard.groupId), (one) => {
        if (head > one.after || left.includes(one.session.device.device)) look(one);
      });
    }
    if (heard.type === "inbox") for (const device of heard.devices) ring(inboxKey(device), look);
    if (heard.type === "all") {
      for (const key of waiting.keys()) {
        ring(key, (one) => {
          look(one);
          one.isDoubted = true;
        });
      }
    }
    if (heard.type === "revoked") {
      const devices = new Set(heard.devices);
      signOut(({ device }) => devices.has(device.device));
    }
    if (heard.type === "signed-out") {
      signOut(({ tokenHash }) => sameBytes(tokenHash, heard.tokenHash));
    }
  }
  const stopListening = doorbell.listen(hear);

  function enter(key: string, one: Waiting): void {
    const { device } = one.session.device;
    const ofDevice = perDevice.get(device) ?? 0;
    if (count >= limits.longPolls || ofDevice >= limits.longPollsPerDevice) {
      throw new Refusal("too-many-requests", "too many requests wait already", {
        headers: { "retry-after": "5" },
      });
    }
    count++;
    perDevice.set(device, ofDevice + 1);
    waiting.set(key, (waiting.get(key) ?? new Set()).add(one));
  }

  function leave(key: string, one: Waiting): void {
    const { device } = one.session.device;
    count--;
    const left = (perDevice.get(device) ?? 1) - 1;
    if (left === 0) perDevice.delete(device);
    else perDevice.set(device, left);
    const ofKey = waiting.get(key);
    ofKey?.delete(one);
    if (ofKey?.size === 0) waiting.delete(key);
  }

  return {
    async until({ on, session, stillSignedIn, seconds = 0, signal }, read, isEnough) {
      if (seconds === 0 || closed) return read();
      const after = on === "inbox" ? 0 : on.after;
      const one: Waiting = {
        session,
        after,
        rung: false,
        isDoubted: false,
        end: undefined,
        wake: () => undefined,
      };
      const key = on === "inbox" ? inboxKey(session.device.device) : groupKey(on.groupId);
      const over = (): void => {
        one.end ??= "over";
        one.wake();
      };
      // It listens before it reads: what comes in between is not missed.
      enter(key, one);
      const timer = setTimeout(over, Math.min(seconds, limits.longPoll) * 1000);
      signal.addEventListener("abort", over);
      try {
        for (;;) {
          one.rung = false;
          const answer = await read();
          if (one.end === "over" || (await isEnough(answer))) return answer;
          await new Promise<void>((resolve) => {
            one.wake = resolve;
            if (one.rung || one.end !== undefined) resolve();
          });
          if (one.end === "signed-out") throw new Refusal("not-signed-in", "sign in first");
          if (signal.aborted) return answer;
          if (one.isDoubted) {
            one.isDoubted = false;
            await stillSignedIn();
          }
        }
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", over);
        leave(key, one);
      }
    },
    close() {
      closed = true;
      stopListening();
      for (const key of waiting.keys()) {
        ring(key, (one) => {
          one.end ??= "over";
        });
      }
    },
  };
}

function groupKey(groupId: Bytes): string {
  return `group ${bytesToText(groupId)}`;
}

function inboxKey(device: number): string {
  return `inbox ${device}`;
}
