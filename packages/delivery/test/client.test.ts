import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createDeliveryClient, readBounded } from "@conclave/delivery/client";
import { readSignIn, verifySignIn } from "@conclave/delivery/protocol";
import { afterEach, describe, expect, it } from "vitest";
import { newKey, random } from "./world.ts";

interface Asked {
  readonly route: string;
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly body: Buffer;
}
type Answer = (asked: Asked, response: ServerResponse) => void;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const key = await newKey();
const accountId = random(32);
const deviceId = random(16);
const NOW = 1_700_000_000_000;

/** A service that answers as the test says, and a client of it. */
async function service(answer: Answer) {
  const asked: Asked[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const one = {
        route: `${request.method} ${request.url}`,
        authorization: request.headers.authorization,
        contentType: request.headers["content-type"],
        body: Buffer.concat(chunks),
      };
      asked.push(one);
      answer(one, response);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const origin = `http://127.0.0.1:${port}`;
  const client = createDeliveryClient({ origin, now: () => NOW });
  client.signInAs({ accountId, deviceId, key });
  return { client, asked, origin };
}

function send(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}

let tokens = 0;
const session = () => ({ token: `token ${++tokens}`, expiresAt: NOW + 3_600_000 });
const problem = (status: number, code: string, more = {}) => ({
  type: "about:blank",
  title: code,
  status,
  code,
  ...more,
});

/** Signs in whoever asks, and answers all else like this. */
const signedIn =
  (answer: Answer): Answer =>
  (asked, response) =>
    asked.route === "POST /v1/sessions" ? send(response, 200, session()) : answer(asked, response);

describe("signing in", () => {
  it("happens once for all who wait, with a proof for this service", async () => {
    const { client, asked, origin } = await service(
      signedIn((_, response) => send(response, 200, { groups: [] })),
    );
    await Promise.all([client.groups(), client.groups(), client.groups()]);
    const sessions = asked.filter(({ route }) => route === "POST /v1/sessions");
    expect(sessions).toHaveLength(1);
    const { signIn } = JSON.parse(String(sessions[0]?.body)) as { signIn: string };
    const proof = new Uint8Array(Buffer.from(signIn, "base64url"));
    expect(readSignIn(proof)).toMatchObject({ service: origin, accountId, deviceId });
    expect(await verifySignIn(proof, key.publicKey)).toBe(true);
    expect(asked.at(-1)?.authorization).toBe(`Bearer token ${tokens}`);
  });

  it("happens again when the token is not known any more", async () => {
    const { client } = await service(
      signedIn(({ authorization }, response) =>
        authorization === `Bearer token ${tokens}` && tokens % 2 === 0
          ? send(response, 200, { groups: [] })
          : send(response, 401, problem(401, "not-signed-in")),
      ),
    );
    tokens = 0;
    expect(await client.groups()).toEqual({ groups: [] });
    expect(tokens).toBe(2);
  });

  it("isn't asked for again once the account was deleted, until somebody is named anew", async () => {
    const { client, asked } = await service((_, response) =>
      send(response, 410, problem(410, "account-deleted")),
    );
    const refused = { code: "account-deleted", transient: false };
    await expect(client.groups()).rejects.toMatchObject(refused);
    await expect(client.groups()).rejects.toMatchObject(refused);
    await expect(client.token()).rejects.toMatchObject(refused);
    expect(asked.map(({ route }) => route)).toEqual(["POST /v1/sessions"]);
    client.signInAs({ accountId, deviceId, key });
    await expect(client.groups()).rejects.toMatchObject(refused);
    expect(asked).toHaveLength(2);
  });

  it("comes with registering, which sends both", async () => {
    const { client, asked } = await service((asked, response) =>
      asked.route === "POST /v1/accounts"
        ? send(response, 201, session())
        : send(response, 200, { groups: [] }),
    );
    await client.register(Uint8Array.of(1, 2, 3));
    await client.groups();
    expect(asked.map(({ route }) => route)).toEqual(["POST /v1/accounts", "GET /v1/groups"]);
    expect(JSON.parse(String(asked[0]?.body))).toMatchObject({ deviceList: "AQID" });
  });

  it("needs somebody", async () => {
    const { client, asked } = await service((_, response) => send(response, 200, {}));
    client.signInAs(undefined);
    await expect(client.groups()).rejects.toMatchObject({ code: "not-signed-in" });
    expect(await client.health().catch(String)).toContain("form");
    expect(asked.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  it("goes by the service's clock where ours is wrong", async () => {
    const theirs = NOW + 3 * 3_600_000;
    const { client } = await service((asked, response) => {
      if (asked.route !== "POST /v1/sessions") return send(response, 200, { groups: [] });
      const { signIn } = JSON.parse(String(asked.body)) as { signIn: string };
      const { issuedAt } = readSignIn(new Uint8Array(Buffer.from(signIn, "base64url")));
      return issuedAt === BigInt(theirs / 1000)
        ? send(response, 200, { token: "t", expiresAt: theirs + 3_600_000 })
        : send(response, 401, problem(401, "clock-skew", { now: theirs }));
    });
    expect(await client.groups()).toEqual({ groups: [] });
  });
});

describe("a request", () => {
  it("fills the route's braces, and carries a message as bytes", async () => {
    const { client, asked } = await service(
      signedIn((_, response) => send(response, 200, { seq: 4, acceptedAt: 5 })),
    );
    const groupId = Uint8Array.of(255, 254, 253);
    expect(await client.message({ groupId, body: Uint8Array.of(1, 2) })).toEqual({
      seq: 4,
      acceptedAt: 5,
    });
    expect(asked.at(-1)).toMatchObject({
      route: "POST /v1/groups/__79/messages",
      contentType: "message/mls",
      body: Buffer.from([1, 2]),
    });
    await client.log({ groupId, after: 7, limit: 9 }).catch(() => {});
    expect(asked.at(-1)?.route).toBe("GET /v1/groups/__79/log?after=7&limit=9");
  });

  it("that is refused says why; whether later may help, and when", async () => {
    const answers = [
      [409, problem(409, "wrong-epoch", { currentEpoch: "8" }), {}],
      [429, problem(429, "too-many-requests"), { "retry-after": "7" }],
      [503, problem(503, "shutting-down"), {}],
      [502, "<html>a proxy</html>", {}],
      [404, "nothing", {}],
    ] as const;
    let next = 0;
    const { client } = await service(
      signedIn((_, response) => {
        const [status, body, headers] = answers[next++] ?? answers[0];
        send(response, status, body, headers);
      }),
    );
    const failures = [];
    for (const _ of answers) {
      failures.push(await client.groups().catch((error: unknown) => error));
    }
    expect(failures).toEqual([
      expect.objectContaining({ code: "wrong-epoch", transient: false }),
      expect.objectContaining({ code: "too-many-requests", transient: true, retryAfter: 7000 }),
      expect.objectContaining({ code: "shutting-down", transient: true }),
      expect.objectContaining({ code: "bad-answer", transient: true }),
      expect.objectContaining({ code: "bad-answer", transient: false }),
    ]);
  });

  it("ends with the caller's signal, for its reason, and after the time it is given", async () => {
    const { client, asked } = await service(signedIn(() => {}));
    const ending = new AbortController();
    const waiting = client.groups({}, { signal: ending.signal });
    await expect.poll(() => asked.length).toBe(2);
    const reason = new Error("not needed any more");
    ending.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    const late = client.groups({}, { timeout: 50 });
    await expect(late).rejects.toMatchObject({ code: "offline", transient: true });
  });

  it("for something else than JSON has the response, to be read or streamed within bounds", async () => {
    const { client, asked } = await service(signedIn((_, response) => response.end("a tree")));
    const answer = await client.tree({ groupId: random(16), epoch: 2n ** 60n });
    expect(new TextDecoder().decode(await readBounded(answer))).toBe("a tree");
    expect(asked.at(-1)?.route).toContain("?epoch=1152921504606846976");
    const again = await client.tree({ groupId: random(16), epoch: 0n });
    await expect(readBounded(again, 5)).rejects.toMatchObject({ code: "bad-answer" });
  });

  it("without an answer is offline", async () => {
    const { client } = await service(signedIn((_, response) => response.destroy()));
    await expect(client.groups()).rejects.toMatchObject({ code: "offline", transient: true });
    const nobody = createDeliveryClient({ origin: "http://127.0.0.1:1", now: () => NOW });
    nobody.signInAs({ accountId, deviceId, key });
    await expect(nobody.groups()).rejects.toMatchObject({ code: "offline" });
  });

  it("on a connection that the service had given up may be made again", async () => {
    for (const [status, transient] of [
      [408, true],
      [404, false],
    ] as const) {
      const { client } = await service(signedIn((_, response) => response.writeHead(status).end()));
      await expect(client.groups()).rejects.toMatchObject({ code: "bad-answer", transient });
    }
  });

  it("says what argument is wrong, without a request", async () => {
    const { client, asked } = await service(signedIn((_, response) => response.end()));
    const wrong = { body: { state: "allowed" } } as unknown as Parameters<
      typeof client.setContact
    >[0];
    await expect(client.setContact(wrong)).rejects.toThrow(
      new TypeError("accountId has to be bytes"),
    );
    expect(asked.filter(({ route }) => route.includes("contacts"))).toEqual([]);
  });

  it("ends when the service is closed", async () => {
    const { client, asked } = await service(signedIn(() => {}));
    const waiting = client.groups();
    await expect.poll(() => asked.length).toBe(2);
    client.close();
    await expect(waiting).rejects.toMatchObject({ code: "offline" });
  });

  it("whose answer has another form, or no end, is a bad answer", async () => {
    const endless = Buffer.alloc(1024 * 1024, 0x20);
    const { client } = await service(
      signedIn((asked, response) => {
        if (asked.route.includes("/log")) return send(response, 200, { entries: "none" });
        response.writeHead(200);
        const pour = () => {
          while (!response.destroyed && response.write(endless));
          response.once("drain", pour);
        };
        pour();
      }),
    );
    await expect(client.log({ groupId: accountId })).rejects.toMatchObject({ code: "bad-answer" });
    await expect(client.groups()).rejects.toMatchObject({ code: "bad-answer" });
  });
});
