import { parsePolicy } from "@conclave/csp";
import { createPage, openReportStore } from "@conclave/csp/collect";
import { describe, expect, test } from "vitest";
import { observe } from "./reports.ts";

const token = "0123456789abcdef";
const now = Date.UTC(2026, 10, 26, 17, 30);
const bearer = { Authorization: `Bearer ${token}` };

function site() {
  const store = openReportStore(":memory:");
  const page = createPage({ store, token, now: () => now });
  const ask = (path: string, init: RequestInit = { headers: bearer }) =>
    page(new Request(`https://reports.example${path}`, init), { address: "192.0.2.1" });
  const read = async (path: string) => (await ask(path)).text();
  return { store, ask, read };
}

const form = (fields: Record<string, string>, headers: Record<string, string> = {}) => ({
  method: "POST",
  headers,
  body: new URLSearchParams(fields),
});

describe("is for those who have the token", () => {
  test.each(["/", "/groups/1", "/anything"])("%s asks for it", async (path) => {
    const { store, ask } = site();
    store.record([observe()], now);
    const response = await ask(path, {});
    expect(response.status).toBe(401);
    expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
    const text = await response.text();
    expect(text).toContain('name="token"');
    expect(text).not.toContain("cdn.example");
  });

  test("a form, a session, and its end", async () => {
    const { ask } = site();
    const started = await ask("/sign-in", form({ token: ` ${token} ` }));
    expect([started.status, started.headers.get("Location")]).toEqual([303, "/"]);
    const Cookie = started.headers.get("Set-Cookie")?.split(";", 1)[0] ?? "";
    expect((await ask("/", { headers: { Cookie } })).status).toBe(200);
    const ended = await ask("/sign-out", form({}, { Cookie, "Sec-Fetch-Site": "same-origin" }));
    expect([ended.status, ended.headers.get("Location")]).toEqual([303, "/"]);
    expect((await ask("/", { headers: { Cookie } })).status).toBe(401);
  });

  test("a wrong token, and too many of them", async () => {
    const { ask } = site();
    const response = await ask("/sign-in", form({ token: "wrong" }));
    expect(response.status).toBe(401);
    expect(await response.text()).toContain("not the right one");
    for (let i = 0; i < 9; i++) await ask("/sign-in", form({ token: "wrong" }));
    expect((await ask("/sign-in", form({ token }))).status).toBe(429);
  });

  test("a form that is too large is no token", async () => {
    const { ask } = site();
    expect((await ask("/sign-in", form({ token, more: "x".repeat(10_000) }))).status).toBe(401);
  });

  test.each(["/sign-in", "/sign-out", "/groups/1/forget"])(
    "another site cannot make somebody's browser do %s",
    async (path) => {
      const { store, ask } = site();
      store.record([observe()], now);
      for (const site of ["cross-site", "same-site"]) {
        const response = await ask(path, form({ token }, { ...bearer, "Sec-Fetch-Site": site }));
        expect(response.status).toBe(403);
      }
      expect(store.size()).toBe(1);
    },
  );
});

test("every answer has the strict policy, and is not kept", async () => {
  const { ask } = site();
  for (const path of ["/", "/groups/99", "/style.css", "/icon.svg"]) {
    const { headers } = await ask(path);
    const policy = parsePolicy(headers.get("Content-Security-Policy") ?? "");
    const value = (name: string) =>
      policy.directiveSet
        .find((directive) => directive.name === name)
        ?.value.map(({ text }) => text)
        .join(" ");
    expect(value("default-src")).toBe("'none'");
    expect(value("script-src")).toBeUndefined();
    expect(value("require-trusted-types-for")).toBe("'script'");
    expect(value("trusted-types")).toBe("'none'");
    expect(headers.get("Content-Security-Policy")).not.toMatch(/unsafe|data:|http/);
    expect(headers.get("Cache-Control")).toBe("no-store");
    expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(headers.get("X-Frame-Options")).toBe("DENY");
  }
});

describe("the list", () => {
  test("shows violations of a week, the most frequent first", async () => {
    const { store, read } = site();
    store.record([observe(), observe({ blockedURL: "inline", sample: "go()" })], now);
    store.record([observe(), observe({ sourceFile: "moz-extension" })], now);
    const text = await read("/");
    expect(text.indexOf("https://cdn.example")).toBeLessThan(text.indexOf("inline: go()"));
    expect(text).toContain("Violations: 2 groups");
    expect(text).toContain('aria-label="Reports in 7 days: 3 violations, 0 impossible, 1 noise."');
    expect(text).not.toContain("a browser extension");
    expect(await read("/?show=noise")).toContain("a browser extension");
  });

  test("takes filters, and shows them again", async () => {
    const { store, read } = site();
    store.record([observe(), observe({ effectiveDirective: "img-src" })], now);
    const text = await read("/?directive=img-src&text=CDN&period=day&order=last-seen");
    expect(text).toContain("Violations: 1 group<");
    expect(text).toContain('<option value="img-src" selected>');
    expect(text).toContain('value="CDN"');
    expect(text).toContain('<option value="day" selected>');
  });

  test("nonsense in the address has its default", async () => {
    const { ask } = site();
    for (const query of ["show=__proto__", "period=toString", "order=x", "page=-1", "page=1e99"]) {
      expect((await ask(`/?${query}`)).status).toBe(200);
    }
  });

  test("has pages", async () => {
    const { store, read } = site();
    const many = Array.from({ length: 120 }, (_, i) =>
      observe({ blockedURL: `https://c${i}.example/` }),
    );
    store.record(many, now);
    const second = await read("/?page=1&show=all");
    expect(second).toContain("Page 2 of 3");
    expect(second).toContain('href="/?page=0&amp;show=all"');
    expect(second).toContain('href="/?page=2&amp;show=all"');
    expect(await read("/?page=2")).not.toContain(">Next<");
  });

  test("counts what was refused", async () => {
    const { store, read } = site();
    store.refuse("rate-limit", now);
    expect(await read("/")).toContain("Refused requests: rate-limit 1.");
  });

  test("is JSON for those who ask for it", async () => {
    const { store, ask } = site();
    store.record([observe()], now);
    const response = await ask("/?show=all", {
      headers: { ...bearer, Accept: "application/json" },
    });
    expect(response.headers.get("Content-Type")).toBe("application/json");
    expect(await response.json()).toMatchObject({
      size: 1,
      groups: [{ directive: "script-src-elem" }],
    });
  });
});

describe("a group", () => {
  test("shows what is known of it", async () => {
    const { store, read } = site();
    store.record([observe({ sourceFile: "https://shop.example/app.js", lineNumber: 7 })], now);
    const text = await read("/groups/1");
    expect(text).toContain("https://cdn.example/lib.js");
    expect(text).toContain("https://shop.example/app.js:7:0");
    expect(text).toContain("default-src &#39;none&#39;; script-src &#39;self&#39;; report-to csp");
    expect(text).toContain("Chrome 1");
  });

  test("can be forgotten", async () => {
    const { store, ask } = site();
    store.record([observe()], now);
    const response = await ask("/groups/1/forget", { method: "POST", headers: bearer });
    expect([response.status, response.headers.get("Location")]).toEqual([303, "/"]);
    expect((await ask("/groups/1")).status).toBe(404);
  });

  test.each(["/groups/", "/groups/x", "/groups/1/", "/groups/1/forget", "/groups/9e9", "/nothing"])(
    "%s is none",
    async (path) => {
      const { store, ask } = site();
      store.record([observe()], now);
      expect((await ask(path)).status).toBe(404);
    },
  );

  test("what a report says is text", async () => {
    const { store, read } = site();
    const hostile = `"><script>alert(1)</script><img src=x onerror='alert(1)'>\u202E\0`;
    store.record(
      [
        observe({
          documentURL: `https://shop.example/${hostile}`,
          blockedURL: hostile,
          sample: hostile,
          sourceFile: hostile,
          originalPolicy: hostile,
          effectiveDirective: hostile,
        }),
      ],
      now,
    );
    for (const text of [await read("/?show=all"), await read("/groups/1")]) {
      expect(text).toContain("&lt;script&gt;alert(1)");
      expect(text).not.toMatch(/<script|<img|onerror='|\u202e|\0/i);
    }
  });
});
