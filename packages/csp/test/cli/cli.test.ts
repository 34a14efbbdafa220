/** What the commands print and how they end, run as they are used. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { widthOf } from "../../src/cli/command.ts";
import { listen, readSite, serve, sitesFolder } from "../make/site.ts";
import { csp, start } from "./csp.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "csp-cli-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: unknown): string {
  const path = join(mkdtempSync(join(folder, "file-")), name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const weak = "script-src 'self' 'unsafe-inline'; object-src 'none'";
const strict =
  "default-src 'none'; script-src 'sha256-DIm7WJS6ZKDYe5qFLPy+h4JFI9Bol5QmYC57mt3Fb00='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

describe.concurrent("check", () => {
  test("points at what is wrong, and ends with 1", async () => {
    const { code, stdout, stderr } = await csp(["check", weak]);
    expect(code).toBe(1);
    expect(stderr).toBe("");
    expect(stdout).toContain("HIGH");
    const lines = stdout.split("\n");
    const at = lines.findIndex((line) => /^ +\^{15}$/.test(line));
    const column = lines[at]?.indexOf("^") ?? -1;
    expect(lines[at - 1]?.slice(column, column + 15)).toBe("'unsafe-inline'");
    expect(stdout).toContain("Bypassable");
  });

  test("ends with 0 for a good policy, and with 1 when told to be strict", async () => {
    expect((await csp(["check", strict])).code).toBe(0);
    expect((await csp(["check", "--fail-on", "info", strict])).code).toBe(1);
    expect((await csp(["check", "--fail-on=none", weak])).code).toBe(0);
  });

  test("--json has a stable form, and no colours", async () => {
    const { stdout } = await csp(["check", "--json", "--color", "always", weak]);
    const { version, subjects } = JSON.parse(stdout);
    expect(version).toBe(1);
    expect(subjects[0]).toMatchObject({
      name: "policy",
      policies: [{ from: "Content-Security-Policy", disposition: "enforce", text: weak }],
      grade: "bypassable",
      counts: { high: expect.any(Number) },
    });
    expect(subjects[0].findings[0]).toMatchObject({
      type: expect.any(String),
      severity: "high",
      directive: "script-src",
      span: { offset: expect.any(Number), length: expect.any(Number) },
      why: expect.any(String),
      mend: expect.any(String),
    });
  });

  test("colours where they are wanted", async () => {
    const escape = "\u001B[";
    const colours = async (args: string[], env: Record<string, string> = {}) =>
      (await csp(["check", ...args, weak], { env })).stdout.includes(escape);
    expect(await colours([])).toBe(false);
    expect(await colours(["--color=always"])).toBe(true);
    expect(await colours([], { FORCE_COLOR: "1" })).toBe(true);
    expect(await colours(["--no-color"], { FORCE_COLOR: "1" })).toBe(false);
  });

  test("reads headers from standard input, all policies together", async () => {
    const input = `HTTP/2 200\r\ncontent-security-policy: ${weak}\r\nContent-Security-Policy: ${strict}\r\nx-frame-options: DENY\r\n`;
    const { stdout, code } = await csp(["check", "--json"], { input });
    const [subject] = JSON.parse(stdout).subjects;
    expect(subject.name).toBe("standard input");
    expect(subject.policies).toHaveLength(2);
    // The strict one closes what the weak one leaves open.
    expect(code).toBe(0);
  });

  test.each([
    ["policy.txt", weak],
    ["headers.txt", `Content-Type: text/html\nContent-Security-Policy: ${weak}\n`],
    ["_headers", `/*\n  Content-Security-Policy: ${weak}\n`],
    ["nginx.conf", `add_header Content-Security-Policy "${weak}" always;\n`],
    [".htaccess", `Header always set Content-Security-Policy "${weak}"\n`],
    ["Caddyfile", `header Content-Security-Policy \`${weak}\`\n`],
    ["text.json", weak],
    ["list.json", [weak]],
    ["object.json", { "script-src": ["'self'", "'unsafe-inline'"], "object-src": "'none'" }],
    ["server.json", [{ paths: ["/*"], header: "Content-Security-Policy", value: weak }]],
    [
      "page.html",
      `<!doctype html><meta http-equiv=content-security-policy content="${weak}"><p>Text`,
    ],
  ])("reads %s", async (name, content) => {
    const json = name.endsWith(".json") ? JSON.stringify(content) : content;
    const { stdout, stderr } = await csp(["check", "--json", file(name, json)]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout).subjects[0].policies[0].text).toBe(weak);
  });

  test("reads a header as it is copied from a server's answer or configuration", async () => {
    const read = async (...args: string[]) =>
      JSON.parse((await csp(["check", "--json", ...args])).stdout).subjects[0].policies;
    const one = { text: "img-src 'self'" };
    for (const line of [
      "Content-Security-Policy: img-src 'self'",
      `add_header Content-Security-Policy "img-src 'self'" always;`,
    ]) {
      expect(await read(line)).toMatchObject([{ ...one, disposition: "enforce" }]);
      expect(await read("-p", line)).toMatchObject([{ ...one, disposition: "enforce" }]);
    }
    const wrapped = `add_header Content-Security-Policy "img-src 'self';\n  font-src *" always;\nlisten 80;`;
    expect(await read(file("site.conf", wrapped))).toMatchObject([
      { text: "img-src 'self'; font-src *" },
    ]);
    const unclosed = `add_header Content-Security-Policy "img-src 'self';\nlisten 80;`;
    expect(await read(unclosed)).toMatchObject([{ text: "img-src 'self';" }]);
    const watched = "content-security-policy-report-only: img-src 'self'";
    expect(await read(watched)).toMatchObject([{ ...one, disposition: "report" }]);
  });

  test("asks a server for headers and meta elements", async () => {
    const server = createServer((_request, response) => {
      response.setHeader("Content-Security-Policy", weak);
      response.setHeader("Content-Type", "text/html");
      response.end(
        `<meta http-equiv="Content-Security-Policy" content="img-src 'self'; frame-ancestors 'none'">`,
      );
    });
    const url = await listen(server);
    const { stdout } = await csp(["check", "--json", url]);
    server.close();
    server.closeAllConnections();
    const [subject] = JSON.parse(stdout).subjects;
    expect(subject.name).toBe(url);
    expect(subject.policies.map((policy: { from: string }) => policy.from)).toEqual([
      "Content-Security-Policy",
      "meta",
    ]);
  });

  test("reads a folder page by page", async () => {
    const site = join(folder, "site");
    await cp(join(sitesFolder, "plain"), site, { recursive: true });
    await csp(["generate", "--write", site]);
    const { stdout, code } = await csp(["check", "--json", site], { cwd: folder });
    const names = JSON.parse(stdout).subjects.map(({ name }: { name: string }) => name);
    expect(names).toEqual(["site/docs/index.html", "site/index.html", "site/thanks.html"]);
    expect(code).toBe(0);
  });

  test("a stranger's text does nothing to the terminal", async () => {
    const { stdout } = await csp(["check", "-p", "script-src \u001B[31mred\u0007 'unsafe-inline'"]);
    expect(stdout).not.toContain("\u001B");
    expect(stdout).not.toContain("\u0007");
  });
});

describe.concurrent("explain", () => {
  test("says in words what a policy does", async () => {
    const { stdout, code } = await csp([
      "explain",
      "script-src 'nonce-abc' 'strict-dynamic' https:; img-src https://*.example/a/; img-src *",
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain(
      "Scripts: elements with the nonce abc; whatever a trusted script loads, hosts and schemes not\n    counting",
    );
    expect(stdout).toContain("Images: any host below example over https, below /a/");
    expect(stdout).toContain("Ignored: the directive was there before");
    expect(stdout).toContain("connect-src: Connections");
  });

  test("says why something is blocked, and what would allow it", async () => {
    const asked = ["explain", "-p", "script-src 'self'", "--script", "https://cdn.example/lib.js"];
    const { stdout, code } = await csp(asked);
    expect(code).toBe(1);
    expect(stdout).toBe(`Blocked: the script https://cdn.example/lib.js

  Blocked by script-src (which stands in for script-src-elem): nothing in its list matches.
    script-src 'self'
    ^^^^^^^^^^^^^^^^^
  To allow it, add https://cdn.example/lib.js to script-src. Allows this URL alone, and after a
  redirect everything on its host.
  To allow it, add https://cdn.example to script-src. Allows everything on that host.
`);
  });

  test("knows nonces, insertion, redirects and profiles", async () => {
    const ends = async (...args: string[]) => (await csp(["explain", ...args])).code;
    const dynamic = ["-p", "script-src 'nonce-abc' 'strict-dynamic'", "--script", "/a.js"];
    expect(await ends(...dynamic)).toBe(1);
    expect(await ends(...dynamic, "--nonce", "abc")).toBe(0);
    expect(await ends(...dynamic, "--inserted-by-script")).toBe(0);
    const image = ["-p", "img-src a.example", "--image", "https://a.example/"];
    expect(await ends(...image)).toBe(0);
    expect(await ends(...image, "--redirect", "https://b.example/")).toBe(1);
    const port = ["-p", "img-src http://a.example:80", "--image", "https://a.example/"];
    expect(await ends(...port)).toBe(1);
    expect(await ends(...port, "--profile", "chromium")).toBe(0);
  });

  test("--json gives decisions to machines", async () => {
    const { stdout } = await csp([
      "explain",
      "--json",
      "-p",
      "img-src 'none'",
      "--image",
      "/a.png",
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      version: 1,
      question: { kind: "image", value: "/a.png" },
      result: "blocked",
      policies: [
        { directive: "img-src", result: "blocked", remedies: [{ directive: "img-src" }, {}] },
      ],
    });
  });
});

describe.concurrent("test", () => {
  const cases = {
    policy: "script-src 'self' 'nonce-abc'; img-src 'none'",
    page: "https://shop.example/",
    cases: [
      { script: "/app.js", expect: "allowed" },
      { name: "injected", "inline-script": "alert(1)", expect: "blocked" },
      { "inline-script": "go()", nonce: "abc", expect: "allowed" },
    ],
  };

  test("cases pass or fail", async () => {
    const passed = await csp(["test", file("cases.json", cases)]);
    expect(passed.code).toBe(0);
    expect(passed.stdout).toContain("3 of 3 as expected");
    const failing = [...cases.cases, { image: "/logo.png", expect: "allowed" }];
    const failed = await csp(["test", file("failing.json", { ...cases, cases: failing })]);
    expect(failed.code).toBe(1);
    expect(failed.stdout).toContain("FAIL  the image /logo.png is blocked, not allowed");
    expect(failed.stdout).toContain("img-src");
    const json = await csp(["test", "--json", file("failing.json", { ...cases, cases: failing })]);
    expect(JSON.parse(json.stdout)).toMatchObject({ version: 1, passed: 3, failed: 1 });
  });

  test("every kind of question can be a case", async () => {
    const policy =
      "default-src 'self'; script-src 'self' 'sha256-DIm7WJS6ZKDYe5qFLPy+h4JFI9Bol5QmYC57mt3Fb00='; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    const questions = [
      ["script", "/app.js", "allowed"],
      ["style", "https://a.example/", "blocked"],
      ["image", "data:image/png,", "allowed"],
      ["font", "/a.woff2", "allowed"],
      ["connect", "wss://page.example/", "allowed"],
      ["media", "https://a.example/", "blocked"],
      ["frame", "https://a.example/", "blocked"],
      ["worker", "/w.js", "allowed"],
      ["object", "https://a.example/", "blocked"],
      ["manifest", "/m.json", "allowed"],
      ["inline-script", "start()", "allowed"],
      ["inline-script", "stop()", "blocked"],
      ["inline-style", "p{}", "blocked"],
      ["event-handler", "start()", "blocked"],
      ["style-attribute", "top: 0", "blocked"],
      ["javascript-url", "start()", "blocked"],
      ["eval", "1", "blocked"],
      ["wasm", true, "blocked"],
      ["form", "https://a.example/", "blocked"],
      ["base", "/", "blocked"],
      ["embedded-by", "https://a.example", "blocked"],
    ] as const;
    const list = questions.map(([kind, value, expected]) => ({ [kind]: value, expect: expected }));
    const { stdout, stderr } = await csp(["test", file("all.json", { policy, cases: list })]);
    expect(stderr).toBe("");
    expect(stdout).toContain("21 of 21 as expected");
  });

  test("a policy on the command line comes in place of the file's", async () => {
    const { code } = await csp(["test", "-p", "script-src 'none'", file("cases.json", cases)]);
    expect(code).toBe(1);
  });

  test("a recording's requests are tried against its pages' policies, or another", async () => {
    const entry = (url: string, type: string, mimeType: string, headers: unknown[] = []) => ({
      pageref: "page_1",
      _resourceType: type,
      request: { url },
      response: { headers, content: { mimeType } },
    });
    const header = { name: "Content-Security-Policy", value: "default-src 'self'" };
    const har = {
      log: {
        pages: [{ id: "page_1" }],
        entries: [
          entry("https://shop.example/", "document", "text/html", [header]),
          entry("https://shop.example/a.js", "script", "text/javascript"),
          entry("https://cdn.example/b.css", "stylesheet", "text/css"),
          entry("wss://shop.example/live", "websocket", ""),
        ],
      },
    };
    const path = file("recording.har", har);
    const { stdout, code } = await csp(["test", path]);
    expect(code).toBe(1);
    expect(stdout).toContain("ok    script https://shop.example/a.js is allowed");
    expect(stdout).toContain("FAIL  stylesheet https://cdn.example/b.css is blocked");
    expect(stdout).toContain("ok    websocket wss://shop.example/live");
    const wider = "default-src 'self' https://cdn.example";
    expect((await csp(["test", "--policy", wider, path])).code).toBe(0);
  });
});

describe.concurrent("diff", () => {
  const narrow = "script-src 'self'; img-src 'self'";
  const wide = "script-src 'self' https://cdn.example; img-src 'none'";

  test("shows what each side allows, and ends with 1", async () => {
    const { stdout, code } = await csp(["diff", narrow, wide]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/The first alone allows\n- img-src: /);
    expect(stdout).toMatch(/The second alone allows\n\+ script-src-elem: .*cdn\.example/);
    expect(stdout).toContain(`    ${wide}\n    ${" ".repeat(18)}${"^".repeat(19)}\n`);
  });

  test("the same in other words is the same", async () => {
    const { stdout, code } = await csp(["diff", "default-src 'none'", "default-src"]);
    expect(stdout).toBe("They allow the same.\n");
    expect(code).toBe(0);
  });

  test("--wider asks one way alone; --json", async () => {
    expect(
      (await csp(["diff", "--wider", "img-src 'self' a.example", "img-src 'self'"])).code,
    ).toBe(0);
    const { stdout, code } = await csp(["diff", "--wider", "--json", narrow, wide]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      version: 1,
      onlyFirst: [],
      onlySecond: expect.arrayContaining([
        expect.objectContaining({ directive: expect.any(String), example: expect.any(String) }),
      ]),
    });
  });
});

describe("generate", () => {
  test("tells what stands in the way, writes nothing, and ends with 1", async () => {
    const site = join(folder, "old");
    await cp(join(sitesFolder, "old"), site, { recursive: true });
    const before = readFileSync(join(site, "index.html"), "utf8");
    const { stdout, code } = await csp(["generate", site]);
    expect(code).toBe(1);
    expect(stdout).toContain("error index.html:16:40: onclick on <a> is blocked");
    expect(readFileSync(join(site, "index.html"), "utf8")).toBe(before);
    expect((await csp(["generate", "--unsafe-hashes", site])).code).toBe(0);
  });

  test("--write twice changes nothing the second time", async () => {
    const site = join(folder, "twice");
    await cp(join(sitesFolder, "plain"), site, { recursive: true });
    const first = await csp(["generate", "--write", "--integrity", "--scripts", "hash", site]);
    expect(first.stdout).toContain("Written: docs/index.html, index.html, thanks.html");
    const written = readFileSync(join(site, "index.html"), "utf8");
    const second = await csp(["generate", "--write", "--integrity", "--scripts", "hash", site]);
    expect(second.stdout).toContain("Nothing to change.");
    expect(readFileSync(join(site, "index.html"), "utf8")).toBe(written);
  });

  test("--server prints the configuration alone", async () => {
    const site = join(sitesFolder, "plain");
    const { stdout, stderr, code } = await csp([
      "generate",
      "--server",
      "caddy",
      "--scope",
      "site",
      site,
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^header Content-Security-Policy `default-src 'none'; [^\n]*`\n$/);
    expect(stderr).toContain("note");
    const checked = await csp(["check"], { input: stdout });
    expect(checked.code).toBe(0);
  });

  test("visits a URL and proves the policy", async () => {
    const served = await serve(readSite(join(sitesFolder, "plain")));
    const { stdout, code } = await csp(["generate", "--json", "--max-pages", "2", served.url]);
    served.close();
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ version: 1, counts: { high: 0 }, proof: { violations: [] } });
    expect(result.policy).toContain("default-src 'none'; script-src 'self' 'sha256-");
    expect(code).toBe(0);
  });
});

test("collect takes reports until it is interrupted", async () => {
  const child = start(["collect", "--json", "--port", "0", "--file", ":memory:"]);
  const { url, reports, token } = await new Promise<Record<string, string>>((resolve) => {
    child.stdout.once("data", (data) => resolve(JSON.parse(String(data))));
  });
  expect(token).toMatch(/^.{24}$/);
  const body = JSON.stringify({
    "csp-report": {
      "document-uri": "https://a.example/",
      "violated-directive": "img-src",
      "effective-directive": "img-src",
      "original-policy": "img-src 'none'",
      "blocked-uri": "https://b.example/a.png",
    },
  });
  const headers = { "Content-Type": "application/csp-report" };
  const answer = await fetch(reports ?? "", { method: "POST", body, headers });
  expect(answer.ok).toBe(true);
  expect((await fetch(url ?? "")).status).toBeLessThan(500);
  const ended = new Promise((resolve) => child.on("close", resolve));
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
});

describe.concurrent("wrong use ends with 2, and says how it is meant", () => {
  test.each([
    [[], "Usage: csp COMMAND"],
    [["chekc"], 'there is no command "chekc"; did you mean check?'],
    [["check", "--jsn", weak], "there is no option --jsn; did you mean --json?"],
    [["check", "nowhere.html"], '"nowhere.html" is no file, folder, URL or policy'],
    [["check", "scrpt-src"], "did you mean script-src?"],
    [["check", "--fail-on", "hgih", weak], "did you mean high?"],
    [["check", ""], "is no file, folder, URL or policy"],
    [["check", "localhost:3000"], "did you mean http://localhost:3000?"],
    [["generate", "127.0.0.1:80/a"], "did you mean http://127.0.0.1:80/a?"],
    [["check", "Content-Security-Policy: ;"], "the policy has no directive in it"],
    [["explain", "-p", weak, "--script", ""], "script is a URL, and none is given"],
    [["check", "--policy", ";"], "the policy has no directive in it"],
    [["check", "http://localhost:1/"], "does not answer"],
    [["check", "--color", "blue", weak], "--color is one of always, auto, never"],
    [
      ["explain", "-p", weak, "--script", "a", "--image", "b"],
      "script and image are two questions",
    ],
    [["explain", "-p", weak, "--nonce", "a"], "--nonce goes with a question"],
    [["explain", "-p", weak, "--script", "http://["], "is no URL"],
    [["explain", "-p", weak, "--page", "mailto:a", "--wasm"], "--page is an http or https URL"],
    [["diff", weak], "two policies are asked for"],
    [["test"], "one file is asked for"],
    [["test", "nowhere.json"], "cannot be read"],
    [["generate"], "one folder or URL is asked for"],
    [["generate", "nowhere"], "is no folder and no URL"],
    [["generate", "--own-only", "."], "--own-only is for a URL"],
    [["generate", "--write", "http://localhost:1/"], "--write is for a folder"],
    [["generate", "--server", "ngnix", "."], "did you mean nginx?"],
    [["generate", "--report-only", "."], "--report-only needs --server"],
    [["collect", "--port", "many"], "--port is a whole number"],
    [["collect", "--port", "70000"], "at most 65535"],
    [["collect", "--tls-key", "a"], "go together"],
  ])("csp %j", async (args, message) => {
    const { code, stdout, stderr } = await csp(args);
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });

  test("in files, too", async () => {
    const says = async (...args: string[]) => {
      const { code, stderr } = await csp(args);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await says("test", file("a.json", "{"))).toContain("is no JSON");
    expect(await says("test", file("a.json", {}))).toContain('has no list of "cases"');
    const policy = "img-src 'self'";
    const one = (fields: unknown) => file("a.json", { policy, cases: [fields] });
    expect(await says("test", one({ scrpt: "/a.js", expect: "allowed" }))).toContain(
      'case 1 has "scrpt"; did you mean script?',
    );
    expect(await says("test", one({ script: "/a.js" }))).toContain('"expect" is "allowed"');
    expect(await says("test", one({ expect: "allowed" }))).toContain("asks nothing");
    expect(await says("check", file("b.html", "<p>"))).toContain("no meta element with a policy");
    expect(await says("check", file("b.json", "[1]"))).toContain("no policy in its JSON");
    expect(await says("check", file("b.txt", "  "))).toContain("no policy");
    expect(await says("check", file("b.bin", "\0\u0001"))).toContain("is no text");
  });

  test("a wrong directive is pointed out where no finding does", async () => {
    const { stderr, code } = await csp(["explain", "scrpt-src 'self'"]);
    expect(stderr).toContain('there is no directive "scrpt-src"; did you mean script-src?');
    expect(code).toBe(0);
  });
});

test.each([
  [undefined, 100],
  [0, 100],
  [10, 40],
  [80, 80],
  [300, 120],
])("a terminal of %j columns gets lines of %i", (columns, width) => {
  const stdout = { ...(columns === undefined ? {} : { columns }), write: () => true };
  expect(widthOf({ stdout })).toBe(width);
});

test("the installed command runs in a clone that is not built", () => {
  const bin = fileURLToPath(new URL("../../bin/csp.js", import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [bin, "check", strict]);
  expect(String(stdout)).toContain("policy");
  expect(status).toBe(0);
});

test("--version is the package's", async () => {
  const { version } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  );
  expect((await csp(["--version"])).stdout).toBe(`${version}\n`);
});

test.each(["check", "explain", "test", "diff", "generate", "collect"])(
  "%s --help has examples",
  async (name) => {
    const { stdout, code } = await csp([name, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: csp ${name}`);
    expect(stdout).toContain("Examples:");
  },
);
