/**
 * `csp` on the command line.
 * @module
 */
import { readFile } from "node:fs/promises";
import { type Command, didYouMean, type ExitCode, UsageError, type World } from "./command.ts";

/** Each is loaded when it is asked for. */
const commands: Readonly<
  Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>
> = {
  check: {
    summary: "weaknesses and bypasses of policies",
    load: async () => (await import("./check.ts")).check,
  },
  explain: {
    summary: "what a policy does, or decides, and why",
    load: async () => (await import("./explain.ts")).explain,
  },
  test: {
    summary: "cases and recordings against a policy",
    load: async () => (await import("./test.ts")).test,
  },
  diff: {
    summary: "what two policies allow beyond each other",
    load: async () => (await import("./diff.ts")).diff,
  },
  generate: {
    summary: "a strict policy for a folder or a site",
    load: async () => (await import("./generate.ts")).generate,
  },
  collect: {
    summary: "receives reports and shows them",
    load: async () => (await import("./collect.ts")).collect,
  },
};

const overview = `Usage: csp COMMAND [options]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(9)} ${summary}\n`)
  .join("")}
csp COMMAND --help says more. Codes: 0 nothing to complain about, 1 findings or failures, 2 wrong use.
Begin with: csp check "script-src 'self' 'unsafe-inline'"
`;

async function run(world: World): Promise<ExitCode> {
  const [name, ...args] = world.args;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    const about = name === "help" ? args[0] : undefined;
    const command = about === undefined ? undefined : await commandNamed(about);
    const screen = name === undefined ? world.stderr : world.stdout;
    screen.write(command?.help ?? overview);
    return name === undefined ? 2 : 0;
  }
  if (name === "--version" || name === "-V" || name === "-v") {
    const text = await readFile(new URL("../../package.json", import.meta.url), "utf8");
    world.stdout.write(`${JSON.parse(text).version}\n`);
    return 0;
  }
  const command = await commandNamed(name);
  if (args.includes("--help") || args.includes("-h")) {
    world.stdout.write(command.help);
    return 0;
  }
  return await command.run({ ...world, args });
}

async function commandNamed(name: string): Promise<Command> {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command) return await command.load();
  const hint = didYouMean(name, Object.keys(commands));
  throw new UsageError(`there is no command ${JSON.stringify(name)}${hint}`);
}

const { argv, env, stdin, stdout, stderr } = process;
// Whoever reads may stop reading: `csp check | head`.
stdout.on("error", () => process.exit());
try {
  process.exitCode = await run({ args: argv.slice(2), env, stdin, stdout, stderr });
} catch (error) {
  // A file that may not be read, a full disk: `syscall` is what tells those of the system.
  if (!(error instanceof UsageError) && !(error instanceof Error && "syscall" in error))
    throw error;
  stderr.write(`csp: ${error.message}\n`);
  process.exitCode = 2;
}
