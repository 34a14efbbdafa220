/**
 * `csp collect`: receives reports and shows them.
 * @module
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createNonce } from "../make/build.ts";
import {
  type Command,
  type ExitCode,
  parseOptions,
  UsageError,
  type World,
  wholeNumber,
} from "./command.ts";

const help = `Usage: csp collect [options]

Starts a collector of violation reports, with a page for its operator. Runs until it is interrupted.

      --file FILE        the SQLite file (default csp-reports.sqlite)
      --port N           default 8900
      --host ADDRESS     default 127.0.0.1: this machine alone
      --path PATH        where reports are sent to (default /reports)
      --behind-proxy     everything comes through a proxy that sets X-Forwarded-For
      --tls-key FILE, --tls-cert FILE
                         PEM: browsers send to Reporting-Endpoints over https alone

The operator signs in with the token in CSP_COLLECT_TOKEN, of at least 16 characters; without one it is made anew and
printed.

Examples:
  csp collect
  CSP_COLLECT_TOKEN=… csp collect --file /var/lib/csp/reports.sqlite --behind-proxy
`;

async function run(world: World): Promise<ExitCode> {
  const { values, positionals } = parseOptions(world.args, {
    file: { type: "string" },
    port: { type: "string" },
    host: { type: "string" },
    path: { type: "string" },
    "behind-proxy": { type: "boolean" },
    "tls-key": { type: "string" },
    "tls-cert": { type: "string" },
  });
  if (positionals.length > 0)
    throw new UsageError(`nothing is done with ${JSON.stringify(positionals[0])}`);
  const port = wholeNumber("port", values.port, 8900);
  if (port > 65_535) throw new UsageError("--port is at most 65535");
  const path = values.path ?? "/reports";
  if (!path.startsWith("/")) throw new UsageError("--path starts with a slash");
  const key = values["tls-key"];
  const cert = values["tls-cert"];
  if ((key === undefined) !== (cert === undefined)) {
    throw new UsageError("--tls-key and --tls-cert go together");
  }
  const tls =
    key === undefined || cert === undefined
      ? {}
      : { tls: { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") } };
  const given = world.env["CSP_COLLECT_TOKEN"];
  const token = given ?? createNonce();
  const { startCollector } = await import("../collect/index.ts");
  const collector = await startCollector({
    file: values.file ?? "csp-reports.sqlite",
    port,
    path,
    token,
    ...(values.host === undefined ? {} : { host: values.host }),
    behindProxy: values["behind-proxy"] ?? false,
    ...tls,
  }).catch((error: unknown) => {
    throw new UsageError(error instanceof Error ? error.message : "the collector does not start");
  });
  const reports = new URL(path, collector.url).href;
  const { stdout } = world;
  if (values.json) {
    const secret = given === undefined ? { token } : {};
    stdout.write(`${JSON.stringify({ version: 1, url: collector.url, reports, ...secret })}\n`);
  } else {
    stdout.write(`Reports to ${reports}\nPage at    ${collector.url}\n`);
    if (given === undefined) stdout.write(`Token      ${token}\n`);
    stdout.write(
      `\nIn a policy: report-uri ${reports}; report-to csp\nBeside it:   Reporting-Endpoints: csp="${reports}"\n`,
    );
  }
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  await collector.close();
  return 0;
}

export const collect: Command = { help, run };
