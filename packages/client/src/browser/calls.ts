/**
 * What tabs and the engine say to each other over a BroadcastChannel. It reaches pages and workers of
 * this origin alone; all of it survives structured cloning.
 * @module
 */

import {
  type ClientApi,
  ClientError,
  type ClientErrorCode,
  type ClientEvent,
  type Progress,
} from "../api.ts";

/** What a tab may call, and nothing else. */
export const METHODS: Readonly<Record<keyof ClientApi, true>> = {
  snapshot: true,
  messages: true,
  signUp: true,
  confirmRecoveryPhrase: true,
  takeOver: true,
  recover: true,
  createConversation: true,
  sendText: true,
  discardFailed: true,
  markRead: true,
  tellTyping: true,
  askReaders: true,
  setSignalSettings: true,
  createInvitation: true,
  revokeInvitations: true,
  previewInvitation: true,
  acceptInvitation: true,
  addByName: true,
  askContact: true,
  withdrawContact: true,
  contactRequests: true,
  answerContact: true,
  forgetContact: true,
  contacts: true,
  setContactRule: true,
  removeMember: true,
  leave: true,
  safetyNumber: true,
  setVerified: true,
  dismissWarnings: true,
  saveBackup: true,
  restoreBackup: true,
};

/** Of those that take long, which of the arguments has `signal` and `onProgress`. They stay with the tab. */
export const LONG: Readonly<Record<string, number>> = {
  saveBackup: 1,
  restoreBackup: 2,
} satisfies Partial<Record<Method, number>>;

export type Method = keyof ClientApi;

export type ToEngine =
  /** Is there an engine? */
  | { readonly type: "hello" }
  | {
      readonly type: "call";
      /** Unique; the same when the call is sent again. */
      readonly id: string;
      readonly method: Method;
      readonly args: readonly unknown[];
    }
  /** Who made the call wants no answer any more. */
  | { readonly type: "abort"; readonly id: string };

export type FromEngine =
  /** An engine is there; each has an id of its own, and the version of its database. */
  | { readonly type: "engine"; readonly engine: string; readonly version: number }
  | { readonly type: "event"; readonly event: ClientEvent }
  | { readonly type: "progress"; readonly id: string; readonly progress: Progress }
  | ({ readonly type: "result"; readonly id: string } & Outcome);

export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: ClientErrorCode; readonly message: string };

/** The names of the lock that the engine holds, and of the channel, for a profile. */
export function engineLock(profile: string): string {
  return `conclave-engine/${profile}`;
}
export function engineChannel(profile: string): BroadcastChannel {
  return new BroadcastChannel(`conclave/${profile}`);
}

/** The profile where none is named. */
export const DEFAULT_PROFILE = "conclave";

/** What a tab is told of an error that the engine met. */
export function failure(error: unknown): Outcome {
  const known =
    error instanceof ClientError
      ? error
      : new ClientError("internal", "something that should not happen", { cause: error });
  return { ok: false, code: known.code, message: known.message };
}
