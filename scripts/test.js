/**
 * `npm test`: installs and builds what is missing, finds or installs a Chromium and PostgreSQL's programs, and runs every test.
 * Arguments go to vitest: `npm test -- packages/mls`.
 */

import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { buildPage, install, main, run, runTool, SetupError, say } from "./setup.js";

const APT = "/usr/bin/apt-get";

await main(async (args) => {
  await install();
  const chromium = await provideChromium();
  await providePostgres();
  await buildPage();

  const folder = await mkdtemp(join(tmpdir(), "conclave-test-"));
  const results = join(folder, "results.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${results}`];
  const code = await runTool("vitest", ["run", ...reporters, ...args], {
    env: { CHROMIUM: chromium },
  });
  const { passed, failed, skipped } = await count(results);
  await rm(folder, { recursive: true });

  const whole = code === 0 && failed === 0 && passed > 0;
  if (!whole && failed === 0)
    say(passed === 0 ? "No test ran." : `vitest ended with code ${code}.`);
  say(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return whole ? 0 : 1;
});

/** A file that failed before its first test counts as one failure. */
async function count(results) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const text = await readFile(results, "utf8").catch(() => undefined);
  if (text === undefined) return counts;
  for (const file of JSON.parse(text).testResults) {
    const failedBefore = counts.failed;
    for (const { status } of file.assertionResults) {
      counts[status === "passed" || status === "failed" ? status : "skipped"] += 1;
    }
    if (file.status === "failed" && counts.failed === failedBefore) counts.failed += 1;
  }
  return counts;
}

async function provideChromium() {
  const found = await findChromium();
  if (found) return found;
  const isDebian = await exists(APT);
  if (!isDebian || process.getuid?.() !== 0) {
    throw new SetupError(
      "The tests need a Chromium or Chrome, and none was found.\n" +
        (isDebian
          ? "Install one (sudo apt-get install chromium), or name it: CHROMIUM=/path/to/chrome npm test"
          : "Install one, or name it: CHROMIUM=/path/to/chrome npm test"),
    );
  }
  await installPackage("chromium");
  const installed = await findChromium();
  if (!installed) throw new SetupError("Chromium could not be installed: see above.");
  return installed;
}

/** Fail-over is tested with initdb, pg_basebackup and pg_rewind, of which the npm package has only the first. */
async function providePostgres() {
  if (process.platform !== "linux" || (await findPostgres())) return;
  const isDebian = await exists(APT);
  if (!isDebian || process.getuid?.() !== 0) {
    throw new SetupError(
      "The tests need PostgreSQL's programs (pg_basebackup, pg_rewind), and none were found.\n" +
        (isDebian
          ? "Install them (sudo apt-get install postgresql); no server has to run."
          : "Install them; no server has to run."),
    );
  }
  // Otherwise the package makes a database and starts it.
  const settings = "/etc/postgresql-common";
  if (!(await exists(settings))) {
    await mkdir(settings);
    await writeFile(join(settings, "createcluster.conf"), "create_main_cluster = false\n");
  }
  await installPackage("postgresql");
  if (!(await findPostgres())) {
    throw new SetupError("PostgreSQL could not be installed: see above.");
  }
}

/** As `packages/delivery/test/kill/cluster.ts` looks for them. */
async function findPostgres() {
  const root = "/usr/lib/postgresql";
  const versions = await readdir(root).catch(() => []);
  const folders = [
    ...versions.map((version) => join(root, version, "bin")),
    ...(process.env.PATH ?? "").split(delimiter).filter(isAbsolute),
  ];
  for (const folder of folders) {
    if (await exists(join(folder, "pg_rewind"))) return folder;
  }
  return undefined;
}

async function installPackage(name) {
  say(`Installing ${name} (apt-get install ${name}) …`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const keep = ["-o", "Dpkg::Options::=--force-confold"];
  await run("apt-get", ["update", "-qq"], { env });
  await run("apt-get", ["install", "-qq", "-y", ...keep, "--no-install-recommends", name], { env });
}

async function findChromium() {
  const named = process.env.CHROMIUM;
  if (named) {
    if (await exists(named)) return named;
    throw new SetupError(`CHROMIUM names ${named}, and there is no such file.`);
  }
  const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(delimiter).filter(isAbsolute);
  const candidates = [
    ...names.flatMap((name) => folders.map((folder) => join(folder, name))),
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  ];
  for (const candidate of candidates) {
    if (await exists(candidate)) return candidate;
  }
  return undefined;
}

function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}
