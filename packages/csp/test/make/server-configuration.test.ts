import { configurationFormats, serverConfiguration } from "@conclave/csp/make";
import { expect, test } from "vitest";

const page = (path: string, text: string) => ({ path, policy: { text } });
const same = [page("index.html", "img-src 'self'"), page("a/b.html", "img-src 'self'")];
const two = [page("index.html", "img-src 'self'"), page("a/b c.html", "img-src h.example/%3B")];

test("one policy for all pages is sent with everything", () => {
  const text = (format: (typeof configurationFormats)[number]) =>
    serverConfiguration(format, same).text;
  expect(text("nginx")).toContain(`add_header Content-Security-Policy "img-src 'self'" always;`);
  expect(text("apache")).toBe(`Header always set Content-Security-Policy "img-src 'self'"\n`);
  expect(text("caddy")).toBe("header Content-Security-Policy `img-src 'self'`\n");
  expect(text("netlify")).toBe("/*\n  Content-Security-Policy: img-src 'self'\n");
  expect(text("cloudflare")).toBe(text("netlify"));
  expect(JSON.parse(text("json"))).toEqual([
    { paths: ["/*"], header: "Content-Security-Policy", value: "img-src 'self'" },
  ]);
});

test("policies for pages go by path, with and without index and extension", () => {
  const text = (format: (typeof configurationFormats)[number]) =>
    serverConfiguration(format, two, { reportOnly: true }).text;
  expect(text("nginx")).toContain(`  "/a/b c.html" "img-src h.example/%3B";\n`);
  // `%` begins a format there.
  expect(text("apache")).toBe(
    `<If "%{REQUEST_URI} in { '/', '/index.html' }">
  Header always set Content-Security-Policy-Report-Only "img-src 'self'"
</If>
<If "%{REQUEST_URI} in { '/a/b c.html', '/a/b c' }">
  Header always set Content-Security-Policy-Report-Only "img-src h.example/%%3B"
</If>
`,
  );
  expect(text("caddy")).toContain("@csp1 path `/` `/index.html`\n");
  expect(text("netlify")).toContain(
    "/a/b%20c\n  Content-Security-Policy-Report-Only: img-src h.example/%3B\n",
  );
});

test("servers are told of paths as they see them, decoded", () => {
  const odd = [page("a&b;c+d.html", "img-src a.example"), page("index.html", "img-src 'self'")];
  const text = (format: (typeof configurationFormats)[number]) =>
    serverConfiguration(format, odd).text;
  expect(text("nginx")).toContain('"/a&b;c+d.html"');
  expect(text("apache")).toContain("'/a&b;c+d.html'");
  expect(text("caddy")).toContain("`/a&b;c+d.html`");
  expect(text("netlify")).toContain("/a%26b%3Bc%2Bd.html\n");
});

test.each(["a\nHeader unset X\n.html", 'a".html', "a\\.html", "%{ENV:X}.html"])(
  "a file named %j cannot write Apache's configuration",
  (path) => {
    const pages = [page(path, "img-src a.example"), page("index.html", "img-src 'self'")];
    expect(() => serverConfiguration("apache", pages)).toThrow(
      expect.objectContaining({ code: "invalid-value" }),
    );
  },
);

test.each([
  ["netlify", "*.html"],
  ["netlify", ":page.html"],
  ["cloudflare", "a/*.html"],
  ["cloudflare", "a/:b/c.html"],
  ["caddy", "*.html"],
  ["caddy", "{env.HOME}.html"],
  ["caddy", "{$HOME}.html"],
  ["caddy", "[id].html"],
  ["caddy", "a?.html"],
  ["caddy", "a%41.html"],
  ["caddy", "a\n}.html"],
] as const)("%s is told of no file named %j, which would be a pattern", (format, path) => {
  const pages = [page(path, "img-src a.example"), page("index.html", "img-src 'self'")];
  expect(() => serverConfiguration(format, pages)).toThrow(
    expect.objectContaining({ code: "invalid-value" }),
  );
  // Where every path has the same, none is named.
  expect(serverConfiguration(format, [page(path, "img-src a.example")]).text).not.toContain(path);
});

test.each(configurationFormats)("a policy of several lines is one line of %s", (format) => {
  const lines = [page("a.html", "img-src\r\n a.example;\n\ffont-src b.example\n")];
  const line = [page("a.html", "img-src a.example; font-src b.example")];
  const other = page("index.html", "img-src 'self'");
  for (const others of [[], [other]]) {
    expect(serverConfiguration(format, [...lines, ...others])).toEqual(
      serverConfiguration(format, [...line, ...others]),
    );
  }
});

test("a backslash doesn't keep Apache's string from ending", () => {
  const { text } = serverConfiguration("apache", [page("a.html", "img-src a\\")]);
  expect(text).toBe('Header always set Content-Security-Policy "img-src a\\\\"\n');
});

test("what a host does not take is said", () => {
  const long = `img-src ${"a.example ".repeat(300)}`;
  const warnings = (format: (typeof configurationFormats)[number], text: string) =>
    serverConfiguration(format, [page("a.html", text)]).warnings.join();
  expect(warnings("cloudflare", long)).toContain("2000");
  expect(warnings("netlify", long)).toBe("");
  expect(warnings("netlify", long.repeat(2))).toContain("4096");
  const pages = Array.from({ length: 60 }, (_, i) => page(`${i}.html`, `img-src ${i}.example`));
  expect(serverConfiguration("cloudflare", pages).warnings.join()).toContain("100");
});

test.each(configurationFormats)("%s has a name for its file", (format) => {
  expect(serverConfiguration(format, []).name).toMatch(/./);
});
