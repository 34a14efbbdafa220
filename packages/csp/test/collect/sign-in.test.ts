import { expect, test } from "vitest";
import { createSignIn } from "../../src/collect/sign-in.ts";

const token = "correct horse battery";
const HOUR = 3_600_000;

function setUp() {
  let at = 0;
  const signIn = createSignIn(token, () => at);
  const isKnown = (headers: Record<string, string>) =>
    signIn.isKnown(new Request("https://reports.example/", { headers }));
  const start = (given = token, address = "a") => {
    const started = signIn.start(given, address);
    return typeof started === "string" ? started : started.cookie;
  };
  return { signIn, isKnown, start, wait: (time: number) => (at += time) };
}
const pairOf = (cookie: string) => cookie.split(";", 1)[0] ?? "";

test("by header", () => {
  const { isKnown } = setUp();
  const short = createSignIn("0123456789abcdef", () => 0);
  const ask = (value: string) =>
    short.isKnown(new Request("https://x.example/", { headers: { Authorization: value } }));
  expect(ask("Bearer 0123456789abcdef")).toBe(true);
  expect(ask("bearer 0123456789abcdef")).toBe(true);
  expect(ask("Bearer 0123456789abcdeF")).toBe(false);
  expect(ask("Basic 0123456789abcdef")).toBe(false);
  expect(isKnown({})).toBe(false);
  expect(isKnown({ Authorization: "" })).toBe(false);
});

test("by a session, whose cookie no script, site or other host gets", () => {
  const { isKnown, start } = setUp();
  const cookie = start();
  expect(cookie).toMatch(
    /^__Host-csp-collector=[\w-]{32}; Max-Age=43200; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
  );
  expect(cookie).not.toContain(token);
  expect(isKnown({ Cookie: `other=1; ${pairOf(cookie)}` })).toBe(true);
  expect(isKnown({ Cookie: `${pairOf(cookie)}x` })).toBe(false);
  expect(isKnown({ Cookie: "__Host-csp-collector=" })).toBe(false);
  expect(isKnown({ Cookie: pairOf(cookie).replace("__Host-", "") })).toBe(false);
  // A header that is wrong is wrong, whatever else is there.
  expect(isKnown({ Authorization: "Bearer x", Cookie: pairOf(cookie) })).toBe(false);
});

test("a wrong token starts nothing", () => {
  const { start } = setUp();
  expect(start("")).toBe("wrong");
  expect(start(`${token}r`)).toBe("wrong");
});

test("guessing is slow, for one and for all", () => {
  const { start, wait } = setUp();
  for (let i = 0; i < 10; i++) expect(start("guess")).toBe("wrong");
  expect(start()).toBe("too-often");
  expect(start(token, "b")).toContain("__Host-");
  for (let i = 0; i < 100; i++) start("guess", `address ${i}`);
  expect(start("guess", "c")).toBe("too-often");
  // Strangers cannot keep out who has the token.
  expect(start(token, "c")).toContain("__Host-");
  wait(60_000);
  expect(start()).toContain("__Host-");
});

test("a session ends by itself, or on request", () => {
  const { signIn, isKnown, start, wait } = setUp();
  const Cookie = pairOf(start());
  wait(12 * HOUR - 1);
  expect(isKnown({ Cookie })).toBe(true);
  wait(1);
  expect(isKnown({ Cookie })).toBe(false);

  const another = { Cookie: pairOf(start()) };
  const removal = signIn.end(new Request("https://reports.example/", { headers: another }));
  expect(removal).toContain("Max-Age=0");
  expect(isKnown(another)).toBe(false);
});

test("the oldest of too many sessions ends", () => {
  const { isKnown, start, wait } = setUp();
  const cookies = Array.from({ length: 101 }, (_, i) => {
    wait(10_000);
    return pairOf(start(token, `address ${i}`));
  });
  expect(isKnown({ Cookie: cookies[0] ?? "" })).toBe(false);
  expect(isKnown({ Cookie: cookies[1] ?? "" })).toBe(true);
});

test("a token that can be guessed is refused", () => {
  expect(() => createSignIn("short", () => 0)).toThrow(TypeError);
});
