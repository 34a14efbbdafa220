/**
 * What runs on a device that has an account: its conversations, the reading of its inbox, and the doorbell
 * that says when to look.
 * @module
 */

import type { ClientError, Connection, SignalSettings, Warning } from "./api.ts";
import { hex } from "./bytes.ts";
import { Conversations } from "./conversations.ts";
import { Doorbell } from "./doorbell.ts";
import { type Environment, workerError } from "./environment.ts";
import { readInbox } from "./inbox.ts";
import { Signals } from "./signals/signals.ts";
import { IDLE, Worker } from "./worker.ts";

export interface Device {
  readonly environment: Environment;
  readonly conversations: Conversations;
  readonly signals: Signals;
  /** Resolves when the last step that was begun is over. With a reason, who waits for something is told. */
  readonly stop: (why?: ClientError) => Promise<void>;
}

export async function startDevice(
  environment: Environment,
  options: {
    readonly origin: string;
    readonly WebSocket: typeof WebSocket;
    readonly onConnection: (connection: Connection) => void;
    readonly onContacts: () => void;
    readonly signalSettings: () => SignalSettings;
    readonly warn: (warning: Omit<Warning, "at">) => void;
  },
): Promise<Device> {
  const { service, timing } = environment;
  const conversations = new Conversations(environment);
  const ahead = new Set<number>();
  const signals = new Signals(environment, {
    find: (id) => conversations.find(id)?.state,
    settings: options.signalSettings,
  });
  const inbox = new Worker({
    turn: async () => {
      await readInbox({
        environment,
        join: (entry) => conversations.joinByWelcome(entry),
        warn: options.warn,
        ahead,
      });
      return IDLE;
    },
    retry: timing.retry,
    onError: (error) => workerError(environment, error),
  });
  const doorbell = new Doorbell({
    origin: options.origin,
    WebSocket: options.WebSocket,
    token: () => service.token(),
    forgetToken: () => service.forgetToken(),
    backoff: timing.retry,
    onConnection: options.onConnection,
    onReady: () => {
      for (const conversation of conversations.all()) {
        conversation.lookAgain();
        conversation.lookAtReports();
      }
      inbox.hurry();
      options.onContacts();
    },
    onGroup: (groupId, head, entries) => conversations.find(hex(groupId))?.hearOf(head, entries),
    onSignal: (groupId, body) => void signals.hear(groupId, body),
    onReports: (groupId) => conversations.find(hex(groupId))?.lookAtReports(),
    onInbox: () => inbox.hurry(),
    onContacts: options.onContacts,
    onKeyPackages: () => inbox.hurry(),
  });
  await conversations.load();
  inbox.start();
  void doorbell.run();
  return {
    environment,
    conversations,
    signals,
    stop: async (why) => {
      doorbell.close();
      signals.stop();
      // The inbox may be waiting for a conversation.
      await Promise.all([inbox.close(), conversations.close(why)]);
    },
  };
}
