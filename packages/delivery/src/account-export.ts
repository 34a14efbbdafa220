/**
 * All that the service holds about an account, as one JSON document. It is written while it is read, page by page, and no faster than
 * it is taken.
 * @module
 */

import type { Call, Handlers } from "./call.ts";
import type { Limits } from "./limits.ts";
import { bytesToText, toJson } from "./protocol/index.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { notFound } from "./refusal.ts";
import type { Account, ListedDevice, Store } from "./store/store.ts";

/** Rows that are read at a time. */
const PAGE = 200;

export function createAccountExport(service: {
  readonly store: Store;
  readonly limits: Limits;
  readonly now: () => number;
}): Handlers<"exportAccount"> {
  const { store, limits, now } = service;
  const exports = createRateLimiter(limits.export, now);

  async function* contacts(accountId: Account["accountId"]): AsyncGenerator<unknown> {
    let after: Account["accountId"] | undefined;
    for (;;) {
      const page = await store.contactsOf(accountId, { ...(after && { after }), limit: PAGE });
      yield* page;
      after = page.at(-1)?.accountId;
      if (after === undefined) return;
    }
  }

  async function* blobs(accountId: Account["accountId"]): AsyncGenerator<unknown> {
    let after: Account["accountId"] | undefined;
    for (;;) {
      const page = await store.blobsOf(accountId, {
        ...(after && { after }),
        limit: PAGE,
        now: now(),
      });
      for (const { blobId, size, stored, expiresAt } of page) {
        yield { blobId, size, stored, expiresAt };
      }
      after = page.at(-1)?.blobId;
      if (after === undefined) return;
    }
  }

  async function* groups({ device }: ListedDevice): AsyncGenerator<unknown> {
    let last: Awaited<ReturnType<Store["membershipsOf"]>>[number] | undefined;
    do {
      const page = await store.membershipsOf(device, {
        ...(last && { after: { groupId: last.groupId, fromSeq: last.fromSeq } }),
        limit: PAGE,
      });
      yield* page;
      last = page.at(-1);
    } while (last !== undefined);
  }

  async function* inbox({ device }: ListedDevice): AsyncGenerator<unknown> {
    let after = 0;
    for (;;) {
      const page = await store.inbox(device, { after, limit: PAGE, bytes: limits.pageBytes });
      yield* page;
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.seq;
    }
  }

  async function* devices(accountId: Account["accountId"]): AsyncGenerator<string> {
    let separator = "";
    for (const device of await store.devicesOf(accountId)) {
      const { deviceId, signatureKey, signInKey, revokedAt } = device;
      yield separator + opened({ deviceId, signatureKey, signInKey, revokedAt });
      separator = ",";
      yield `,"keyPackages":${toJson(await store.keyPackagesOf(device.device))},"groups":`;
      yield* list(groups(device));
      yield `,"inbox":`;
      yield* list(inbox(device));
      yield "}";
    }
  }

  async function* document(account: Account): AsyncGenerator<string> {
    const { accountId, name, deviceList } = account;
    const contact = (await store.contactRule(accountId)) ?? "default";
    const backup = await store.backupMark(accountId);
    const sessions = await store.sessionsOf(accountId, now());
    const requests = await store.contactRequests(accountId, 0);
    yield opened({
      exportedAt: now(),
      accountId,
      name,
      deviceList,
      contact,
      ...(backup && { backup }),
      sessions: sessions.map(({ tokenHash, ...session }) => ({ sessionId: tokenHash, ...session })),
      requests: requests.map((request) => ({
        accountId: request.account.accountId,
        askedAt: request.askedAt,
      })),
    });
    yield `,"contacts":`;
    yield* list(contacts(accountId));
    yield `,"blobs":`;
    yield* list(blobs(accountId));
    yield `,"devices":[`;
    yield* devices(accountId);
    yield "]}";
  }

  async function exportAccount({ device }: Call<"exportAccount">): Promise<Response> {
    exports.take(bytesToText(device.accountId));
    const account = await store.account(device.accountId);
    if (account === undefined) throw notFound();
    return new Response(streamOf(document(account)), {
      headers: { "content-type": "application/json" },
    });
  }

  return { exportAccount };
}

/** An object that more members follow in. */
function opened(value: object): string {
  return toJson(value).slice(0, -1);
}

async function* list(items: AsyncIterable<unknown>): AsyncGenerator<string> {
  let separator = "[";
  for await (const item of items) {
    yield separator + toJson(item);
    separator = ",";
  }
  yield separator === "[" ? "[]" : "]";
}

/** Asks for the next text when the last was taken. */
function streamOf(texts: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await texts.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await texts.return(undefined);
    },
  });
}
