/**
 * Requests that wait for something to read: what the socket does for those who can't hold one open. Each reads, and where there
 * is nothing reads again when what it waits for is rung, until its time is over.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Call } from "./call.ts";
import type { Doorbell, Ring } from "./doorbell.ts";
import type { Limits } from "./limits.ts";
import { createPermits } from "./permits.ts";
import { bytesToText } from "./protocol/index.ts";
import { addressKey } from "./rate-limit.ts";
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
      /** Nothing, or 0: it is read once. */
      readonly seconds: number | undefined;
      /** Whose it is. */
      readonly call: Pick<
        Call<"log" | "inbox">,
        "session" | "address" | "stillSignedIn" | "request"
      >;
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
  /** By what ends or wakes them: what they wait for, their device, their session. */
  const waiting = new Map<string, Set<Waiting>>();
  const permits = createPermits(limits.longPolls);
  let closed = false;

  function ring(key: string, change: (one: Waiting) => void): void {
    for (const one of waiting.get(key) ?? []) {
      change(one);
      if (one.rung || one.end !== undefined) one.wake();
    }
  }

  function hear(heard: Ring): void {
    const look = (one: Waiting): void => {
      one.rung = true;
    };
    const signOut = (one: Waiting): void => {
      one.end = "signed-out";
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
      for (const device of heard.devices) ring(deviceKey(device), signOut);
    }
    if (heard.type === "signed-out") ring(sessionKey(heard.tokenHash), signOut);
  }
  const stopListening = doorbell.listen(hear);

  /** The answer ends it. */
  function enter(key: string, one: Waiting, address: string): () => void {
    const { tokenHash, device: listed } = one.session;
    const { device, accountId } = listed;
    const leave = permits.take([
      [deviceKey(device), limits.longPollsPerDevice],
      [`account ${bytesToText(accountId)}`, limits.longPollsPerAccount],
      [`address ${addressKey(address)}`, limits.longPollsPerAddress],
    ]);
    if (leave === undefined) {
      throw new Refusal("too-many-requests", "too many requests wait already", {
        headers: { "retry-after": "5" },
      });
    }
    const keys = [key, deviceKey(device), sessionKey(tokenHash)];
    for (const each of keys) waiting.set(each, (waiting.get(each) ?? new Set()).add(one));
    return () => {
      leave();
      for (const each of keys) {
        const ofKey = waiting.get(each);
        ofKey?.delete(one);
        if (ofKey?.size === 0) waiting.delete(each);
      }
    };
  }

  return {
    async until({ on, seconds = 0, call }, read, isEnough) {
      const { session, address, stillSignedIn, request } = call;
      const { signal } = request;
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
      const leave = enter(key, one, address);
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
        leave();
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

function deviceKey(device: number): string {
  return `device ${device}`;
}

function sessionKey(tokenHash: Bytes): string {
  return `session ${bytesToText(tokenHash)}`;
}
