import { type AddressInfo, connect, createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { freePort } from "../../../../scripts/free-port.ts";
import { type Endpoint, listen, type Site } from "../../src/server/listener.ts";
import { StartError } from "../../src/server/start-error.ts";

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const listener of open.splice(0)) await listener.close();
});

/** Listens on a free port of loopback, whose origin it gives back. */
async function listenSomewhere(site: Site, options: Partial<Endpoint> = {}) {
  const port = await freePort();
  const listener = await listen(site, { host: "127.0.0.1", port, ...options });
  open.push(listener);
  return { origin: `http://127.0.0.1:${port}`, port, listener };
}

const echo: Site = { fetch: (request, { address }) => Response.json([request.url, address]) };

test("a handler gets the request and the caller's address", async () => {
  const { origin } = await listenSomewhere(echo);
  const answer = await fetch(`${origin}/path`);
  expect(await answer.json()).toEqual([`${origin}/path`, "127.0.0.1"]);
});

test("behind a proxy the caller is whom the proxy saw, not whom the caller names", async () => {
  const headers = { "X-Forwarded-For": "198.51.100.1, 192.0.2.7" };
  const addressIn = async (options: Partial<Endpoint>) => {
    const { origin } = await listenSomewhere(echo, options);
    const [, address] = (await (await fetch(origin, { headers })).json()) as readonly string[];
    return address;
  };
  expect(await addressIn({ behindProxy: true })).toBe("192.0.2.7");
  expect(await addressIn({ behindProxy: false })).toBe("127.0.0.1");
});

test("requests for a socket go to the site that takes them; elsewhere the connection ends", async () => {
  const answered = (port: number) =>
    new Promise<string>((resolve) => {
      let text = "";
      const socket = connect(port, "127.0.0.1", () => {
        socket.write(
          "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
      });
      socket.on("data", (data) => (text += data)).on("close", () => resolve(text));
    });
  const taking = await listenSomewhere({
    ...echo,
    upgrade: (_request, stream, _head, { address }) => stream.end(`taken from ${address}`),
  });
  expect(await answered(taking.port)).toBe("taken from 127.0.0.1");
  const refusing = await listenSomewhere(echo);
  expect(await answered(refusing.port)).toBe("");
});

test("closing closes the site, lets a request finish, and ends one that never would", async () => {
  const asked: string[] = [];
  const { promise: slow, resolve: finish } = Promise.withResolvers<void>();
  let closed = false;
  const { origin, listener } = await listenSomewhere({
    async fetch(request) {
      asked.push(request.url);
      await (request.url.endsWith("/slow") ? slow : new Promise<void>(() => {}));
      return new Response("finished");
    },
    close() {
      closed = true;
      finish();
    },
  });
  const get = (path: string) =>
    fetch(`${origin}${path}`).then(
      (answer) => answer.text(),
      () => "ended",
    );
  const pending = Promise.all([get("/slow"), get("/endless")]);
  await expect.poll(() => asked.length).toBe(2);
  await listener.close();
  expect(closed).toBe(true);
  expect(await pending).toEqual(["finished", "ended"]);
  expect(await get("/slow")).toBe("ended");
});

test("a port in use is said in words", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  open.push(other);
  const { port } = other.address() as AddressInfo;
  const failure = listen(echo, { host: "127.0.0.1", port });
  await expect(failure).rejects.toThrow(StartError);
  await expect(failure).rejects.toThrow(`Port ${port} is in use`);
});

test("so is an address of another machine", async () => {
  const failure = listen(echo, { host: "192.0.2.1", port: await freePort() });
  await expect(failure).rejects.toThrow("192.0.2.1 is not an address of this machine");
});
