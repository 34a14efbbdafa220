import { request as httpRequest } from "node:http";
import { bytesToText } from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addAll, type Member, newMember, pathOf, send, startGroup } from "./member.ts";
import {
  type Answer,
  call,
  eventually,
  newPerson,
  ORIGIN,
  PAGE,
  proveSignIn,
  random,
  register,
  signList,
  startWorld,
  type World,
} from "./world.ts";

let world: World;
let token: string;
beforeAll(async () => {
  world = await startWorld();
  token = await register(world, await newPerson("Somebody"));
});
afterAll(() => world.close());

describe("every answer", () => {
  it("is data that no browser shows, guesses at or keeps", async () => {
    for (const path of ["/health", "/nowhere"]) {
      const { headers } = await call(world, "GET", path);
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("cross-origin-resource-policy")).toBe("cross-origin");
      expect(headers.get("set-cookie")).toBeNull();
    }
  });

  it("that refuses is a problem with a type, a title, its status and a code", async () => {
    const { headers, status, problem } = await call(world, "GET", "/nowhere");
    expect(headers.get("content-type")).toBe("application/problem+json");
    expect(status).toBe(404);
    expect(problem).toEqual({
      type: "urn:conclave:problem:not-found",
      title: "there is nothing here",
      status: 404,
      code: "not-found",
    });
  });
});

describe("pages of other origins", () => {
  const preflight = { "access-control-request-method": "POST" };

  it("may use the service where they are allowed, without cookies", async () => {
    const headers = { origin: PAGE, ...preflight };
    const asked = await call(world, "OPTIONS", "/v1/sessions", { headers });
    expect(asked.status).toBe(204);
    expect(asked.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(asked.headers.get("access-control-allow-headers")).toBe(
      "authorization,content-type,idempotency-key,range,upload-complete,upload-length,upload-offset",
    );
    expect(asked.headers.get("access-control-allow-credentials")).toBeNull();
    const answer = await call(world, "GET", "/health", { headers: { origin: PAGE } });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("access-control-allow-origin")).toBe(PAGE);
  });

  it("are refused otherwise", async () => {
    for (const origin of ["https://evil.example", "null", `${PAGE}.evil.example`, ORIGIN]) {
      const headers = { origin, ...preflight };
      const asked = await call(world, "OPTIONS", "/v1/sessions", { headers });
      expect(asked.headers.get("access-control-allow-origin")).toBeNull();
      const answer = await call(world, "GET", "/health", { headers: { origin } });
      expect(answer.problem.code).toBe("origin-not-allowed");
      expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    }
  });
});

describe("requests that are none", () => {
  it("say which methods there are", async () => {
    const answer = await call(world, "PATCH", "/v1/sessions", { body: {} });
    expect(answer.status).toBe(405);
    expect(answer.problem.code).toBe("method-not-allowed");
    expect(answer.headers.get("allow")).toBe("POST, DELETE, GET");
  });

  it("have another content type", async () => {
    const headers = { "content-type": "text/plain" };
    const answer = await call(world, "POST", "/v1/sessions", { body: {}, headers });
    expect(answer.status).toBe(415);
    expect(answer.problem.code).toBe("unsupported-media-type");
  });

  it("have a body of another form, which is not repeated in the answer", async () => {
    for (const body of [{}, { signIn: 7 }, { signIn: "***" }, [], "secret", null]) {
      const answer = await call(world, "POST", "/v1/sessions", { body });
      expect(answer.status).toBe(400);
      expect(JSON.stringify(answer.body)).not.toContain("secret");
    }
  });

  it("are not JSON at all, or not UTF-8", async () => {
    for (const body of ["{", "[".repeat(50_000), new Uint8Array([0x22, 0xff, 0x22])]) {
      const response = await fetch(`${world.url}/v1/sessions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      expect(response.status).toBe(400);
    }
  });

  it("name things by what is no id, or numbers by what is none", async () => {
    const answer = await call(world, "GET", "/v1/accounts/!!/device-list", { token });
    expect(answer.problem.code).toBe("not-found");
    for (const after of ["-1", "x", "1e9", "9".repeat(30)]) {
      const inbox = await call(world, "GET", `/v1/inbox?after=${after}`, { token });
      expect(inbox.problem.code).toBe("bad-request");
    }
  });

  it("want the socket without being one", async () => {
    const answer = await call(world, "GET", "/v1/socket", { token });
    expect(answer.status).toBe(426);
  });
});

describe("large bodies", () => {
  it("are refused by what they say of themselves, before they come", async () => {
    const outgoing = httpRequest(`${world.url}/v1/sessions`, {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": "70000" },
    });
    outgoing.on("error", () => undefined);
    outgoing.flushHeaders();
    const status = await new Promise((resolve) =>
      outgoing.on("response", (response) => resolve(response.statusCode)),
    );
    outgoing.destroy();
    expect(status).toBe(413);
  });

  it("that break off are nobody's fault but the sender's", async () => {
    const outgoing = httpRequest(`${world.url}/v1/sessions`, {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": "1000" },
    });
    outgoing.on("error", () => undefined);
    const before = world.lines.length;
    outgoing.write("{", () => setTimeout(() => outgoing.destroy(), 50));
    await eventually(() => world.lines.length > before);
    expect(world.lines.at(-1)).toMatchObject({ status: 400, code: "bad-request" });
  });

  it("are refused while they come, when they say nothing", async () => {
    let sent = 0;
    const status = await new Promise<number>((resolve, reject) => {
      const outgoing = httpRequest(`${world.url}/v1/sessions`, {
        method: "POST",
        headers: { "content-type": "application/json", "transfer-encoding": "chunked" },
      });
      outgoing.on("response", (response) => {
        resolve(response.statusCode ?? 0);
        outgoing.destroy();
      });
      outgoing.on("error", reject);
      const more = (): void => {
        if (outgoing.destroyed || sent > 64 * 1024 * 1024) return;
        sent += 16 * 1024;
        outgoing.write("A".repeat(16 * 1024), () => setImmediate(more));
      };
      more();
    });
    expect(status).toBe(413);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });
});

describe("limits", () => {
  it("hold for an address, and say when to come again", async () => {
    const limited = await startWorld({ limits: { address: { burst: 3, perSecond: 0.5 } } });
    try {
      for (let i = 0; i < 3; i++) expect((await call(limited, "GET", "/health")).status).toBe(200);
      const refused = await call(limited, "GET", "/health");
      expect(refused.problem.code).toBe("too-many-requests");
      expect(refused.headers.get("retry-after")).toBe("2");
      limited.clock.now += 2000;
      expect((await call(limited, "GET", "/health")).status).toBe(200);
    } finally {
      await limited.close();
    }
  });

  it("hold for each client behind a trusted proxy, and for all as one behind any other", async () => {
    const limits = { address: { burst: 1, perSecond: 0.01 } };
    for (const [trustedProxies, second] of [
      [1, 200],
      [0, 429],
    ] as const) {
      const limited = await startWorld({ limits, trustedProxies });
      const ask = async (client: string): Promise<number> =>
        (
          await call(limited, "GET", "/health", {
            headers: { "x-forwarded-for": `203.0.113.1, ${client}` },
          })
        ).status;
      expect(await ask("198.51.100.1")).toBe(200);
      expect(await ask("198.51.100.2")).toBe(second);
      expect(await ask("198.51.100.1")).toBe(429);
      await limited.close();
    }
  });

  it("hold for a device", async () => {
    const limited = await startWorld({ limits: { device: { burst: 2, perSecond: 0.5 } } });
    try {
      const mine = await register(limited, await newPerson("One"));
      const other = await register(limited, await newPerson("Other"));
      const ask = async (bearer: string): Promise<number> =>
        (await call(limited, "GET", "/v1/inbox", { token: bearer })).status;
      expect([await ask(mine), await ask(mine), await ask(mine)]).toEqual([200, 200, 429]);
      expect(await ask(other)).toBe(200);
    } finally {
      await limited.close();
    }
  });
});

describe("what an account has read", () => {
  it("is counted in bytes, for all its devices: who has read too much waits, and may still write", async () => {
    const readBytes = { burst: 100_000, perSecond: 1000 };
    const limited = await startWorld({ limits: { readBytes } });
    const [ada, ben] = [await newMember(limited, "Ada"), await newMember(limited, "Ben")];
    const group = await startGroup(limited, ada);
    await addAll(limited, { member: ada, group }, [ben]);
    for (let i = 0; i < 6; i++) await send(limited, ada, group, "x".repeat(8000));
    const read = ({ token }: Member): Promise<Answer> =>
      call(limited, "GET", pathOf(group.groupId, "log"), { token });
    expect([(await read(ada)).status, (await read(ada)).status]).toEqual([200, 200]);
    const refused = await read(ada);
    expect(refused.problem.code).toBe("too-many-requests");
    const wait = Number(refused.headers.get("retry-after"));
    expect(wait).toBeGreaterThan(10);
    const tree = pathOf(group.groupId, `tree?epoch=${group.epoch}`);
    expect((await call(limited, "GET", tree, { token: ada.token })).status).toBe(429);
    expect((await send(limited, ada, group, "still here")).answer.status).toBe(201);
    expect((await read(ben)).status).toBe(200);
    limited.clock.now += wait * 1000;
    expect((await read(ada)).status).toBe(200);
    await limited.close();
  });

  it("has trees and blobs in it", async () => {
    const readBytes = { burst: 3000, perSecond: 1000 };
    for (const what of ["tree", "blob"] as const) {
      const limited = await startWorld({ limits: { readBytes } });
      const ada = await newMember(limited, "Ada");
      const { token } = ada;
      let path = "";
      if (what === "blob") {
        const headers = {
          "content-type": "application/partial-upload",
          "upload-complete": "?1",
          "upload-length": "5000",
        };
        const body = random(5000);
        const made = await fetch(`${limited.url}/v1/blobs`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, ...headers },
          body,
        });
        path = made.headers.get("location") ?? "";
      } else {
        const group = await startGroup(limited, ada);
        path = pathOf(group.groupId, `tree?epoch=${group.epoch}`);
      }
      const statuses: number[] = [];
      while (statuses.at(-1) !== 429) {
        statuses.push((await call(limited, "GET", path, { token })).status);
      }
      expect(statuses[0]).toBe(200);
      await limited.close();
    }
  });
});

describe("the log of the service", () => {
  it("says with each 401 what to come with", async () => {
    const { status, headers } = await call(world, "GET", "/v1/groups");
    expect([status, headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
  });

  it("has a line a request, which says neither who nor what", async () => {
    const person = await newPerson("Very Private Name");
    const bearer = await register(world, person);
    const id = bytesToText(person.accountId);
    await call(world, "GET", `/v1/accounts/${id}/device-list?secret=query`, { token: bearer });
    await call(world, "POST", "/v1/directory/lookup", { token: bearer, body: { name: "Nobody" } });
    await call(world, "GET", `/v1/links/${bytesToText(random(16))}`, { token: bearer });
    await call(world, "GET", "/v1/nothing", { token: bearer });
    const lines = world.lines.slice(-5);
    expect(lines.map((line) => [line.route, line.status, line.code])).toEqual([
      ["register", 201, undefined],
      ["deviceList", 200, undefined],
      ["lookUp", 404, "not-found"],
      ["link", 404, "not-found"],
      ["-", 404, "not-found"],
    ]);
    const text = JSON.stringify(world.lines);
    for (const secret of ["Private", "Nobody", id, bearer, "query", "127.0.0.1"]) {
      expect(text).not.toContain(secret);
    }
  });

  it("tells where an unforeseen error arose, and not what it says", async () => {
    const { store } = world;
    const broken = await startWorld({
      store: {
        ...store,
        account: async () => {
          throw new Error("a value that was sent");
        },
        close: async () => undefined,
      },
    });
    try {
      const path = `/v1/accounts/${bytesToText(random(32))}/device-list`;
      const answer = await call(broken, "GET", path, { token });
      expect(answer.problem.code).toBe("internal");
      expect(JSON.stringify(answer.body)).not.toContain("a value");
      expect(broken.lines.at(-1)?.error).toContain("service.test.ts");
      expect(JSON.stringify(broken.lines)).not.toContain("a value");
    } finally {
      await broken.close();
    }
  });
});

describe("a store that fails", () => {
  it("is told apart from other errors: what became of the request isn't known", async () => {
    const failing = await startWorld();
    await failing.store.close();
    const person = await newPerson("Unlucky");
    const body = { deviceList: await signList(person), signIn: await proveSignIn(person) };
    const answer = await call(failing, "POST", "/v1/accounts", { body });
    expect(answer).toMatchObject({ status: 503, problem: { code: "unavailable" } });
    expect(answer.headers.get("retry-after")).toBe("1");
    await failing.close();
  });
});

describe("shutting down", () => {
  it("is told to those who ask meanwhile", async () => {
    const ending = await startWorld();
    await ending.service.close();
    expect((await call(ending, "GET", "/health")).problem.code).toBe("shutting-down");
    await ending.close();
  });
});

describe("a restart", () => {
  it("forgets neither accounts nor sessions", async () => {
    const first = await startWorld();
    const person = await newPerson("Persistent");
    const bearer = await register(first, person);
    const second = await startWorld({ store: first.store });
    await first.server.close();
    const path = `/v1/accounts/${bytesToText(person.accountId)}/device-list`;
    expect((await call(second, "GET", path, { token: bearer })).status).toBe(200);
    const taken = await newPerson("Persistent");
    const body = { deviceList: await signList(taken), signIn: await proveSignIn(taken) };
    expect((await call(second, "POST", "/v1/accounts", { body })).problem.code).toBe("name-taken");
    await second.close();
  });
});
