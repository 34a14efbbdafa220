/**
 * The program: options, start, what to print, end.
 * @module
 */

import { fileURLToPath } from "node:url";
import { type Messenger, startMessenger } from "./messenger.ts";
import { HELP, type Options, OptionsError, parseOptions } from "./options.ts";
import { StartError } from "./start-error.ts";

const bundleFolder = fileURLToPath(new URL("../../dist/page", import.meta.url));

const options = readOptions();
if (options === "help") {
  process.stdout.write(HELP);
} else {
  const messenger = await start(options);
  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      void messenger.close().then(() => process.stdout.write("Stopped.\n"));
    });
  }
  process.stdout.write(greeting(options, messenger));
}

function readOptions(): Options | "help" {
  try {
    return parseOptions(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    return fail(`${error.message}\nnpm start -- --help lists the options.`, 2);
  }
}

async function start(options: Options): Promise<Messenger> {
  try {
    return await startMessenger(options, bundleFolder);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return fail(error.message, 1);
  }
}

function fail(message: string, code: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

function greeting(
  { pageOrigin, serviceOrigin, data }: Options,
  { operatorUrl, fingerprint }: Messenger,
): string {
  const lines = [
    "",
    `  Conclave is open at  ${pageOrigin}`,
    "",
    `  Delivery service     ${serviceOrigin}`,
    `  Operator's page      ${operatorUrl}`,
    `  Data                 ${data}`,
    ...(fingerprint === undefined
      ? []
      : [
          "",
          "  The certificate is self-signed: browsers warn once, for the page and for the service.",
          `  Its fingerprint (SHA-256) is ${fingerprint}`,
        ]),
    "",
    "  Ctrl-C stops it.",
    "",
  ];
  return `${lines.join("\n")}\n`;
}
