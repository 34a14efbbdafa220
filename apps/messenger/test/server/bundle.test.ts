import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { integrityOf } from "@conclave/csp";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readBundle } from "../../src/server/bundle.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "conclave-bundle-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(files: Readonly<Record<string, string>>) {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

const script = "console.log(1);".repeat(100);
const integrity = await integrityOf(script);
const page = `<!doctype html><script type="module" crossorigin src="/assets/page-1.js" integrity="${integrity}"></script>`;

test("files by path, scripts with their integrity, workers apart", async () => {
  await write({
    "index.html": page,
    "icon.svg": "<svg/>",
    "assets/page-1.js": script,
    "assets/page-1.css": "a{}",
    "assets/worker-2.js": "postMessage(1)",
  });
  const bundle = await readBundle(folder);
  expect([...bundle.files.keys()].toSorted()).toEqual([
    "/",
    "/assets/page-1.css",
    "/assets/page-1.js",
    "/assets/worker-2.js",
    "/icon.svg",
  ]);
  expect([...bundle.scripts]).toEqual([["/assets/page-1.js", integrity]]);
  expect(bundle.workers).toEqual(["/assets/worker-2.js"]);
  expect(bundle.files.get("/")).toMatchObject({
    contentType: "text/html; charset=utf-8",
    hashed: false,
  });
  expect(bundle.files.get("/assets/page-1.js")).toMatchObject({
    contentType: "text/javascript; charset=utf-8",
    hashed: true,
  });
});

test("what compression makes longer is kept as it is", async () => {
  await write({ "index.html": page, "icon.svg": "<svg/>", "assets/page-1.js": script });
  const { files } = await readBundle(folder);
  expect(files.get("/icon.svg")?.compressed).toBeUndefined();
  expect(files.get("/assets/page-1.js")?.compressed?.length).toBeLessThan(script.length);
});

test("no folder, or no page in it", async () => {
  await expect(readBundle(join(folder, "none"))).rejects.toThrow("build it first");
  await write({ "assets/page-1.js": script });
  await expect(readBundle(folder)).rejects.toThrow("build it first");
});

test("a script without integrity, with that of another, from elsewhere, or inline", async () => {
  await write({ "assets/page-1.js": script });
  const refused = async (html: string, message: string) => {
    await write({ "index.html": html });
    await expect(readBundle(folder)).rejects.toThrow(message);
  };
  await refused(page.replace(/ integrity="[^"]*"/, ""), "integrity");
  await refused(page.replace(integrity, await integrityOf("another")), "integrity");
  await refused(
    page.replace("/assets/page-1.js", "https://evil.example/x.js"),
    "not in its bundle",
  );
  await refused("<script>inline()</script>", "not in its bundle");
});

test("a file of an unknown type", async () => {
  await write({ "index.html": page, "assets/page-1.js": script, "assets/page-1.js.map": "{}" });
  await expect(readBundle(folder)).rejects.toThrow("/assets/page-1.js.map");
});
