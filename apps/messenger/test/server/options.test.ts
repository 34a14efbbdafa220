import { describe, expect, test } from "vitest";
import { OptionsError, parseOptions } from "../../src/server/options.ts";

function options(...args: readonly string[]) {
  const parsed = parseOptions(args);
  if (parsed === "help") throw new Error("help was not asked for");
  return parsed;
}

function refusal(...args: readonly string[]): string {
  try {
    parseOptions(args);
  } catch (error) {
    if (error instanceof OptionsError) return error.message;
    throw error;
  }
  throw new Error("was accepted");
}

test("without any, everything is on localhost, three ports beside each other", () => {
  expect(options()).toEqual({
    host: "localhost",
    pagePort: 8440,
    servicePort: 8441,
    operatorPort: 8442,
    data: "conclave-data",
    pageOrigin: "http://localhost:8440",
    serviceOrigin: "http://localhost:8441",
    behindProxy: false,
    contact: "open",
    registration: "open",
    log: false,
  });
});

test("--help, alone or among others", () => {
  expect(parseOptions(["--help"])).toBe("help");
  expect(parseOptions(["--port", "1", "-h"])).toBe("help");
});

describe("ports", () => {
  test("are part of the origins", () => {
    const { pageOrigin, serviceOrigin } = options("--port", "80", "--service-port", "9000");
    expect(pageOrigin).toBe("http://localhost");
    expect(serviceOrigin).toBe("http://localhost:9000");
  });

  test.each(["0", "65536", "http", "-1", "1e3", ""])("%j is none", (text) => {
    expect(refusal(`--port=${text}`)).toContain("--port takes a number from 1 to 65535");
  });

  test("are three", () => {
    expect(refusal("--port", "8441")).toContain("two are the same");
  });
});

test("--registration is open, invite or closed", () => {
  expect(options("--registration", "invite").registration).toBe("invite");
  expect(refusal("--registration", "me")).toContain('takes "open", "invite" or "closed"');
});

test("--contact is open or ask", () => {
  expect(options("--contact", "ask").contact).toBe("ask");
  expect(refusal("--contact", "nobody")).toContain('--contact takes "open" or "ask"');
});

describe("TLS", () => {
  test("--tls makes a certificate, and the origins https", () => {
    const parsed = options("--tls", "--host", "192.168.1.2");
    expect(parsed.tls).toEqual({ kind: "self-signed" });
    expect(parsed.pageOrigin).toBe("https://192.168.1.2:8440");
    expect(parsed.serviceOrigin).toBe("https://192.168.1.2:8441");
  });

  test("--cert and --key belong together", () => {
    expect(options("--cert", "c.pem", "--key", "k.pem").tls).toEqual({
      kind: "files",
      certFile: "c.pem",
      keyFile: "k.pem",
    });
    expect(refusal("--cert", "c.pem")).toContain("belong together");
    expect(refusal("--tls", "--key", "k.pem")).toContain("belong together");
  });

  test("a network's address without https is refused: browsers would give the page no cryptography", () => {
    expect(refusal("--host", "192.168.1.2")).toContain("--tls");
    expect(refusal("--host", "chat.example")).toContain("--tls");
    expect(options("--host", "127.0.0.1").pageOrigin).toBe("http://127.0.0.1:8440");
    expect(options("--host", "chat.localhost").pageOrigin).toBe("http://chat.localhost:8440");
  });

  test("all addresses of the machine: the origin names one that others can reach", () => {
    const { host, pageOrigin } = options("--tls", "--host", "0.0.0.0");
    expect(host).toBe("0.0.0.0");
    expect(pageOrigin).not.toContain("0.0.0.0");
  });

  test("an IPv6 address is refused: no policy can name it", () => {
    expect(refusal("--tls", "--host", "fe80::1")).toContain("IPv6");
  });
});

describe("behind a proxy", () => {
  test("both origins are given", () => {
    const parsed = options(
      "--public-origin=https://chat.example",
      "--service-origin=https://delivery.example/",
    );
    expect(parsed).toMatchObject({
      host: "localhost",
      pageOrigin: "https://chat.example",
      serviceOrigin: "https://delivery.example",
      behindProxy: true,
    });
    expect(refusal("--public-origin=https://chat.example")).toContain("belong together");
    expect(refusal("--service-origin=https://chat.example")).toContain("belong together");
  });

  test("they are two", () => {
    expect(
      refusal("--public-origin=https://chat.example", "--service-origin=https://chat.example:443"),
    ).toContain("an origin each");
  });

  test.each([
    "chat.example",
    "https://chat.example/path",
    "https://chat.example/?a",
    "https://user@chat.example",
    "ftp://chat.example",
    "javascript:alert(1)",
  ])("%s is no origin", (text) => {
    expect(refusal(`--public-origin=${text}`, "--service-origin=https://s.example")).toContain(
      "takes an origin",
    );
  });
});

test("an unknown option, a missing value and a stray word are refused by name", () => {
  expect(refusal("--prot", "80")).toContain("--prot");
  expect(refusal("--data")).toContain("--data");
  expect(refusal("start")).toContain("start");
});
