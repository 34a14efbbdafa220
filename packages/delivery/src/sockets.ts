/**
 * The live tail: WebSockets that carry doorbells, and with them what is small of what they ring for. A socket signs in with its first
 * frame; what it misses it finds in the log. Here: who is connected, for how long, and what is compared with the store. What a group's
 * rings mean to whom stands in `group-rings.ts` (`rooms.ts` knows who listens and may be told what, `tails.ts` has the ends of logs), and
 * how it is said in `outgoing.ts`.
 * @module
 */

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Doorbell, Ring } from "./doorbell.ts";
import { createGroupRings, type Hearing } from "./group-rings.ts";
import type { Limits } from "./limits.ts";
import { backlogOf, createSpeaking, NOTICES, newestOf } from "./outgoing.ts";
import { createPasses } from "./passes.ts";
import { createPermits } from "./permits.ts";
import { bytesFromText, bytesToText, SocketFrame, SocketHello, toJson } from "./protocol/index.ts";
import { addressKey, createRateLimiter } from "./rate-limit.ts";
import { Refusal } from "./refusal.ts";
import { createRooms } from "./rooms.ts";
import type { Session, Sessions } from "./sessions.ts";
import type { Store } from "./store/store.ts";
import { createTails } from "./tails.ts";

/** Close codes of our own, beside those of RFC 6455. */
const SOCKET_CLOSED = {
  /** The token is unknown, or its session is over. */
  notSignedIn: 4401,
  /** No hello in time. */
  helloTimeout: 4408,
  tooMany: 4429,
} as const;

/** "Service restart" (RFC 6455's registry): come back, to whichever process answers. */
const SHUTTING_DOWN = 1012;
/** Between two portions of sockets that are closed, in milliseconds. */
const STEP = 50;
const BROKE_A_RULE = 1008;
/** The largest frame from a device, in bytes: a hello is far smaller. */
const FRAME_LIMIT = 1024;
/** Frames from one device; after its hello it has nothing to say. */
const FRAMES = { burst: 20, perSecond: 1 };
/** In which the sockets are pinged. */
const PARTS = 20;
/** Sessions that are looked for in the store at a time. */
const SESSIONS = 200;
/** Sockets whose groups are looked at in the store at a time. */
const LOOKS = 8;
/** Of a log nothing but where it ends. */
const END = { after: Number.MAX_SAFE_INTEGER - 1, limit: 1, bytes: 1 };

interface Connection extends Hearing {
  readonly address: string;
  /** Gives its place back. */
  readonly leave: () => void;
  /** Who is signed in; no more of a session than is asked for here, since there are many. */
  session: (Pick<Session, "tokenHash" | "expiresAt"> & { readonly device: number }) | undefined;
  /** False from a ping to its pong. */
  alive: boolean;
  carries: boolean;
  /** When it was last compared with the store; 0 where it should be. */
  lookedAt: number;
}

export interface Sockets {
  /** Takes over a request to upgrade that was let in. */
  readonly accept: (
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    address: string,
  ) => void;
  readonly status: () => { readonly sockets: number; readonly backlog: number };
  /** Ends them over so many milliseconds, so that not all come back at once. */
  readonly close: (spread: number) => Promise<void>;
}

export function createSockets(service: {
  readonly store: Store;
  readonly sessions: Sessions;
  readonly doorbell: Doorbell;
  readonly limits: Limits;
  readonly now: () => number;
}): Sockets {
  const { store, sessions, doorbell, limits, now } = service;
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_LIMIT,
    perMessageDeflate: false,
    clientTracking: false,
  });
  // Otherwise ws explains what was wrong in a page.
  server.on("wsClientError", (_error, stream) => refuseUpgrade(stream, 400));
  const connections = new Set<Connection>();
  const permits = createPermits(limits.sockets);
  const byDevice = new Map<number, Set<Connection>>();
  /** By the text form of their tokens' hashes. */
  const bySession = new Map<string, Set<Connection>>();
  const rooms = createRooms<Connection>(store);
  const tails = createTails(service);
  const speaking = createSpeaking({ rooms, tails });
  const { flush, tellOfHead } = speaking;
  const rings = createGroupRings({ rooms, tails, speaking, byDevice, lookAgainAt });
  const signalFrames = createRateLimiter(limits.signalFrames, now);
  const signalFramesOf = createRateLimiter(limits.signalFramesPerAccount, now);
  const frames = createRateLimiter(FRAMES, now);
  const hellos = createRateLimiter(limits.socket, now);
  /** Those that said nothing yet, in the order they came: all, and by their addresses. */
  const silent = new Set<Connection>();
  const silentFrom = new Map<string, Set<Connection>>();
  let opened = 0;

  function forget(connection: Connection): void {
    if (!connections.delete(connection)) return;
    const { session } = connection;
    connection.leave();
    breakSilence(connection);
    for (const group of connection.groups.keys()) rooms.leave(connection, group);
    if (session === undefined) return;
    remove(byDevice, session.device, connection);
    remove(bySession, bytesToText(session.tokenHash), connection);
  }

  function breakSilence(connection: Connection): void {
    silent.delete(connection);
    remove(silentFrom, connection.address, connection);
  }

  function end(connection: Connection, code: number): void {
    forget(connection);
    hangUp(connection.socket, code);
  }

  function lookAgainAt(some: Iterable<Connection>): void {
    for (const connection of some) connection.lookedAt = 0;
    lookAgain();
  }

  /** Signals are for the moment: where they come faster than they leave, they are dropped. */
  function passOn({ groupId, from, accountId, body }: Extract<Ring, { type: "signal" }>): void {
    const listeners = rooms.get(bytesToText(groupId))?.listeners;
    if (listeners === undefined) return;
    // First from its account's own, so that one who says much leaves the others theirs.
    if (!signalFramesOf.tryTake(bytesToText(accountId), listeners.size)) return;
    if (!signalFrames.tryTake("", listeners.size)) return;
    for (const connection of listeners) {
      const { signals, session } = connection;
      if (signals === undefined || session?.device === from) continue;
      if (connection.missed !== undefined || signals.length >= limits.signalQueue) continue;
      signals.push({ type: "signal", groupId, body });
      flush(connection);
    }
  }

  const stopListening = doorbell.listen((ring) => {
    switch (ring.type) {
      case "group":
        return rings.hear(ring);
      case "signal":
        return passOn(ring);
      case "reports":
        for (const connection of rooms.get(bytesToText(ring.groupId))?.listeners ?? []) {
          (connection.reports ??= new Set()).add(bytesToText(ring.groupId));
          if (connection.missed === undefined) flush(connection);
        }
        return;
      case "inbox":
      case "contacts":
      case "key-packages":
        for (const device of ring.devices) {
          for (const connection of byDevice.get(device) ?? []) {
            (connection.notices ??= new Set()).add(ring.type);
            if (connection.missed === undefined) flush(connection);
          }
        }
        return;
      case "revoked":
        for (const device of ring.devices) {
          for (const connection of byDevice.get(device) ?? []) {
            end(connection, SOCKET_CLOSED.notSignedIn);
          }
        }
        return;
      case "signed-out":
        for (const connection of bySession.get(bytesToText(ring.tokenHash)) ?? []) {
          end(connection, SOCKET_CLOSED.notSignedIn);
        }
        return;
      case "all":
        endAllThoseOver();
        rings.forget(connections);
        lookAgainAt(connections);
    }
  });

  /** Ends those whose session is over. */
  async function endThoseOver(some: readonly Connection[]): Promise<void> {
    const hashes = some.map(({ session }) => session?.tokenHash ?? new Uint8Array(0));
    const live = await store.sessionsLive(hashes, now());
    for (const [i, connection] of some.entries()) {
      if (live[i] === false) end(connection, SOCKET_CLOSED.notSignedIn);
    }
  }

  /** Sessions end in other processes too, and a ring may be lost: what the store says holds. */
  const endAllThoseOver = createPasses(async () => {
    const signedIn = [...connections].filter(({ session }) => session !== undefined);
    for (let i = 0; i < signedIn.length; i += SESSIONS) {
      await endThoseOver(signedIn.slice(i, i + SESSIONS).filter((one) => connections.has(one)));
    }
  });

  /** Compares a connection with the store: what it missed it is told. */
  async function look(connection: Connection): Promise<void> {
    const device = connection.session?.device ?? 0;
    connection.lookedAt = now();
    connection.missed = [];
    const begun = rings.branch();
    try {
      const current = await store.currentGroupsOf(device, limits.groupsPerDevice);
      if (!connections.has(connection) || rings.branch() !== begun) return;
      const gone = new Set(connection.groups.keys());
      for (const { groupId, head, epoch } of current) {
        const group = bytesToText(groupId);
        gone.delete(group);
        const known = newestOf(connection, group);
        if (!connection.groups.has(group)) rooms.enter(connection, group, head, epoch);
        // Where it is further back, what was told of is lost.
        if (head !== known) tellOfHead(connection, group, head);
      }
      for (const group of gone) {
        const left = await store.log(bytesFromText(group), device, END);
        if (!connections.has(connection) || rings.branch() !== begun) return;
        if (left && left.head > newestOf(connection, group)) {
          tellOfHead(connection, group, left.head);
        }
        rooms.leave(connection, group);
      }
      connection.notices = new Set(NOTICES);
    } catch (error) {
      connection.lookedAt = 0;
      throw error;
    } finally {
      rings.hearMissed(connection);
    }
  }

  /** Compares those whose time has come, some at a time. */
  const lookAgain = createPasses(async () => {
    const time = now() - limits.lookAgain;
    const due = [...connections].filter(
      ({ session, missed, lookedAt }) =>
        session !== undefined && missed === undefined && lookedAt <= time,
    );
    for (let i = 0; i < due.length; i += LOOKS) {
      const some = due.slice(i, i + LOOKS).filter((one) => connections.has(one));
      await Promise.all(some.map(look));
    }
  });

  async function greet(connection: Connection, text: string): Promise<void> {
    const hello = SocketHello.safeParse(parse(text));
    if (!hello.success) return end(connection, BROKE_A_RULE);
    const session = await sessions.session(hello.data.token);
    if (!connections.has(connection)) return;
    const { device } = session.device;
    const ofDevice = byDevice.get(device) ?? new Set();
    if (ofDevice.size >= limits.socketsPerDevice || !hellos.tryTake(String(device))) {
      return end(connection, SOCKET_CLOSED.tooMany);
    }
    const { tokenHash, expiresAt } = session;
    connection.session = { device, tokenHash, expiresAt };
    connection.lookedAt = now();
    connection.missed = [];
    connection.signals = hello.data.signals === false ? undefined : [];
    connection.carries = hello.data.entries === true;
    byDevice.set(device, ofDevice.add(connection));
    add(bySession, bytesToText(tokenHash), connection);
    const begun = rings.branch();
    const groups = await store.currentGroupsOf(device, limits.groupsPerDevice);
    // Looked for again now that its end would be heard of: it may have come in between.
    await endThoseOver([connection]);
    if (!connections.has(connection)) return;
    for (const { groupId, head, epoch } of groups) {
      rooms.enter(
        connection,
        bytesToText(groupId),
        head,
        rings.branch() === begun ? epoch : undefined,
      );
    }
    connection.socket.send(toJson({ type: "ready" } satisfies SocketFrame));
    rings.hearMissed(connection);
    if (connection.lookedAt === 0) lookAgain();
  }

  function open(socket: WebSocket, address: string, leave: () => void): void {
    const connection: Connection = {
      socket,
      address,
      leave,
      session: undefined,
      alive: true,
      groups: new Map(),
      carries: false,
      lookedAt: 0,
      missed: undefined,
      sending: false,
      heads: undefined,
      notices: undefined,
      signals: undefined,
      reports: undefined,
    };
    connections.add(connection);
    silent.add(connection);
    add(silentFrom, address, connection);
    const key = String(++opened);
    const waiting = setTimeout(() => end(connection, SOCKET_CLOSED.helloTimeout), limits.hello);
    let greeted = false;
    socket.on("message", (data, isBinary) => {
      if (!frames.tryTake(key)) return end(connection, BROKE_A_RULE);
      // Later frames say nothing yet: a newer client may send some.
      if (greeted) return;
      greeted = true;
      breakSilence(connection);
      clearTimeout(waiting);
      if (isBinary || !(data instanceof Buffer)) return end(connection, BROKE_A_RULE);
      greet(connection, data.toString()).catch((error: unknown) => {
        end(connection, error instanceof Refusal ? SOCKET_CLOSED.notSignedIn : 1011);
      });
    });
    socket.on("pong", () => {
      connection.alive = true;
    });
    socket.on("close", () => {
      clearTimeout(waiting);
      forget(connection);
    });
  }

  /** Who says nothing keeps nobody out: one from the same address goes, or, where there is room for nobody, one from wherever. */
  function placeFor(address: string): (() => void) | undefined {
    const take = () => permits.take([[address, limits.socketsPerAddress]]);
    const free = take();
    if (free !== undefined) return free;
    const [own] = silentFrom.get(address) ?? [];
    const [first] = connections.size >= limits.sockets ? silent : [];
    const giving = own ?? first;
    if (giving === undefined) return undefined;
    end(giving, SOCKET_CLOSED.helloTimeout);
    return take();
  }

  function beat(connection: Connection): void {
    const { session, socket } = connection;
    if (session !== undefined && session.expiresAt <= now()) {
      end(connection, SOCKET_CLOSED.notSignedIn);
    } else if (connection.alive) {
      connection.alive = false;
      socket.ping();
    } else {
      forget(connection);
      socket.terminate();
    }
  }

  // Once around in each heartbeat, a part at a time: ten thousand at once would hold up everything else.
  let part = 0;
  let share = 0;
  let around = connections.values();
  const heartbeat = setInterval(() => {
    if (part === 0) {
      endAllThoseOver();
      lookAgain();
      around = connections.values();
      share = Math.ceil(connections.size / PARTS);
    }
    part = (part + 1) % PARTS;
    for (let n = 0; n < share; n++) {
      const { value: connection, done } = around.next();
      if (done === true) break;
      beat(connection);
    }
  }, limits.heartbeat / PARTS);
  heartbeat.unref();

  return {
    accept(request, stream, head, address) {
      const key = addressKey(address);
      server.handleUpgrade(request, stream, head, (socket) => {
        // Of one that is refused too: until it is closed the other side may break the protocol.
        socket.on("error", () => socket.terminate());
        const leave = placeFor(key);
        if (leave === undefined) hangUp(socket, SOCKET_CLOSED.tooMany);
        else open(socket, key, leave);
      });
    },
    status() {
      let backlog = 0;
      for (const connection of connections) backlog += backlogOf(connection);
      return { sockets: connections.size, backlog };
    },
    async close(spread) {
      const steps = Math.ceil(spread / STEP);
      for (let left = steps; left > 0 && connections.size > 0; left--) {
        let portion = Math.ceil(connections.size / left);
        for (const connection of connections) {
          if (portion-- === 0) break;
          end(connection, SHUTTING_DOWN);
        }
        await new Promise((resolve) => setTimeout(resolve, STEP));
      }
      clearInterval(heartbeat);
      stopListening();
      for (const connection of connections) end(connection, SHUTTING_DOWN);
      server.close();
    },
  };
}

function add<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  sets.set(key, (sets.get(key) ?? new Set()).add(value));
}

function remove<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const held = sets.get(key);
  held?.delete(value);
  if (held?.size === 0) sets.delete(key);
}

/** Closes, and does not wait for the other side to agree. */
function hangUp(socket: WebSocket, code: number): void {
  socket.close(code);
  setTimeout(() => socket.terminate(), 1000).unref();
}

/** An answer on a connection that wanted to become a socket. */
export function refuseUpgrade(stream: Duplex, status: number): void {
  stream.on("error", () => stream.destroy());
  // Whoever keeps its own side open keeps nothing of ours.
  stream.once("finish", () => stream.destroy());
  stream.end(`HTTP/1.1 ${status} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
