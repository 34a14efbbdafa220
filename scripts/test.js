/**
 * `npm test`: installs and builds what is missing, finds or installs a Chromium, and runs every test.
 * Arguments go to vitest: `npm test -- packages/mls`.
 */

import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { buildPage, install, main, run, runTool, SetupError, say } from "./setup.js";

await main(async (args) => {
  await install();
  const chromium = await provideChromium();
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
  const isDebian = await exists("/usr/bin/apt-get");
  if (!isDebian || process.getuid?.() !== 0) {
    throw new SetupError(
      "The tests need a Chromium or Chrome, and none was found.\n" +
        (isDebian
          ? "Install one (sudo apt-get install chromium), or name it: CHROMIUM=/path/to/chrome npm test"
          : "Install one, or name it: CHROMIUM=/path/to/chrome npm test"),
    );
  }
  say("Installing Chromium (apt-get install chromium) …");
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update", "-qq"], { env });
  await run("apt-get", ["install", "-qq", "-y", "--no-install-recommends", "chromium"], { env });
  const installed = await findChromium();
  if (!installed) throw new SetupError("Chromium could not be installed: see above.");
  return installed;
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
