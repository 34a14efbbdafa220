/**
 * `conclave-delivery serve`: the service, until a signal ends it; with `--check`, what it would do.
 * @module
 */

import { createLog } from "../log.ts";
import { readVersion, runService } from "../run.ts";
import { check } from "./check.ts";
import {
  type Command,
  configurationOf,
  expectArguments,
  parseCommand,
  UsageError,
} from "./command.ts";

export const serve: Command = {
  help: `Usage: conclave-delivery serve [--config FILE]
       conclave-delivery serve --check [--strict] [--json] [--config FILE]

Runs the service until SIGTERM or SIGINT, which let it end in order; a second one ends it at once.
SIGHUP reads the certificate again.

  --check        says whether it would start, and how; starts nothing and changes nothing, so that it may be
                 asked beside a running service. An address that is in use is said, and not in the way: it may
                 be the service's own
  --strict       what is only warned of is in the way too
  --json         for programs
  --config FILE  the configuration (TOML), instead of the one that CONCLAVE_CONFIG names

Codes: 0 done, 1 something stands in the way, 2 the configuration can't be followed.
`,
  async run(world) {
    const { flags, config, rest } = parseCommand(world.args, ["check", "strict", "json"]);
    expectArguments(rest);
    const [strict, json] = [flags.has("strict"), flags.has("json")];
    if (!flags.has("check") && (strict || json)) {
      throw new UsageError("--strict and --json are for --check");
    }
    if (flags.has("check")) return check(world, config, { strict, json });
    const configuration = await configurationOf(world, config);
    const { level, format } = configuration.log;
    const { write, now } = world;
    const log = createLog({ level, format, write, now });
    const running = await runService(configuration, { log, now });
    const ended = Promise.withResolvers<0 | 1>();
    let stopping = false;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      world.onSignal(signal, () => {
        if (stopping) return ended.resolve(1);
        stopping = true;
        log.event("stopping", { signal });
        running.stop().then(
          () => ended.resolve(0),
          (error: unknown) => ended.reject(error),
        );
      });
    }
    world.onSignal("SIGHUP", () => {
      running.reload().catch((error: unknown) => {
        log.error("certificate-unusable", { reason: error instanceof Error ? error.message : "" });
      });
    });
    for (const warning of configuration.warnings) log.event("warning", { warning });
    log.event("started", { version: await readVersion(), node: process.version });
    const code = await ended.promise;
    log.event(code === 0 ? "stopped" : "cut-off");
    return code;
  },
};
