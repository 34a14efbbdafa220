/**
 * Hostile requests out of a seed, each with what must not come of it.
 * @module
 */

import { bytesToText } from "@conclave/delivery/protocol";
import type { Random } from "../kill/random.ts";
import type { Attacker, Good, Target } from "./people.ts";
import { requestBytes } from "./wire.ts";

/** What comes of one. */
export type Try =
  /** One request or several in a row, sent at once; `allowed`: which statuses an answer may have, beside what no answer may be. */
  | {
      readonly kind: string;
      readonly bytes: Uint8Array;
      /** How many answers may come. */
      readonly answers: number;
      readonly allowed?: (status: number) => boolean;
      /** The connection is of no use any more. */
      readonly last?: true;
    }
  /** Two that must be answered alike: of what is others', and of what there is none. */
  | { readonly kind: string; readonly alike: readonly [Uint8Array, Uint8Array] }
  /** Bytes one after another, with so many milliseconds in between, and then nothing. */
  | { readonly kind: string; readonly slow: Uint8Array; readonly pause: number }
  /** On a WebSocket: bytes after the handshake, which begins with these headers. */
  | { readonly kind: string; readonly handshake: Uint8Array; readonly frames: Uint8Array };

export function requestsFrom(
  random: Random,
  attackers: readonly Attacker[],
  target: Target,
): () => Try {
  const kinds: readonly (readonly [weight: number, make: () => Try])[] = [
    [14, wrongTypes],
    [10, brokenJson],
    [12, brokenMls],
    [3, huge],
    [6, truncated],
    [1, slow],
    [8, replayed],
    [14, others],
    [10, forged],
    [8, wrongPlace],
    [8, headers],
    [3, pipelined],
    [4, socket],
  ];
  const total = kinds.reduce((sum, [weight]) => sum + weight, 0);

  const bytes = (length: number): Buffer => {
    const made = Buffer.alloc(length);
    for (let i = 0; i < length; i++) made[i] = random.between(0, 256);
    return made;
  };
  const text = (length: number): string => bytesToText(bytes(length));
  const attacker = (): Attacker => random.of(attackers);

  function send(by: Attacker, good: Good, more: Readonly<Record<string, string>> = {}): Buffer {
    const { method, path, type, body } = good;
    return requestBytes(
      method,
      path,
      {
        authorization: `Bearer ${by.member.token}`,
        ...(type !== undefined && { "content-type": type }),
        ...good.headers,
        ...more,
      },
      body,
    );
  }

  /** Requests that may end what others still need: the attackers' own accounts and sessions. */
  const goodOf = (by: Attacker): Good => random.of(by.good);
  const withJson = (by: Attacker): Good =>
    random.of(by.good.filter(({ type }) => type === "application/json"));

  function anything(depth = 0): unknown {
    switch (random.between(0, depth > 3 ? 9 : 12)) {
      case 0:
        return null;
      case 1:
        return random.between(-5, 5);
      case 2:
        return random.of([1e308, -1e308, 2 ** 53, 0.1, -0]);
      case 3:
        return text(random.between(0, 60));
      case 4:
        return random.of(["", "\u0000", "\ud800", "😀".repeat(30), "../../etc", "%00", "'; --"]);
      case 5:
        return random.next() < 0.5;
      case 6:
        return random.of(["__proto__", "constructor", "toString", "not base64url!", "AA==", "A"]);
      case 7:
        return "A".repeat(random.between(0, 4000));
      case 8:
        return String(2n ** 64n + BigInt(random.between(-2, 2)));
      case 9:
        return Array.from({ length: random.between(0, 6) }, () => anything(depth + 1));
      case 10:
        return Array.from({ length: 1000 }, () => 1);
      default: {
        const keys = ["__proto__", "a", "name", "accountId", "commit", "toJSON", "then"];
        return Object.fromEntries(
          Array.from({ length: random.between(0, 5) }, () => [
            random.of(keys),
            anything(depth + 1),
          ]),
        );
      }
    }
  }

  /** A good body with some of its members replaced, left out, or doubled. */
  function wrongTypes(): Try {
    const by = attacker();
    const good = withJson(by);
    const value: unknown = JSON.parse(Buffer.from(good.body ?? []).toString());
    const held = typeof value === "object" && value !== null ? Object.entries(value) : [];
    const changed = held.map(([name, inner]): [string, unknown] => [
      random.next() < 0.2 ? random.of(["", "__proto__", `${name}2`, name]) : name,
      random.next() < 0.6 ? anything() : inner,
    ]);
    const body = random.next() < 0.2 ? anything() : Object.fromEntries(changed);
    const encoded = Buffer.from(JSON.stringify(body) ?? "undefined");
    return {
      kind: "wrong types",
      bytes: send(by, { ...good, body: encoded.length === 0 ? Buffer.from(" ") : encoded }),
      answers: 1,
    };
  }

  function brokenJson(): Try {
    const by = attacker();
    const good = withJson(by);
    const whole = Buffer.from(good.body ?? []);
    const body = random.of<() => Buffer>([
      () => whole.subarray(0, random.between(1, Math.max(2, whole.length))),
      () => Buffer.from("[".repeat(random.between(1, 20_000))),
      () => Buffer.from('{"a":'.repeat(random.between(1, 5_000))),
      () => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), whole]),
      () => Buffer.from([0xff, 0xfe, ...whole]),
      () => Buffer.concat([whole, whole]),
      () => Buffer.from(`{"name":"${"\\ud800".repeat(random.between(1, 300))}"}`),
      () => Buffer.from(`{"upTo":${"9".repeat(random.between(1, 900))}}`),
      () => Buffer.from(`{"upTo":1e${random.between(1, 400)}}`),
      () => bytes(random.between(1, 300)),
      () => flipped(whole),
    ])();
    return { kind: "broken JSON", bytes: send(by, { ...good, body }), answers: 1 };
  }

  function flipped(whole: Uint8Array): Buffer {
    const copy = Buffer.from(whole);
    for (let i = random.between(1, 4); i > 0 && copy.length > 0; i--) {
      const at = random.between(0, copy.length);
      copy[at] = (copy[at] ?? 0) ^ (1 << random.between(0, 8));
    }
    return copy;
  }

  /** Structures with bits flipped, cut, made longer, or with a length that lies; in JSON, within their base64url. */
  function brokenMls(): Try {
    const by = attacker();
    const spoil = (whole: Buffer): Buffer =>
      random.of<() => Buffer>([
        () => flipped(whole),
        () => whole.subarray(0, random.between(0, whole.length)),
        () => Buffer.concat([whole, bytes(random.between(1, 40))]),
        () => Buffer.concat([whole.subarray(0, 4), Buffer.from([0xbf, 0xff, 0xff, 0xff]), whole]),
        () => bytes(whole.length),
        () => Buffer.alloc(whole.length, random.of([0, 0xff, 0x40, 0x80])),
      ])();
    const good = goodOf(by);
    if (good.type === "message/mls") {
      const body = spoil(Buffer.from(good.body ?? []));
      return { kind: "broken MLS", bytes: send(by, { ...good, body }), answers: 1 };
    }
    const inJson = withJson(by);
    const written = Buffer.from(inJson.body ?? []).toString();
    const body = written.replace(/"([A-Za-z0-9_-]{20,})"/g, (kept, inner: string) =>
      random.next() < 0.6
        ? `"${spoil(Buffer.from(inner, "base64url")).toString("base64url")}"`
        : kept,
    );
    const request = send(by, { ...inJson, body: Buffer.from(body) });
    return { kind: "broken MLS", bytes: request, answers: 1 };
  }

  function huge(): Try {
    const by = attacker();
    const good = random.of(by.good.filter(({ body }) => body !== undefined));
    const large = random.next() < 0.1;
    const length = random.between(1, large ? 9 * 1024 * 1024 : 300_000);
    const body = Buffer.alloc(length, random.of(["A", "[", " ", "\0"]));
    if (random.next() < 0.4) {
      // It says more than it sends, or that is never said.
      const claims = random.of(["99999999999", "1073741824", String(length + 1)]);
      const cut = body.subarray(0, 1000);
      const request = send(by, { ...good, body: cut }, { "content-length": claims });
      return { kind: "huge", bytes: request, answers: 1, last: true };
    }
    if (random.next() < 0.5) {
      const chunk = Buffer.concat([
        Buffer.from(`${body.length.toString(16)}\r\n`),
        body,
        Buffer.from("\r\n0\r\n\r\n"),
      ]);
      const request = send(by, { ...good, body: chunk }, { "transfer-encoding": "chunked" });
      return { kind: "huge", bytes: request, answers: 1, last: true };
    }
    return { kind: "huge", bytes: send(by, { ...good, body }), answers: 1, last: true };
  }

  function truncated(): Try {
    const by = attacker();
    const whole = send(by, goodOf(by));
    const cut = whole.subarray(0, random.between(1, whole.length));
    return { kind: "truncated", bytes: cut, answers: 0, last: true };
  }

  function slow(): Try {
    const by = attacker();
    const whole = send(by, goodOf(by));
    const cut = whole.subarray(0, random.between(1, Math.min(whole.length, 60)));
    return { kind: "slow", slow: cut, pause: random.between(20, 200) };
  }

  /** The same again and again, also by others than who made it. */
  function replayed(): Try {
    const by = attacker();
    const good = goodOf(random.next() < 0.5 ? by : attacker());
    return { kind: "replayed", bytes: send(by, good), answers: 1 };
  }

  /** What is others', by its right id, answered as what there is none of. */
  function others(): Try {
    const by = attacker();
    const id = (ids: readonly Uint8Array[]): [string, string] => {
      const own = random.of(ids);
      return [bytesToText(own), text(own.length)];
    };
    const request = (path: string, rest: Partial<Good> = {}): Buffer =>
      send(by, { method: "GET", path, ...rest });
    const mls = random.of(by.good.filter(({ type }) => type === "message/mls"));
    const commit = random.of(by.good.filter(({ path }) => path.endsWith("/commits")));
    const of = (method: string, body: object): Partial<Good> => ({
      method,
      type: "application/json",
      body: Buffer.from(JSON.stringify(body)),
    });
    /** The attacker's own structure, as if it were of that group. */
    const moved = (body: Uint8Array | undefined, groupId: string): Buffer => {
      const whole = Buffer.from(body ?? []);
      const at = whole.indexOf(by.groupId);
      if (at >= 0) whole.write(groupId, at, by.groupId.length, "base64url");
      return whole;
    };
    const movedCommit = (groupId: string): Partial<Good> => {
      const bundle: unknown = JSON.parse(Buffer.from(commit.body ?? []).toString());
      if (typeof bundle !== "object" || bundle === null || !("commit" in bundle)) return commit;
      const message = moved(Buffer.from(String(bundle.commit), "base64url"), groupId);
      return of("POST", { ...bundle, commit: message.toString("base64url") });
    };
    const both = (make: (id: string) => Buffer, ids: readonly Uint8Array[]): Try => {
      const [theirs, nobodys] = id(ids);
      return { kind: "others'", alike: [make(theirs), make(nobodys)] };
    };
    const { groupIds, accountIds, sessionIds } = target;
    return random.of<() => Try>([
      () => both((one) => request(`/v1/groups/${one}/log?after=${random.between(0, 2)}`), groupIds),
      () => both((one) => request(`/v1/groups/${one}/tree`), groupIds),
      () =>
        both((one) => {
          const path = `/v1/groups/${one}/messages`;
          return request(path, { ...mls, path, body: moved(mls.body, one) });
        }, groupIds),
      () => both((one) => request(`/v1/groups/${one}/commits`, movedCommit(one)), groupIds),
      () =>
        both(
          (one) =>
            request(`/v1/groups/${one}/signals`, {
              method: "POST",
              type: "application/octet-stream",
              body: Buffer.from("x"),
            }),
          groupIds,
        ),
      () => both((one) => request(`/v1/sessions/${one}`, { method: "DELETE" }), sessionIds),
      () => both((one) => request(`/v1/accounts/${one}`, of("DELETE", {})), accountIds),
      () =>
        both(
          (one) => request("/v1/key-packages/claim", of("POST", { accountId: one, suites: [1] })),
          accountIds,
        ),
      () => both((one) => request(`/v1/contacts/${one}`, { method: "DELETE" }), accountIds),
      () => both((one) => request(`/v1/blobs/${one}`, { method: "DELETE" }), target.blobIds),
      () => both((one) => request(`/v1/blobs/${one}`), target.blobIds),
      () =>
        both(
          (one) =>
            request(`/v1/blobs/${one}`, {
              method: "PATCH",
              type: "application/partial-upload",
              headers: { "upload-offset": "65536", "upload-complete": "?1" },
              body: bytes(random.between(1, 70_000)),
            }),
          target.blobIds,
        ),
      () => ({
        kind: "others'",
        alike: [
          request("/v1/directory/lookup", of("POST", { name: random.of(target.names) })),
          request("/v1/directory/lookup", of("POST", { name: `Nobody ${text(6)}` })),
        ],
      }),
      () => ({
        kind: "others'",
        bytes: request(`/v1/links/${text(32)}`),
        answers: 1,
        allowed: (status) => status === 404 || status === 401,
      }),
    ])();
  }

  /** No token, one that ended, one that is made up or nearly right: nothing is let in. */
  function forged(): Try {
    const by = attacker();
    const { token } = by.member;
    const open = new Set(["/health", "/v1/accounts", "/v1/sessions"]);
    const good = random.of(
      by.good.filter(({ method, path }) => method !== "POST" || !open.has(path)),
    );
    const authorization = random.of([
      "",
      "Bearer",
      `Bearer ${text(32)}`,
      `Bearer ${target.staleToken}`,
      `Bearer ${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`,
      `Bearer ${token} x`,
      `Basic ${token}`,
      `Bearer ${"A".repeat(random.between(100, 3000))}`,
      `Bearer ${token.toUpperCase()}`,
      token,
      "Bearer null",
      "Bearer ' OR 1=1 --",
    ]);
    const isOpen = good.path === "/health";
    return {
      kind: "forged",
      bytes: send(by, good, { authorization }),
      answers: 1,
      allowed: (status) => isOpen || status === 401,
    };
  }

  function wrongPlace(): Try {
    const by = attacker();
    const good = goodOf(by);
    const changed = random.of<() => Good>([
      () => ({
        ...good,
        method: random.of(["PATCH", "TRACE", "OPTIONS", "HEAD", "PROPFIND", "PUT"]),
      }),
      () => ({ ...good, path: `${good.path}/` }),
      () => ({ ...good, path: good.path.toUpperCase() }),
      () => ({
        ...good,
        path: good.path.replace("/v1", random.of(["/v2", "//v1", "/v1/..", "/%76%31"])),
      }),
      () => ({ ...good, path: `${good.path}%00` }),
      () => ({ ...good, path: `/${text(random.between(1, 3000))}` }),
      () => ({ ...good, path: `${good.path}?${text(20)}=${text(20)}&after=-1&limit=1e9&epoch=x` }),
      () => ({
        ...good,
        path: random.of(["*", "/", "/.git/config", "/v1/groups/%ff/log", "/v1/groups/../x"]),
      }),
      () => ({ ...good, path: `http://127.0.0.1:1${good.path}` }),
      () => ({
        ...good,
        type: random.of([
          "text/plain",
          "application/xml",
          "multipart/form-data",
          "",
          "a/b;".repeat(90),
        ]),
      }),
    ])();
    return { kind: "wrong place", bytes: send(by, changed), answers: 1, last: true };
  }

  function headers(): Try {
    const by = attacker();
    const good = goodOf(by);
    const more = random.of<() => Record<string, string>>([
      () => ({ [`x-${text(4)}`]: "A".repeat(random.between(1, 40_000)) }),
      () => Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x-${i}`, "a"])),
      () => ({ "x-forwarded-for": `${text(10)}, 1.2.3.4, ${"9".repeat(900)}` }),
      () => ({
        origin: random.of(["https://evil.example", "null", "https://page.example.evil", "\x7f"]),
      }),
      () => ({ host: random.of(["", "evil.example", "a".repeat(2000), "127.0.0.1:99999"]) }),
      () => ({ expect: random.of(["100-continue", "nothing", "\x01"]) }),
      () => ({ "content-length": random.of(["-1", "0x10", "1, 2", "99999999999999999999", "+1"]) }),
      () => ({
        "transfer-encoding": random.of(["chunked, gzip", "xchunked", "gzip", "chunked\x0b"]),
      }),
      () => ({ "transfer-encoding": "chunked", "content-length": "5" }),
      () => ({ connection: "upgrade", upgrade: random.of(["h2c", "websocket", "x"]) }),
      () => ({ "content-encoding": random.of(["gzip", "br", "x"]) }),
      () => ({
        "upload-length": random.of(["-1", "1e9", "99999999999999", "0", ""]),
        "upload-offset": random.of(["-1", "65536", "1.5", "9".repeat(40)]),
        "upload-complete": random.of(["?0", "?1", "1", "yes"]),
      }),
      () => ({ range: random.of(["bytes=-1", "bytes=9-1", "bytes=0-99999999999", "x=1-2"]) }),
      () => ({ range: "bytes=0-,1-,2-", "if-none-match": "*", cookie: "a=b; ".repeat(100) }),
      () => ({ "x-\x01": "a", authorization: "\xff\xfe" }),
      () => ({ "access-control-request-method": "POST", origin: "https://evil.example" }),
    ])();
    return { kind: "headers", bytes: send(by, good, more), answers: 1, last: true };
  }

  function pipelined(): Try {
    const by = attacker();
    const many = random.between(2, 40);
    const parts = Array.from({ length: many }, () => {
      const one = attacker();
      const reading = one.good.filter(({ method }) => method === "GET");
      return send(one, random.of(reading));
    });
    if (random.next() < 0.3) parts.push(bytes(50));
    if (random.next() < 0.3) parts.push(send(by, goodOf(by)).subarray(0, 40));
    return { kind: "pipelined", bytes: Buffer.concat(parts), answers: many, last: true };
  }

  function frame(opcode: number, payload: Uint8Array, masked = true): Buffer {
    const mask = masked ? 0x80 : 0;
    const { length } = payload;
    const head =
      length < 126
        ? [0x80 | opcode, mask | length]
        : [0x80 | opcode, mask | 126, length >> 8, length & 0xff];
    if (!masked) return Buffer.concat([Buffer.from(head), payload]);
    const key = bytes(4);
    const hidden = Buffer.from(payload.map((byte, i) => byte ^ (key[i % 4] ?? 0)));
    return Buffer.concat([Buffer.from(head), key, hidden]);
  }

  function socket(): Try {
    const by = attacker();
    const hello = (token: string): Buffer =>
      frame(1, Buffer.from(JSON.stringify({ type: "hello", token })));
    const upgrade = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": bytes(16).toString("base64"),
    };
    const handshake = requestBytes(
      "GET",
      "/v1/socket",
      random.of<() => Record<string, string>>([
        () => upgrade,
        () => upgrade,
        () => upgrade,
        () => ({ ...upgrade, origin: "https://evil.example" }),
        () => ({ ...upgrade, "sec-websocket-version": "99" }),
        () => ({ ...upgrade, "sec-websocket-key": "short" }),
        () => ({ ...upgrade, "sec-websocket-extensions": "permessage-deflate; x=".repeat(20) }),
      ])(),
    );
    const frames = random.of<() => Buffer>([
      () => bytes(random.between(1, 200)),
      () => hello(text(32)),
      () => hello(target.staleToken),
      () => frame(1, Buffer.from(JSON.stringify(anything()) ?? "x").subarray(0, 60_000)),
      () => frame(2, bytes(60)),
      () => frame(1, Buffer.alloc(5000, "A")),
      () => frame(1, Buffer.from("{}"), false),
      () => frame(9, bytes(126)),
      () => Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]),
      () => Buffer.concat(Array.from({ length: 200 }, () => frame(9, Buffer.from("ping")))),
      () =>
        Buffer.concat([
          hello(by.member.token),
          ...Array.from({ length: 50 }, () => frame(1, Buffer.from("{}"))),
        ]),
      () => Buffer.concat([hello(by.member.token), hello(by.member.token)]),
      () => Buffer.concat(Array.from({ length: 50 }, () => Buffer.from([0x01, 0x80, 1, 2, 3, 4]))),
      () => frame(8, Buffer.from([0x03])),
      () => frame(1, Buffer.from([0xff, 0xfe])),
    ])();
    return { kind: "socket", handshake, frames };
  }

  return () => {
    let at = random.next() * total;
    for (const [weight, make] of kinds) {
      at -= weight;
      if (at < 0) return make();
    }
    return wrongTypes();
  };
}
