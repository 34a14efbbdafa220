/**
 * A service that turned hostile to one of its clients: a `fetch` between that client and the real service,
 * which answers what the test wants instead of what is true.
 */

import type { Fetch } from "../../src/index.ts";

export interface Entry {
  readonly seq: number;
  readonly epoch: string;
  readonly kind: "commit" | "proposal" | "application";
  /** base64url. */
  readonly message: string;
  readonly acceptedAt: number;
}

export interface HostileService {
  readonly fetch: Fetch;
  /** What the client is shown as a group's log, given the true one. It is numbered anew. */
  editLog: (log: readonly Entry[]) => readonly Entry[];
  /** What it is shown in place of other answers: by method and path. */
  readonly answers: Map<RegExp, (json: Record<string, unknown>) => unknown>;
  /** The trees that it was asked for, each in one part. */
  readonly trees: Uint8Array<ArrayBuffer>[];
}

export function hostileService(): HostileService {
  const hostile: HostileService = {
    editLog: (log) => log,
    answers: new Map(),
    trees: [],
    fetch: async (input, init) => {
      const url = new URL(input);
      const route = `${init.method} ${url.pathname}`;
      const log = /^GET \/v1\/groups\/[^/]+\/log$/u.test(route);
      if (log) return json(await shownPage(url, init));
      const response = await fetch(input, init);
      for (const [pattern, edit] of hostile.answers) {
        if (pattern.test(route)) return json(await edit(await response.json()));
      }
      if (!response.ok) return response;
      if (route.endsWith("/tree"))
        hostile.trees.push(new Uint8Array(await response.clone().arrayBuffer()));
      const posted = /^(POST \/v1\/groups\/[^/]+)\/(?:commits|messages)$/u.exec(route);
      return posted ? json(await shownPlace(url, init, await response.json())) : response;
    },
  };

  async function shownLog(url: URL, init: RequestInit): Promise<readonly Entry[]> {
    const path = url.pathname.replace(/\/(?:log|commits|messages)$/u, "/log");
    const headers = { authorization: new Headers(init.headers).get("authorization") ?? "" };
    const response = await fetch(`${url.origin}${path}?after=0&limit=200`, { headers });
    if (!response.ok) return [];
    const { entries } = (await response.json()) as { entries: readonly Entry[] };
    const first = entries[0]?.seq ?? 1;
    return hostile.editLog(entries).map((entry, i) => ({ ...entry, seq: first + i }));
  }

  async function shownPage(url: URL, init: RequestInit) {
    const after = Number(url.searchParams.get("after"));
    const shown = await shownLog(url, init);
    return { entries: shown.filter(({ seq }) => seq > after), head: shown.at(-1)?.seq ?? after };
  }

  /** Where the client's own entry is in the log that it is shown. */
  async function shownPlace(url: URL, init: RequestInit, accepted: { seq: number }) {
    const { body } = init;
    const message =
      typeof body === "string"
        ? String((JSON.parse(body) as { commit: string }).commit)
        : Buffer.from(body as Uint8Array).toString("base64url");
    const shown = await shownLog(url, init);
    const own = shown.find((entry) => entry.message === message);
    return { ...accepted, seq: own?.seq ?? accepted.seq };
  }

  return hostile;
}

function json(value: unknown): Response {
  return new Response(JSON.stringify(value), { headers: { "content-type": "application/json" } });
}
